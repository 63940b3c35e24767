//! Plans from a Gram file, without the model.

use std::path::Path;

use crate::stdout::say;
use anyhow::{Context, Result, ensure};
use invardiff_plan::CachePlan;
use invardiff_plan::fitted::{GramAtlas, Pricing, TimeChoice, time_front};
use serde_json::{Value, json};

use super::Args;
use crate::commands::plan::transfer::Grid;

/// The powers of prices that fronts are made for.
const POWERS: [f64; 3] = [1.0, 2.0, 4.0];
/// How many outputs are weighted, and how strongly weights are drawn to DPM-Solver++'s: a fit without the model follows noise
/// where it is not held.
const OUTPUTS: usize = 3;
const RIDGE: f64 = 1e-4;

pub(super) fn run(args: &Args) -> Result<()> {
    let atlas = GramAtlas::read(&args.atlas)?;
    let steps = args.num_inference_steps.map_or(atlas.candidates.instead_of, |steps| steps as usize);
    let powers: Vec<f64> = args.power.map_or_else(|| POWERS.to_vec(), |power| vec![power]);
    let most = steps.min(atlas.points());
    let fronts = powers.iter().map(|power| {
        let pricing = Pricing { power: *power, most, ..Pricing::default() };
        Ok((*power, time_front(&atlas, &pricing).with_context(|| args.atlas.display().to_string())?))
    });
    let fronts: Vec<(f64, Vec<TimeChoice>)> = fronts.collect::<Result<_>>()?;
    if let Some(out) = &args.out {
        plan(args, &atlas, &fronts[0].1, steps)?.write(out)?;
    }
    if args.json {
        let fronts: Vec<Value> = fronts
            .iter()
            .map(|(power, points)| {
                let point = |point: &TimeChoice| {
                    let times = point.points.iter().map(|at| atlas.candidates.points[*at].time);
                    json!({ "evaluations": point.points.len(), "speedup": steps as f64 / point.points.len() as f64,
                            "price": point.price, "times": times.collect::<Vec<_>>() })
                };
                json!({ "power": power, "front": points.iter().map(point).collect::<Vec<_>>() })
            })
            .collect();
        let object = json!({
            "atlas": args.atlas, "model": atlas.topology.model, "steps": steps, "conditions": atlas.conditions.len(),
            "candidates": atlas.points(), "fronts": fronts, "out": args.out,
        });
        return Ok(say(format_args!("{object:#}"))?);
    }
    if let Some(out) = &args.out {
        return Ok(say(format_args!("{}", out.display()))?);
    }
    for (power, points) in &fronts {
        say(format_args!("power {power}\nevaluations  speed-up         price  times"))?;
        for point in points {
            let (count, times) = (point.points.len(), times(&atlas, point));
            let speedup = steps as f64 / count as f64;
            say(format_args!("{count:11}  {speedup:7.2}x  {:12.4e}  {times}", point.price))?;
        }
    }
    Ok(())
}

/// The model's times of a choice.
fn times(atlas: &GramAtlas, point: &TimeChoice) -> String {
    let time = |at: &usize| format!("{:.4}", atlas.candidates.points[*at].time);
    let short = |time: String| time.trim_end_matches('0').trim_end_matches('.').to_owned();
    point.points.iter().map(|at| short(time(at))).collect::<Vec<_>>().join(" ")
}

/// The plan of as many evaluations as the flags ask for.
fn plan(args: &Args, atlas: &GramAtlas, front: &[TimeChoice], steps: usize) -> Result<CachePlan> {
    let most = front.len();
    let evaluations = match (args.compute_steps, args.target_speedup) {
        (Some(computed), _) => computed,
        (None, Some(speedup)) => {
            ensure!(
                (1.0..=steps as f64).contains(&speedup),
                "--target-speedup is {speedup}, expected 1 to {steps}"
            );
            (steps as f64 / speedup + 1e-9).floor() as usize
        }
        (None, None) => {
            anyhow::bail!("--out needs --compute-steps or --target-speedup, to know which plan to write")
        }
    };
    let point = evaluations.checked_sub(1).and_then(|at| front.get(at));
    let point = point.with_context(|| format!("--compute-steps is {evaluations}, expected 1 to {most}"))?;
    let mut plan = atlas.plan(&point.points, OUTPUTS, RIDGE, steps)?;
    if steps != atlas.candidates.instead_of {
        plan.provenance.execution = Some(other_run(&plan, args.model.as_deref(), steps, &args.atlas)?);
    }
    Ok(plan)
}

/// The run of another number of steps that the plan then stands for.
fn other_run(
    plan: &CachePlan,
    model: Option<&str>,
    steps: usize,
    path: &Path,
) -> Result<invardiff_plan::RunSpec> {
    let named = || path.display().to_string();
    let run = plan.provenance.execution.clone();
    let run = run.with_context(|| format!("{}: it does not say what it was measured on", named()))?;
    Ok(Grid::new(&run, model, steps).with_context(named)?.execution)
}
