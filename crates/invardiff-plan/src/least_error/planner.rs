//! Plans of least error, by exact dynamic programming over the last two computed steps.

use serde::{Deserialize, Serialize};

use crate::core::{CachePlan, PlanError, Provenance, ReuseRule};
use crate::least_error::options::{Criterion, PlannerOptions};
use crate::least_error::skip_errors::SkipErrors;

/// The best plan for one number of computed steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FrontPoint {
    /// How many steps are computed.
    pub computed: usize,
    /// The plan's error, added up by [`PlannerOptions::criterion`].
    pub error: f64,
    /// The step gate `[steps]`, `true` = skipped.
    pub gate: Vec<bool>,
}

impl FrontPoint {
    /// The point as a plan for the atlas's model, with the atlas's provenance.
    ///
    /// # Errors
    /// As [`CachePlan::with_times`].
    pub fn plan(&self, atlas: &SkipErrors, rule: ReuseRule) -> Result<CachePlan, PlanError> {
        let provenance = Provenance { method: "least-error".into(), ..atlas.provenance().clone() };
        CachePlan::gate_only(atlas.topology(), self.gate.clone())
            .with_gate_rule(atlas.gate_site(), rule)
            .with_provenance(provenance)
            .with_times(atlas.axis(), atlas.times().to_vec())
    }
}

/// The gate of least error for every number of computed steps, in increasing order of that number. Numbers that need an anchor
/// beyond the atlas's window are left out.
///
/// The planner is exact: the error of a skipped step depends on the last two computed steps only, so the best way to go on from
/// two such steps does not depend on what was computed before them.
///
/// # Errors
/// [`PlanError::Range`] for rules of order 2 or more, and for a warm-up of 0 or longer than the run.
pub fn front(atlas: &SkipErrors, options: &PlannerOptions) -> Result<Vec<FrontPoint>, PlanError> {
    check(atlas, options)?;
    let costs = Costs::new(atlas, options);
    let mut errors = vec![f64::INFINITY; costs.states()];
    errors[0] = 0.0;
    let mut levels: Vec<Level> = Vec::with_capacity(atlas.steps());
    let mut points = Vec::new();
    // Level n has the states with n + 1 computed steps: no fewer than n + 1 steps have gone by.
    for n in 0..atlas.steps() {
        if let Some((error, state)) = costs.best_end(n, &errors) {
            points.push(FrontPoint { computed: n + 1, error, gate: costs.gate(state, &levels) });
        }
        let (next, level) = costs.advance(n, &errors);
        errors = next;
        levels.push(level);
    }
    Ok(points)
}

/// Per state of a level, the gap of the state that it was reached from. The first state of level `n` is `n * stride`.
type Level = Vec<u16>;

/// The errors of all runs of skipped steps. They depend on a state, which is the last two computed steps before the run: in state
/// `step * stride + gap`, `step` was computed last and `step - gap` before it (gap 0: no step before it).
struct Costs<'a> {
    atlas: &'a SkipErrors,
    options: &'a PlannerOptions,
    steps: usize,
    /// The number of gaps of a state: 0 to the window + 1.
    stride: usize,
    /// Per state, the error of the first, second, .. step skipped after it; infinite where that step may not be skipped.
    skips: Vec<f64>,
}

impl<'a> Costs<'a> {
    fn new(atlas: &'a SkipErrors, options: &'a PlannerOptions) -> Self {
        let (steps, window) = (atlas.steps(), atlas.window());
        let mut costs = Self { atlas, options, steps, stride: window + 2, skips: Vec::new() };
        let first_end = steps - options.last.min(steps);
        let mut skips = Vec::with_capacity(costs.states() * window);
        for state in 0..costs.states() {
            let (b, a) = costs.anchors(state);
            skips.extend((1..=window).map(|skipped| {
                let step = b + skipped;
                let allowed = step >= options.warm_up && step < first_end && skipped <= options.longest_run;
                if allowed { costs.cost(step, b, a).unwrap_or(f64::INFINITY) } else { f64::INFINITY }
            }));
        }
        costs.skips = skips;
        costs
    }

    fn states(&self) -> usize {
        self.steps * self.stride
    }

    /// The last computed step of a state, and the one before.
    fn anchors(&self, state: usize) -> (usize, Option<usize>) {
        let (b, gap) = (state / self.stride, state % self.stride);
        (b, if gap == 0 { None } else { b.checked_sub(gap) })
    }

    fn cost(&self, step: usize, b: usize, a: Option<usize>) -> Option<f64> {
        let cost = self.atlas.error(self.options.rule, step, b, a)?;
        Some(match self.options.criterion {
            Criterion::Squares => cost,
            Criterion::Sum => cost.sqrt(),
        })
    }

    /// From level `n` to the next: the errors of its states, and how they were reached.
    fn advance(&self, n: usize, errors: &[f64]) -> (Vec<f64>, Level) {
        let (first, window) = ((n + 1) * self.stride, self.atlas.window());
        let mut next = vec![f64::INFINITY; self.states()];
        let mut level = vec![0; self.states().saturating_sub(first)];
        let reached = errors.iter().enumerate().skip(n * self.stride).filter(|(_, error)| error.is_finite());
        for (state, so_far) in reached {
            let (b, gap) = (state / self.stride, state % self.stride);
            let mut error = *so_far;
            for skipped in 0..=window.min((self.steps - 1).saturating_sub(b + 1)) {
                if skipped > 0 {
                    error += self.skips[state * window + skipped - 1];
                }
                let after = (b + skipped + 1) * self.stride + skipped + 1;
                if error.is_infinite() || after >= self.states() {
                    break;
                }
                if error < next[after] {
                    next[after] = error;
                    level[after - first] = gap as u16;
                }
            }
        }
        (next, level)
    }

    /// The best way to end at level `n`: skipped steps may follow the last computed one.
    fn best_end(&self, n: usize, errors: &[f64]) -> Option<(f64, usize)> {
        let ends = (n * self.stride..self.states()).filter(|state| errors[*state].is_finite());
        ends.filter_map(|state| Some((self.ended(state, errors[state])?, state))).min_by(|left, right| {
            let anchors = |state| {
                let (b, a) = self.anchors(state);
                (a, b)
            };
            left.0.total_cmp(&right.0).then_with(|| anchors(left.1).cmp(&anchors(right.1)))
        })
    }

    /// The error of a state with the steps after it skipped.
    fn ended(&self, state: usize, error: f64) -> Option<f64> {
        let (b, a) = self.anchors(state);
        let (tail, options) = (self.steps - 1 - b, self.options);
        if tail > 0 && (options.last > 0 || tail > options.longest_run || b + 1 < options.warm_up) {
            return None;
        }
        (b + 1..self.steps).try_fold(error, |sum, step| Some(sum + self.cost(step, b, a)?))
    }

    /// The gate that led to a state of the level after `levels`.
    fn gate(&self, mut state: usize, levels: &[Level]) -> Vec<bool> {
        let mut gate = vec![true; self.steps];
        gate[state / self.stride] = false;
        for (n, level) in levels.iter().enumerate().rev() {
            let (b, gap) = (state / self.stride, state % self.stride);
            let before = level[state - (n + 1) * self.stride];
            state = (b - gap) * self.stride + usize::from(before);
            gate[b - gap] = false;
        }
        gate
    }
}

fn check(atlas: &SkipErrors, options: &PlannerOptions) -> Result<(), PlanError> {
    if options.rule.reach() > 2 {
        return Err(PlanError::Range {
            what: "the reuse rule's order".into(),
            value: (options.rule.reach() - 1).to_string(),
            expected: "0 or 1: an atlas knows pairs of anchors".into(),
        });
    }
    if options.warm_up == 0 || options.warm_up > atlas.steps() {
        return Err(PlanError::Range {
            what: "warm-up".into(),
            value: options.warm_up.to_string(),
            expected: format!("1 to {} computed steps", atlas.steps()),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::core::{GateSite, Site, SiteSpec, TimeAxis, Topology};

    fn topology() -> Topology {
        let spec = |site| SiteSpec::single(site, 4, 2, 1.0);
        Topology {
            model: "toy".into(),
            sites: vec![spec(Site::msa(0)), spec(Site::mlp(0))],
            trunk: spec(Site::TRUNK),
            head_flops: 1.0,
            output_elements: 8,
        }
    }

    /// An atlas with pseudo-random errors.
    fn atlas(steps: usize, window: usize) -> SkipErrors {
        let times = (0..steps).map(|step| step as f64).collect();
        let mut atlas = SkipErrors::new(topology(), GateSite::Trunk, TimeAxis::Step, times, window).unwrap();
        let mut state = 7_u64;
        let errors: Vec<f64> = atlas
            .entries()
            .iter()
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) as f64 / f64::from(u32::MAX)
            })
            .collect();
        atlas.add_run(&errors).unwrap();
        atlas
    }

    /// The error of a gate, by the definition.
    fn price(atlas: &SkipErrors, options: &PlannerOptions, gate: &[bool]) -> Option<f64> {
        let (mut computed, mut run, mut error) = (Vec::new(), 0, 0.0);
        for (step, skipped) in gate.iter().enumerate() {
            if !skipped {
                computed.push(step);
                run = 0;
                continue;
            }
            run += 1;
            if step < options.warm_up || step + options.last >= gate.len() || run > options.longest_run {
                return None;
            }
            let b = *computed.last()?;
            let a = computed.len().checked_sub(2).map(|index| computed[index]);
            let cost = atlas.error(options.rule, step, b, a)?;
            error += if options.criterion == Criterion::Sum { cost.sqrt() } else { cost };
        }
        Some(error)
    }

    #[test]
    fn the_front_is_what_trying_every_gate_finds() {
        let atlas = atlas(10, 4);
        for rule in [ReuseRule::Hold, ReuseRule::Extrapolate(1)] {
            for (criterion, warm_up, last, longest_run) in
                [(Criterion::Sum, 2, 1, 9), (Criterion::Squares, 1, 0, 9), (Criterion::Sum, 1, 2, 2)]
            {
                let options = PlannerOptions { rule, criterion, warm_up, last, longest_run };
                let mut best: HashMap<usize, f64> = HashMap::new();
                for bits in 0_u32..1 << 10 {
                    let gate: Vec<bool> = (0..10).map(|step| bits >> step & 1 == 1).collect();
                    if let Some(error) = price(&atlas, &options, &gate) {
                        let computed = gate.iter().filter(|skipped| !**skipped).count();
                        let slot = best.entry(computed).or_insert(error);
                        *slot = slot.min(error);
                    }
                }
                let front = front(&atlas, &options).unwrap();
                assert_eq!(front.len(), best.len());
                for point in front {
                    assert_eq!(point.gate.iter().filter(|skipped| !**skipped).count(), point.computed);
                    let priced = price(&atlas, &options, &point.gate).unwrap();
                    assert!((priced - point.error).abs() < 1e-9);
                    assert!((best[&point.computed] - point.error).abs() < 1e-9, "{options:?} {point:?}");
                }
            }
        }
    }

    #[test]
    fn an_atlas_survives_its_file_and_plans_the_same() {
        let atlas = atlas(10, 4);
        let bytes = atlas.to_bytes().unwrap();
        let back = SkipErrors::from_bytes(&bytes, "a.atlas").unwrap();
        let options = PlannerOptions::default();
        let points = front(&atlas, &options).unwrap();
        assert_eq!(points, front(&back, &options).unwrap());
        let plan = points[2].plan(&back, options.rule).unwrap();
        plan.schedule(back.topology()).unwrap();
        assert_eq!(plan.provenance.method, "least-error");
        for cut in [0, 3, 8, 20, bytes.len() - 1] {
            let message = SkipErrors::from_bytes(&bytes[..cut], "a.atlas").unwrap_err().to_string();
            assert!(message.starts_with("a.atlas"), "{message}");
        }
    }

    #[test]
    fn importance_fits_the_steps_also_in_a_file() {
        let message = |importance| atlas(4, 2).with_importance(importance).unwrap_err().to_string();
        assert!(message(vec![1.0; 3]).contains("importance [steps]"));
        assert!(message(vec![1.0, f64::NAN, 1.0, 1.0]).contains("importance[1] is NaN"));
        let importance = vec![1.0, 0.5, 0.0, 123.0];
        let bytes = atlas(4, 2).with_importance(importance.clone()).unwrap().to_bytes().unwrap();
        assert_eq!(SkipErrors::from_bytes(&bytes, "a.atlas").unwrap().importance(), importance);
        let last = 123.0_f64.to_le_bytes();
        let at = bytes.windows(8).position(|part| part == last).unwrap();
        let patched = |value: f64| [&bytes[..at], &value.to_le_bytes(), &bytes[at + 8..]].concat();
        let message = |bytes: &[u8]| SkipErrors::from_bytes(bytes, "a.atlas").unwrap_err().to_string();
        assert!(message(&patched(-1.0)).starts_with("a.atlas: importance[3]"), "{}", message(&patched(-1.0)));
        // One value fewer than steps: its count, one byte, stands before the four values.
        let mut fewer = bytes.clone();
        fewer[at - 25] = 3;
        fewer.drain(at..at + 8);
        assert!(message(&fewer).starts_with("a.atlas: importance [steps]"), "{}", message(&fewer));
    }

    /// An atlas file as it was written when the fields of [`SkipErrors`] were public.
    const OLDER: &str = "\
        494e5641544c530103746f7902036d73610001036d73610101040000000000002440036d6c700001036d6c7001010400\
        00000000002440057472756e6b0001057472756e6b0101040000000000002440000000000000f03f080b6c656173742d\
        6572726f720f696e7661726469666620302e312e300000000000000103000000000000f03f000000000000e03f000000\
        000000d03f02010300000000000000400000000000001040000000000000f03f01030206000000000000f87f00000000\
        0000f87f000000000000c03f000000000000f87f000000000000d83f000000000000d03f010302020c000000000000f8\
        7f000000000000f87f000000000000f87f000000000000f87f000000000000f87f000000000000f87f000000000000f8\
        7f000000000000f87f000000000000e03f000000000000f87f000000000000f87f000000000000f87f";

    #[test]
    fn a_file_of_an_older_version_reads_and_is_written_the_same() {
        let byte = |at| u8::from_str_radix(&OLDER[at..at + 2], 16).unwrap();
        let bytes: Vec<u8> = (0..OLDER.len()).step_by(2).map(byte).collect();
        let atlas = SkipErrors::from_bytes(&bytes, "a.atlas").unwrap();
        assert_eq!(
            (atlas.gate_site(), atlas.axis(), atlas.window()),
            (GateSite::Trunk, TimeAxis::Sampler, 2)
        );
        assert_eq!((atlas.times(), atlas.runs()), (&[1.0, 0.5, 0.25][..], 1));
        assert_eq!(atlas.topology().sites[1], SiteSpec::single(Site::mlp(0), 1, 4, 10.0));
        assert_eq!(atlas.provenance().tool, "invardiff 0.1.0");
        assert_eq!(atlas.importance(), [2.0, 4.0, 1.0]);
        assert_eq!(atlas.error(ReuseRule::Hold, 1, 0, None), Some(0.5));
        assert_eq!(atlas.error(ReuseRule::Extrapolate(1), 2, 1, Some(0)), Some(0.5));
        assert_eq!(atlas.to_bytes().unwrap(), bytes);
    }

    #[test]
    fn runs_are_averaged() {
        let mut atlas = atlas(4, 2);
        let once = atlas.error(ReuseRule::Hold, 2, 1, None).unwrap();
        let zeros = vec![0.0; atlas.entries().len()];
        atlas.add_run(&zeros).unwrap();
        assert!((atlas.error(ReuseRule::Hold, 2, 1, None).unwrap() - once / 2.0).abs() < 1e-12);
        assert!(atlas.add_run(&[1.0]).is_err());
    }
}
