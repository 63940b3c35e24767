//! Who is faster, and whether that is certain.

use super::turns::{Measured, Round};

/// Two-sided 95 % quantiles of Student's t for 1 to 29 degrees of freedom (any statistics text has the table).
const STUDENT: [f64; 29] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045,
];

/// What became of a benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The whole interval lies above `1 + tolerance`.
    Slower,
    /// The whole interval lies below `1 / (1 + tolerance)`.
    Faster,
    /// The whole interval lies between the two.
    Same,
    /// The interval reaches over one of them: more rounds, or a quieter machine, would tell.
    Unclear,
}

/// One benchmark that both have.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) name: String,
    /// Median over the rounds, in nanoseconds.
    pub(super) before: f64,
    /// The same of the working tree.
    pub(super) after: f64,
    /// Geometric mean over the rounds of after / before.
    pub(super) ratio: f64,
    /// Its 95 % interval.
    pub(super) interval: [f64; 2],
    pub(super) verdict: Verdict,
}

/// All benchmarks of both.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Comparison {
    pub(super) rounds: usize,
    pub(super) tolerance: f64,
    pub(super) rows: Vec<Row>,
    /// Names of those that only the base has.
    pub(super) only_before: Vec<String>,
    /// Names of those that only the working tree has.
    pub(super) only_after: Vec<String>,
}

impl Comparison {
    /// Compares what was measured.
    pub(super) fn of(measured: Measured, tolerance: f64) -> Self {
        let rounds = &measured.rounds;
        let names = rounds.first().into_iter().flat_map(|[before, _]| before.keys());
        let rows = names.map(|name| row(name, rounds, tolerance)).collect();
        let [only_before, only_after] = measured.only;
        Self { rounds: rounds.len(), tolerance, rows, only_before, only_after }
    }

    /// How many benchmarks are slower than they may be.
    pub(super) fn slower(&self) -> usize {
        self.rows.iter().filter(|row| row.verdict == Verdict::Slower).count()
    }
}

fn row(name: &str, rounds: &[Round], tolerance: f64) -> Row {
    let times = |side: usize| rounds.iter().map(|round| round[side][name]).collect::<Vec<f64>>();
    let (before, after) = (times(0), times(1));
    let logarithms: Vec<f64> =
        before.iter().zip(&after).map(|(before, after)| (after / before).ln()).collect();
    let (mean, half) = mean_and_half_width(&logarithms);
    let interval = [(mean - half).exp(), (mean + half).exp()];
    Row {
        name: name.to_owned(),
        before: median(before),
        after: median(after),
        ratio: mean.exp(),
        interval,
        verdict: verdict(interval, tolerance),
    }
}

/// The mean and half the width of its 95 % interval (Student's t over the rounds). What differs between runs of one and the
/// same program is in it, which the interval that criterion gives for a single run does not see.
pub(super) fn mean_and_half_width(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let Some(freedom) = values.len().checked_sub(2) else {
        return (mean, f64::INFINITY);
    };
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
    let student = STUDENT.get(freedom).copied().unwrap_or(STUDENT[STUDENT.len() - 1]);
    (mean, student * (variance / count).sqrt())
}

fn verdict([low, high]: [f64; 2], tolerance: f64) -> Verdict {
    let (most, least) = (1.0 + tolerance, 1.0 / (1.0 + tolerance));
    if low > most {
        Verdict::Slower
    } else if high < least {
        Verdict::Faster
    } else if low >= least && high <= most {
        Verdict::Same
    } else {
        Verdict::Unclear
    }
}

pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    f64::midpoint(values[(values.len() - 1) / 2], values[values.len() / 2])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::estimates::Estimates;

    /// Rounds of one benchmark.
    fn rounds(before: &[f64], after: &[f64]) -> Vec<Round> {
        let one = |time: &f64| Estimates::from([("x".to_owned(), *time)]);
        before.iter().zip(after).map(|(before, after)| [one(before), one(after)]).collect()
    }

    fn judged(before: &[f64], after: &[f64], tolerance: f64) -> Row {
        compared(rounds(before, after), tolerance).rows.remove(0)
    }

    fn compared(rounds: Vec<Round>, tolerance: f64) -> Comparison {
        Comparison::of(Measured { rounds, ..Measured::default() }, tolerance)
    }

    #[test]
    fn ratio_and_interval_are_those_of_the_rounds() {
        // Logarithms of the ratios: 0, ln 2, ln 4; mean ln 2, deviation ln 2, t = 4.303.
        let row = judged(&[10.0, 10.0, 10.0], &[10.0, 20.0, 40.0], 0.05);
        let half = 4.303 * std::f64::consts::LN_2 / 3f64.sqrt();
        assert_eq!((row.before, row.after), (10.0, 20.0));
        assert!((row.ratio - 2.0).abs() < 1e-12, "{row:?}");
        assert!((row.interval[0] - 2.0 * (-half).exp()).abs() < 1e-12, "{row:?}");
        assert!((row.interval[1] - 2.0 * half.exp()).abs() < 1e-12, "{row:?}");
        assert_eq!(row.verdict, Verdict::Unclear);
    }

    #[test]
    fn load_that_hits_both_sides_of_a_round_cancels() {
        let row = judged(&[10.0, 30.0, 20.0, 50.0, 10.0], &[11.0, 33.0, 22.0, 55.0, 11.0], 0.05);
        assert!((row.ratio - 1.1).abs() < 1e-12 && row.interval[1] - row.interval[0] < 1e-12, "{row:?}");
        assert_eq!(row.verdict, Verdict::Slower);
    }

    #[test]
    fn slower_means_that_the_whole_interval_is() {
        let (base, slower) = ([100.0; 5], [108.0, 109.0, 110.0, 111.0, 112.0]);
        assert_eq!(judged(&base, &slower, 0.05).verdict, Verdict::Slower);
        assert_eq!(judged(&slower, &base, 0.05).verdict, Verdict::Faster);
        // The same mean, too much noise to tell.
        let noisy = [90.0, 100.0, 110.0, 120.0, 130.0];
        assert_eq!(judged(&base, &noisy, 0.05).verdict, Verdict::Unclear);
        // Above 1, below what is tolerated.
        assert_eq!(judged(&base, &slower, 0.15).verdict, Verdict::Same);
        assert_eq!(judged(&base, &base, 0.0).verdict, Verdict::Same);
    }

    #[test]
    fn slower_ones_are_counted() {
        let mut rounds = rounds(&[100.0; 3], &[120.0; 3]);
        for [before, after] in &mut rounds {
            before.extend([("y".to_owned(), 5.0), ("z".to_owned(), 7.0)]);
            after.extend([("y".to_owned(), 5.0), ("z".to_owned(), 14.0)]);
        }
        for (tolerance, slower) in [(0.05, 2), (0.5, 1), (1.5, 0)] {
            assert_eq!(compared(rounds.clone(), tolerance).slower(), slower);
        }
    }

    #[test]
    fn benchmarks_of_one_side_are_named_and_not_judged() {
        let only = [vec!["old".to_owned()], vec!["new".to_owned()]];
        let comparison = Comparison::of(Measured { rounds: rounds(&[1.0; 3], &[1.0; 3]), only }, 0.05);
        assert_eq!(comparison.rows.len(), 1);
        assert_eq!((comparison.only_before, comparison.only_after), (vec!["old".into()], vec!["new".into()]));
    }

    #[test]
    fn without_rounds_nothing_is_certain() {
        assert_eq!(judged(&[1.0], &[9.0], 0.05).verdict, Verdict::Unclear);
        assert!(compared(Vec::new(), 0.05).rows.is_empty());
    }
}
