//! Findings about a plan, and their severity.

use std::fmt;

use serde::Serialize;

use crate::core::{Kind, Site};

/// The severity of a [`Finding`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// A remark.
    Note,
    /// Probably a mistake.
    Warning,
    /// The plan cannot run.
    Error,
}

/// A finding about a plan. An entry is one site in one step; it is *marked* where the matrix has reuse, and *effective* where
/// it is marked in a step that is not skipped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "finding", rename_all = "snake_case")]
pub enum Finding {
    /// The plan is for other sites than the model has.
    Sites {
        /// The first difference.
        detail: String,
    },
    /// A site is reused before it is computed.
    ReuseBeforeCompute {
        /// The site.
        site: Site,
        /// The first such step.
        step: usize,
        /// How many entries of the site do so.
        entries: usize,
    },
    /// Modules are reused in a step that follows a skipped one: their features are older than the skip. The authors' plans
    /// never do this.
    ReuseAfterSkip {
        /// The kind.
        kind: Kind,
        /// The first such step.
        step: usize,
        /// How many entries do so.
        entries: usize,
    },
    /// The last step is skipped or reuses modules; no later step can correct the error.
    ReuseInLastStep {
        /// The kind, or the trunk where the step is skipped.
        kind: Kind,
        /// How many sites do so.
        entries: usize,
    },
    /// The plan skips and reuses nothing.
    ComputesEverything,
    /// No entry of a kind is marked.
    NeverFires {
        /// The kind.
        kind: Kind,
    },
    /// A kind is marked in skipped steps only, where marks have no effect.
    StepOnly {
        /// The kind.
        kind: Kind,
        /// Steps in which it is marked.
        marked_steps: usize,
        /// All steps.
        steps: usize,
    },
    /// Marked entries that lie in skipped steps.
    Wasted {
        /// The kind.
        kind: Kind,
        /// Marked entries.
        marked: usize,
        /// Effective entries.
        effective: usize,
        /// All entries.
        entries: usize,
    },
    /// Fewer entries of a kind are effective than the quantile of its threshold asks for.
    QuantileUnspent {
        /// The kind.
        kind: Kind,
        /// The quantile, in tenths of a percent.
        asked_permille: usize,
        /// Effective entries, in tenths of a percent of all.
        effective_permille: usize,
    },
    /// Layers that are never reused although others of their kind are.
    DeadLayers {
        /// The kind.
        kind: Kind,
        /// The layers.
        layers: Vec<u32>,
    },
    /// The number of steps in which modules can be reused, after all guards.
    Guards {
        /// All steps.
        steps: usize,
        /// Skipped steps.
        skipped: usize,
        /// Computed steps of the warm-up and the last step.
        ends: usize,
        /// Other computed steps that follow a skipped one.
        after_skip: usize,
    },
    /// The longest run of skipped steps.
    LongestSkip {
        /// Its first step.
        first: usize,
        /// Its length.
        length: usize,
    },
    /// The oldest feature that a module reuses.
    LongestReuse {
        /// The site.
        site: Site,
        /// The step that reuses it.
        step: usize,
        /// Steps since it was computed.
        age: usize,
    },
    /// A rule for a kind that the plan does not have.
    IdleRule {
        /// The kind.
        kind: Kind,
    },
    /// The rule of a site is weights, and the plan lists none for it.
    NoWeights {
        /// The site.
        site: Site,
    },
    /// The weights of a step are so large that they magnify the errors of what they sum.
    Magnifies {
        /// The site.
        site: Site,
        /// The step where they do so most.
        step: usize,
        /// The sum of the weights' magnitudes there, in thousandths.
        permille: usize,
    },
    /// The plan has times of its own.
    OwnTimes {
        /// Its steps.
        steps: usize,
        /// Steps of the run that it stands for.
        instead_of: usize,
    },
    /// The plan says that it stands for a run of another number of steps than the one that it was made for.
    InsteadOf {
        /// Steps of the run that it stands for.
        instead_of: usize,
        /// Steps of the run that it was made for.
        made_for: usize,
    },
    /// Two streams of one site disagree: the site is computed, and the mark of one stream has no effect.
    StreamsDisagree {
        /// The stream that is marked.
        marked: Kind,
        /// The stream that is not.
        unmarked: Kind,
        /// The number of such entries outside of skipped steps.
        entries: usize,
    },
}

impl Finding {
    /// The severity of the finding.
    pub const fn severity(&self) -> Severity {
        match self {
            Self::Sites { .. } | Self::ReuseBeforeCompute { .. } | Self::NoWeights { .. } => Severity::Error,
            Self::ReuseAfterSkip { .. }
            | Self::ReuseInLastStep { .. }
            | Self::ComputesEverything
            | Self::NeverFires { .. }
            | Self::StepOnly { .. }
            | Self::IdleRule { .. }
            | Self::Magnifies { .. }
            | Self::InsteadOf { .. }
            | Self::StreamsDisagree { .. } => Severity::Warning,
            Self::Wasted { .. }
            | Self::QuantileUnspent { .. }
            | Self::DeadLayers { .. }
            | Self::Guards { .. }
            | Self::LongestSkip { .. }
            | Self::OwnTimes { .. }
            | Self::LongestReuse { .. } => Severity::Note,
        }
    }
}

/// Tenths of a percent as text, e.g. `12.5 %`.
fn percent(permille: usize) -> String {
    format!("{}.{} %", permille / 10, permille % 10)
}

/// Rounded tenths of a percent.
pub(super) fn permille(part: usize, whole: usize) -> usize {
    (part * 1000 + whole / 2) / whole.max(1)
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sites { detail } => write!(f, "{detail}"),
            Self::ReuseBeforeCompute { site, step, entries } => write!(
                f,
                "{site} is reused before it is computed, first at step {step} (entries: {entries}); this cannot run"
            ),
            Self::ReuseAfterSkip { kind, step, entries } => write!(
                f,
                "{kind} is reused right after a skipped step, first at step {step} (entries: {entries}): its features \
                 are older than the skip"
            ),
            Self::ReuseInLastStep { kind, entries } if *kind == Kind::TRUNK && *entries == 1 => {
                write!(f, "the last step is skipped: nothing comes after to mend its error")
            }
            Self::ReuseInLastStep { kind, entries } => {
                write!(
                    f,
                    "{kind} is reused in the last step ({entries} sites): nothing comes after to mend the error"
                )
            }
            Self::ComputesEverything => {
                write!(f, "the plan computes everything: it skips and reuses nothing")
            }
            Self::NeverFires { kind } => write!(f, "{kind} never fires: none of its entries is marked"),
            Self::StepOnly { kind, marked_steps, steps } => write!(
                f,
                "{kind} is step-only in disguise: marked in {marked_steps} of {steps} steps, all of them skipped, so it \
                 is never reused on its own"
            ),
            Self::Wasted { kind, marked, effective, entries } => write!(
                f,
                "{kind}: {marked} of {entries} entries are marked ({}), {} of them in skipped steps; {effective} ({}) \
                 reuse a module",
                percent(permille(*marked, *entries)),
                marked - effective,
                percent(permille(*effective, *entries)),
            ),
            Self::QuantileUnspent { kind, asked_permille, effective_permille } => write!(
                f,
                "{kind}: the threshold asked for {}, but {} of its entries reuse a module; warm-up, skipped steps and \
                 the steps after them took the rest",
                percent(*asked_permille),
                percent(*effective_permille),
            ),
            Self::DeadLayers { kind, layers } => {
                let layers: Vec<String> = layers.iter().map(ToString::to_string).collect();
                write!(f, "{kind}: these layers are never reused: {}", layers.join(", "))
            }
            Self::Guards { steps, skipped, ends, after_skip } => write!(
                f,
                "of {steps} steps {skipped} are skipped, {ends} are warm-up or last and {after_skip} follow a skip: \
                 modules can be reused in {}",
                steps - skipped - ends - after_skip,
            ),
            Self::LongestSkip { first, length } => {
                write!(f, "the longest run of skipped steps is {length}, from step {first}")
            }
            Self::LongestReuse { site, step, age } => {
                write!(
                    f,
                    "{}: the oldest feature reused is {age} steps old ({site} at step {step})",
                    site.kind
                )
            }
            Self::IdleRule { kind } => write!(f, "there is a rule for {kind}, which the plan does not have"),
            Self::NoWeights { site } => {
                write!(f, "the rule of {site} is weights, and the plan lists none for it; this cannot run")
            }
            Self::Magnifies { site, step, permille } => write!(
                f,
                "the weights of {site} at step {step} add up to {}.{:03} in magnitude: errors of what they sum are magnified",
                permille / 1000,
                permille % 1000
            ),
            Self::OwnTimes { steps, instead_of } => {
                write!(f, "the plan takes {steps} steps at times of its own instead of {instead_of}")
            }
            Self::InsteadOf { instead_of, made_for } => write!(
                f,
                "the plan says that it stands for {instead_of} steps, but the run that it was made for has {made_for}: shares \
                 of compute are told against the first"
            ),
            Self::StreamsDisagree { marked, unmarked, entries } => write!(
                f,
                "{marked} is marked in {entries} entries where {unmarked} is not; both stand at one site, which is \
                 then computed whole"
            ),
        }
    }
}
