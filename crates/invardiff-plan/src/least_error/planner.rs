//! Plans of least error, by exact dynamic programming over the last two computed steps.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::core::{CachePlan, PlanError, Provenance, ReuseRule};
use crate::least_error::skip_errors::SkipErrors;

/// How the errors of single skips add up to the error of a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Criterion {
    /// The sum of squared errors: skips err in unrelated directions.
    Squares,
    /// The sum of root-mean-square errors: skips err in the same direction.
    #[default]
    Sum,
}

/// What a plan may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannerOptions {
    /// How a skipped step's value is made; [`ReuseRule::Extrapolate`] of order 1 at most.
    pub rule: ReuseRule,
    /// How errors add up.
    pub criterion: Criterion,
    /// Steps at the start that are computed (at least 1).
    pub warm_up: usize,
    /// Steps at the end that are computed.
    pub last: usize,
    /// The longest run of skipped steps; the atlas's window bounds it too.
    pub longest_run: usize,
}

impl Default for PlannerOptions {
    /// Linear extrapolation, errors added, two steps of warm-up, the last step computed.
    fn default() -> Self {
        Self {
            rule: ReuseRule::Extrapolate(1),
            criterion: Criterion::default(),
            warm_up: 2,
            last: 1,
            longest_run: usize::MAX,
        }
    }
}

/// The best plan for one number of computed steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FrontPoint {
    /// How many steps are computed.
    pub computed: usize,
    /// The criterion's value.
    pub error: f64,
    /// The step gate, `true` = skipped.
    pub gate: Vec<bool>,
}

impl FrontPoint {
    /// The point as a plan for the atlas's model, with the atlas's provenance.
    ///
    /// # Errors
    /// As [`CachePlan::with_times`].
    pub fn plan(&self, atlas: &SkipErrors, rule: ReuseRule) -> Result<CachePlan, PlanError> {
        let provenance = Provenance { method: "least-error".into(), ..atlas.provenance.clone() };
        CachePlan::gate_only(&atlas.topology, self.gate.clone())
            .with_gate_rule(atlas.gate_site, rule)
            .with_provenance(provenance)
            .with_times(atlas.axis, atlas.times.clone())
    }
}

/// The last two computed steps.
type Anchors = (Option<usize>, usize);

/// A way to have computed some steps: its error, and the anchors before the last computed step.
#[derive(Clone, Copy)]
struct Way {
    error: f64,
    before: Option<Anchors>,
}

/// For every number of computed steps, the gate of least error that the atlas knows: the whole front at once.
///
/// Exact: the error of a skipped step depends on the last two computed steps only, so the best continuation of a state
/// `(last two computed steps)` does not depend on how it was reached.
///
/// # Errors
/// [`PlanError::Range`] for rules of order 2 or more, and for a warm-up of 0 or longer than the run.
pub fn front(atlas: &SkipErrors, options: &PlannerOptions) -> Result<Vec<FrontPoint>, PlanError> {
    check(atlas, options)?;
    let steps = atlas.steps();
    let first_end = steps - options.last.min(steps);
    // ways[n - 1]: states with n computed steps.
    let mut ways: Vec<HashMap<Anchors, Way>> = vec![HashMap::new(); steps];
    ways[0].insert((None, 0), Way { error: 0.0, before: None });
    for n in 0..steps {
        let states: Vec<(Anchors, f64)> = ways[n].iter().map(|(state, way)| (*state, way.error)).collect();
        for ((a, b), so_far) in states {
            let mut error = so_far;
            for next in b + 1..steps {
                let skipped = next - b - 1;
                if skipped > 0 {
                    let stood_in = next - 1;
                    let allowed =
                        stood_in >= options.warm_up && stood_in < first_end && skipped <= options.longest_run;
                    let Some(cost) = atlas.error(options.rule, stood_in, b, a).filter(|_| allowed) else {
                        break;
                    };
                    error += match options.criterion {
                        Criterion::Squares => cost,
                        Criterion::Sum => cost.sqrt(),
                    };
                }
                let way = Way { error, before: Some((a, b)) };
                let slot = ways[n + 1].entry((Some(b), next)).or_insert(way);
                if error < slot.error {
                    *slot = way;
                }
            }
        }
    }
    Ok((0..steps).filter_map(|n| finish(atlas, options, &ways, n)).collect())
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

/// The best way to end with `n + 1` computed steps: skipped steps may follow the last computed one.
fn finish(
    atlas: &SkipErrors,
    options: &PlannerOptions,
    ways: &[HashMap<Anchors, Way>],
    n: usize,
) -> Option<FrontPoint> {
    let steps = atlas.steps();
    let ended = |(a, b): Anchors, error: f64| -> Option<f64> {
        let tail = steps - 1 - b;
        if tail > 0 && (options.last > 0 || tail > options.longest_run || b + 1 < options.warm_up) {
            return None;
        }
        (b + 1..steps).try_fold(error, |sum, step| {
            let cost = atlas.error(options.rule, step, b, a)?;
            Some(sum + if options.criterion == Criterion::Sum { cost.sqrt() } else { cost })
        })
    };
    let (mut state, error) = ways[n]
        .iter()
        .filter_map(|(state, way)| Some((*state, ended(*state, way.error)?)))
        .min_by(|(left_state, left), (right_state, right)| {
            left.total_cmp(right).then_with(|| left_state.cmp(right_state))
        })?;
    let mut gate = vec![true; steps];
    for level in (0..=n).rev() {
        gate[state.1] = false;
        if let Some(before) = ways[level][&state].before {
            state = before;
        }
    }
    Some(FrontPoint { computed: n + 1, error, gate })
}

#[cfg(test)]
mod tests {
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
        let mut atlas = SkipErrors::new(topology(), GateSite::Trunk, TimeAxis::Step, times, window);
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
        plan.schedule(&back.topology).unwrap();
        assert_eq!(plan.provenance.method, "least-error");
        for cut in [0, 3, 8, 20, bytes.len() - 1] {
            let message = SkipErrors::from_bytes(&bytes[..cut], "a.atlas").unwrap_err().to_string();
            assert!(message.starts_with("a.atlas"), "{message}");
        }
        let mut wrong = back;
        wrong.importance.pop();
        let message = SkipErrors::from_bytes(&wrong.to_bytes().unwrap(), "a.atlas").unwrap_err().to_string();
        assert!(message.contains("importance"), "{message}");
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
