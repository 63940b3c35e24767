//! An executor that answers for one site and computes the rest.

use burn::tensor::Tensor;
use invardiff_plan::Site;
use invardiff_runtime::{Executor, Feature};

/// Replaces the value of one site with a given one and computes everything else: the model then predicts as if the site had this
/// value. With the trunk replaced, only the final layer runs.
#[derive(Clone, Debug)]
pub struct Substitute {
    site: Site,
    feature: Vec<Tensor<3>>,
}

impl Substitute {
    /// Answers for `site` with the tensors that stand there, each `[batch, tokens, dim]`.
    ///
    /// # Panics
    /// In the forward, when the model has another number of tensors at `site`.
    pub fn new(site: Site, feature: Vec<Tensor<3>>) -> Self {
        Self { site, feature }
    }
}

impl Executor for Substitute {
    fn recall<const N: usize>(&mut self, site: Site) -> Option<Feature<N>> {
        let given = |feature: Vec<_>| panic!("{site} has {N} tensors, {} stand in for them", feature.len());
        (site == self.site).then(|| self.feature.clone().try_into().unwrap_or_else(given))
    }

    fn settle<const N: usize>(&mut self, _: Site, fresh: Feature<N>) -> Feature<N> {
        fresh
    }
}
