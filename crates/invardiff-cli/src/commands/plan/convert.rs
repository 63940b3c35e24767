//! `invardiff plan convert`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::stdout::say;
use anyhow::{Context, Result, bail, ensure};
use invardiff::files;
use invardiff_plan::formats::{
    AuthorBook, BookLayout, BookVersion, MaskOnes, PlanFile, SmoothCache, StepMask,
};
use invardiff_plan::{CachePlan, Kind};
use serde_json::json;

use super::{PlanSource, model};

const HELP: &str = "\
Examples:
  invardiff plan convert cache_books_stp50_n0.0_sth0.63_msa0.22_mlp0.22.json plan.json
  invardiff plan convert plan.json plan.bin
  invardiff plan convert out/fashion/plan.json book.json --to authors-dit
  invardiff plan convert plan.json mask.txt --to mask --part gate
  invardiff plan convert smoothcache.json plan.json --model dit-xl-2-256
  invardiff plan convert golden.txt plan.json --from golden-path --model flux1-dev-1024
  invardiff plan convert plan.json cache.yaml --to cache-dit --part gate

A plan that a format cannot express is refused, not changed: a book holds values and nothing else, a SmoothCache schedule has no step
gate and treats all layers alike, a mask has no modules. --part gate and --part modules take one half of a plan first.

--json prints one object: in, out, to, part, bytes, steps, skipped_steps, reused_modules, fingerprint.";

/// Write a plan in another format
#[derive(Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub(super) struct Args {
    /// The plan
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// The file to write
    #[arg(value_name = "OUT")]
    output: PathBuf,
    /// The format; by default json or bin, by the extension of OUT
    #[arg(long, value_enum, value_name = "FORMAT")]
    to: Option<Format>,
    /// What a 1 in a mask of steps means, which its text does not say
    #[arg(long, value_enum, value_name = "MASK", default_value_t)]
    from: Mask,
    /// Which part of the plan to write
    #[arg(long, value_enum, default_value_t)]
    part: Part,
    /// The model, for plans that do not list their layers (SmoothCache, masks)
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// Print one JSON object instead of a line
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// This program's JSON
    Json,
    /// Our compact format, version 1
    Bin,
    /// The authors' DiT book, version 1
    AuthorsDit,
    /// The authors' FLUX book, version 1
    AuthorsFlux,
    /// The authors' Wan book, version 1
    AuthorsWan,
    /// The authors' book of version 2, laid out for the plan's kinds of modules
    AuthorsV2,
    /// A SmoothCache schedule
    #[value(name = "smoothcache")]
    SmoothCache,
    /// A mask of steps: 1 = compute
    Mask,
    /// A mask of steps as Golden Path writes it: packed, 1 = cached
    GoldenPath,
    /// A configuration of cache-dit (YAML) with a mask of steps: 1 = compute
    CacheDit,
}

/// What a 1 in a mask of steps means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Mask {
    /// The step is computed: cache-dit, SGLang, stable-diffusion.cpp
    #[default]
    Scm,
    /// The step is cached: Golden Path
    GoldenPath,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Everything
    #[default]
    All,
    /// The step gate, with no module reused
    Gate,
    /// The modules, with no step skipped
    Modules,
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let to = args.to.map_or_else(|| by_extension(&args.output), Ok)?;
    let source = match args.from {
        Mask::Scm => PlanSource::read(&args.input)?,
        Mask::GoldenPath => PlanSource::read_mask(&args.input, MaskOnes::Cached)?,
    };
    let whole = model::resolve(&source, args.model.as_deref())?.plan;
    let plan = match args.part {
        Part::All => whole,
        Part::Gate => whole.gate_alone(),
        Part::Modules => whole.modules_alone(),
    };
    let bytes = match same_book(&source, to, args.part) {
        Some(text) => text.into_bytes(),
        None => encode(&plan, to).with_context(|| args.input.display().to_string())?,
    };
    files::write(&args.output, &bytes)?;
    let fingerprint = plan.fingerprint()?;
    if args.json {
        let object = json!({
            "in": args.input.display().to_string(),
            "out": args.output.display().to_string(),
            "to": name(to),
            "part": name(args.part),
            "bytes": bytes.len(),
            "steps": plan.steps(),
            "skipped_steps": plan.skipped_steps(),
            "reused_modules": plan.reused_modules(),
            "fingerprint": fingerprint,
        });
        say(format_args!("{object:#}"))?;
    } else {
        say(format_args!(
            "{}: {}, {} bytes; {} of {} steps skipped, {} modules reused; fingerprint {}",
            args.output.display(),
            name(to),
            bytes.len(),
            plan.skipped_steps(),
            plan.steps(),
            plan.reused_modules(),
            &fingerprint[..12],
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The name of a value on the command line.
fn name(choice: impl clap::ValueEnum) -> String {
    choice.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

fn by_extension(path: &Path) -> Result<Format> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("json") => Ok(Format::Json),
        Some("bin") => Ok(Format::Bin),
        Some(_) | None => {
            bail!("{}: its extension is neither .json nor .bin; say with --to what to write", path.display())
        }
    }
}

/// A book written again in its own layout and version, with all its streams unchanged.
fn same_book(source: &PlanSource, to: Format, part: Part) -> Option<String> {
    match source.file() {
        PlanFile::Book(book, _) if part == Part::All => {
            let same = match to {
                Format::AuthorsDit => (book.layout(), book.version()) == (BookLayout::Dit, BookVersion::V1),
                Format::AuthorsFlux => (book.layout(), book.version()) == (BookLayout::Flux, BookVersion::V1),
                Format::AuthorsWan => (book.layout(), book.version()) == (BookLayout::Wan, BookVersion::V1),
                Format::AuthorsV2 => book.version() == BookVersion::V2,
                Format::Json
                | Format::Bin
                | Format::SmoothCache
                | Format::Mask
                | Format::GoldenPath
                | Format::CacheDit => false,
            };
            same.then(|| book.to_json())
        }
        PlanFile::Book(..)
        | PlanFile::Json(_)
        | PlanFile::Binary(_)
        | PlanFile::SmoothCache(_)
        | PlanFile::StepMask(_) => None,
    }
}

fn encode(plan: &CachePlan, to: Format) -> Result<Vec<u8>> {
    let book = |layout, version| Ok(AuthorBook::from_plan(plan, layout, version)?.to_json().into_bytes());
    match to {
        Format::Json => Ok(plan.to_json()?.into_bytes()),
        Format::Bin => Ok(plan.to_bytes()?),
        Format::AuthorsDit => book(BookLayout::Dit, BookVersion::V1),
        Format::AuthorsFlux => book(BookLayout::Flux, BookVersion::V1),
        Format::AuthorsWan => book(BookLayout::Wan, BookVersion::V1),
        Format::AuthorsV2 => book(layout(plan), BookVersion::V2),
        Format::SmoothCache => Ok(SmoothCache::from_plan(plan)?.to_json().into_bytes()),
        Format::Mask => Ok(format!("{}\n", mask(plan)?).into_bytes()),
        Format::GoldenPath => Ok(format!("{}\n", mask(plan)?.text(MaskOnes::Cached)).into_bytes()),
        Format::CacheDit => Ok(mask(plan)?.to_cache_dit().into_bytes()),
    }
}

/// The authors' layout with the plan's kinds of modules.
fn layout(plan: &CachePlan) -> BookLayout {
    let has = |kind: Kind| plan.sites().iter().any(|site| site.kind == kind);
    if has(Kind::MSA) {
        BookLayout::Dit
    } else if has(Kind::SINGLE_ATTN) {
        BookLayout::Flux
    } else {
        BookLayout::Wan
    }
}

fn mask(plan: &CachePlan) -> Result<StepMask> {
    ensure!(
        plan.grid().is_none() && plan.weights().is_empty(),
        "a mask of steps has neither times nor weights, and this plan has its own; write it as json or bin"
    );
    let reused = plan.reused_modules();
    ensure!(
        reused == 0,
        "a mask of steps has no modules, and the plan reuses {reused}; convert its gate alone (--part gate)"
    );
    let held = plan.gate_site() == invardiff_plan::GateSite::Trunk
        && plan.gate_rule() == invardiff_plan::ReuseRule::Hold;
    ensure!(
        held,
        "a mask of steps holds the value after the last block, and this plan's gate does otherwise; write it as json or bin"
    );
    Ok(StepMask::new(plan.gate().to_vec()))
}
