//! The methods that can be compared, by name.

use std::fmt;
use std::path::PathBuf;

use invardiff::SamplerKind;
use invardiff_plan::Kind;
use invardiff_plan::core::Target;

/// A method without its setting (the one number that is varied).
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Family {
    /// Fewer steps of a solver.
    FewerSteps(SamplerKind),
    /// Fewer steps of a solver, at the times that suit it best in replays.
    Times(SamplerKind),
    /// Steps skipped at random, the last hidden state held.
    Random,
    /// Steps skipped evenly, the last hidden state held.
    Uniform,
    /// Steps skipped evenly, the output extrapolated.
    Extrapolated,
    /// The paper's rule by the quantile of its step gate, modules as in its fast setting.
    Paper(PaperVariant),
    /// Its step gate alone, or its modules alone, by their quantile.
    PaperPart(Part),
    /// The paper's fast setting, calibrated on this many runs.
    PaperRuns,
    /// The plan of least error by its computed steps.
    LeastError,
    /// The plan fitted towards a target, by its evaluations.
    Fitted(Target),
    /// FORA by its interval.
    Fora,
    /// SmoothCache by its threshold.
    SmoothCache,
    /// TaylorSeer of an order, by its interval.
    TaylorSeer(u8),
    /// Spectrum by its interval.
    Spectrum,
    /// TeaCache by its threshold.
    TeaCache,
    /// First-Block Cache or DBCache by its threshold.
    FirstBlocks {
        /// Blocks that are always computed at the start.
        first: usize,
        /// Blocks that are always computed at the end.
        last: usize,
    },
    /// MagCache by its threshold.
    MagCache,
    /// Plans from files, by their place in the list.
    Files {
        /// Their common name.
        name: String,
        /// The files.
        paths: Vec<PathBuf>,
    },
}

/// Variants of the calibration of the paper's rule, for the paper's own checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum PaperVariant {
    /// As published, with guidance.
    Published,
    /// Without its second phase.
    OnePhase,
    /// On the conditional half alone, as the authors' DiT script does.
    Unguided,
    /// With the boundary rules of the authors' FLUX script.
    FluxRules,
    /// With those of their Wan script.
    WanRules,
}

/// Which part of the paper's rule is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The step gate.
    Gate,
    /// All kinds of modules.
    Modules,
    /// One kind of modules.
    Kind(Kind),
}

impl Family {
    /// The name without a setting, as it is parsed.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let paper = |rest: &str| match rest {
            "phase1" => Some(Self::Paper(PaperVariant::OnePhase)),
            "unguided" => Some(Self::Paper(PaperVariant::Unguided)),
            "flux-rules" => Some(Self::Paper(PaperVariant::FluxRules)),
            "wan-rules" => Some(Self::Paper(PaperVariant::WanRules)),
            "gate" => Some(Self::PaperPart(Part::Gate)),
            "modules" => Some(Self::PaperPart(Part::Modules)),
            "runs" => Some(Self::PaperRuns),
            kind => Kind::parse(kind).ok().map(|kind| Self::PaperPart(Part::Kind(kind))),
        };
        match text {
            "random" => Some(Self::Random),
            "uniform" => Some(Self::Uniform),
            "extrapolated" => Some(Self::Extrapolated),
            "paper" => Some(Self::Paper(PaperVariant::Published)),
            "least-error" => Some(Self::LeastError),
            "fitted" => Some(Self::Fitted(Target::Converged)),
            "fitted-own" => Some(Self::Fitted(Target::Own)),
            "fora" => Some(Self::Fora),
            "spectrum" => Some(Self::Spectrum),
            "smoothcache" => Some(Self::SmoothCache),
            "teacache" => Some(Self::TeaCache),
            "first-block" => Some(Self::FirstBlocks { first: 1, last: 0 }),
            "magcache" => Some(Self::MagCache),
            _ => {
                if let Some(rest) = text.strip_prefix("paper-") {
                    return paper(rest);
                }
                if let Some(order) = text.strip_prefix("taylorseer-") {
                    return order.parse().ok().map(Self::TaylorSeer);
                }
                if let Some((first, last)) =
                    text.strip_prefix("dbcache-").and_then(|rest| rest.split_once('-'))
                {
                    return Some(Self::FirstBlocks { first: first.parse().ok()?, last: last.parse().ok()? });
                }
                let solver = |text: &str| text.parse::<SamplerKind>().ok();
                match text.strip_suffix("-times") {
                    Some(name) => solver(name).map(Self::Times),
                    None => solver(text).map(Self::FewerSteps),
                }
            }
        }
    }

    /// The name of the setting's number.
    pub(super) const fn knob(&self) -> &'static str {
        match self {
            Self::FewerSteps(_)
            | Self::Times(_)
            | Self::Random
            | Self::Uniform
            | Self::Extrapolated
            | Self::Fitted(_)
            | Self::LeastError => "steps",
            Self::Paper(_) => "step quantile",
            Self::PaperPart(_) => "quantile",
            Self::PaperRuns => "runs",
            Self::Fora | Self::TaylorSeer(_) | Self::Spectrum => "interval",
            Self::SmoothCache => "alpha",
            Self::TeaCache | Self::FirstBlocks { .. } | Self::MagCache => "threshold",
            Self::Files { .. } => "file",
        }
    }

    /// Whether settings are integers, at least 1.
    pub(super) const fn counts(&self) -> bool {
        match self {
            Self::FewerSteps(_)
            | Self::Times(_)
            | Self::Random
            | Self::Uniform
            | Self::Extrapolated
            | Self::LeastError
            | Self::Fitted(_)
            | Self::PaperRuns
            | Self::Fora
            | Self::Files { .. }
            | Self::Spectrum
            | Self::TaylorSeer(_) => true,
            Self::Paper(_)
            | Self::PaperPart(_)
            | Self::SmoothCache
            | Self::TeaCache
            | Self::FirstBlocks { .. }
            | Self::MagCache => false,
        }
    }

    /// What it does, in a sentence.
    pub(super) fn description(&self) -> String {
        match self {
            Self::FewerSteps(_) => "no cache, fewer steps".into(),
            Self::Times(_) => {
                "no cache, fewer steps, at the times that suit the solver best in replays".into()
            }
            Self::Random => "steps skipped at random, the hidden state after the last block held".into(),
            Self::Uniform => "steps skipped evenly, the hidden state after the last block held".into(),
            Self::Extrapolated => {
                "steps skipped evenly, the network's output extrapolated as clean sample".into()
            }
            Self::Paper(PaperVariant::Published) => {
                "step gate by its quantile, modules as in the fast setting, in two phases".into()
            }
            Self::Paper(PaperVariant::OnePhase) => "the same without the second phase".into(),
            Self::Paper(PaperVariant::Unguided) => "the same, measured on the conditional half alone".into(),
            Self::Paper(PaperVariant::FluxRules) => {
                "the same with the boundary rules of the authors' FLUX script".into()
            }
            Self::Paper(PaperVariant::WanRules) => {
                "the same with the boundary rules of the authors' Wan script".into()
            }
            Self::PaperPart(Part::Gate) => "its step gate alone, no module reused".into(),
            Self::PaperPart(Part::Modules) => "its modules alone, no step skipped".into(),
            Self::PaperPart(Part::Kind(kind)) => format!("{kind} modules alone, no step skipped"),
            Self::PaperRuns => "its fast setting from this many calibration runs".into(),
            Self::Fitted(Target::Converged) => {
                "times and weights fitted in closed form towards the converged trajectory".into()
            }
            Self::Fitted(Target::Own) => "the same towards the full run".into(),
            Self::LeastError => {
                "skips chosen by measured error; reuses the site with the least error in replays".into()
            }
            Self::Fora => "all modules reused except at each n-th step".into(),
            Self::SmoothCache => "kinds of modules reused while their measured error is below alpha".into(),
            Self::TaylorSeer(order) => {
                format!("all modules forecast by a series of order {order} between computed steps")
            }
            Self::Spectrum => {
                "steps skipped evenly, the hidden state after the last block forecast by a Chebyshev series"
                    .into()
            }
            Self::TeaCache => "all blocks skipped by the change of the first one's modulated input".into(),
            Self::FirstBlocks { first: 1, last: 0 } => {
                "all blocks but the first skipped by its change".into()
            }
            Self::FirstBlocks { first, last } => {
                format!("all but the first {first} and last {last} blocks skipped by the first ones' change")
            }
            Self::MagCache => "all blocks skipped by measured magnitude ratios".into(),
            Self::Files { .. } => "plans from files, with the vectors trained for them".into(),
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FewerSteps(sampler) => write!(f, "{}", sampler_name(*sampler)),
            Self::Times(sampler) => write!(f, "{}-times", sampler_name(*sampler)),
            Self::Random => write!(f, "random"),
            Self::Uniform => write!(f, "uniform"),
            Self::Extrapolated => write!(f, "extrapolated"),
            Self::Paper(PaperVariant::Published) => write!(f, "paper"),
            Self::Paper(PaperVariant::OnePhase) => write!(f, "paper-phase1"),
            Self::Paper(PaperVariant::Unguided) => write!(f, "paper-unguided"),
            Self::Paper(PaperVariant::FluxRules) => write!(f, "paper-flux-rules"),
            Self::Paper(PaperVariant::WanRules) => write!(f, "paper-wan-rules"),
            Self::PaperPart(Part::Gate) => write!(f, "paper-gate"),
            Self::PaperPart(Part::Modules) => write!(f, "paper-modules"),
            Self::PaperPart(Part::Kind(kind)) => write!(f, "paper-{kind}"),
            Self::PaperRuns => write!(f, "paper-runs"),
            Self::LeastError => write!(f, "least-error"),
            Self::Fitted(Target::Converged) => write!(f, "fitted"),
            Self::Fitted(Target::Own) => write!(f, "fitted-own"),
            Self::Fora => write!(f, "fora"),
            Self::Spectrum => write!(f, "spectrum"),
            Self::SmoothCache => write!(f, "smoothcache"),
            Self::TaylorSeer(order) => write!(f, "taylorseer-{order}"),
            Self::TeaCache => write!(f, "teacache"),
            Self::FirstBlocks { first: 1, last: 0 } => write!(f, "first-block"),
            Self::FirstBlocks { first, last } => write!(f, "dbcache-{first}-{last}"),
            Self::MagCache => write!(f, "magcache"),
            Self::Files { name, .. } => write!(f, "{name}"),
        }
    }
}

/// A solver's name on the command line.
pub(super) fn sampler_name(sampler: SamplerKind) -> String {
    sampler.name().to_owned()
}
