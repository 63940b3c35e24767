//! The authors' FLUX calibration, repeated: the same books from the same prompts, and the same cached trajectory although
//! what is cached here is the single blocks' projected contribution.
//!
//! `tests/data/flux_calibration` is the fixture of that name (its manifest says how it was made); the weights are those of
//! `invardiff-models/tests/data/flux_tiny`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use invardiff_calib::{RecordOptions, Run, calibrate};
use invardiff_models::{Canvas, Flux, FluxCond};
use invardiff_plan::{Kind, Phases, Settings, Variant, WarmUp};
use invardiff_runtime::{Denoiser, FlowMatchEuler, Replay, Shift, sample_with};
use safetensors::SafeTensors;
use serde_json::Value;

const STREAMS: [&str; 6] = ["attn", "context_attn", "ff", "context_ff", "single_attn", "single_mlp"];

struct Fixture {
    bytes: Vec<u8>,
    manifest: Value,
}

impl Fixture {
    fn open() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/flux_calibration");
        let manifest = std::fs::read(folder.join("manifest.json")).unwrap();
        Self {
            bytes: std::fs::read(folder.join("calibration.safetensors")).unwrap(),
            manifest: serde_json::from_slice(&manifest).unwrap(),
        }
    }

    fn number(&self, key: &str) -> f64 {
        self.manifest[key].as_f64().unwrap()
    }

    fn floats(&self, key: &str) -> (Vec<f32>, Vec<usize>) {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        let view = file.tensor(key).unwrap_or_else(|_| panic!("no {key}"));
        let values = view.data().chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
        (values.collect(), view.shape().to_vec())
    }

    fn marks(&self, key: &str) -> Vec<bool> {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        file.tensor(key).unwrap().data().iter().map(|byte| *byte != 0).collect()
    }

    fn tensor<const D: usize>(&self, key: &str) -> Tensor<D> {
        let (values, shape) = self.floats(key);
        Tensor::from_data(TensorData::new(values, shape), &Device::flex())
    }

    fn flux(&self) -> Flux {
        let weights: PathBuf =
            [env!("CARGO_MANIFEST_DIR"), "..", "invardiff-models", "tests", "data", "flux_tiny"]
                .iter()
                .collect();
        let side = |index: usize| self.manifest["image_tokens"][index].as_u64().unwrap() as usize;
        let text_tokens = self.number("text_tokens") as usize;
        let canvas = Canvas { rows: side(0), columns: side(1), text_tokens };
        Flux::load(weights, &Device::flex()).unwrap().flux.with_canvas(canvas)
    }

    /// The condition of prompt `row`.
    fn cond(&self, flux: &Flux, row: usize) -> FluxCond {
        let text: Tensor<3> = self.tensor("encoder_hidden_states");
        let pooled: Tensor<2> = self.tensor("pooled_projections");
        let guidance = Some(self.number("guidance_scale") as f32);
        flux.cond(text.narrow(0, row, 1), pooled.narrow(0, row, 1), guidance).unwrap()
    }

    fn sampler(&self) -> FlowMatchEuler {
        FlowMatchEuler::new(self.number("steps") as usize, Shift::Dynamic { mu: self.number("mu") }).unwrap()
    }
}

/// The settings of one run of the manifest; both streams of the joint attention have the same quantile.
fn settings(run: &Value) -> Settings {
    let quantile = |name: &str| run[if name == "context_attn" { "attn" } else { name }].as_f64().unwrap();
    let each = STREAMS.map(|name| (Kind::new(name), quantile(name)));
    Settings {
        variant: Variant::Flux,
        gate_quantile: run["step"].as_f64().unwrap(),
        quantiles: BTreeMap::from(each),
        warm_up: WarmUp::Rate(run["nonskip_rate"].as_f64().unwrap()),
        phases: Phases::Two,
    }
}

/// Averaged rates agree to 1e-5 as a root mean square (the fixtures' README suggests 1e-5), as `parity` holds them: a rate
/// is a quotient of small differences, so single entries carry the rounding of both sides.
fn rates_agree(found: impl Iterator<Item = f32>, expected: &[f32], what: &str) {
    let errors: Vec<f32> = found.zip(expected).map(|(a, b)| (a - b).abs() / b.abs()).collect();
    let square = (errors.iter().map(|error| error * error).sum::<f32>() / errors.len() as f32).sqrt();
    let worst = errors.iter().fold(0.0_f32, |worst, error| worst.max(*error));
    assert!(square <= 1e-5 && worst <= 1e-4, "{what}: rates differ by {square}, at worst {worst}");
}

#[test]
fn books_and_the_cached_trajectory_are_the_authors() {
    let fixture = Fixture::open();
    let (flux, sampler) = (fixture.flux(), fixture.sampler());
    let prompts = fixture.number("num_prompts") as usize;
    let runs: Vec<Run<3, FluxCond>> = (0..prompts)
        .map(|row| Run { noise: fixture.tensor("latents0"), cond: fixture.cond(&flux, row) })
        .collect();
    let options = RecordOptions { witness: true, ..RecordOptions::default() };
    let mut reused = 0;
    for (index, run) in fixture.manifest["runs"].as_array().unwrap().iter().enumerate() {
        let found = calibrate(&flux, &sampler, &runs, &settings(run), &options, &|| {}).unwrap();
        let rates = &found.phases.first.rates;
        rates_agree(rates.trunk().iter().copied(), &fixture.floats("phase1.avg_step").0, "trunk");
        assert_eq!(
            found.phases.books.gate(),
            fixture.marks(&format!("s{index}.book.step")),
            "gate of {index}"
        );
        for name in STREAMS {
            let kind = Kind::new(name);
            let expected = fixture.floats(&format!("phase1.avg_{name}")).0;
            rates_agree(rates.stream(kind).unwrap().iter().copied(), &expected, name);
            let second = &found.phases.second.as_ref().unwrap().rates;
            let expected = fixture.floats(&format!("s{index}.phase2.avg_{name}")).0;
            rates_agree(second.stream(kind).unwrap().iter().copied(), &expected, name);
            let book: Vec<bool> = found.phases.books.stream(kind).unwrap().iter().copied().collect();
            assert_eq!(book, fixture.marks(&format!("s{index}.book.{name}")), "{name} of setting {index}");
        }
        reused += found.plan.reused_modules();

        let schedule = Arc::new(found.plan.schedule(&flux.topology()).unwrap());
        let (expected, shape) = fixture.floats(&format!("s{index}.cached.latents"));
        let size: usize = shape[1..].iter().product();
        let cond = fixture.cond(&flux, prompts);
        let mut replay = Replay::new(schedule);
        let noise = fixture.tensor("sample.latents0");
        sample_with(&flux, &sampler, &mut replay, noise, &cond, |_, step, x| {
            let found: Vec<f32> = x.clone().into_data().try_to_vec().unwrap();
            let expected = &expected[step * size..][..size];
            let most = expected.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
            let error = found.iter().zip(expected).fold(0.0_f32, |worst, (a, b)| worst.max((a - b).abs()));
            assert!(error <= 1e-4 * most, "setting {index}, step {step}: {error} of {most}");
        });
        assert!(replay.store().is_empty());
    }
    assert!(reused > 0, "no setting reuses a module outside of skipped steps");
}

/// Measured where it is cached instead, the single blocks' change is another number: the witness matters.
#[test]
fn without_the_witness_the_rates_of_single_blocks_are_others() {
    let fixture = Fixture::open();
    let (flux, sampler) = (fixture.flux(), fixture.sampler());
    let runs = [Run { noise: fixture.tensor("latents0"), cond: fixture.cond(&flux, 0) }];
    let settings = settings(&fixture.manifest["runs"][0]);
    let rates = |witness| {
        let options = RecordOptions { witness, ..RecordOptions::default() };
        calibrate(&flux, &sampler, &runs, &settings, &options, &|| {}).unwrap().phases.first.rates
    };
    let (before, after) = (rates(true), rates(false));
    assert_eq!(before.stream(Kind::ATTN), after.stream(Kind::ATTN));
    assert_ne!(before.stream(Kind::SINGLE_MLP), after.stream(Kind::SINGLE_MLP));
}
