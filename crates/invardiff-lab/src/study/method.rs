//! Which methods are compared, and at which settings: `fora=2,3,4`, `dpm-solver++/25+teacache=0.2,0.4`.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use invardiff::SamplerKind;

use super::family::{Family, sampler_name};

/// The solver that a method runs on, and its steps; `None` for those of the full run.
pub(super) type Base = Option<(SamplerKind, usize)>;

/// One line of the comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Method {
    /// The solver that the method runs on.
    pub(super) base: Base,
    /// The method.
    pub(super) family: Family,
    /// Its settings; each is a point of the line.
    pub(super) values: Vec<f64>,
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
                paths.get(value as usize - 1).map_or_else(String::new, |path| short(path, paths))
            }
            family => format!("{} {value}", family.knob()),
        }
    }
}

/// A file's name without its ending; with its folder where another file has that name too.
fn short(path: &Path, all: &[PathBuf]) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let alike = all.iter().filter(|other| other.file_stem() == path.file_stem()).count();
    match path.parent().and_then(Path::file_name) {
        Some(folder) if alike > 1 => format!("{}/{stem}", folder.to_string_lossy()),
        Some(_) | None => stem.into_owned(),
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
                let sampler = sampler.parse::<SamplerKind>()?;
                let steps = steps.parse().map_err(|_| format!("'{steps}' is not a number of steps"))?;
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
            let value: f64 = text.trim().parse().map_err(|_| format!("'{text}' is not a number"))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_read_and_named() {
        for text in [
            "ddim=25,10",
            "dpm-solver++=20",
            "ddim-times=9",
            "flow-match-euler-times=9",
            "random=9",
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
            "fitted=19,10",
            "fitted-own=19",
            "unipc=10",
            "unipc-3=10",
            "unipc-3-times=10",
            "fora=3",
            "spectrum=3",
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
        let files: Method = "plans-l2c=out/weak/plan.json,strong/plan.json".parse().unwrap();
        assert_eq!((files.setting(1.0).as_str(), files.setting(2.0).as_str()), ("weak/plan", "strong/plan"));
    }

    #[test]
    fn what_is_no_method_is_said() {
        let message = |text: &str| text.parse::<Method>().unwrap_err();
        assert!(message("fora").contains("METHOD=V"));
        assert!(message("fora=2.5").contains("interval of fora is 2.5, expected a whole number"));
        assert!(message("teacache=-1").contains("expected a number from 0 on"));
        assert!(message("teacache=x").contains("'x' is not a number"));
        assert!(message("foo bar=1").contains("no method 'foo bar'"));
        assert!(message("ddim/x+fora=2").contains("'x' is not a number of steps"));
        assert!(message("euler/20+fora=2").contains("euler"));
    }
}
