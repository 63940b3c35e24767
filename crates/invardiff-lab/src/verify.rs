//! Checks of determinism and caching on this machine, with a model of the user's: runs repeat bit for bit, and caching changes only
//! what it should.

use std::fmt;
use std::io;

use burn::tensor::Tensor;
use invardiff::Pipeline;
use invardiff_calib::{Pairs, Record, RecordOptions, Streams};
use invardiff_plan::methods::baseline::{random_plan, uniform_gate};
use invardiff_plan::two_phase::{Phases, Settings, WarmUp};
use invardiff_plan::{CachePlan, GateSite, OutputForm, ReuseRule, Topology};
use invardiff_runtime::{Denoiser, GaussianNoise, Sampler, sample};
use ndarray::Array2;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result, unfit};

/// A check with what it expected and found: hashes, or numbers of bytes.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// What was checked.
    pub name: String,
    /// Whether it holds.
    pub ok: bool,
    /// The expected hash, or number of bytes.
    pub expected: String,
    /// The hash, or number of bytes, that was found.
    pub found: String,
}

impl Check {
    /// A check that two hashes are equal.
    pub fn equal(name: impl Into<String>, expected: impl Into<String>, found: impl Into<String>) -> Self {
        let (name, expected, found) = (name.into(), expected.into(), found.into());
        Self { name, ok: expected == found, expected, found }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The first digits of a hash; numbers of bytes are shorter.
        let short = |text: &str| text.chars().take(12).collect::<String>();
        let (word, relation) = match (self.ok, self.expected == self.found) {
            (true, true) => ("ok", "="),
            (true, false) => ("ok", ">="),
            (false, _) => ("FAIL", "!="),
        };
        write!(f, "{word:4}  {:58}  {} {relation} {}", self.name, short(&self.expected), short(&self.found))
    }
}

/// The pipeline and the images that the checks are made on.
#[derive(Clone, Copy, Debug)]
pub struct Verification<'a, const D: usize, P: Pipeline<D>> {
    /// The pipeline, without a plan.
    pub full: &'a P,
    /// The subject of each image.
    pub subjects: &'a [P::Subject],
    /// The seed of each image.
    pub seeds: &'a [u64],
}

/// A plan and its name in the output.
struct Named {
    name: &'static str,
    plan: CachePlan,
}

impl<const D: usize, P: Pipeline<D>> Verification<'_, D, P> {
    /// Runs every check and passes each result to `look`. With `plan`, that plan is used instead of the made-up ones.
    ///
    /// # Errors
    /// When a run is impossible: a plan that does not fit, a device that fails.
    pub fn run(
        &self,
        plan: Option<CachePlan>,
        look: impl Fn(&Check) -> io::Result<()>,
    ) -> Result<Vec<Check>> {
        let mut checks = Vec::new();
        let mut note = |check: Check| -> Result<()> {
            look(&check)?;
            checks.push(check);
            Ok(())
        };
        let topology = self.full.denoiser().topology();
        let full = self.draw(None)?.0;
        let empty = CachePlan::empty(&topology, self.full.sampler().steps());
        note(Check::equal("an empty plan changes nothing", &full, self.draw(Some(&empty))?.0))?;
        note(Check::equal("two runs are equal", &full, self.draw(None)?.0))?;
        note(Check::equal("a calibration sees the uncached run", &full, self.recorded(&topology)?))?;
        for check in self.around_calibration(&full, &topology)? {
            note(check)?;
        }
        let plans = match plan {
            Some(plan) => vec![Named { name: "the plan", plan }],
            None => made_up(&topology, self.full.sampler().steps())?,
        };
        let mut alone = Vec::new();
        for Named { name, plan } in &plans {
            let (images, peak) = self.draw(Some(plan))?;
            note(self.peak_check(name, plan, peak)?)?;
            alone.push((*name, plan, images));
        }
        if alone.len() == 1 {
            alone.push(("an empty plan", &empty, full));
        }
        for check in self.at_once(&alone[0], &alone[1])? {
            note(check)?;
        }
        Ok(checks)
    }

    /// The hash of the samples under a plan, and the peak bytes of the cache.
    fn draw(&self, plan: Option<&CachePlan>) -> Result<(String, usize)> {
        let mut pipeline = self.full.clone();
        if let Some(plan) = plan {
            pipeline.force_cache(plan)?;
        }
        let (samples, peak) = pipeline.generate_measured(self.subjects, self.seeds)?;
        Ok((hash([samples])?, peak))
    }

    /// Compares the peak bytes of the cache under a plan with those of its schedule. The schedule's are only an upper bound where a step takes
    /// two passes (one drops values before the other caches its own), and with 16-bit weights (the network's output is
    /// cached in 32 bits).
    fn peak_check(&self, name: &str, plan: &CachePlan, found: usize) -> Result<Check> {
        let schedule = plan.schedule(&self.full.denoiser().topology())?;
        let (exact, size) = match (plan.gate_site(), self.full.dtype().size()) {
            (GateSite::Trunk, size) => (true, size),
            (GateSite::Output(_), size) => (size == size_of::<f32>(), size_of::<f32>()),
        };
        let expected = schedule.peak_bytes(self.subjects.len(), size);
        let exact = exact && self.full.passes() == 1;
        Ok(Check {
            name: format!("peak cache bytes, {name}"),
            ok: if exact { found == expected } else { found <= expected },
            expected: expected.to_string(),
            found: found.to_string(),
        })
    }

    /// The samples of a run under the recorder of a calibration.
    fn recorded(&self, topology: &Topology) -> Result<String> {
        let streams = Streams::new(topology.clone());
        let pairs = Pairs::Window { modules: 2, trunk: 2 };
        let mut record = Record::new(&streams, &pairs, true);
        let cond = self.full.condition(self.subjects)?;
        let (model, sampler) = (self.full.denoiser(), self.full.sampler());
        hash([sample(model, sampler, &mut record, self.full.noise(self.seeds), &cond)])
    }

    /// Noise and images after a calibration must equal those without one.
    fn around_calibration(&self, full: &str, topology: &Topology) -> Result<[Check; 2]> {
        let shape = self.full.noise(&self.seeds[..1]).dims();
        let device = self.full.device();
        let mut source = GaussianNoise::seeded(self.seeds[0]);
        let undisturbed = hash([source.draw(shape, device), source.draw(shape, device)])?;
        let mut source = GaussianNoise::seeded(self.seeds[0]);
        let before = source.draw(shape, device);
        self.calibrate(topology)?;
        let after = source.draw(shape, device);
        Ok([
            Check::equal("noise drawn around a calibration", undisturbed, hash([before, after])?),
            Check::equal("images after a calibration", full, self.draw(None)?.0),
        ])
    }

    /// A calibration on two runs, to check that it has no side effects.
    fn calibrate(&self, topology: &Topology) -> Result<()> {
        let runs = self.full.calibration_runs(2, 0)?;
        let quantiles = topology.streams().into_iter().map(|(stream, _)| (stream, 0.3)).collect();
        let settings = Settings {
            variant: self.full.variant(),
            gate_quantile: 0.5,
            quantiles,
            warm_up: WarmUp::Steps(1),
            phases: Phases::Two,
        };
        let options = RecordOptions { module_window: 4, trunk_window: 4, ..self.full.record_options() };
        self.full.session(&runs)?.two_phase(&settings, &options)?;
        Ok(())
    }

    /// Two plans on two threads of one pipeline must draw what each draws alone.
    fn at_once(&self, one: &Alone<'_>, other: &Alone<'_>) -> Result<[Check; 2]> {
        let (first, second) = std::thread::scope(|scope| {
            let first = scope.spawn(|| self.draw(Some(one.1)));
            let second = scope.spawn(|| self.draw(Some(other.1)));
            (first.join(), second.join())
        });
        let check = |alone: &Alone<'_>, drawn: std::thread::Result<Result<(String, usize)>>| {
            let drawn = drawn.map_err(|_| unfit!("a thread that replays {} panicked", alone.0))??;
            Ok::<_, Error>(Check::equal(format!("at once with another plan, {}", alone.0), &alone.2, drawn.0))
        };
        Ok([check(one, first)?, check(other, second)?])
    }
}

/// A plan's name, the plan, and the hash of its samples.
type Alone<'a> = (&'static str, &'a CachePlan, String);

/// Made-up plans that cover skipped steps, reused modules, extrapolation, and skips of the network's output.
fn made_up(topology: &Topology, steps: usize) -> Result<Vec<Named>> {
    let gate = uniform_gate(steps, steps.div_ceil(2))?;
    let sites: Vec<_> = topology.sites.iter().map(|spec| spec.site).collect();
    let some =
        Array2::from_shape_fn((steps, sites.len()), |(step, column)| (step + column).is_multiple_of(3));
    let like = CachePlan::new(sites, uniform_gate(steps, steps - steps / 4)?, some)?;
    let output = GateSite::Output(OutputForm::X0);
    Ok(vec![
        Named { name: "evenly skipped steps", plan: CachePlan::gate_only(topology, gate.clone()) },
        Named { name: "a random plan", plan: random_plan(topology, &like, 0)? },
        Named {
            name: "extrapolated output",
            plan: CachePlan::gate_only(topology, gate).with_gate_rule(output, ReuseRule::Extrapolate(1)),
        },
    ])
}

/// SHA-256 of shapes and values, hexadecimal.
fn hash<const D: usize, const N: usize>(samples: [Tensor<D>; N]) -> Result<String> {
    let mut digest = Sha256::new();
    for sample in samples {
        for length in sample.dims() {
            digest.update((length as u64).to_le_bytes());
        }
        let values: Vec<f32> = sample
            .into_data()
            .convert::<f32>()
            .try_to_vec()
            .map_err(|error| unfit!("reading a sample back: {error:?}"))?;
        for value in values {
            digest.update(value.to_le_bytes());
        }
    }
    Ok(digest.finalize().iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}")))
}
