//! How skipped steps get their values, and the choice among such strategies by replays.

use std::fmt;

use invardiff_plan::{GateSite, OutputForm, ReuseRule};

/// How a skipped step gets its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SkipStrategy {
    /// Where the skip acts.
    pub gate_site: GateSite,
    /// How the value is made from the last computed ones.
    pub rule: ReuseRule,
}

impl SkipStrategy {
    /// How many dB better a later strategy must be in replays to be preferred.
    const PREFERENCE: f64 = 0.5;

    /// The strategy that is used unless another is clearly better: the clean sample, extrapolated linearly.
    pub const DEFAULT: Self = Self::linear(GateSite::Output(OutputForm::X0));

    /// The strategies that replays choose among, [`SkipStrategy::DEFAULT`] first; those of one site stand together.
    pub const ALL: [Self; 4] = [
        Self::DEFAULT,
        Self::linear(GateSite::Output(OutputForm::Velocity)),
        Self::linear(GateSite::Trunk),
        Self::hold(GateSite::Trunk),
    ];

    /// Linear extrapolation of the last two computed values.
    pub const fn linear(gate_site: GateSite) -> Self {
        Self { gate_site, rule: ReuseRule::Extrapolate(1) }
    }

    /// The last computed value.
    pub const fn hold(gate_site: GateSite) -> Self {
        Self { gate_site, rule: ReuseRule::Hold }
    }

    /// The sites of some strategies, each once.
    pub(super) fn sites(strategies: &[Self]) -> Vec<GateSite> {
        let mut sites: Vec<GateSite> = Vec::new();
        for strategy in strategies {
            if !sites.contains(&strategy.gate_site) {
                sites.push(strategy.gate_site);
            }
        }
        sites
    }

    /// The best of some strategies by their PSNR in dB: an earlier one, unless a later one is clearly better.
    pub(super) fn preferred(tried: &[(Self, f64)]) -> Option<Self> {
        let better = |best: (Self, f64), other: (Self, f64)| {
            if other.1 > best.1 + Self::PREFERENCE { other } else { best }
        };
        tried.iter().copied().reduce(better).map(|(strategy, _)| strategy)
    }
}

impl fmt::Display for SkipStrategy {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_strategy_has_to_be_clearly_better() {
        let [a, b, c, _] = SkipStrategy::ALL;
        assert_eq!(SkipStrategy::preferred(&[(a, 30.0), (b, 30.4)]), Some(a));
        assert_eq!(SkipStrategy::preferred(&[(a, 30.0), (b, 31.0), (c, 31.2)]), Some(b));
        assert_eq!(SkipStrategy::preferred(&[]), None);
    }

    #[test]
    fn every_site_is_priced_once() {
        assert_eq!(SkipStrategy::sites(&SkipStrategy::ALL).len(), 3);
        assert_eq!(SkipStrategy::ALL[3].to_string(), "the trunk held");
    }
}
