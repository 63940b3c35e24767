//! A ratio with its interval.

use std::fmt;

/// The median of the ratios of some rounds, with a 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// The median.
    pub median: f64,
    /// The low end of the interval.
    pub low: f64,
    /// The high end.
    pub high: f64,
    /// How many rounds there were.
    pub rounds: usize,
}

impl Ratio {
    /// The median of `ratios` and the order statistics that hold it with 95 % confidence, whatever the distribution: ranks
    /// `(n -+ 1.96 sqrt(n)) / 2`, for fewer than six rounds the least and the greatest (which is then less than 95 %).
    /// `None` of nothing.
    pub fn of(mut ratios: Vec<f64>) -> Option<Self> {
        let rounds = ratios.len();
        let last = rounds.checked_sub(1)?;
        ratios.sort_by(f64::total_cmp);
        let below = ((rounds as f64 - 1.96 * (rounds as f64).sqrt()) / 2.0).max(0.0) as usize;
        let median = f64::midpoint(ratios[last / 2], ratios[rounds / 2]);
        Some(Self { median, low: ratios[below], high: ratios[last - below], rounds })
    }

    /// The ratio the other way round.
    pub fn inverse(self) -> Self {
        Self { median: self.median.recip(), low: self.high.recip(), high: self.low.recip(), ..self }
    }

    /// The ratio in units of `unit`.
    pub fn over(self, unit: f64) -> Self {
        Self { median: self.median / unit, low: self.low / unit, high: self.high / unit, ..self }
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} ({:.3} to {:.3})", self.median, self.low, self.high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_that_of_the_binomial_ranks() {
        let ratio = Ratio::of((0..100).rev().map(f64::from).collect()).unwrap();
        // (100 - 19.6) / 2 = 40.2
        assert_eq!((ratio.median, ratio.low, ratio.high, ratio.rounds), (49.5, 40.0, 59.0, 100));
    }

    #[test]
    fn few_rounds_give_their_whole_range() {
        let ratio = Ratio::of(vec![3.0, 1.0, 2.0]).unwrap();
        assert_eq!((ratio.median, ratio.low, ratio.high), (2.0, 1.0, 3.0));
        assert_eq!(Ratio::of(vec![1.5]).unwrap().median, 1.5);
        assert!(Ratio::of(Vec::new()).is_none());
    }

    #[test]
    fn the_inverse_turns_the_interval_round() {
        let speedup = Ratio { median: 0.5, low: 0.25, high: 1.0, rounds: 7 }.inverse();
        assert_eq!(speedup, Ratio { median: 2.0, low: 1.0, high: 4.0, rounds: 7 });
        assert_eq!(speedup.over(2.0).to_string(), "1.000 (0.500 to 2.000)");
    }
}
