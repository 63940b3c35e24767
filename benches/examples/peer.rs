//! One forward of a DiT, to be timed in turns with other programs; what it is told and answers is in `peers/README.md`.

use std::error::Error;
use std::io::{self, BufRead, Write};
use std::time::Instant;

use burn::tensor::{DType, Device, Tensor, TensorData};
use cpu_time::ProcessTime;
use invardiff_models::{Dit, DitConfig};
use invardiff_runtime::{Denoiser, Full};
use serde_json::json;

/// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let [name, threads] = [arguments.next(), arguments.next()].map(Option::unwrap_or_default);
    let config = DitConfig::named(&name)?;
    rayon::ThreadPoolBuilder::new().num_threads(threads.parse()?).build_global()?;
    let device = Device::flex();
    let dit = Dit::random(&config, 1, &device)?;
    let shape = [1, config.in_channels, config.input_size, config.input_size];
    let noise: Vec<f32> = (0..shape.iter().product()).map(|i: usize| (i as f32 * 0.7).sin()).collect();
    let x: Tensor<4> = Tensor::from_data(TensorData::new(noise, shape), (&device, DType::F32));
    let (x, labels) = (x.repeat_dim(0, 2), dit.labels(&[207, config.num_classes], &device)?);
    let forward = || dit.predict(&mut Full, x.clone(), 500.0, &labels).into_data();

    let out: Vec<f32> = forward().iter::<f32>().collect();
    let values: Vec<f32> = out.iter().step_by(out.len() / 64).take(64).copied().collect();
    say(&json!({"peer": "this workspace", "version": env!("CARGO_PKG_VERSION"), "values": values}))?;
    for line in io::stdin().lock().lines() {
        line?;
        let (wall, cpu) = (Instant::now(), ProcessTime::try_now()?);
        forward();
        let cpu = ProcessTime::try_now()?.duration_since(cpu);
        say(&json!({"wall": wall.elapsed().as_secs_f64(), "cpu": cpu.as_secs_f64()}))?;
    }
    Ok(())
}

fn say(line: &serde_json::Value) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
