//! One guided forward of a published size with random weights: time and peak memory.
//!
//! ```text
//! cargo run --release -p invardiff-models --example dit_xl -- dit-xl-2-256 3
//! ```

use std::error::Error;
use std::time::Instant;

use burn::tensor::{DType, Device, Tensor, TensorData};
use invardiff_models::{Dit, DitConfig};
use invardiff_runtime::{BatchedGuidance, Denoiser, Full};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_else(|| "dit-xl-2-256".into());
    let forwards: usize = arguments.next().map_or(Ok(3), |count| count.parse())?;
    let device = Device::flex();
    let config = DitConfig::named(&name)?;

    let start = Instant::now();
    let dit = Dit::random(&config, 0, &device)?;
    println!("{name}: random weights in {:.2?}", start.elapsed());
    print_memory("after the weights");

    let labels = dit.labels(&[207, config.num_classes], &device)?;
    let shape = [1, config.in_channels, config.input_size, config.input_size];
    let values: Vec<f32> = (0..shape.iter().product()).map(|i: usize| (i as f32 * 0.7).sin()).collect();
    let x = Tensor::from_data(TensorData::new(values, shape), (&device, DType::F32));
    let guided = BatchedGuidance { model: dit, scale: 4.0, channels: Some(3) };
    let flops = guided.topology().full_flops();
    for _ in 0..forwards {
        let start = Instant::now();
        let out = guided.predict(&mut Full, x.clone(), 500.0, &labels);
        let largest: f32 = out.abs().max().into_scalar();
        let took = start.elapsed();
        println!(
            "guided forward (batch 2): {took:.2?}, {:.1} GFLOP, {:.1} GFLOP/s, largest output {largest:.3}",
            flops / 1e9,
            flops / 1e9 / took.as_secs_f64()
        );
    }
    print_memory("in all");
    Ok(())
}

/// Peak resident memory of this process, where the system tells it (Linux).
fn print_memory(when: &str) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    match status.lines().find_map(|line| line.strip_prefix("VmHWM:")) {
        Some(peak) => println!("peak memory {when}: {}", peak.trim()),
        None => println!("peak memory {when}: unknown on this system"),
    }
}
