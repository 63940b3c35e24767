//! The authors measure a single block's modules before their projection, and the projected values are what is cached here.
//! That the authors' books come out of the former is checked by `parity`; here, that it makes a difference.
//!
//! `tests/data/flux_calibration` is the fixture of that name (its manifest says how it was made); the weights are those of
//! `invardiff-models/tests/data/flux_tiny`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use invardiff_calib::{RecordOptions, Run, Session};
use invardiff_models::{Canvas, Flux, FluxCond};
use invardiff_plan::Kind;
use invardiff_plan::two_phase::{Phases, Settings, Variant, WarmUp};
use invardiff_runtime::{FlowMatchEuler, Shift};
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
        Flux::load(weights, &Device::flex()).unwrap().model.with_canvas(canvas)
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

/// Measured where it is cached instead, the single blocks' change is another number: the witness matters.
#[test]
fn without_the_witness_the_rates_of_single_blocks_are_others() {
    let fixture = Fixture::open();
    let (flux, sampler) = (fixture.flux(), fixture.sampler());
    let runs = [Run { noise: fixture.tensor("latents0"), cond: fixture.cond(&flux, 0) }];
    let settings = settings(&fixture.manifest["runs"][0]);
    let rates = |probe| {
        let options = RecordOptions { probe, ..RecordOptions::default() };
        Session::new(&flux, &sampler, &runs)
            .unwrap()
            .two_phase(&settings, &options)
            .unwrap()
            .phases
            .first
            .rates
    };
    let (before, after) = (rates(true), rates(false));
    assert_eq!(before.stream(Kind::ATTN), after.stream(Kind::ATTN));
    assert_ne!(before.stream(Kind::SINGLE_MLP), after.stream(Kind::SINGLE_MLP));
}
