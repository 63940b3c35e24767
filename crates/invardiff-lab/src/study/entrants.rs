//! Makes calibrated candidates from methods and settings.

use invardiff::{Pipeline, SamplerKind};
use invardiff_report::Study;
use invardiff_runtime::{Denoiser, Progress, Sampler};

use super::bench::{Bench, Ready};
use super::family::Family;
use super::method::{Base, Method};
use super::options::StudyOptions;
use super::preflight;
use crate::compare::{Candidate, Decider};
use crate::error::{Context, Result, unfit};

/// The lines of one panel.
pub(super) struct Group {
    pub(super) title: &'static str,
    pub(super) note: &'static str,
    pub(super) methods: Vec<Method>,
}

/// All candidates, the full run first.
pub(super) struct Entrants<P> {
    /// Solvers with fewer steps, which every chart shows.
    pub(super) baselines: Vec<Method>,
    /// The other methods, by panel.
    pub(super) groups: Vec<Group>,
    /// The candidates: the full run, then one per setting in the order of the methods.
    pub(super) candidates: Vec<Candidate<P>>,
    /// Findings of the calibration, as (name, value).
    pub(super) facts: Vec<(String, String)>,
}

impl<P> Entrants<P> {
    /// All methods, in the order of their candidates.
    pub(super) fn methods(&self) -> impl Iterator<Item = &Method> {
        self.baselines.iter().chain(self.groups.iter().flat_map(|group| &group.methods))
    }
}

/// Calibrates all methods, on every solver that they use.
pub(super) fn entrants<const D: usize, P: Pipeline<D>>(
    options: &StudyOptions,
    full: &P,
    progress: &dyn Progress,
) -> Result<Entrants<P>> {
    let (baselines, groups) = lines(options, full)?;
    let methods: Vec<&Method> =
        baselines.iter().chain(groups.iter().flat_map(|group| &group.methods)).collect();
    let mut bases: Vec<(Base, P)> = Vec::new();
    for method in &methods {
        let base = method.base;
        if !bases.iter().any(|(known, _)| *known == base) {
            let pipeline = match base {
                None => full.clone(),
                Some((sampler, steps)) => full.with_sampler(sampler, steps)?,
            };
            bases.push((base, pipeline));
        }
    }
    let runs = full.calibration_runs(options.runs(full), options.seed)?;
    let mut benches = Vec::with_capacity(bases.len());
    for (base, pipeline) in &bases {
        let bench =
            Bench::new(pipeline, &runs, options.seed, progress, &options.files, options.converged_steps)?;
        benches.push((*base, bench));
    }
    let settings =
        || methods.iter().flat_map(|method| method.values.iter().map(move |value| (*method, *value)));
    // Mistakes are told before anything is measured.
    benches.iter_mut().try_for_each(|(_, bench)| preflight::check_files(bench))?;
    for (method, value) in settings() {
        let bench = bench_of(&mut benches, method)?;
        preflight::check(bench, &method.family, value).with_context(|| named(method, value))?;
    }
    let mut candidates = vec![Candidate::full(full)];
    for (method, value) in settings() {
        let bench = bench_of(&mut benches, method)?;
        candidates.push(candidate(bench, full, method, value).with_context(|| named(method, value))?);
    }
    let facts = benches.iter().filter_map(|(base, bench)| stand_ins(*base, bench)).collect();
    Ok(Entrants { baselines, groups, candidates, facts })
}

/// A method at a setting, in words.
fn named(method: &Method, value: f64) -> String {
    format!("{}, {}", method.name(), method.setting(value))
}

/// The bench of the solver that a method is calibrated on.
fn bench_of<'b, 'a, const D: usize, P: Pipeline<D>>(
    benches: &'b mut [(Base, Bench<'a, D, P>)],
    method: &Method,
) -> Result<&'b mut Bench<'a, D, P>> {
    let base = method.base;
    let bench = benches.iter_mut().find(|(known, _)| *known == base).map(|(_, bench)| bench);
    bench.context("it was just made")
}

/// The skip strategy of the plans of least error on a solver, where there are such plans.
fn stand_ins<const D: usize, P: Pipeline<D>>(
    base: Base,
    bench: &Bench<'_, D, P>,
) -> Option<(String, String)> {
    let found: Vec<String> = bench
        .strategies()
        .iter()
        .map(|(computed, strategy)| format!("{computed} steps: {strategy}"))
        .collect();
    let name = Method { base, family: Family::LeastError, values: Vec::new() }.name();
    (!found.is_empty()).then(|| (format!("skips of {name} stand in for"), found.join("; ")))
}

fn candidate<const D: usize, P: Pipeline<D>>(
    bench: &mut Bench<'_, D, P>,
    full: &P,
    method: &Method,
    value: f64,
) -> Result<Candidate<P>> {
    let name = format!("{}, {}", method.name(), method.setting(value));
    let description = method.family.description();
    if let Family::FewerSteps(sampler) = method.family {
        let pipeline = full.with_sampler(sampler, value as usize)?;
        let compute_fraction = value / full.sampler().steps() as f64;
        return Ok(Candidate { name, description, pipeline, decider: Decider::Enabled, compute_fraction });
    }
    let ready = bench.ready(&method.family, value)?;
    let base = bench.pipeline();
    let share = base.sampler().steps() as f64 / full.sampler().steps() as f64;
    let mut candidate = match ready {
        Ready::Plan(plan) => Candidate::plan(base, &name, &description, &plan)?,
        Ready::Adjusted(plan, adjustment) => {
            Candidate::plan(base, &name, &description, &plan)?.adjusted(adjustment)
        }
        Ready::Rule(rule) => Candidate::rule(base, &name, &description, rule)?,
    };
    candidate.compute_fraction *= share;
    Ok(candidate)
}

/// The methods of the flags, or all.
fn lines<const D: usize, P: Pipeline<D>>(
    options: &StudyOptions,
    full: &P,
) -> Result<(Vec<Method>, Vec<Group>)> {
    let parse = |lines: &[&str]| -> Result<Vec<Method>> {
        lines.iter().map(|line| line.parse().map_err(|error: String| unfit!("{line}: {error}"))).collect()
    };
    let steps = full.sampler().steps();
    // Shares of the full run, the same for every method whose settings are steps.
    let shares = [0.6, 0.5, 0.38, 0.3, 0.24, 0.2, 0.16];
    let shares = if options.fitted { &shares[1..] } else { &shares };
    let mut counts: Vec<String> = shares.iter().map(|share| computed(*share, steps)).collect();
    counts.dedup();
    let counts = counts.join(",");
    // Charts show two solvers beside the full run: the first and the best.
    let solvers = full.solvers();
    let shown: Vec<SamplerKind> = solvers.first().into_iter().chain(solvers[1..].last()).copied().collect();
    let shown: Vec<String> =
        shown.into_iter().map(|solver| format!("{}={counts}", Family::FewerSteps(solver))).collect();
    let baselines = parse(&shown.iter().map(String::as_str).collect::<Vec<_>>())?;
    if !options.methods.is_empty() {
        let fewer =
            |method: &&Method| method.base.is_none() && matches!(method.family, Family::FewerSteps(_));
        let own: Vec<Method> =
            options.methods.iter().filter(fewer).take(Study::BASELINES - 1).cloned().collect();
        let rest: Vec<Method> =
            options.methods.iter().filter(|method| !own.contains(method)).cloned().collect();
        let baselines = if own.is_empty() { baselines } else { own };
        return Ok((baselines, panels("Methods asked for", &rest)));
    }
    let groups = match (options.checks, options.fitted) {
        (true, _) => checks(full),
        (false, true) => fitted(&counts, options, full),
        (false, false) => all(&counts, options, full),
    };
    let groups = groups.into_iter().map(|(title, note, lines)| {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        Ok(Group { title, note, methods: parse(&lines)? })
    });
    let mut groups = groups.collect::<Result<Vec<_>>>()?;
    groups.extend(panels("Besides", &options.also));
    Ok((baselines, groups))
}

/// The methods that the user names, as many per panel as a chart can show.
fn panels(title: &'static str, methods: &[Method]) -> Vec<Group> {
    let panel = |methods: &[Method]| Group { title, note: "", methods: methods.to_vec() };
    methods.chunks(Study::LINES).map(panel).collect()
}

/// The number of computed steps for a share of all steps, at least as many as a plan of least error needs.
fn computed(share: f64, steps: usize) -> String {
    const FEWEST: f64 = 4.0;
    (share * steps as f64).round().max(FEWEST).to_string()
}

type Lines = (&'static str, &'static str, Vec<String>);

fn all<const D: usize, P: Pipeline<D>>(counts: &str, options: &StudyOptions, full: &P) -> Vec<Lines> {
    let of = |lines: &[&str]| lines.iter().map(ToString::to_string).collect::<Vec<_>>();
    let stepped = |names: &[&str]| names.iter().map(|name| format!("{name}={counts}")).collect::<Vec<_>>();
    let mut plans = stepped(&["uniform", "extrapolated", "least-error"]);
    plans.extend(of(&["paper=0.3,0.5,0.63,0.72", "paper-modules=0.1,0.22,0.4,0.6"]));
    let solvers = full.solvers().iter().filter(|solver| **solver != SamplerKind::UniPc3);
    let mut unmeasured = vec!["random".to_owned()];
    unmeasured.extend(solvers.map(|solver| format!("{}-times", Family::FewerSteps(*solver))));
    let even = full.solvers().iter().filter(|solver| **solver == SamplerKind::UniPc);
    unmeasured.extend(even.map(|solver| Family::FewerSteps(*solver).to_string()));
    let unmeasured: Vec<&str> = unmeasured.iter().map(String::as_str).collect();
    let mut groups = vec![
        (
            "What a plan has to beat",
            "Steps skipped at random, and each solver with fewer steps at the times that suit it best in replays on the calibration runs.",
            stepped(&unmeasured),
        ),
        ("Plans of steps", "Plans made before the run that skip steps whole, and InvarDiff's own.", plans),
        (
            "Fitted weights",
            "Plans that weight the last outputs: fitted towards the converged trajectory, and by a Chebyshev series.",
            stepped(&[nearest(options)]).into_iter().chain(of(&["spectrum=2,3,4,6"])).collect(),
        ),
        (
            "Plans of modules",
            "Plans made before the run that reuse modules of every block; gates and modulations are always computed.",
            of(&[
                "fora=2,3,4,6",
                "smoothcache=0.1,0.2,0.35,0.6",
                "taylorseer-1=2,3,4,6",
                "taylorseer-2=2,3,4,6",
                "taylorseer-4=2,3,4,6",
            ]),
        ),
        (
            "Deciding while they run",
            "Policies that look at the hidden state of each image; a decision reads one number per step from the device.",
            of(&[
                "teacache=0.1,0.2,0.35,0.6",
                "first-block=0.05,0.1,0.2,0.35",
                "dbcache-2-1=0.05,0.1,0.2,0.35",
                "magcache=0.06,0.12,0.24,0.5",
            ]),
        ),
    ];
    if let [_, .., solver] = full.solvers() {
        let steps = full.sampler().steps() / 2;
        let on = |line: &str| format!("{}/{steps}+{line}", Family::FewerSteps(*solver));
        let mut counts = [0.8, 0.64, 0.5, 0.36].map(|share| computed(share, steps)).to_vec();
        counts.dedup();
        let counts = counts.join(",");
        groups.push((
            "On top of a better solver: plans of steps",
            "The same methods on half as many steps of the model's best solver; compute is still relative to the full run.",
            vec![
                on(&format!("uniform={counts}")),
                on(&format!("extrapolated={counts}")),
                on(&format!("least-error={counts}")),
                on("paper=0.2,0.3,0.4,0.5"),
                on("paper-modules=0.1,0.22,0.4,0.6"),
            ],
        ));
        groups.push((
            "On top of a better solver: plans of modules",
            "",
            vec![
                on("fora=2,3"),
                on("smoothcache=0.1,0.2,0.35,0.6"),
                on("taylorseer-1=2,3"),
                on("taylorseer-2=2,3"),
            ],
        ));
        groups.push((
            "On top of a better solver: deciding while they run",
            "",
            vec![
                on("teacache=0.1,0.2,0.35,0.6"),
                on("first-block=0.05,0.1,0.2,0.35"),
                on("dbcache-2-1=0.05,0.1,0.2,0.35"),
                on("magcache=0.06,0.12,0.24,0.5"),
            ],
        ));
    }
    groups
}

/// The fitted plan towards the best target that there is.
fn nearest(options: &StudyOptions) -> &'static str {
    if options.converged_steps > 0 { "fitted" } else { "fitted-own" }
}

/// Fitted plans against solvers at even and at chosen times, and against the other plans.
fn fitted<const D: usize, P: Pipeline<D>>(counts: &str, options: &StudyOptions, full: &P) -> Vec<Lines> {
    let stepped = |names: &[String]| names.iter().map(|name| format!("{name}={counts}")).collect::<Vec<_>>();
    let times: Vec<String> =
        full.solvers().iter().map(|solver| format!("{}-times", Family::FewerSteps(*solver))).collect();
    let mut others = full.solvers().to_vec();
    others.retain(|solver| matches!(solver, SamplerKind::UniPc | SamplerKind::UniPc3));
    let others: Vec<String> =
        others.into_iter().map(|solver| Family::FewerSteps(solver).to_string()).collect();
    let mut plans = stepped(&["fitted-own".into(), "least-error".into()]);
    if options.converged_steps > 0 {
        plans.splice(0..0, stepped(&["fitted".into()]));
    }
    plans.push("paper=0.63".into());
    let mut lines = vec![
        (
            "Fitted plans",
            "Times and weights fitted towards the converged trajectory and towards the full run, and the plans that imitate the full run.",
            plans,
        ),
        (
            "Solvers at their best times",
            "Each solver's own weights at the times that suit it best: those of the fronts, and all that were tried for the fitted plan.",
            stepped(&times),
        ),
    ];
    if !others.is_empty() {
        lines.push(("Further solvers at even times", "UniPC of order 2 and 3.", stepped(&others)));
    }
    lines
}

fn checks<const D: usize, P: Pipeline<D>>(full: &P) -> Vec<Lines> {
    let sweep = "0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8";
    let swept = |names: &[&str]| names.iter().map(|name| format!("{name}={sweep}")).collect::<Vec<_>>();
    // All kinds together, then each alone, as many as a chart can show.
    let kinds = full.denoiser().topology().kinds();
    let kinds = std::iter::once("paper-modules".to_owned())
        .chain(kinds.iter().map(|kind| format!("paper-{kind}")))
        .take(Study::LINES)
        .map(|name| format!("{name}={sweep}"))
        .collect();
    vec![
        (
            "Phases and the step threshold",
            "The step gate's quantile swept, modules as in the fast setting: with both phases, with the first alone, and the gate alone.",
            swept(&["paper", "paper-phase1", "paper-gate"]),
        ),
        (
            "Kinds of modules",
            "Only modules are reused, no step is skipped: all kinds, and each alone.",
            kinds,
        ),
        (
            "How it is calibrated",
            "The published fast setting from 1 to 32 runs, and the sweep measured on the conditional half alone.",
            vec!["paper-runs=1,2,4,8,16,32".into(), format!("paper-unguided={sweep}")],
        ),
        (
            "Boundary rules",
            "The rules of the authors' three scripts for the first and last steps, on the same measurements.",
            swept(&["paper", "paper-flux-rules", "paper-wan-rules"]),
        ),
    ]
}
