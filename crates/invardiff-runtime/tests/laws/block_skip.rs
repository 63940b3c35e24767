//! Skipping blocks by what they added the last time, against the same written out by hand.

use burn::tensor::Tensor;
use invardiff_plan::methods::block_skip::SkipRule;
use invardiff_plan::methods::first_blocks::FirstBlocks;
use invardiff_plan::methods::magcache::{MagCache, Magnitudes};
use invardiff_plan::methods::teacache::{Polynomial, TeaCache};
use invardiff_runtime::{
    BlockSkip, Decision, Denoiser, Event, FlopCounter, Full, Observed, Policy, Sampler, sample, sample_with,
};

use crate::toy::{BATCH, DIM, LAYERS, TEXT, TOKENS, Toy, bits, noise, solver, text, trajectory, values};
use crate::two_pass;

const STEPS: usize = 9;

fn teacache(threshold: f64) -> SkipRule {
    SkipRule::TeaCache(TeaCache { coefficients: Polynomial(vec![0.5, 1.0, 0.0]), threshold })
}

fn first_blocks(first: usize, last: usize, threshold: f64) -> SkipRule {
    SkipRule::FirstBlocks(FirstBlocks { first, last, ..FirstBlocks::first_block(threshold) })
}

fn magcache(threshold: f64) -> SkipRule {
    let ratios = (0..STEPS).map(|step| 1.0 + 0.03 * step as f64).collect();
    let authors = MagCache::authors(Magnitudes { ratios });
    SkipRule::MagCache(MagCache { threshold, longest_run: 3, ..authors })
}

/// The samples after every step and the decisions of one trajectory.
fn run(rule: &SkipRule, seed: u64) -> (Vec<Vec<u32>>, Vec<Decision>, usize) {
    let mut policy = BlockSkip::new(rule, STEPS).unwrap();
    let samples = trajectory(STEPS, &mut policy, seed);
    (samples, policy.decisions().to_vec(), policy.peak_bytes())
}

fn skips(decisions: &[Decision]) -> Vec<bool> {
    decisions.iter().map(|decision| decision.skipped).collect()
}

/// Mean |b - a| / mean |a| of the batch row in which it is largest, in f64.
fn change(a: &Tensor<3>, b: &Tensor<3>) -> f64 {
    let (a, b) = (values(a), values(b));
    let row = a.len() / BATCH;
    let of = |a: &[f64], b: &[f64]| {
        let change: f64 = a.iter().zip(b).map(|(a, b)| (b - a).abs()).sum();
        change / a.iter().map(|a| a.abs()).sum::<f64>()
    };
    a.chunks(row).zip(b.chunks(row)).map(|(a, b)| of(a, b)).fold(0.0, f64::max)
}

/// A trajectory by hand: at skipped steps, the blocks from `first` to `last` before the end are replaced by what they added at
/// the last computed step, to the image and (where blocks follow) to the text. Also the changes that the two probes see.
struct ByHand {
    samples: Vec<Vec<u32>>,
    modulated: Vec<f64>,
    first_added: Vec<f64>,
}

fn by_hand(skipped: &[bool], first: usize, last: usize, seed: u64) -> ByHand {
    let (toy, sampler) = (Toy::seeded(1), solver(STEPS));
    let (mut x, mut history) = (noise(seed), sampler.start());
    let mut added: Option<[Tensor<3>; 2]> = None;
    let (mut last_modulated, mut last_first) = (None::<Tensor<3>>, None::<Tensor<3>>);
    let mut found = ByHand { samples: Vec::new(), modulated: Vec::new(), first_added: Vec::new() };
    for (step, skip) in skipped.iter().enumerate() {
        let t = Sampler::<3>::time(&sampler, step);
        let start = [Toy::embed(x.clone(), t), text()];
        let modulated = Toy::modulated(&start[0], t);
        found.modulated.push(last_modulated.map_or(f64::NAN, |old| change(&old, &modulated)));
        last_modulated = Some(modulated);
        let blocks = |state, from: usize, to: usize| (from..to).fold(state, |s, layer| toy.block(layer, s));
        let probe: [Tensor<3>; 2] = blocks(start.clone(), 0, first);
        let first_added = probe[0].clone() - start[0].clone();
        found.first_added.push(last_first.as_ref().map_or(f64::NAN, |old| change(old, &first_added)));
        let end = LAYERS - last;
        let behind = if *skip {
            let [image, words] = added.clone().unwrap();
            let [hidden, text] = probe;
            [hidden + image, if last > 0 { text + words } else { text }]
        } else {
            let behind = blocks(probe.clone(), first, end);
            added = Some([0, 1].map(|stream: usize| behind[stream].clone() - probe[stream].clone()));
            last_first = Some(first_added);
            behind
        };
        let [hidden, _] = blocks(behind, end, LAYERS);
        x = sampler.advance(&mut history, step, x, toy.head(hidden, t));
        found.samples.push(bits(&x));
    }
    found
}

#[test]
fn a_rule_that_never_skips_is_full_computation() {
    let full = trajectory(STEPS, &mut Full, 2);
    for rule in [teacache(0.0), first_blocks(1, 0, 0.0), first_blocks(2, 1, 0.0), magcache(0.0)] {
        let (samples, decisions, _) = run(&rule, 2);
        assert_eq!(samples, full, "{}", rule.name());
        assert_eq!(skips(&decisions), [false; STEPS], "{}", rule.name());
    }
}

/// No block is left to skip: everything is computed, and nothing kept.
#[test]
fn too_few_blocks_are_computed() {
    let full = trajectory(STEPS, &mut Full, 2);
    for (first, last) in [(LAYERS, 0), (2, 2), (1, LAYERS), (LAYERS + 3, 1)] {
        let (samples, decisions, peak) = run(&first_blocks(first, last, 1e9), 2);
        assert_eq!((samples, peak), (full.clone(), 0), "{first} and {last} blocks");
        assert_eq!(skips(&decisions), [false; STEPS]);
    }
}

/// Every rule with its decisions, and the samples that follow from them by hand, bit for bit.
#[test]
fn skipped_blocks_are_what_they_added() {
    let full = trajectory(STEPS, &mut Full, 2);
    let mut patterns = std::collections::HashSet::new();
    for seed in 2..6 {
        for (rule, first, last) in [
            (teacache(0.6), 0, 0),
            (teacache(1.5), 0, 0),
            (first_blocks(1, 0, 0.3), 1, 0),
            (first_blocks(1, 0, 0.6), 1, 0),
            (first_blocks(2, 1, 0.5), 2, 1),
            (first_blocks(1, 2, 0.5), 1, 2),
            (magcache(0.5), 0, 0),
        ] {
            let (samples, decisions, _) = run(&rule, seed);
            let skipped = skips(&decisions);
            let expected = by_hand(&skipped, first, last, seed);
            assert_eq!(samples, expected.samples, "{rule:?}");
            if skipped.contains(&true) {
                assert_ne!(samples, full, "{rule:?}");
            }
            let measured = match rule {
                SkipRule::TeaCache(_) => expected.modulated,
                SkipRule::FirstBlocks(_) => expected.first_added,
                SkipRule::MagCache(_) => vec![f64::NAN; STEPS],
            };
            for (decision, expected) in decisions.iter().zip(measured) {
                if let Some(change) = decision.change {
                    assert!(
                        (change / expected - 1.0).abs() < 1e-5,
                        "{rule:?}: {change}, expected {expected}"
                    );
                }
            }
            println!("{} {:?}", rule.name(), skipped.iter().map(|s| u8::from(*s)).collect::<Vec<_>>());
            patterns.insert(skipped);
        }
    }
    let varied = patterns.iter().filter(|skipped| skipped.contains(&true)).count();
    assert!(varied >= 5, "{varied} patterns with skips");
}

/// A scalar is read where the decision depends on it, and nowhere else.
#[test]
fn forced_decisions_read_nothing() {
    let read = |rule: &SkipRule| -> Vec<bool> {
        run(rule, 2).1.iter().map(|decision| decision.change.is_some()).collect()
    };
    let inner: Vec<bool> = (0..STEPS).map(|step| step > 0 && step + 1 < STEPS).collect();
    assert_eq!(read(&teacache(0.5)), inner);
    let after_first: Vec<bool> = (0..STEPS).map(|step| step > 0).collect();
    assert_eq!(read(&first_blocks(1, 0, 0.0)), after_first);
    assert_eq!(read(&magcache(0.5)), [false; STEPS]);
}

/// A batch of two alike decides as one of them alone.
#[test]
fn a_batch_of_equal_images_decides_as_one() {
    let (toy, sampler) = (Toy::seeded(1), solver(STEPS));
    let single: Tensor<3> = noise(3).narrow(0, 0, 1);
    let words: Tensor<3> = text().narrow(0, 0, 1);
    for rule in [teacache(1.0), first_blocks(1, 0, 0.4)] {
        let decide = |rows: usize| {
            let mut policy = BlockSkip::new(&rule, STEPS).unwrap();
            let repeat = |x: &Tensor<3>| x.clone().repeat_dim(0, rows);
            sample(&toy, &sampler, &mut policy, repeat(&single), &repeat(&words));
            skips(policy.decisions())
        };
        assert_eq!(decide(1), decide(2), "{}", rule.name());
        assert!(decide(1).contains(&true), "{}", rule.name());
    }
}

/// Bytes at the end of a step are those of what later steps need; the peak has what a computed step is told apart from.
#[test]
fn bytes_are_counted() {
    let (image, words) = (BATCH * TOKENS * DIM * 4, BATCH * TEXT * DIM * 4);
    for (rule, end, peak) in [
        // The modulated input and what was added.
        (teacache(0.5), 2 * image, 2 * image),
        // What the first block added, and what the others did; the entrance while the first block runs.
        (first_blocks(1, 0, 0.3), 2 * image, 3 * image),
        (first_blocks(1, 1, 0.3), 2 * image + words, 3 * image + words),
        (magcache(0.5), image, image),
    ] {
        let mut policy = BlockSkip::new(&rule, STEPS).unwrap();
        let mut held = Vec::new();
        let look = |policy: &BlockSkip, _, _: &Tensor<3>| held.push(policy.bytes());
        sample_with(&Toy::seeded(1), &solver(STEPS), &mut policy, noise(2), &text(), look);
        assert_eq!(held, [end; STEPS], "{}", rule.name());
        assert_eq!(policy.peak_bytes(), peak, "{}", rule.name());
    }
}

/// A skipped step looks at the current sample: unlike a held trunk, its hidden state is the new one plus what is added.
#[test]
fn a_skipped_step_follows_the_sample() {
    let toy = Toy::seeded(1);
    let second = |x: Tensor<3>| {
        let mut policy = BlockSkip::new(&first_blocks(1, 0, 1e9), STEPS).unwrap();
        toy.predict(&mut policy.step(0), noise(2), 900.0, &text());
        let out = bits(&toy.predict(&mut policy.step(1), x, 800.0, &text()));
        assert!(policy.decisions()[1].skipped);
        out
    };
    assert_ne!(second(noise(2)), second(noise(3)));
}

/// A `MagCache` whose steps are these: a ratio of 1 skips, one far from it does not.
fn forced(skipped: &[bool]) -> SkipRule {
    let ratios = skipped.iter().map(|skip| if *skip { 1.0 } else { 9.0 }).collect();
    let authors = MagCache::authors(Magnitudes { ratios });
    SkipRule::MagCache(MagCache { longest_run: STEPS, retention: 0.0, ..authors })
}

/// Under guidance in two passes the conditional one decides; the other follows with what its own blocks added.
#[test]
fn two_passes_decide_once() {
    for rule in [teacache(0.8), teacache(1.5), magcache(0.5)] {
        let mut policy = BlockSkip::new(&rule, STEPS).unwrap();
        let samples = two_pass::guided(STEPS, &mut policy);
        let skipped = skips(policy.decisions());
        assert!(skipped.len() == STEPS && skipped.contains(&true), "{rule:?}");
        let by_hand = || BlockSkip::new(&forced(&skipped), STEPS).unwrap();
        assert_eq!(samples, two_pass::apart(STEPS, [by_hand(), by_hand()]), "{rule:?}");
    }
    for rule in [first_blocks(1, 0, 0.5), first_blocks(1, 1, 0.5)] {
        let topology = two_pass::model().topology();
        let mut meter = FlopCounter::new(&topology);
        let look = |step, site, event: Event<'_>| meter.look(step, site, &event);
        let mut policy = Observed::new(BlockSkip::new(&rule, STEPS).unwrap(), look);
        let samples = two_pass::guided(STEPS, &mut policy);
        let skipped = skips(policy.inner.decisions());
        assert!(skipped.len() == STEPS && skipped.contains(&true), "{rule:?}");
        assert_ne!(samples, two_pass::guided(STEPS, &mut Full), "{rule:?}");
        let left_out: f64 =
            if let SkipRule::FirstBlocks(FirstBlocks { last: 1, .. }) = rule { 2.0 } else { 3.0 };
        // A block costs 3 a pass.
        let expected: Vec<f64> = skipped
            .iter()
            .map(|skip| topology.full_flops() - if *skip { 2.0 * 3.0 * left_out } else { 0.0 })
            .collect();
        assert_eq!(meter.steps(), expected, "{rule:?}");
    }
    let never = two_pass::guided(STEPS, &mut BlockSkip::new(&first_blocks(1, 1, 0.0), STEPS).unwrap());
    assert_eq!(never, two_pass::guided(STEPS, &mut Full));
}
