//! What other methods are calibrated from, against the same computed from the features.

use burn::tensor::Tensor;
use invardiff_calib::{CalibError, Changes, Session};
use invardiff_plan::formats::Measurement;
use invardiff_plan::methods::block_skip::SkipRule;
use invardiff_plan::methods::magcache::MagCache;
use invardiff_plan::methods::teacache::{TeaCache, TeaCacheFit};
use invardiff_runtime::{
    BlockSkip, Denoiser, Event, Executor, Full, Observed, Site, Topology, TwoPassCond, TwoPassGuidance,
    sample,
};

use crate::toy::{EXTRA, JOINT, MIX, Toy, Units, features, modulated, runs, session, solver, time, values};

const STEPS: usize = 7;
/// Elements of one batch row of the image, and of one token.
const ROW: usize = 20;
const DIM: usize = 4;

/// Sums of a few dozen numbers in f32, each exact to 6e-8.
fn near(found: f64, expected: f64, what: &str) {
    assert!((found / expected - 1.0).abs() < 1e-5, "{what}: {found}, expected {expected}");
}

/// `|b - a|_1 / |scale|_1`.
fn relative(a: &[f32], b: &[f32], scale: &[f32]) -> f64 {
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(f64::abs).sum::<f64>();
    let change = norm(&mut a.iter().zip(b).map(|(a, b)| f64::from(*b) - f64::from(*a)));
    change / norm(&mut scale.iter().map(|value| f64::from(*value)))
}

/// The relative change of the batch row that changes most.
fn most(a: &[f32], b: &[f32]) -> f64 {
    a.chunks(ROW).zip(b.chunks(ROW)).map(|(a, b)| relative(a, b, a)).fold(0.0, f64::max)
}

/// Every step's modulated input, what the blocks add, and the output, without the recorder.
fn by_hand(toy: &Toy, run: &invardiff_calib::Run<3, Tensor<3>>) -> [Vec<Vec<f32>>; 3] {
    let (mut entered, mut outputs, mut trunk) = (Vec::new(), Vec::new(), Vec::new());
    let look = |_, site, event: Event<'_>| {
        if let Event::Computed([value]) = event {
            if site == EXTRA {
                entered.push(value.clone());
            } else if site == Site::TRUNK {
                trunk.push(values(value));
            } else if site == Site::OUTPUT {
                outputs.push(values(value));
            }
        }
    };
    let sampler = solver(STEPS);
    sample(toy, &sampler, &mut Observed::new(Full, look), run.noise.clone(), &run.cond);
    let seen = entered.iter().enumerate().map(|(step, x)| values(&modulated(x, time(&sampler, step))));
    let added = entered.iter().zip(&trunk).map(|(x, out)| {
        values(x).iter().zip(out).map(|(before, after)| after - before).collect::<Vec<f32>>()
    });
    [seen.collect(), added.collect(), outputs]
}

#[test]
fn changes_are_those_of_the_features() {
    let (toy, runs) = (Toy::seeded(1), runs(2));
    let found = Session::new(&toy, &solver(STEPS), &runs).unwrap().changes().unwrap();
    for (run, found) in runs.iter().zip(&found) {
        let [seen, added, outputs] = by_hand(&toy, run);
        assert_eq!((found.modulated[0], found.output[0], found.magnitude[0]), (0.0, 0.0, 1.0));
        for step in 1..STEPS {
            near(found.modulated[step], most(&seen[step - 1], &seen[step]), "modulated input");
            near(found.output[step], most(&outputs[step - 1], &outputs[step]), "output");
            let norms = |added: &Vec<f32>| -> Vec<f64> {
                let square = |token: &[f32]| token.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>();
                added.chunks(DIM).map(|token| square(token).sqrt()).collect()
            };
            let (before, after) = (norms(&added[step - 1]), norms(&added[step]));
            let ratios = before.iter().zip(&after).map(|(before, after)| after / before);
            near(found.magnitude[step], ratios.sum::<f64>() / before.len() as f64, "magnitude");
        }
    }
}

/// What is fitted here decides there: the policy reads the very changes that were measured, wherever it asks.
#[test]
fn a_policy_sees_what_was_measured() {
    let (toy, runs) = (Toy::seeded(1), runs(4));
    let found = session(&toy, &solver(STEPS), &runs).changes().unwrap();
    let fit: TeaCacheFit = Changes::teacache(&found).unwrap();
    assert_eq!(fit.pairs, 4 * (STEPS - 1));
    assert!(fit.rms_error < fit.rms_change, "{fit:?}");
    let rule = SkipRule::TeaCache(TeaCache { coefficients: fit.coefficients, threshold: 0.0 });
    for (run, found) in runs.iter().zip(&found) {
        let mut policy = BlockSkip::new(&rule, STEPS).unwrap();
        sample(&toy, &solver(STEPS), &mut policy, run.noise.clone(), &run.cond);
        for (step, decision) in policy.decisions().iter().enumerate() {
            let expected = (step > 0 && step + 1 < STEPS).then(|| found.modulated[step]);
            assert_eq!(decision.change, expected, "step {step}");
        }
    }
    let magnitudes = Changes::magnitudes(&found);
    magnitudes.check().unwrap();
    let mean = found.iter().map(|run| run.magnitude[3]).sum::<f64>() / 4.0;
    assert_eq!((magnitudes.ratios.len(), magnitudes.ratios[3]), (STEPS, mean));
    assert!(MagCache::authors(magnitudes).gate(STEPS).is_ok());
}

/// Averaged over layers and runs; a site with two tensors counts both in one quotient.
#[test]
fn component_errors_are_those_of_the_features() {
    let (toy, runs) = (Toy::seeded(1), runs(2));
    let found = session(&toy, &solver(STEPS), &runs).component_errors(3).unwrap();
    found.check().unwrap();
    assert_eq!(found.components.keys().copied().collect::<Vec<_>>(), [JOINT, MIX]);
    let all: Vec<_> = runs.iter().map(|run| features(&toy, STEPS, run)).collect();
    // Streams: the trunk, then mix, joint (image), joint (text) of each of two layers.
    let of_layer = |layer: usize, joint: bool| {
        let first = 1 + 3 * layer;
        if joint { vec![first + 1, first + 2] } else { vec![first] }
    };
    for (kind, joint) in [(MIX, false), (JOINT, true)] {
        for lag in 1..=3 {
            for step in 0..STEPS - lag {
                let error = |features: &Vec<Vec<Vec<f32>>>, layer: usize| {
                    let at = |step: usize| -> Vec<f32> {
                        of_layer(layer, joint).iter().flat_map(|s| features[*s][step].clone()).collect()
                    };
                    relative(&at(step), &at(step + lag), &at(step + lag))
                };
                let sum: f64 = all.iter().map(|run| error(run, 0) + error(run, 1)).sum();
                near(found.components[&kind][lag - 1][step], sum / 4.0, &format!("{kind}, {lag} at {step}"));
            }
        }
    }
}

#[test]
fn what_cannot_be_measured_is_refused() {
    /// The toy without its blocks.
    struct Bare(Toy);
    impl Denoiser<3> for Bare {
        type Cond = Tensor<3>;
        fn topology(&self) -> Topology {
            self.0.topology()
        }
        fn predict<E: Executor>(&self, exec: &mut E, x: Tensor<3>, t: f32, _: &Tensor<3>) -> Tensor<3> {
            let [hidden] = exec.at(Site::TRUNK, |_| [x]);
            self.0.head(hidden, t)
        }
    }
    let (toy, sampler, one) = (Toy::seeded(1), solver(STEPS), runs(1));
    let bare = Bare(Toy::seeded(1));
    let session = Session::new(&bare, &sampler, &one).unwrap();
    let error = session.changes().unwrap_err();
    assert!(matches!(error, CalibError::Sites { .. }), "{error}");
    assert!(error.to_string().contains("its first block was passed 1 times in 7 steps"), "{error}");
    let error = session.component_errors(3).unwrap_err();
    assert!(error.to_string().contains("was passed 0 times in 7 steps"), "{error}");
    let (units, three) = (Units::default(), runs(3));
    let session = Session::new(&toy, &sampler, &three).unwrap().with_progress(&units);
    session.component_errors(2).unwrap();
    assert_eq!(units.count.into_inner(), 3);
}

/// Where guidance takes two passes, the conditional one is measured: at scale 1 the trajectory is its own.
#[test]
fn the_conditional_pass_is_measured() {
    let run = &runs(1)[0];
    let guided = TwoPassGuidance { model: Toy::seeded(1), scale: 1.0 };
    let cond = TwoPassCond { conditional: run.cond.clone(), unconditional: run.cond.clone() * -0.5 };
    let two = [invardiff_calib::Run { noise: run.noise.clone(), cond }];
    let (sampler, one) = (solver(STEPS), std::slice::from_ref(run));
    let (two, one) =
        (Session::new(&guided, &sampler, &two).unwrap(), Session::new(&guided.model, &sampler, one).unwrap());
    let (changes, expected) = (two.changes().unwrap(), one.changes().unwrap());
    // `u + (c - u)` rounds.
    for (found, expected) in changes[0].modulated.iter().zip(&expected[0].modulated).skip(1) {
        near(*found, *expected, "modulated input");
    }
    let (errors, expected) = (two.component_errors(1).unwrap(), one.component_errors(1).unwrap());
    near(errors.components[&MIX][0][3], expected.components[&MIX][0][3], "error");
}
