//! `invardiff plan diff`.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::stdout::say;
use anyhow::Result;
use invardiff_plan::core::diff;
use serde_json::json;

use super::{PlanSource, model};

const HELP: &str = "\
Examples:
  invardiff plan diff out/fashion/plan.json other.json
  invardiff plan diff plan.bin cache_books_stp50_n0.0_sth0.63_msa0.22_mlp0.22.json --json

The exit code is 0 if both plans have the same effect, 1 if they differ. Entries in skipped steps have no effect and do not
count, nor does where a plan comes from.

--json prints one object: left, right, equal, steps (both, where they differ), skipped_left, skipped_right (steps that only
one of them skips), kinds (kind, entries reused only left and only right, steps), silent (entries that differ without
effect), sites_left, sites_right, rules.";

/// Compare two plans, of any formats
#[derive(Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub(super) struct Args {
    /// The first plan
    #[arg(value_name = "A")]
    left: PathBuf,
    /// The second plan
    #[arg(value_name = "B")]
    right: PathBuf,
    /// The model, for plans that do not list their layers (SmoothCache, masks)
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// Print one JSON object instead of lines
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let plan = |path: &PathBuf| -> Result<_> {
        Ok(model::resolve(&PlanSource::read(path)?, args.model.as_deref())?.plan)
    };
    let found = diff(&plan(&args.left)?, &plan(&args.right)?);
    if args.json {
        let mut object = serde_json::to_value(&found)?;
        object["left"] = json!(args.left.display().to_string());
        object["right"] = json!(args.right.display().to_string());
        object["equal"] = json!(found.is_empty());
        say(format_args!("{object:#}"))?;
    } else {
        say(found.to_string().trim_end())?;
    }
    Ok(if found.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
