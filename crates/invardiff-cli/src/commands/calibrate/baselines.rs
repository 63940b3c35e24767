//! The candidates of the table: the plan, its parts, and baselines of the same compute.

use crate::progress::bar;
use anyhow::{Context, Result};
use invardiff::Pipeline;
use invardiff_lab::held_out::HELD_OUT;
use invardiff_lab::{Candidate, Evaluation, Images, compare as judge, draw};
use invardiff_plan::core::Storage;
use invardiff_plan::methods::baseline::{random_plan, uniform_gate};
use invardiff_plan::{CachePlan, GateSite, OutputForm, ReuseRule};
use invardiff_report::Group;
use invardiff_runtime::{Denoiser, Sampler};

use super::measure::{Measured, PlanRule};
use super::{Args, fitted};

/// The candidates and their results, the full run first.
pub(super) struct Comparison<P> {
    /// Each candidate, with its group in the table.
    pub(super) candidates: Vec<(Group, Candidate<P>)>,
    /// The result of each candidate.
    pub(super) evaluated: Vec<Evaluation>,
    /// The subjects of the images, in words.
    pub(super) names: Vec<String>,
    /// The solver and steps of the converged images, where they were drawn.
    pub(super) converged: Option<String>,
}

/// Draws held-out images by every candidate.
pub(super) fn compare<const D: usize, P: Pipeline<D>>(
    args: &Args,
    full: &P,
    measured: &Measured,
) -> Result<Comparison<P>> {
    let candidates = candidates(args, full, measured)?;
    let images = args.images as usize;
    let subjects: Vec<P::Subject> = (0..images).map(|image| full.subject(image)).collect();
    let first = args.seed.wrapping_add(HELD_OUT);
    let seeds: Vec<u64> = (0..images as u64).map(|image| first.wrapping_add(image)).collect();
    let usual = full.default_batch();
    let batch = if images.is_multiple_of(usual) { usual } else { 1 };
    let wanted = Images { subjects: &subjects, seeds: &seeds, batch };
    let exact = converged(args, full)?;
    let reference = exact
        .as_ref()
        .map(|(_, pipeline)| {
            let progress = bar(images / batch, "drawing the converged images (batches)");
            draw(pipeline, &wanted, &|| progress.inc(1)).inspect(|_| progress.finish_and_clear())
        })
        .transpose()?;
    let progress = bar(candidates.len() * (images / batch), "comparing (batches)");
    let who: Vec<Candidate<P>> = candidates.iter().map(|(_, candidate)| candidate.clone()).collect();
    let evaluated = judge(&who, &wanted, reference.as_ref(), &|| progress.inc(1))?;
    progress.finish_and_clear();
    let names = subjects.iter().map(|subject| full.describe(subject)).collect();
    Ok(Comparison { candidates, evaluated, names, converged: exact.map(|(name, _)| name) })
}

/// The converged run: many steps of the model's best solver.
fn converged<const D: usize, P: Pipeline<D>>(args: &Args, full: &P) -> Result<Option<(String, P)>> {
    let steps = args.converged_steps as usize;
    let Some(solver) = full.solvers().last().filter(|_| steps > 0) else { return Ok(None) };
    let pipeline = full.with_sampler(*solver, steps).context("--converged-steps")?;
    let name = format!("{steps} steps of {}", pipeline.sampler().name());
    Ok(Some((name, pipeline)))
}

fn candidates<const D: usize, P: Pipeline<D>>(
    args: &Args,
    full: &P,
    measured: &Measured,
) -> Result<Vec<(Group, Candidate<P>)>> {
    let steps = full.sampler().steps();
    let topology = full.denoiser().topology();
    let paper = Candidate::plan(
        full,
        "paper's rule",
        "step gate and modules, thresholds in two phases",
        &measured.paper.plan,
    )?;
    let what = format!("skips chosen by their measured error, {}", measured.least.strategy);
    let least = Candidate::plan(full, "least error", &what, &measured.least.plan)?;
    let alone = |name: &str, what: &str, plan: &CachePlan| {
        Ok::<_, anyhow::Error>((Group::Part, Candidate::plan(full, name, what, plan)?))
    };
    let fitted = measured.fitted.as_ref().map(|fitted| fitted::candidate(full, &fitted.found)).transpose()?;
    let (plan, own, others) = match (measured.wanted, fitted) {
        (PlanRule::Fitted, Some(fitted)) => (&measured.least.plan, fitted, vec![least, paper]),
        (PlanRule::LeastError, Some(fitted)) => (&measured.least.plan, least, vec![fitted, paper]),
        (PlanRule::LeastError, None) => (&measured.least.plan, least, vec![paper]),
        (PlanRule::Paper | PlanRule::Fitted, _) => (&measured.paper.plan, paper, vec![least]),
    };
    let storage = args.means.storage();
    let exact = (storage != Storage::AsComputed).then(|| own.clone());
    let own = own.storing(storage);
    let compute = own.compute_fraction;
    let even = ((compute * steps as f64).round() as usize).clamp(1, steps);
    let uniform = CachePlan::gate_only(&topology, uniform_gate(steps, even)?);
    let random = random_plan(&topology, plan, args.seed)?;
    let mut candidates = vec![(Group::Reference, Candidate::full(full)), (Group::Plan, own)];
    if measured.wanted == PlanRule::Paper {
        candidates.push(alone(
            "gate alone",
            "the plan's skipped steps, every module computed",
            &plan.gate_alone(),
        )?);
        candidates.push(alone(
            "modules alone",
            "the plan's reused modules, no step skipped",
            &plan.modules_alone(),
        )?);
    }
    if let Some(mut exact) = exact {
        exact.name = format!("{}, kept in f32", exact.name);
        candidates.push((Group::Part, exact));
    }
    candidates.extend(others.into_iter().map(|other| (Group::OtherPlan, other)));
    if let Some(modules) = &measured.least.modules {
        let what = "more steps computed, modules reused in them by measured error";
        candidates
            .push((Group::OtherPlan, Candidate::plan(full, "least error, modules", what, &modules.plan)?));
    }
    if let Some(guard) = &measured.least.guard {
        let what =
            "the least-error plan, which may compute more steps for images harder than the calibration's";
        candidates
            .push((Group::OtherPlan, Candidate::guarded(full, "least error, guarded", what, guard.clone())));
    }
    let spread = format!("{even} steps computed, spread evenly");
    candidates.push((Group::OtherPlan, Candidate::plan(full, "uniform skipping", &spread, &uniform)?));
    let rule = (GateSite::Output(OutputForm::X0), ReuseRule::Extrapolate(1));
    let stretched = uniform.with_gate_rule(rule.0, rule.1);
    let spread = format!("{even} steps computed, spread evenly, the output extrapolated");
    candidates.push((Group::OtherPlan, Candidate::plan(full, "uniform, extrapolated", &spread, &stretched)?));
    let places = "as many skips and reuses as the plan, at random places";
    candidates.push((Group::OtherPlan, Candidate::plan(full, "random plan", places, &random)?));
    for sampler in full.solvers() {
        candidates.push((Group::FewerSteps, Candidate::fewer_steps(full, *sampler, compute)?));
    }
    for (solver, plan) in measured.fitted.iter().flat_map(|fitted| &fitted.solvers) {
        let name = format!("{solver} {}, best times", plan.steps());
        let what = format!(
            "no plan: {solver} with its own weights at the times that suit it best on the calibration's conditions"
        );
        candidates.push((Group::FewerSteps, Candidate::plan(full, &name, &what, plan)?));
    }
    Ok(candidates)
}
