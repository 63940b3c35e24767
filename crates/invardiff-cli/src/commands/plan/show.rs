//! `invardiff plan show`.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::stdout::say;
use anyhow::{Context, Result};
use invardiff_plan::Kind;
use invardiff_plan::core::{FitRecord, Target};

use super::draw::{Style, draw};
use super::model::{self, Resolved};
use super::summary::{Fitted, Summary};
use super::{PlanSource, bytes};

const HELP: &str = "\
Examples:
  invardiff plan show out/fashion/plan.json
  invardiff plan show cache_books_stp50_n0.0_sth0.63_msa0.22_mlp0.22.json --model dit-xl-2-512
  invardiff plan show mask.txt --model flux1-dev-1024
  invardiff plan show plan.bin --json

Models: fashion, emoji, dit-{xl,l,b,s}-{2,4,8}-{256,512}, flux1-dev-1024, flux1-dev-1024-projected, a config.json, or
weights. The default is the model that the plan was made for, or else the first of these with the plan's layers, which
the output then names as assumed.

Speed-ups are predicted from the FLOPs of matrix products. For FLUX the second line is for single-stream blocks that cache the
projected attention and feed-forward separately, instead of the inputs of their joint projection as published.

--json prints one object: file, format, fingerprint, model, model_assumed, steps, skipped_steps, skip_runs, gate (true:
skipped), gate_site, gate_rule, gate_speedup, speedup (both with two decimals), compute_fraction, reused_modules, kinds
(by name: layers, entries, marked, reused, rule), thresholds (kind, quantile, value), named_quantiles (of the file's
name), warm_up, peak_cache_bytes (one image), element_bytes, guided, split_projection (gate_speedup, speedup,
compute_fraction, peak_cache_bytes; null unless FLUX), full_steps, fitted (times, weights, fit; null unless fitted),
method, tool, execution, notes.";

/// Draw a plan and predict its speed-up
#[derive(Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub(super) struct Args {
    /// The plan
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The model whose shapes the costs are computed from, by name or path
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// Draw with ASCII instead of blocks
    #[arg(long)]
    ascii: bool,
    /// Draw one row for every layer
    #[arg(long)]
    all_layers: bool,
    /// Print one JSON object instead of the drawing
    #[arg(long)]
    json: bool,
}

/// About how many rows the drawing has unless all layers are asked for.
const ROWS: usize = 24;

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let source = PlanSource::read(&args.file)?;
    let resolved = model::resolve(&source, args.model.as_deref())?;
    let summary = Summary::new(&source, &resolved).with_context(|| args.file.display().to_string())?;
    if args.json {
        say(serde_json::to_string_pretty(&summary)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let most_rows = if args.all_layers { usize::MAX } else { (ROWS / summary.kinds.len().max(1)).max(4) };
    let style = Style { ascii: args.ascii, most_rows };
    let drawing = format!("\n{}{}\n", draw(&resolved.plan, style), style.legend());
    let lines = [head(&summary, &resolved), vec![drawing], kinds(&summary, &resolved), speedups(&summary)];
    say(lines.concat().join("\n"))?;
    Ok(ExitCode::SUCCESS)
}

fn head(summary: &Summary, resolved: &Resolved) -> Vec<String> {
    let mut lines = vec![format!("plan   {} ({})", summary.file, summary.format)];
    let made: Vec<&str> = [&summary.method, &summary.tool]
        .map(String::as_str)
        .into_iter()
        .filter(|text| !text.is_empty())
        .collect();
    if !made.is_empty() {
        lines.push(format!("made   {}", made.join(", ")));
    }
    match &resolved.model {
        Ok(model) => {
            lines.push(format!("model  {}", model.name));
            lines.extend(model.assumed.iter().map(|why| format!("       {why}")));
        }
        Err(why) => lines.push(format!("model  unknown: {why}")),
    }
    if let Some(fitted) = &summary.fitted {
        lines.extend(of_fitted(summary, fitted));
    }
    let share = summary.skipped_steps as f64 / summary.steps as f64 * 100.0;
    let quantile =
        summary.quantile(Kind::TRUNK.as_str()).map_or_else(String::new, |q| format!(", quantile {q}"));
    lines.push(format!(
        "steps  {}, {} skipped ({share:.0} %){quantile}",
        summary.steps, summary.skipped_steps
    ));
    if !summary.skip_runs.is_empty() {
        let runs = summary.skip_runs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        lines.push(format!(
            "       in runs of {runs}; gate on the {}, {}",
            summary.gate_site, summary.gate_rule
        ));
    }
    lines
}

/// The lines of a plan with times or weights of its own.
fn of_fitted(summary: &Summary, fitted: &Fitted) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(FitRecord { target, target_steps, fitted_on, chosen_on, .. }) = &fitted.fit {
        let target = match target {
            Target::Own => "the full run",
            Target::Converged => "the converged trajectory",
        };
        lines.push(format!(
            "fitted {target} of {target_steps} steps, on {fitted_on} conditions, chosen on {chosen_on} others"
        ));
    }
    if !fitted.times.is_empty() {
        lines.push(format!(
            "       {} steps at times of its own instead of {}",
            summary.steps, summary.full_steps
        ));
    }
    for step in 0..summary.steps {
        let number = |weight: &f64| format!("{weight:8.4}");
        let time = fitted.times.get(step).map_or_else(String::new, |time| format!("{time:9.3}"));
        let Some(row) = fitted.weights.get(step) else { continue };
        let kept: String = row.kept.iter().map(number).collect();
        let sample = if row.sample == 0.0 { String::new() } else { format!("  sample {:.4}", row.sample) };
        let left = fitted.fit.as_ref().and_then(|fit| fit.residuals.get(step));
        let left = left.map_or_else(String::new, |left| format!("  leaves {left:.5}"));
        lines.push(format!("       {step:3}{time}{kept}{sample}{left}"));
    }
    lines
}

fn kinds(summary: &Summary, resolved: &Resolved) -> Vec<String> {
    let width = summary.kinds.keys().map(String::len).max().unwrap_or(0).max(4);
    let title =
        format!("{:width$}  layers   reused in computed steps   marked           quantile   rule", "kind");
    let row = |name: &str| {
        let kind = &summary.kinds[name];
        // Rounds halves up, as `plan lint` does.
        let permille = |part: usize| (part * 1000 + kind.entries / 2) / kind.entries.max(1);
        let percent = |part: usize| format!("({}.{} %)", permille(part) / 10, permille(part) % 10);
        format!(
            "{name:width$}  {:6}   {:5} of {:5} {:9}   {:5} {:8}   {:8}   {}",
            kind.layers,
            kind.reused,
            kind.entries,
            percent(kind.reused),
            kind.marked,
            percent(kind.marked),
            summary.quantile(name).map_or_else(|| "-".into(), |quantile| quantile.to_string()),
            kind.rule,
        )
    };
    let rows = super::draw::kinds(&resolved.plan).into_iter().map(|kind| row(kind.as_str()));
    std::iter::once(title).chain(rows).chain(std::iter::once(String::new())).collect()
}

fn speedups(summary: &Summary) -> Vec<String> {
    let numbers = (summary.gate_speedup, summary.speedup, summary.compute_fraction, summary.peak_cache_bytes);
    let (Some(gate), Some(all), Some(fraction), Some(peak)) = numbers else {
        return vec!["predicted speed-up  unknown without the model's shapes".into()];
    };
    let percent = fraction * 100.0;
    let rows = if summary.guided { "both rows of guidance" } else { "one row" };
    let mut lines = vec![
        format!(
            "predicted speed-up  {gate:.2}x from the gate alone, {all:.2}x in all ({percent:.1} % of the FLOPs)"
        ),
        format!(
            "peak cache          {} per image ({rows}, {} bytes per element)",
            bytes(peak),
            summary.element_bytes
        ),
    ];
    lines.extend(summary.split_projection.map(|split| {
        format!(
            "split projection    {:.2}x from the gate alone, {:.2}x in all ({:.1} % of the FLOPs), peak cache {}",
            split.gate_speedup,
            split.speedup,
            split.compute_fraction * 100.0,
            bytes(split.peak_cache_bytes),
        )
    }));
    lines.push(format!("fingerprint         {}", summary.fingerprint));
    lines
}
