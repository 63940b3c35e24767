//! A burn model of your own, calibrated and cached: `cargo run --release -p invardiff-calib --example own_model`.
use burn::nn::{Linear, LinearConfig, PaddingConfig1d::Same, conv::Conv1d, conv::Conv1dConfig};
use burn::{module::Module, tensor::Device, tensor::Tensor, tensor::activation::silu};
use invardiff_calib::{RecordOptions, Run, Session};
use invardiff_plan::two_phase::{Phases, Settings, Variant, WarmUp};
use invardiff_plan::{Cost, Kind, Site, SiteSpec, Topology};
use invardiff_runtime::{Denoiser, Executor, FlowMatchEuler, Full, GaussianNoise, Replay, Shift, sample};

const CONV: Kind = Kind::new("conv");
const MIX: Kind = Kind::new("mix");

/// Denoises signals `[batch, 32, 16]`: convolves along them and mixes their channels, four times over.
#[derive(Module, Debug)]
struct OwnModel {
    conv: Conv1d,
    mix: Linear,
}

impl Denoiser<3> for OwnModel {
    type Cond = ();
    fn topology(&self) -> Topology {
        let site = |kind, layer, flops| SiteSpec::single(Site::new(kind, layer), 32, 16, flops);
        let sites = (0..4).flat_map(|layer| [site(CONV, layer, 49_152.0), site(MIX, layer, 16_384.0)]);
        let (model, sites, trunk) = ("own".into(), sites.collect(), site(Kind::TRUNK, 0, 0.0));
        Topology { model, sites, trunk, head_flops: 0.0, output_elements: 32 * 16 }
    }

    fn predict<E: Executor>(&self, exec: &mut E, x: Tensor<3>, t: f32, (): &()) -> Tensor<3> {
        let along = |x: Tensor<3>| self.conv.forward(x.swap_dims(1, 2)).swap_dims(1, 2);
        let [clean] = exec.at(Site::TRUNK, |exec| {
            let mut hidden = x.clone() * (1.0 - t);
            for layer in 0..4 {
                let [near] = exec.at(Site::new(CONV, layer), |_| [along(hidden.clone())]);
                let [mixed] = exec.at(Site::new(MIX, layer), |_| [self.mix.forward(silu(near))]);
                hidden = hidden + mixed;
            }
            [hidden]
        });
        (x - clean.tanh()) / t // the velocity of the flow
    }
}

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (device, sampler) = (Device::flex(), FlowMatchEuler::new(20, Shift::Static(1.0))?);
    device.seed(1);
    let conv = Conv1dConfig::new(16, 16, 3).with_padding(Same).init(&device);
    let model = OwnModel { conv, mix: LinearConfig::new(16, 16).init(&device) };
    let noise = |seed| GaussianNoise::seeded(seed).draw([1, 32, 16], &device);
    let full = sample(&model, &sampler, &mut Full, noise(4), &());
    let runs: Vec<_> = (0..4).map(|seed| Run { noise: noise(seed), cond: () }).collect();
    let (variant, phases, quantiles) = (Variant::Dit, Phases::Two, [(CONV, 0.4), (MIX, 0.4)].into());
    let settings = Settings { variant, gate_quantile: 0.5, quantiles, warm_up: WarmUp::Steps(2), phases };
    let plan = Session::new(&model, &sampler, &runs)?.two_phase(&settings, &RecordOptions::default())?.plan;
    let mut replay = Replay::new(plan.schedule(&model.topology())?.into());
    let cached = sample(&model, &sampler, &mut replay, noise(4), &());
    let error: f32 = ((cached - full.clone()).square().mean() / full.square().mean()).sqrt().into_scalar();
    println!("predicted speed-up {:.2}, error {error:.4}", Cost::of(&plan, &model.topology())?.speedup());
    Ok(())
}
