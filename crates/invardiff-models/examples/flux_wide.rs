//! One forward of FLUX.1-dev at full width with random weights, and as many of its blocks as fit: time, peak memory, and what
//! a step costs when parts of it are reused.
//!
//! ```text
//! cargo run --release -p invardiff-models --example flux_wide -- 1024 1 1 f32
//! ```
//!
//! Arguments: the image's side in pixels, double-stream blocks (of 19), single-stream blocks (of 38), the weights' type.

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use burn::tensor::{DType, Device, Tensor, TensorData};
use invardiff_models::{Canvas, Flux, FluxConfig};
use invardiff_plan::CachePlan;
use invardiff_runtime::{Denoiser, Policy, Replay};
use ndarray::Array2;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: usize| arguments.next().map_or(Ok(default), |text| text.parse());
    let (pixels, num_layers, num_single_layers) = (number(1024)?, number(1)?, number(1)?);
    let dtype = match arguments.next().as_deref() {
        None | Some("f32") => DType::F32,
        Some("f16") => DType::F16,
        Some("bf16") => DType::BF16,
        Some(other) => {
            return Err(format!("'{other}' is no type of weights; there are f32, f16, bf16").into());
        }
    };
    let device = Device::flex();
    let config = FluxConfig { num_layers, num_single_layers, ..FluxConfig::named("flux1-dev")? };
    let canvas = Canvas::from_pixels(pixels, pixels, 512)?;

    let start = Instant::now();
    let flux = Flux::random_as(&config, 0, dtype, &device)?.with_canvas(canvas);
    println!("{}: {dtype:?} weights in {:.1?}", config.name(), start.elapsed());
    print_memory("after the weights");

    let text = waves([1, canvas.text_tokens, config.joint_attention_dim], &device);
    let cond = flux.cond(text, waves([1, config.pooled_projection_dim], &device), Some(3.5))?;
    let x = waves([1, canvas.image_tokens(), config.in_channels], &device);
    let topology = flux.topology();
    let mut policy = Replay::new(Arc::new(reuse_more_and_more(&topology)?.schedule(&topology)?));
    for (step, what) in ["all computed", "single-stream modules reused", "all modules reused", "trunk reused"]
        .into_iter()
        .enumerate()
    {
        let start = Instant::now();
        let out = flux.predict(&mut policy.step(step), x.clone(), 0.9, &cond);
        let largest: f32 = out.abs().max().into_scalar();
        let took = start.elapsed();
        println!("{what}: {took:.2?}, largest output {largest:.3}");
        if step == 0 {
            let flops = topology.full_flops();
            println!("  {:.2} TFLOP, {:.1} GFLOP/s", flops / 1e12, flops / 1e9 / took.as_secs_f64());
        }
    }
    println!("peak of kept features: {:.1} MiB", policy.store().peak_bytes() as f64 / 1_048_576.0);
    print_memory("in all");
    Ok(())
}

/// Four steps: nothing, single-stream modules, all modules, the trunk.
fn reuse_more_and_more(topology: &invardiff_plan::Topology) -> Result<CachePlan, invardiff_plan::PlanError> {
    let sites: Vec<_> = topology.sites.iter().map(|spec| spec.site).collect();
    let single = |site: usize| sites[site].kind.as_str().starts_with("single_");
    let reuse =
        Array2::from_shape_fn((4, sites.len()), |(step, site)| step == 2 || step == 1 && single(site));
    CachePlan::new(sites.clone(), vec![false, false, false, true], reuse)
}

fn waves<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    let values: Vec<f32> = (0..shape.iter().product()).map(|i: usize| (i as f32 * 0.7).sin()).collect();
    Tensor::from_data(TensorData::new(values, shape), (device, DType::F32))
}

/// Peak resident memory of this process, where the system tells it (Linux).
fn print_memory(when: &str) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    match status.lines().find_map(|line| line.strip_prefix("VmHWM:")) {
        Some(peak) => println!("peak memory {when}: {}", peak.trim()),
        None => println!("peak memory {when}: unknown on this system"),
    }
}
