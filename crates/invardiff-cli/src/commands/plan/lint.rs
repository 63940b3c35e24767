//! `invardiff plan lint`.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::stdout::say;
use anyhow::Result;
use invardiff_plan::formats::PlanFile;
use invardiff_plan::lint::{Finding, Severity, lint, lint_book};
use serde_json::{Value, json};

use super::{PlanSource, model};

const HELP: &str = "\
Examples:
  invardiff plan lint out/fashion/plan.json
  invardiff plan lint cache_books_stp50_n0.0_sth0.63_msa0.22_mlp0.22.json --json

Lists kinds of modules that are never reused, how many reuses warm-up, skipped steps and the steps after them remove, kinds
that only repeat the step gate, and entries that cannot run. The exit code is 1 if the plan cannot run, 0 otherwise.

--json prints one object: file, model, errors, warnings, notes (counts), findings (severity, text, finding and its
numbers).";

/// List entries of a plan that have no effect or are likely mistakes
#[derive(Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub(super) struct Args {
    /// The plan
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The model that the plan is for, by name or path
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// Print one JSON object instead of lines
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let source = PlanSource::read(&args.file)?;
    let resolved = model::resolve(&source, args.model.as_deref())?;
    let mut findings = lint(&resolved.plan, &resolved.topology());
    if let PlanFile::Book(book, _) = source.file() {
        findings.extend(lint_book(book));
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity()));
    }
    let count = |severity| findings.iter().filter(|finding| finding.severity() == severity).count();
    let [errors, warnings, notes] = [Severity::Error, Severity::Warning, Severity::Note].map(count);
    if args.json {
        let object = json!({
            "file": args.file.display().to_string(),
            "model": resolved.model.as_ref().ok().map(|model| &model.name),
            "errors": errors,
            "warnings": warnings,
            "notes": notes,
            "findings": findings.iter().map(entry).collect::<Result<Vec<_>>>()?,
        });
        say(format_args!("{object:#}"))?;
    } else {
        for finding in &findings {
            say(format_args!("{:7}  {finding}", name(finding.severity())))?;
        }
        say(format_args!("{}: {errors} errors, {warnings} warnings, {notes} notes", args.file.display()))?;
    }
    Ok(if errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn entry(finding: &Finding) -> Result<Value> {
    let mut value = serde_json::to_value(finding)?;
    value["severity"] = json!(finding.severity());
    value["text"] = json!(finding.to_string());
    Ok(value)
}

const fn name(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}
