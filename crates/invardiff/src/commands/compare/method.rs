//! Which methods are compared, and at which settings: `fora=2,3,4`, `dpm-solver++/25+teacache=0.2,0.4`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::ValueEnum;
use invardiff_plan::Kind;

use crate::SamplerKind;

/// The solver that a method sits on, and its steps; `None` for those of the full run.
pub(super) type Base = Option<(SamplerKind, usize)>;

/// One line of the comparison.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Method {
    /// What the method sits on.
    pub(super) base: Base,
    /// What it does.
    pub(super) family: Family,
    /// Its settings, a point each.
    pub(super) values: Vec<f64>,
}

/// What a method does, apart from the one number that says how much.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Family {
    /// Nothing but fewer steps of a solver.
    FewerSteps(SamplerKind),
    /// Steps skipped evenly, the last hidden state held.
    Uniform,
    /// Steps skipped evenly, the output extrapolated.
    Extrapolated,
    /// The paper's rule by the quantile of its step gate, modules as in its fast setting.
    Paper(Check),
    /// Its step gate alone, or its modules alone, by their quantile.
    PaperPart(Part),
    /// The paper's fast setting from this many runs.
    PaperRuns,
    /// The plan of least error by its computed steps.
    LeastError,
    /// FORA by its interval.
    Fora,
    /// SmoothCache by its threshold.
    SmoothCache,
    /// TaylorSeer of an order, by its interval.
    TaylorSeer(u8),
    /// TeaCache by its threshold.
    TeaCache,
    /// First-Block Cache or DBCache by its threshold.
    FirstBlocks {
        /// Blocks that are always computed at the start.
        first: usize,
        /// And at the end.
        last: usize,
    },
    /// MagCache by its threshold.
    MagCache,
    /// Plans from files, by their place in the list.
    Files {
        /// What they are called together.
        name: String,
        /// The files.
        paths: Vec<PathBuf>,
    },
}

/// How the paper's rule is calibrated; the checks that the paper makes of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Check {
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

/// Which part of the paper's rule acts.
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
    fn parse(text: &str) -> Option<Self> {
        let paper = |rest: &str| match rest {
            "phase1" => Some(Self::Paper(Check::OnePhase)),
            "unguided" => Some(Self::Paper(Check::Unguided)),
            "flux-rules" => Some(Self::Paper(Check::FluxRules)),
            "wan-rules" => Some(Self::Paper(Check::WanRules)),
            "gate" => Some(Self::PaperPart(Part::Gate)),
            "modules" => Some(Self::PaperPart(Part::Modules)),
            "runs" => Some(Self::PaperRuns),
            kind => Kind::parse(kind).ok().map(|kind| Self::PaperPart(Part::Kind(kind))),
        };
        match text {
            "uniform" => Some(Self::Uniform),
            "extrapolated" => Some(Self::Extrapolated),
            "paper" => Some(Self::Paper(Check::Published)),
            "least-error" => Some(Self::LeastError),
            "fora" => Some(Self::Fora),
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
                SamplerKind::from_str(text, false).ok().map(Self::FewerSteps)
            }
        }
    }

    /// What the number of a setting is called.
    pub(super) const fn knob(&self) -> &'static str {
        match self {
            Self::FewerSteps(_) | Self::Uniform | Self::Extrapolated | Self::LeastError => "steps",
            Self::Paper(_) => "step quantile",
            Self::PaperPart(_) => "quantile",
            Self::PaperRuns => "runs",
            Self::Fora | Self::TaylorSeer(_) => "interval",
            Self::SmoothCache => "alpha",
            Self::TeaCache | Self::FirstBlocks { .. } | Self::MagCache => "threshold",
            Self::Files { .. } => "file",
        }
    }

    /// Whether settings are whole numbers from 1 on.
    const fn counts(&self) -> bool {
        match self {
            Self::FewerSteps(_)
            | Self::Uniform
            | Self::Extrapolated
            | Self::LeastError
            | Self::PaperRuns
            | Self::Fora
            | Self::Files { .. }
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
            Self::Uniform => "steps skipped evenly, the hidden state after the last block held".into(),
            Self::Extrapolated => {
                "steps skipped evenly, the network's output extrapolated as clean sample".into()
            }
            Self::Paper(Check::Published) => {
                "step gate by its quantile, modules as in the fast setting, in two phases".into()
            }
            Self::Paper(Check::OnePhase) => "the same without the second phase".into(),
            Self::Paper(Check::Unguided) => "the same, measured on the conditional half alone".into(),
            Self::Paper(Check::FluxRules) => {
                "the same with the boundary rules of the authors' FLUX script".into()
            }
            Self::Paper(Check::WanRules) => {
                "the same with the boundary rules of the authors' Wan script".into()
            }
            Self::PaperPart(Part::Gate) => "its step gate alone, no module reused".into(),
            Self::PaperPart(Part::Modules) => "its modules alone, no step skipped".into(),
            Self::PaperPart(Part::Kind(kind)) => format!("{kind} modules alone, no step skipped"),
            Self::PaperRuns => "its fast setting from this many calibration runs".into(),
            Self::LeastError => "skips by their measured error, the output extrapolated".into(),
            Self::Fora => "all modules reused except at each n-th step".into(),
            Self::SmoothCache => "kinds of modules reused while their measured error is below alpha".into(),
            Self::TaylorSeer(order) => {
                format!("all modules forecast by a series of order {order} between computed steps")
            }
            Self::TeaCache => "all blocks skipped by the change of the first one's modulated input".into(),
            Self::FirstBlocks { first: 1, last: 0 } => {
                "all blocks but the first skipped by its change".into()
            }
            Self::FirstBlocks { first, last } => {
                format!("all but the first {first} and last {last} blocks skipped by the first ones' change")
            }
            Self::MagCache => "all blocks skipped by measured magnitude ratios".into(),
            Self::Files { .. } => "plans from files, with what was trained for them".into(),
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FewerSteps(sampler) => write!(f, "{}", sampler_name(*sampler)),
            Self::Uniform => write!(f, "uniform"),
            Self::Extrapolated => write!(f, "extrapolated"),
            Self::Paper(Check::Published) => write!(f, "paper"),
            Self::Paper(Check::OnePhase) => write!(f, "paper-phase1"),
            Self::Paper(Check::Unguided) => write!(f, "paper-unguided"),
            Self::Paper(Check::FluxRules) => write!(f, "paper-flux-rules"),
            Self::Paper(Check::WanRules) => write!(f, "paper-wan-rules"),
            Self::PaperPart(Part::Gate) => write!(f, "paper-gate"),
            Self::PaperPart(Part::Modules) => write!(f, "paper-modules"),
            Self::PaperPart(Part::Kind(kind)) => write!(f, "paper-{kind}"),
            Self::PaperRuns => write!(f, "paper-runs"),
            Self::LeastError => write!(f, "least-error"),
            Self::Fora => write!(f, "fora"),
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

impl Method {
    /// Its name in tables and charts.
    pub(super) fn name(&self) -> String {
        match self.base {
            None => self.family.to_string(),
            Some((sampler, steps)) => format!("{} {steps} + {}", sampler_name(sampler), self.family),
        }
    }

    /// A setting as text.
    pub(super) fn setting(&self, value: f64) -> String {
        match &self.family {
            Family::Files { paths, .. } => {
                let stem = paths.get(value as usize - 1).and_then(|path| path.file_stem());
                stem.map_or_else(String::new, |stem| stem.to_string_lossy().into_owned())
            }
            family => format!("{} {value}", family.knob()),
        }
    }
}

impl FromStr for Method {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (what, values) = text.split_once('=').ok_or("expected METHOD=V,V,..")?;
        let (base, name) = match what.split_once('/') {
            None => (None, what),
            Some((sampler, rest)) => {
                let (steps, name) = rest.split_once('+').ok_or("expected SAMPLER/STEPS+METHOD=V,V,..")?;
                let sampler = SamplerKind::from_str(sampler, false)?;
                let steps = steps.parse().map_err(|_| format!("'{steps}' is no number of steps"))?;
                (Some((sampler, steps)), name)
            }
        };
        if let Some(name) = name.strip_prefix("plans-").filter(|name| !name.is_empty()) {
            let paths: Vec<PathBuf> = values.split(',').map(|path| Path::new(path).into()).collect();
            let values = (1..=paths.len()).map(|place| place as f64).collect();
            return Ok(Self { base, family: Family::Files { name: name.to_owned(), paths }, values });
        }
        let family = Family::parse(name).ok_or_else(|| format!("there is no method '{name}'"))?;
        let value = |text: &str| -> Result<f64, String> {
            let value: f64 = text.trim().parse().map_err(|_| format!("'{text}' is no number"))?;
            let fits = value.is_finite()
                && value >= 0.0
                && (!family.counts() || (value >= 1.0 && value.fract() == 0.0));
            fits.then_some(value).ok_or_else(|| {
                let kind = if family.counts() { "a whole number from 1 on" } else { "a number from 0 on" };
                format!("the {} of {family} is {text}, expected {kind}", family.knob())
            })
        };
        let values = values.split(',').map(value).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { base, family, values })
    }
}

/// A solver's name on the command line.
fn sampler_name(sampler: SamplerKind) -> String {
    sampler.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_read_and_named() {
        for text in [
            "ddim=25,10",
            "dpm-solver++=20",
            "uniform=9",
            "extrapolated=9",
            "paper=0.63",
            "paper-phase1=0.5",
            "paper-unguided=0.5",
            "paper-flux-rules=0.5",
            "paper-wan-rules=0.5",
            "paper-gate=0.63",
            "paper-modules=0.22",
            "paper-msa=0.3",
            "paper-runs=1,32",
            "least-error=19",
            "fora=3",
            "smoothcache=0.08",
            "taylorseer-2=4",
            "teacache=0.25",
            "first-block=0.1",
            "dbcache-2-1=0.1",
            "magcache=0.24",
        ] {
            let method: Method = text.parse().unwrap();
            assert_eq!(method.base, None);
            assert_eq!(format!("{}={}", method.name(), text.split_once('=').unwrap().1), text);
            assert!(!method.family.description().is_empty());
        }
        let both: Method = "dpm-solver++/25+dbcache-1-0=0.1,0.2".parse().unwrap();
        assert_eq!(both.base, Some((SamplerKind::DpmSolverPlusPlus, 25)));
        assert_eq!(both.name(), "dpm-solver++ 25 + first-block");
        assert_eq!(both.values, [0.1, 0.2]);
        assert_eq!(both.setting(0.2), "threshold 0.2");
        let files: Method = "plans-l2c=out/weak.json,strong.json".parse().unwrap();
        assert_eq!((files.name().as_str(), files.values.len()), ("l2c", 2));
        assert_eq!((files.setting(1.0).as_str(), files.setting(2.0).as_str()), ("weak", "strong"));
    }

    #[test]
    fn what_is_no_method_is_said() {
        let message = |text: &str| text.parse::<Method>().unwrap_err();
        assert!(message("fora").contains("METHOD=V"));
        assert!(message("fora=2.5").contains("interval of fora is 2.5, expected a whole number"));
        assert!(message("teacache=-1").contains("expected a number from 0 on"));
        assert!(message("teacache=x").contains("'x' is no number"));
        assert!(message("foo bar=1").contains("no method 'foo bar'"));
        assert!(message("ddim/x+fora=2").contains("'x' is no number of steps"));
        assert!(message("euler/20+fora=2").contains("euler"));
    }
}
