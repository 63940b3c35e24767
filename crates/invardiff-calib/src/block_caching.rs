//! The measurement that Block Caching plans from: the relative change of every module from step to step.

use std::collections::HashMap;

use burn::tensor::{DType, Tensor};
use invardiff_plan::Site;
use invardiff_plan::methods::block_caching::ChangeTable;
use invardiff_runtime::{Executor, Feature, Pass, Policy, Sampler, sample};
use ndarray::Array2;

use crate::error::CalibError;
use crate::readings::Readings;
use crate::session::{Session, SharedDenoiser};

impl<const D: usize, M: SharedDenoiser<D>, S: Sampler<D> + Sync> Session<'_, D, M, S> {
    /// Measures the relative L1 change of every module along the uncached trajectories, which Block Caching plans from:
    /// `||O[k] - O[k-1]||_1 / ||O[k]||_1`, over all elements of all streams of a site (and all images of a run). A value that
    /// is zero and was zero has not changed; one that became zero counts as a change by 1e30. Where guidance takes two
    /// passes, the conditional one is measured.
    ///
    /// # Errors
    /// [`CalibError::Plan`] for fewer than two steps; [`CalibError::Sites`] for a model that does not pass the sites of its
    /// topology.
    pub fn block_changes(&self) -> Result<ChangeTable, CalibError> {
        let topology = self.model.topology();
        let mut table = ChangeTable::new(&topology, self.steps())?;
        let measured = self.each_run("measuring changes of modules (runs)", |run| {
            let mut watch = Watch::new(table.sites());
            sample(self.model, self.sampler, &mut watch, run.noise.clone(), &run.cond);
            watch.finish(&topology.model, self.steps())
        });
        for changes in measured {
            table.add_run(&changes?)?;
        }
        Ok(table)
    }
}

/// Computes everything, and compares every module with the step before.
struct Watch {
    sites: Vec<Site>,
    columns: HashMap<Site, usize>,
    last: Vec<Vec<Tensor<3>>>,
    visits: Vec<usize>,
    /// L1 of the difference and of the value, by (step, column).
    readings: Readings<(usize, usize), 2>,
}

impl Watch {
    fn new(sites: &[Site]) -> Self {
        Self {
            sites: sites.to_vec(),
            columns: sites.iter().enumerate().map(|(column, site)| (*site, column)).collect(),
            last: vec![Vec::new(); sites.len()],
            visits: vec![0; sites.len()],
            readings: Readings::new(),
        }
    }

    /// The changes, `[steps, sites]`.
    fn finish(self, model: &str, steps: usize) -> Result<Array2<f64>, CalibError> {
        if let Some(column) = self.visits.iter().position(|visits| *visits != steps) {
            let detail =
                format!("{} was passed {} times in {steps} steps", self.sites[column], self.visits[column]);
            return Err(CalibError::Sites { model: model.into(), detail });
        }
        let mut changes = Array2::zeros((steps, self.sites.len()));
        for (place, [difference, size]) in self.readings.read() {
            changes[place] = relative(f64::from(difference), f64::from(size));
        }
        Ok(changes)
    }
}

fn relative(difference: f64, size: f64) -> f64 {
    if difference == 0.0 { 0.0 } else { (difference / size).min(1e30) }
}

impl Policy for Watch {
    type Step<'a> = WatchStep<'a>;

    fn step(&mut self, step: usize) -> WatchStep<'_> {
        WatchStep { watch: self, step, pass: Pass::default() }
    }
}

/// The executor of one watched step.
struct WatchStep<'a> {
    watch: &'a mut Watch,
    step: usize,
    pass: Pass,
}

impl Executor for WatchStep<'_> {
    fn recall<const N: usize>(&mut self, _: Site) -> Option<Feature<N>> {
        None
    }

    fn settle<const N: usize>(&mut self, site: Site, fresh: Feature<N>) -> Feature<N> {
        let Some(column) = self.watch.columns.get(&site).copied().filter(|_| self.pass == Pass::Conditional)
        else {
            return fresh;
        };
        let now: Vec<Tensor<3>> = fresh.iter().map(|tensor| tensor.clone().cast(DType::F32)).collect();
        let before = std::mem::replace(&mut self.watch.last[column], now.clone());
        if !before.is_empty() {
            let differences = now.iter().cloned().zip(before).map(|(now, before)| now - before);
            let sums = Tensor::cat(vec![l1(differences), l1(now.iter().cloned())], 0);
            self.watch.readings.push((self.step, column), sums);
        }
        self.watch.visits[column] += 1;
        fresh
    }

    fn enter(&mut self, pass: Pass) {
        self.pass = pass;
    }
}

/// The sum of absolute values over all tensors: over channels first, so that long sums keep their digits.
///
/// # Shapes
/// - result: `[1]`
fn l1(tensors: impl Iterator<Item = Tensor<3>>) -> Tensor<1> {
    let sums: Vec<Tensor<1>> = tensors.map(|tensor| tensor.abs().sum_dim(2).sum()).collect();
    Tensor::cat(sums, 0).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_stays_zero_has_not_changed() {
        assert_eq!(relative(0.0, 0.0), 0.0);
        assert_eq!(relative(1.0, 0.0), 1e30);
        assert_eq!(relative(1.0, 4.0), 0.25);
    }
}
