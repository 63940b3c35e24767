//! One guided forward of a whole model.

use criterion::Criterion;
use invardiff_runtime::{Denoiser, Full};

use crate::subjects::Subject;

pub(crate) fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("forward");
    for subject in [Subject::embedded(), Subject::small()] {
        let (model, noise, class) = (subject.guided(), subject.noise(), subject.guided_class());
        group.bench_function(subject.name, |bencher| {
            bencher.iter(|| model.predict(&mut Full, noise.clone(), 500.0, &class));
        });
    }
    group.finish();
}
