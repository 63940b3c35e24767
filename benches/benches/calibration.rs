//! One calibration run (recorded once, both phases, the plan) against one plain sampling run.

use std::collections::BTreeMap;

use criterion::Criterion;
use invardiff_calib::{Concurrency, RecordOptions, Run, Session};
use invardiff_plan::Kind;
use invardiff_plan::two_phase::{Phases, Settings, Variant, WarmUp};
use invardiff_runtime::{Full, sample};

use crate::paired::paired;
use crate::subjects::Subject;

const STEPS: usize = 20;

pub(crate) fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("calibration");
    for subject in [Subject::embedded(), Subject::small()] {
        // Batch 1 without guidance, as the authors calibrate DiT.
        let (model, sampler) = (&subject.dit, subject.sampler(STEPS));
        let run = Run { noise: subject.noise(), cond: subject.class() };
        let runs = std::slice::from_ref(&run);
        for (name, similarity) in [("", false), ("_similarity", true)] {
            let options = RecordOptions { similarity, ..RecordOptions::default() };
            let session = Session::new(model, &sampler, runs).expect("one run of a deterministic sampler");
            let session = session.with_concurrency(Concurrency::Sequential);
            let calibrated = || session.two_phase(&settings(), &options);
            let plain = || sample(model, &sampler, &mut Full, run.noise.clone(), &run.cond);
            let name = format!("{}{name}", subject.name);
            paired(&mut group, &name, "one plain sampling run", calibrated, plain);
        }
    }
    group.finish();
}

fn settings() -> Settings {
    Settings {
        variant: Variant::Dit,
        gate_quantile: 0.5,
        quantiles: BTreeMap::from([(Kind::MSA, 0.2), (Kind::MLP, 0.2)]),
        warm_up: WarmUp::Steps(1),
        phases: Phases::Two,
    }
}
