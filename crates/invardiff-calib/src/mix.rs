//! Learning-to-Cache's blend of fresh and kept values: trainable, and exact at its ends.

use std::collections::HashMap;

use burn::tensor::{DType, Device, Tensor, TensorData};
use invardiff_plan::methods::routers::{PairedStep, Routers};
use invardiff_plan::{PlanError, Site};
use invardiff_runtime::{Executor, Feature, Pass, Policy};

use crate::error::CalibError;

/// A trajectory of paired steps: the first of a pair computes everything and keeps every module's value, the second goes on
/// with `beta * fresh + (1 - beta) * kept` at every module site (Learning-to-Cache, arXiv 2406.01733, equation 4). All
/// streams of a site share one `beta`.
///
/// Everything is computed, so nothing is saved: this is how routers are trained, and how they are judged before a threshold
/// makes a plan of them. `beta` 1 is the fresh value and 0 the kept one, bit for bit, so that with weights of 0 and 1 the
/// trajectory is that of [`Replay`](invardiff_runtime::Replay). Gradients flow into the weights where these are tracked;
/// what is kept is a constant. Sites that were not named are computed. Under guidance in two passes each keeps its own.
#[derive(Debug)]
pub struct Mix {
    columns: HashMap<Site, usize>,
    betas: Tensor<2>,
    kept: HashMap<(Pass, Site), Vec<Tensor<3>>>,
}

impl Mix {
    /// Blends at `sites` with the weights `betas`.
    ///
    /// # Shapes
    /// - `betas`: `[pairs, sites]`
    ///
    /// # Errors
    /// [`CalibError::Plan`] when there is not one weight per site.
    pub fn new(sites: &[Site], betas: Tensor<2>) -> Result<Self, CalibError> {
        let [pairs, columns] = betas.dims();
        if columns != sites.len() {
            let what = "the blend weights [pairs, sites]".into();
            let (expected, found) = (vec![pairs, sites.len()], vec![pairs, columns]);
            return Err(PlanError::Shape { what, expected, found }.into());
        }
        let columns = sites.iter().enumerate().map(|(column, site)| (*site, column)).collect();
        Ok(Self { columns, betas, kept: HashMap::new() })
    }

    /// Blends with the weights of routers, as in their training.
    ///
    /// # Errors
    /// As [`Mix::new`]; it cannot happen for routers that exist.
    pub fn soft(routers: &Routers, device: &Device) -> Result<Self, CalibError> {
        Self::of(routers, device, |weight| weight)
    }

    /// Computes where a router's weight is above `threshold` and goes on with the kept value elsewhere: the values of the
    /// routers' plan, without its saving.
    ///
    /// # Errors
    /// As [`Mix::new`]; it cannot happen for routers that exist.
    pub fn hard(routers: &Routers, threshold: f32, device: &Device) -> Result<Self, CalibError> {
        Self::of(routers, device, |weight| f32::from(u8::from(weight > threshold)))
    }

    fn of(routers: &Routers, device: &Device, beta: impl Fn(f32) -> f32) -> Result<Self, CalibError> {
        let weights = routers.weights();
        let shape = [weights.nrows(), weights.ncols()];
        let betas: Vec<f32> = weights.iter().map(|weight| beta(*weight)).collect();
        Self::new(routers.sites(), Tensor::from_data(TensorData::new(betas, shape), (device, DType::F32)))
    }
}

impl Policy for Mix {
    type Step<'a> = MixStep<'a>;

    /// # Panics
    /// When there is no router for the step.
    fn step(&mut self, step: usize) -> MixStep<'_> {
        let betas = match PairedStep::of(step) {
            PairedStep::Full => None,
            PairedStep::Routed(row) => Some(self.betas.clone().narrow(0, row, 1).squeeze_dim::<1>(0)),
        };
        MixStep { columns: &self.columns, betas, kept: &mut self.kept, pass: Pass::default() }
    }
}

/// The executor of one step.
#[derive(Debug)]
pub struct MixStep<'a> {
    columns: &'a HashMap<Site, usize>,
    /// One weight per site; `None` in the first step of a pair.
    betas: Option<Tensor<1>>,
    kept: &'a mut HashMap<(Pass, Site), Vec<Tensor<3>>>,
    pass: Pass,
}

impl Executor for MixStep<'_> {
    fn recall<const N: usize>(&mut self, _: Site) -> Option<Feature<N>> {
        None
    }

    fn settle<const N: usize>(&mut self, site: Site, fresh: Feature<N>) -> Feature<N> {
        let Some(column) = self.columns.get(&site).copied() else {
            return fresh;
        };
        let Some(betas) = &self.betas else {
            self.kept.insert(
                (self.pass, site),
                fresh.iter().map(|tensor| tensor.clone().without_autodiff()).collect(),
            );
            return fresh;
        };
        let Some(kept) = self.kept.remove(&(self.pass, site)) else {
            panic!("{site} was not kept: a policy plays one trajectory, every step once and in order")
        };
        let beta = betas.clone().narrow(0, column, 1).reshape([1, 1, 1]).cast(fresh[0].dtype());
        let mut kept = kept.into_iter();
        fresh.map(|fresh| match kept.next() {
            // Not `kept + beta * (fresh - kept)`, which rounds away from `fresh` at 1.
            Some(kept) => fresh * beta.clone() + kept * (beta.clone().neg() + 1.0),
            None => panic!("{site} has as many tensors at every step"),
        })
    }

    fn enter(&mut self, pass: Pass) {
        self.pass = pass;
    }
}
