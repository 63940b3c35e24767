//! Metrics of one pair of 256x256 images.

use std::hint::black_box;

use criterion::Criterion;
use invardiff_eval::{psnr, ssim};
use ndarray::Array3;

pub(crate) fn benches(criterion: &mut Criterion) {
    let image = |phase: f32| {
        Array3::from_shape_fn((3, 256, 256), |(channel, y, x)| {
            0.5 + 0.5 * (phase + channel as f32 + y as f32 * 0.1 + x as f32 * 0.07).sin()
        })
    };
    let (a, b) = (image(0.0), image(0.1));
    let mut group = criterion.benchmark_group("metrics");
    group.bench_function("psnr", |bencher| bencher.iter(|| psnr(black_box(a.view()), b.view())));
    group.bench_function("ssim", |bencher| bencher.iter(|| ssim(black_box(a.view()), b.view())));
    group.finish();
}
