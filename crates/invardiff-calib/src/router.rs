//! Training the routers of Learning-to-Cache: only the routers learn, the model stays as it is.

use burn::tensor::activation::sigmoid;
use burn::tensor::{DType, Device, Tensor, TensorData};
use invardiff_plan::core::SplitMix64;
use invardiff_plan::methods::routers::{Routers, pairs_of};
use invardiff_plan::{PlanError, Provenance, Site, Topology};
use invardiff_runtime::{Denoiser, Full, GaussianNoise, Policy, RuntimeError, Sampler};
use ndarray::Array2;

use crate::adam_w::{AdamW, Moments};
use crate::error::CalibError;
use crate::mix::Mix;

/// How routers are trained. The published settings (horseee/learning-to-cache) are the defaults, apart from the learning
/// rate, which suits some thousand iterations; theirs is 1e-3 for 50,000 iterations of 512 examples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RouterSettings {
    /// Price of a computed module: the loss adds `lambda` times the sum of the router's weights. Published: 1e-6 and 5e-6.
    pub lambda: f64,
    /// Learning rate of AdamW; no weight decay.
    pub learning_rate: f64,
    /// Logits are kept in `-clamp ..= clamp`.
    pub clamp: f32,
    /// Blend with weights cut at this threshold to 0 and 1, with the gradient of the uncut ones (straight-through).
    pub straight_through: Option<f32>,
    /// Seed of the initial logits and of everything drawn.
    pub seed: u64,
}

impl Default for RouterSettings {
    /// Lambda 5e-6, learning rate 1e-2, clamp 5, no straight-through, seed 0.
    fn default() -> Self {
        Self { lambda: 5e-6, learning_rate: 1e-2, clamp: 5.0, straight_through: None, seed: 0 }
    }
}

/// Clean samples with their conditions, one batch.
#[derive(Clone, Debug)]
pub struct Example<const D: usize, C> {
    /// Samples without noise, as the model's sample.
    pub clean: Tensor<D>,
    /// Their condition. Whoever drops labels for guidance does it here, so that all passes of an iteration share it.
    pub cond: C,
}

/// A noised batch at the first step of a pair.
#[derive(Clone, Debug)]
pub struct Pair<'a, const D: usize, C> {
    /// Which pair, and so which router.
    pub row: usize,
    /// The samples at the noise level of the pair's first step.
    pub x: Tensor<D>,
    /// Their condition.
    pub cond: &'a C,
}

/// What an iteration found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RouterLoss {
    /// The router that it trained.
    pub row: usize,
    /// Mean square between the routed and the full prediction.
    pub distance: f32,
    /// Sum of the router's weights: how many modules it would compute, softly.
    pub weight: f32,
}

/// Everything that a training carries from one iteration to the next.
#[derive(Clone, Debug, PartialEq)]
pub struct RouterState {
    /// The routers as they are.
    pub routers: Routers,
    /// The state of the optimiser, one per router. A router that was not drawn is left unchanged, its momentum too.
    pub moments: Vec<Moments>,
    /// One entry an iteration.
    pub history: Vec<RouterLoss>,
}

/// A training of routers that can be stopped after any iteration and resumed from its state with the same result, bit for
/// bit: what an iteration draws depends on the seed and its number alone.
#[derive(Clone, Debug)]
pub struct RouterTraining {
    settings: RouterSettings,
    state: RouterState,
}

impl RouterTraining {
    /// Starts with logits of N(0, 1) for every module site of a model and every pair of `steps`.
    ///
    /// # Errors
    /// [`CalibError::Plan`] for an odd number of steps, or settings out of range.
    pub fn start(topology: &Topology, steps: usize, settings: RouterSettings) -> Result<Self, CalibError> {
        let sites: Vec<Site> = topology.sites.iter().map(|spec| spec.site).collect();
        let pairs = pairs_of(steps)?;
        let drawn = GaussianNoise::seeded(SplitMix64::of_part(settings.seed, u64::MAX).bits())
            .draw([pairs, sites.len()], &Device::flex());
        let values: Vec<f32> = drawn.into_data().iter().collect();
        let logits = Array2::from_shape_fn((pairs, sites.len()), |(row, column)| {
            values[row * sites.len() + column].clamp(-settings.clamp, settings.clamp)
        });
        let moments = vec![Moments::zeros(sites.len()); pairs];
        let provenance = Provenance { method: "learning-to-cache".into(), ..Provenance::default() };
        let routers = Routers::new(sites, logits)?.with_provenance(provenance);
        Self::resume(settings, RouterState { routers, moments, history: Vec::new() })
    }

    /// Goes on where another training stopped.
    ///
    /// # Errors
    /// [`CalibError::Plan`] for settings out of range, or when routers and moments do not fit together.
    pub fn resume(settings: RouterSettings, state: RouterState) -> Result<Self, CalibError> {
        settings.check()?;
        let [pairs, sites] = [state.routers.logits().nrows(), state.routers.sites().len()];
        let fits = |moments: &Moments| moments.first.len() == sites && moments.second.len() == sites;
        if state.moments.len() != pairs || !state.moments.iter().all(fits) {
            let what = "the moments [pairs, sites] of a router state".into();
            let found = vec![state.moments.len(), state.moments.first().map_or(0, |one| one.first.len())];
            return Err(PlanError::Shape { what, expected: vec![pairs, sites], found }.into());
        }
        Ok(Self { settings, state })
    }

    /// Routers, moments and losses as they are.
    pub fn state(&self) -> &RouterState {
        &self.state
    }

    /// What the coming iteration's examples should be drawn from, so that a resumed training sees the same ones.
    pub fn data_seed(&self) -> u64 {
        SplitMix64::of_part(!self.settings.seed, self.state.history.len() as u64).bits()
    }

    /// One iteration: draws a pair and noise, noises the examples to the pair's first step, and takes one step of AdamW on
    /// the pair's router.
    ///
    /// # Errors
    /// [`CalibError::Diverged`] when the loss is not finite; [`CalibError::Plan`] when the sampler has another number of steps
    /// than the routers; [`CalibError::Runtime`] for a stochastic sampler.
    pub fn iterate<const D: usize, M, S>(
        &mut self,
        model: &M,
        sampler: &S,
        example: Example<D, M::Cond>,
    ) -> Result<RouterLoss, CalibError>
    where
        M: Denoiser<D>,
        S: Sampler<D>,
    {
        sampler.deterministic()?;
        self.check_steps(sampler.steps())?;
        let iteration = self.state.history.len() as u64;
        let mut draws = SplitMix64::of_part(self.settings.seed, iteration);
        let row = draws.below(self.state.moments.len());
        let noise = GaussianNoise::seeded(draws.bits()).draw(example.clean.dims(), &example.clean.device());
        let level = sampler.noise_level(2 * row);
        let x = example.clean * level.alpha as f32 + noise * level.sigma as f32;
        let pair = Pair { row, x, cond: &example.cond };
        let mut logits = self.state.routers.logits().row(row).to_vec();
        let (loss, gradient) = self.gradient(model, sampler, &pair, &logits)?;
        AdamW::new(self.settings.learning_rate).update(&mut self.state.moments[row], &mut logits, &gradient);
        let clamp = self.settings.clamp;
        self.state.routers =
            self.state.routers.clone().with_row(row, |column| logits[column].clamp(-clamp, clamp))?;
        self.state.history.push(loss);
        Ok(loss)
    }

    /// The loss of a pair and its gradient by the logits of the pair's router.
    ///
    /// # Errors
    /// [`CalibError::Diverged`] when either is not finite; [`CalibError::Plan`] when there is not one logit per site.
    pub fn gradient<const D: usize, M, S>(
        &self,
        model: &M,
        sampler: &S,
        pair: &Pair<'_, D, M::Cond>,
        logits: &[f32],
    ) -> Result<(RouterLoss, Vec<f32>), CalibError>
    where
        M: Denoiser<D>,
        S: Sampler<D>,
    {
        let device = pair.x.device();
        let values = TensorData::new(logits.to_vec(), [logits.len()]);
        let leaf = Tensor::<1>::from_data(values, (&device, DType::F32)).autodiff().require_grad();
        let [distance, weight] = self.loss(model, sampler, pair, leaf.clone())?;
        let gradients = (distance.clone() + weight.clone() * self.settings.lambda as f32).backward();
        let gradient = leaf.grad(&gradients).map(|gradient| gradient.into_data().iter::<f32>().collect());
        let gradient: Vec<f32> = gradient.unwrap_or_else(|| vec![0.0; logits.len()]);
        let loss =
            RouterLoss { row: pair.row, distance: distance.into_scalar(), weight: weight.into_scalar() };
        let finite = loss.distance.is_finite() && gradient.iter().all(|value| value.is_finite());
        if finite {
            return Ok((loss, gradient));
        }
        Err(CalibError::Diverged { iteration: self.state.history.len() })
    }

    /// `[mean square between routed and full prediction, sum of the weights]` of a pair; the loss is the first plus lambda
    /// times the second. All of the model's passes share sample, time and condition: one full step to the pair's second step,
    /// which keeps the features, the full prediction there, and the routed one.
    ///
    /// # Shapes
    /// - `logits`: `[sites]`, tracked or not
    /// - results: `[1]`
    ///
    /// # Errors
    /// [`CalibError::Plan`] when there is not one logit per site.
    pub fn loss<const D: usize, M, S>(
        &self,
        model: &M,
        sampler: &S,
        pair: &Pair<'_, D, M::Cond>,
        logits: Tensor<1>,
    ) -> Result<[Tensor<1>; 2], CalibError>
    where
        M: Denoiser<D>,
        S: Sampler<D>,
    {
        let betas = match self.settings.straight_through {
            None => sigmoid(logits),
            Some(threshold) => straight_through(sigmoid(logits), threshold),
        };
        let mut mix = Mix::new(self.state.routers.sites(), betas.clone().unsqueeze_dim(0))?;
        let (full, routed) = (2 * pair.row, 2 * pair.row + 1);
        let kept = model.predict(&mut mix.step(0), pair.x.clone(), sampler.time(full), pair.cond);
        let x = sampler.advance(&mut sampler.start(), full, pair.x.clone(), kept);
        let target = model.predict(&mut Full, x.clone(), sampler.time(routed), pair.cond);
        let found = model.predict(&mut mix.step(1), x, sampler.time(routed), pair.cond);
        let distance = (found - target).cast(DType::F32).square().mean();
        Ok([distance, betas.sum()])
    }

    fn check_steps(&self, found: usize) -> Result<(), CalibError> {
        let plan = self.state.routers.steps();
        if plan == found {
            return Ok(());
        }
        Err(RuntimeError::Steps { plan, sampler: found }.into())
    }
}

impl RouterSettings {
    fn check(&self) -> Result<(), CalibError> {
        let positive = |value: f64| value.is_finite() && value > 0.0;
        let refuse = |what: &str, value: f64, expected: &str| {
            let (what, value, expected) = (what.into(), value.to_string(), expected.into());
            Err(CalibError::from(PlanError::Range { what, value, expected }))
        };
        if !self.lambda.is_finite() || self.lambda < 0.0 {
            return refuse("lambda", self.lambda, "a number from 0 on");
        }
        if !positive(self.learning_rate) {
            return refuse("the learning rate", self.learning_rate, "a number above 0");
        }
        if !positive(f64::from(self.clamp)) {
            return refuse("the clamp of logits", f64::from(self.clamp), "a number above 0");
        }
        match self.straight_through {
            Some(threshold) if !(0.0..1.0).contains(&threshold) => {
                refuse("the straight-through threshold", f64::from(threshold), "0 up to 1, without 1")
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// 1 where a weight is above the threshold and 0 elsewhere, with the gradient of the weight.
fn straight_through(weights: Tensor<1>, threshold: f32) -> Tensor<1> {
    let constant = weights.clone().without_autodiff();
    let cut = constant.clone().greater_elem(threshold).float().cast(DType::F32);
    (weights - constant) + cut
}
