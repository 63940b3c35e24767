//! What the skips of a plan of least error stand in for, and the choice among such ways by replays.

use std::fmt;

use invardiff_plan::{GateSite, OutputForm, ReuseRule};

/// How many dB a later way to stand in for skips must be better in replays to be preferred.
const PREFERENCE: f64 = 0.5;

/// How a skipped step is stood in for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Manner {
    /// Where the skip acts.
    pub(super) gate_site: GateSite,
    /// How the value is made.
    pub(super) rule: ReuseRule,
}

impl Manner {
    /// What is taken where no other is better.
    pub(super) const USUAL: Self = Self::linear(GateSite::Output(OutputForm::X0));

    /// Those that replays choose among, the usual one first; of one site, one after the other.
    pub(super) const ALL: [Self; 4] = [
        Self::USUAL,
        Self::linear(GateSite::Output(OutputForm::Velocity)),
        Self::linear(GateSite::Trunk),
        Self { gate_site: GateSite::Trunk, rule: ReuseRule::Hold },
    ];

    const fn linear(gate_site: GateSite) -> Self {
        Self { gate_site, rule: ReuseRule::Extrapolate(1) }
    }

    /// The sites of some manners, each once.
    pub(super) fn sites(manners: &[Self]) -> Vec<GateSite> {
        let mut sites: Vec<_> = manners.iter().map(|manner| manner.gate_site).collect();
        sites.dedup();
        sites
    }
}

impl fmt::Display for Manner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.gate_site {
            GateSite::Trunk => "the trunk",
            GateSite::Output(OutputForm::X0) => "the clean sample",
            GateSite::Output(OutputForm::Epsilon) => "the noise",
            GateSite::Output(OutputForm::Velocity) => "the velocity",
        };
        let how = if self.rule == ReuseRule::Hold { "held" } else { "extrapolated" };
        write!(f, "{what} {how}")
    }
}

/// The best of what was replayed, as (mean PSNR in dB, what): an earlier one, unless a later one is clearly better.
pub(super) fn preferred<T>(replayed: impl IntoIterator<Item = (f64, T)>) -> Option<(f64, T)> {
    replayed.into_iter().reduce(|best, other| if other.0 > best.0 + PREFERENCE { other } else { best })
}

/// PSNR in dB of a sample's mean square error.
pub(super) fn decibels(span: f64, error: f64) -> f64 {
    10.0 * (span * span / error.max(1e-10)).log10()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_manner_has_to_be_clearly_better() {
        assert_eq!(preferred([(30.0, 'a'), (30.4, 'b')]), Some((30.0, 'a')));
        assert_eq!(preferred([(30.0, 'a'), (31.0, 'b'), (31.2, 'c')]), Some((31.0, 'b')));
        assert_eq!(preferred::<char>([]), None);
    }

    #[test]
    fn every_site_is_priced_once() {
        assert_eq!(Manner::sites(&Manner::ALL).len(), 3);
        assert_eq!(Manner::ALL[3].to_string(), "the trunk held");
    }
}
