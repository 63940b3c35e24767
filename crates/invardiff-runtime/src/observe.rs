//! Observing a policy: timing, tracing, listing the sites of a model.

use burn::tensor::Tensor;
use invardiff_plan::core::TimeGrid;
use invardiff_plan::{OutputForm, Site};

use crate::block::{Block, BlockAction};
use crate::executor::{Executor, Pass, Policy};
use crate::feature::Feature;

/// What happens at a site.
#[derive(Debug)]
pub enum Event<'a> {
    /// The module will be computed.
    Enter,
    /// The module was computed; these are the values that the model continues with.
    Computed(&'a [Tensor<3>]),
    /// The module was not computed; these values are used instead.
    Recalled(&'a [Tensor<3>]),
}

/// A policy with a callback `look(step, site, event)` at every site. It does not change what the model computes.
///
/// ```
/// use invardiff_runtime::{Event, Executor, Full, Observed, Policy, Site};
///
/// let mut visited = Vec::new();
/// let mut policy = Observed::new(Full, |step, site, event: Event<'_>| {
///     if matches!(event, Event::Enter) {
///         visited.push((step, site));
///     }
/// });
/// # let x = burn::tensor::Tensor::<3>::zeros([1, 2, 3], &burn::tensor::Device::default());
/// let [_attention] = policy.step(7).at(Site::msa(0), |_| [x.clone() * 2]); // a model's forward does this
/// assert_eq!(visited, [(7, Site::msa(0))]);
/// ```
#[derive(Debug)]
pub struct Observed<P, F> {
    /// The policy that is observed.
    pub inner: P,
    /// The callback, called with (step, site, event).
    pub look: F,
}

impl<P, F: FnMut(usize, Site, Event<'_>)> Observed<P, F> {
    /// Observes `inner` with the callback `look`.
    pub fn new(inner: P, look: F) -> Self {
        Self { inner, look }
    }
}

impl<P: Policy, F: FnMut(usize, Site, Event<'_>)> Policy for Observed<P, F> {
    type Step<'a>
        = ObservedStep<'a, P::Step<'a>, F>
    where
        Self: 'a;

    fn step(&mut self, step: usize) -> Self::Step<'_> {
        ObservedStep { inner: self.inner.step(step), look: &mut self.look, step }
    }

    fn output_form(&self) -> Option<OutputForm> {
        self.inner.output_form()
    }

    fn grid(&self) -> Option<&TimeGrid> {
        self.inner.grid()
    }

    fn output_blend(&self, step: usize) -> Option<f64> {
        self.inner.output_blend(step)
    }
}

/// The executor of one observed step.
#[derive(Debug)]
pub struct ObservedStep<'a, E, F> {
    inner: E,
    look: &'a mut F,
    step: usize,
}

impl<E: Executor, F: FnMut(usize, Site, Event<'_>)> Executor for ObservedStep<'_, E, F> {
    fn recall<const N: usize>(&mut self, site: Site) -> Option<Feature<N>> {
        let kept = self.inner.recall(site);
        let event = kept.as_ref().map_or(Event::Enter, |kept| Event::Recalled(kept));
        (self.look)(self.step, site, event);
        kept
    }

    fn settle<const N: usize>(&mut self, site: Site, fresh: Feature<N>) -> Feature<N> {
        let settled = self.inner.settle(site, fresh);
        (self.look)(self.step, site, Event::Computed(&settled));
        settled
    }

    fn probe(&mut self, site: Site, value: &[Tensor<3>]) {
        self.inner.probe(site, value);
    }

    fn enter(&mut self, pass: Pass) {
        self.inner.enter(pass);
    }

    fn before_block<const N: usize>(
        &mut self,
        block: Block,
        hidden: impl FnOnce() -> Feature<N>,
        modulated: impl FnOnce() -> Tensor<3>,
    ) -> BlockAction<N> {
        self.inner.before_block(block, hidden, modulated)
    }
}
