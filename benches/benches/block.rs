//! One DiT block on 256 tokens, batch 2 (a 256x256 image under guidance).

use burn::tensor::Device;
use criterion::{Criterion, Throughput};
use invardiff_runtime::{Denoiser, Full, GaussianNoise};

use crate::subjects::Subject;

const BATCH: usize = 2;

pub(crate) fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("block");
    // DiT-S and DiT-XL.
    for (hidden, heads) in [(384, 6), (1152, 16)] {
        let subject = Subject::block(hidden, heads);
        let noise = &mut GaussianNoise::seeded(1);
        let x = noise.draw([BATCH, subject.dit.config().tokens(), hidden], &Device::flex());
        let c = noise.draw([BATCH, hidden], &Device::flex());
        let flops: f64 = subject.dit.topology().sites.iter().map(|spec| spec.flops).sum();
        // Elements are floating-point operations: criterion then prints GFLOP/s as Gelem/s.
        group.throughput(Throughput::Elements(BATCH as u64 * flops as u64));
        group.bench_function(hidden.to_string(), |bencher| {
            bencher.iter(|| subject.dit.blocks[0].forward(&mut Full, 0, x.clone(), c.clone()));
        });
    }
    group.finish();
}
