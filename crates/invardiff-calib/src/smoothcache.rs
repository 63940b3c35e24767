//! The measurement that `SmoothCache` plans from.

use std::collections::{BTreeMap, HashMap, VecDeque};

use burn::tensor::{DType, Tensor};
use invardiff_plan::methods::smoothcache::ComponentErrors;
use invardiff_plan::{Kind, Site, Topology};
use invardiff_runtime::{Executor, Feature, Pass, Policy, Sampler, sample};

use crate::error::CalibError;
use crate::readings::Readings;
use crate::session::{Session, SharedDenoiser};

impl<const D: usize, M: SharedDenoiser<D>, S: Sampler<D> + Sync> Session<'_, D, M, S> {
    /// Measures `SmoothCache`'s errors (arXiv 2411.10510) along the uncached trajectories: every module's output against
    /// those of up to `lookahead` steps before, relative L1 over all elements of the batch, averaged over the layers of a
    /// kind and over the runs. Where a site has several tensors, their norms are added; where guidance takes two passes, the
    /// conditional one is measured.
    ///
    /// A run holds the last `lookahead` outputs of every module; sums are in f32 on the device and read once per run.
    ///
    /// # Errors
    /// [`CalibError::Sites`] for a model that does not pass every site of its topology once per step.
    pub fn component_errors(&self, lookahead: usize) -> Result<ComponentErrors, CalibError> {
        let (topology, steps) = (self.model.topology(), self.steps());
        let sums = self.each_run("measuring errors of modules (runs)", |run| {
            let mut lags = Lags::new(&topology, lookahead);
            sample(self.model, self.sampler, &mut lags, run.noise.clone(), &run.cond);
            lags.sums(steps).map_err(|detail| CalibError::Sites { model: topology.model.clone(), detail })
        });
        let sums: Vec<Sums> = sums.into_iter().collect::<Result<_, _>>()?;
        let component = |kind: Kind| {
            let count = (self.runs.len() * topology.layers(kind)) as f64;
            let error = |lag: usize, step: usize| {
                let of_run = |run: &Sums| run.get(&(kind, lag, step)).copied().unwrap_or(f64::NAN);
                sums.iter().map(of_run).sum::<f64>() / count
            };
            let row = |lag: usize| (0..steps.saturating_sub(lag)).map(|step| error(lag, step)).collect();
            (kind, (1..=lookahead).map(row).collect())
        };
        Ok(ComponentErrors { steps, components: topology.kinds().into_iter().map(component).collect() })
    }
}

/// Errors summed over layers, by (kind, distance, earlier step).
type Sums = BTreeMap<(Kind, usize, usize), f64>;

/// A trajectory whose modules are compared with earlier steps.
struct Lags {
    rings: HashMap<Site, VecDeque<Vec<Tensor<3>>>>,
    visits: HashMap<Site, usize>,
    lookahead: usize,
    readings: Readings<(Kind, usize, usize), 1>,
}

impl Lags {
    fn new(topology: &Topology, lookahead: usize) -> Self {
        let sites = || topology.sites.iter().map(|spec| spec.site);
        Self {
            rings: sites().map(|site| (site, VecDeque::new())).collect(),
            visits: sites().map(|site| (site, 0)).collect(),
            lookahead,
            readings: Readings::new(),
        }
    }

    fn sums(self, steps: usize) -> Result<Sums, String> {
        if let Some((site, visits)) = self.visits.iter().find(|(_, visits)| **visits != steps) {
            return Err(format!("{site} was passed {visits} times in {steps} steps"));
        }
        let mut sums = Sums::new();
        for (label, [error]) in self.readings.read() {
            *sums.entry(label).or_default() += f64::from(error);
        }
        Ok(sums)
    }
}

impl Policy for Lags {
    type Step<'a> = LagStep<'a>;

    fn step(&mut self, step: usize) -> LagStep<'_> {
        LagStep { lags: self, step, pass: Pass::default() }
    }
}

struct LagStep<'a> {
    lags: &'a mut Lags,
    step: usize,
    pass: Pass,
}

impl Executor for LagStep<'_> {
    fn recall<const N: usize>(&mut self, _: Site) -> Option<Feature<N>> {
        None
    }

    fn settle<const N: usize>(&mut self, site: Site, fresh: Feature<N>) -> Feature<N> {
        let Lags { rings, visits, lookahead, readings } = &mut *self.lags;
        if let (Some(ring), Some(visits), Pass::Conditional) =
            (rings.get_mut(&site), visits.get_mut(&site), self.pass)
        {
            *visits += 1;
            for (lag, earlier) in (1..).zip(&*ring) {
                if let Some(error) = relative_l1(earlier, &fresh) {
                    readings.push((site.kind, lag, self.step - lag), error);
                }
            }
            ring.push_front(fresh.to_vec());
            ring.truncate(*lookahead);
        }
        fresh
    }

    fn enter(&mut self, pass: Pass) {
        self.pass = pass;
    }
}

/// `|b - a|_1 / |b|_1` over all elements of all tensors; nothing for no tensor.
///
/// # Shapes
/// - result: `[1]`
fn relative_l1(a: &[Tensor<3>], b: &[Tensor<3>]) -> Option<Tensor<1>> {
    let size = |x: Tensor<3>| x.abs().sum_dim(2).sum();
    let cast = |x: &Tensor<3>| x.clone().cast(DType::F32);
    let parts = a.iter().zip(b).map(|(a, b)| (size(cast(b) - cast(a)), size(cast(b))));
    let sum = parts.reduce(|(change, whole), (more, of)| (change + more, whole + of));
    sum.map(|(change, whole)| change / whole)
}
