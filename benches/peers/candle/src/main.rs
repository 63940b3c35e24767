//! One forward of a DiT in candle; what it is told and answers is in `../README.md`.

mod model;
mod weights;

use std::error::Error;
use std::io::{self, BufRead, Write};
use std::time::Instant;

use candle_core::{Device, Tensor};
use cpu_time::ProcessTime;
use model::{CHANNELS, CLASSES, Dit};
use serde_json::json;

/// Class, depth, width and heads of the published sizes.
const SIZES: [(&str, usize, usize, usize); 4] =
    [("s", 12, 384, 6), ("b", 12, 768, 12), ("l", 24, 1024, 16), ("xl", 28, 1152, 16)];

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let [name, threads] = [arguments.next(), arguments.next()].map(Option::unwrap_or_default);
    rayon::ThreadPoolBuilder::new().num_threads(threads.parse()?).build_global()?;
    let parts: Vec<&str> = name.split('-').collect();
    let [_, class, patch, pixels] = parts[..] else { return Err("no name of a DiT".into()) };
    let (_, depth, width, heads) =
        SIZES.into_iter().find(|(known, ..)| *known == class).ok_or("no size of a DiT")?;
    let side = pixels.parse::<usize>()? / 8;
    let dit = Dit::new(depth, width, heads, patch.parse()?, side)?;

    let device = Device::Cpu;
    let noise: Vec<f32> = (0..CHANNELS * side * side).map(|i| (i as f32 * 0.7).sin()).collect();
    let x = Tensor::from_vec(noise, (1, CHANNELS, side, side), &device)?.repeat((2, 1, 1, 1))?;
    let t = Tensor::full(500f32, 2, &device)?;
    let y = Tensor::new(&[207u32, CLASSES as u32], &device)?;
    let forward = || dit.forward(&x, &t, &y)?.narrow(1, 0, CHANNELS)?.flatten_all()?.to_vec1::<f32>();

    let out = forward()?;
    let values: Vec<f32> = out.iter().step_by(out.len() / 64).take(64).copied().collect();
    say(&json!({"peer": "candle", "version": "0.11.1", "values": values}))?;
    for line in io::stdin().lock().lines() {
        line?;
        let (wall, cpu) = (Instant::now(), ProcessTime::try_now()?);
        forward()?;
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
