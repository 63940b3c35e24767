//! How cost grows with tokens, layers, steps and batch: all sizes of an axis in turns, and the fitted exponent beside that of
//! the matrix products' FLOPs.

use std::time::{Duration, Instant};

use burn::tensor::{Device, Tensor};
use cpu_time::ProcessTime;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, SamplingMode};
use invardiff_benches::{Point, exponent_table};
use invardiff_models::DitConfig;
use invardiff_runtime::{Denoiser, Full, GaussianNoise, sample};

use crate::subjects::Subject;

/// As wide as DiT-S.
const HIDDEN: usize = 384;
const HEADS: usize = 6;

/// One size of an axis: what it is called, its FLOPs, and what runs.
struct Size {
    value: usize,
    flops: f64,
    work: Box<dyn Fn()>,
}

pub(crate) fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("growth");
    group.sampling_mode(SamplingMode::Flat);
    // 256 and 512 pixels: latents of 32 and 64 in patches of 2.
    axis(&mut group, "tokens", || [32, 64].map(|side| forward(side * side / 4, side, 4, 2)).into());
    axis(&mut group, "layers", || [2, 4, 8, 16].map(|depth| forward(depth, 32, depth, 2)).into());
    axis(&mut group, "steps", || [2, 4, 8, 16].map(trajectory).into());
    axis(&mut group, "batch", || [1, 2, 4, 8, 16].map(|batch| forward(batch, 32, 2, batch)).into());
    group.finish();
}

/// One forward of a DiT of `depth` blocks on latents of `side`.
fn forward(value: usize, side: usize, depth: usize, batch: usize) -> Size {
    let config =
        DitConfig { input_size: side, hidden_size: HIDDEN, depth, num_heads: HEADS, ..DitConfig::default() };
    let dit = Subject::random("growth", &config).dit;
    let noise = GaussianNoise::seeded(1).draw([batch, 4, side, side], &Device::flex());
    let class = dit.labels(&vec![3; batch], &Device::flex()).expect("a class of the model");
    let flops = batch as f64 * dit.topology().full_flops();
    let work = move || drop::<Tensor<4>>(dit.predict(&mut Full, noise.clone(), 500.0, &class));
    Size { value, flops, work: Box::new(work) }
}

/// A guided trajectory of a DiT of one block.
fn trajectory(steps: usize) -> Size {
    let config = DitConfig { hidden_size: HIDDEN, depth: 1, num_heads: HEADS, ..DitConfig::default() };
    let subject = Subject::random("growth", &config);
    let (model, sampler) = (subject.guided(), subject.sampler(steps));
    let (noise, class) = (subject.noise(), subject.guided_class());
    let flops = steps as f64 * model.topology().full_flops();
    let work = move || drop::<Tensor<4>>(sample(&model, &sampler, &mut Full, noise.clone(), &class));
    Size { value: steps, flops, work: Box::new(work) }
}

/// Registers an axis: an iteration runs every size once. The models are made when it is measured.
fn axis(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, sizes: impl Fn() -> Vec<Size>) {
    let mut points: Vec<Point> = Vec::new();
    let mut made: Vec<Size> = Vec::new();
    group.bench_function(name, |bencher| {
        if made.is_empty() {
            made = sizes();
            points = made.iter().map(|size| Point::new(size.value, size.flops)).collect();
        }
        bencher.iter_custom(|times| {
            let turns =
                (0..times).flat_map(|_| made.iter().zip(&mut points).map(measure).collect::<Vec<_>>());
            turns.sum()
        });
    });
    // Criterion's test mode makes one round, which is no measurement.
    if points.first().is_some_and(|point| point.rounds() >= 3) {
        println!("{}", exponent_table(name, &points));
    }
}

fn measure((size, point): (&Size, &mut Point)) -> Duration {
    let (start, cpu) = (Instant::now(), ProcessTime::try_now());
    (size.work)();
    let cpu = cpu.and_then(|start| Ok(ProcessTime::try_now()?.duration_since(start)));
    let wall = start.elapsed();
    point.push(wall, cpu.ok());
    wall
}
