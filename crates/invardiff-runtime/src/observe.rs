//! Looking on: timing, tracing, listing the sites of a model.

use burn::tensor::Tensor;
use invardiff_plan::{OutputForm, Site};

use crate::block::{Block, BlockAction};
use crate::executor::{Executor, Pass, Policy};
use crate::feature::Feature;

/// What an observer sees at a site.
#[derive(Debug)]
pub enum Event<'a> {
    /// The module is about to be computed.
    Enter,
    /// The module was computed and settled; these are the values the model goes on with.
    Computed(&'a [Tensor<3>]),
    /// The module was not computed; these values stand in for it.
    Recalled(&'a [Tensor<3>]),
}

/// Any policy, watched by `F(step, site, event)`. What the model computes does not change.
#[derive(Debug)]
pub struct Observed<P, F> {
    /// The policy that decides.
    pub inner: P,
    /// The one who looks.
    pub look: F,
}

impl<P, F: FnMut(usize, Site, Event<'_>)> Observed<P, F> {
    /// Watches `inner`.
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
