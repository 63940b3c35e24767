//! The exponent of a cost in a size.

use std::fmt::Write as _;
use std::time::Duration;

use crate::Ratio;

/// One size with its FLOPs and what it took in every round.
#[derive(Clone, Debug)]
pub struct Point {
    value: usize,
    flops: f64,
    wall: Vec<f64>,
    cpu: Vec<Option<f64>>,
}

impl Point {
    /// A size that was not measured yet.
    pub fn new(value: usize, flops: f64) -> Self {
        Self { value, flops, wall: Vec::new(), cpu: Vec::new() }
    }

    /// Notes a round; the CPU time is that of all threads, `None` where the system does not say.
    pub fn push(&mut self, wall: Duration, cpu: Option<Duration>) {
        self.wall.push(wall.as_secs_f64());
        self.cpu.push(cpu.map(|cpu| cpu.as_secs_f64()));
    }

    /// How many rounds were measured.
    pub fn rounds(&self) -> usize {
        self.wall.len()
    }

    /// CPU seconds of a round, else seconds.
    fn cost(&self, round: usize) -> f64 {
        self.cpu[round].unwrap_or(self.wall[round])
    }
}

/// A markdown table of the sizes of one axis: their FLOPs, their median times, the CPU time of a FLOP over that of the first
/// size, and below it the exponents that fit. The exponent of a round is the slope of a least-squares line through the
/// logarithms; that of the FLOPs is fitted in the same way over the same sizes.
pub fn exponent_table(name: &str, points: &[Point]) -> String {
    let mut text = format!("| {name} | GFLOP | CPU ms | ms | CPU per FLOP |\n|--:|--:|--:|--:|--:|\n");
    let rounds = points.iter().map(Point::rounds).min().unwrap_or(0);
    let median =
        |of: &dyn Fn(usize) -> f64| Ratio::of((0..rounds).map(of).collect()).map_or(f64::NAN, |r| r.median);
    let mut first = None;
    for point in points {
        let [cpu, wall] = [median(&|round| point.cost(round)), median(&|round| point.wall[round])];
        let per_flop = cpu / point.flops;
        let first = *first.get_or_insert(per_flop);
        let _ = writeln!(
            text,
            "| {} | {:.2} | {:.1} | {:.1} | {:.3} |",
            point.value,
            point.flops / 1e9,
            cpu * 1e3,
            wall * 1e3,
            per_flop / first
        );
    }
    let fit = |of: &dyn Fn(&Point) -> f64| slope(points.iter().map(|point| (point.value as f64, of(point))));
    let cpu = Ratio::of((0..rounds).map(|round| fit(&|point| point.cost(round))).collect());
    let wall = Ratio::of((0..rounds).map(|round| fit(&|point| point.wall[round])).collect());
    let shown = |fitted: Option<Ratio>| fitted.map_or("unknown".into(), |fitted| fitted.to_string());
    let _ = writeln!(
        text,
        "exponent in {name}: CPU time {}, time {}, FLOPs {:.3}, {rounds} rounds",
        shown(cpu),
        shown(wall),
        fit(&|point| point.flops)
    );
    text
}

/// The slope of the least-squares line through `(ln x, ln y)`.
fn slope(pairs: impl Iterator<Item = (f64, f64)>) -> f64 {
    let pairs: Vec<(f64, f64)> = pairs.map(|(x, y)| (x.ln(), y.ln())).collect();
    let mean = |of: &dyn Fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>() / pairs.len() as f64;
    let (x, y) = (mean(&|pair| pair.0), mean(&|pair| pair.1));
    let covariance = mean(&|pair| (pair.0 - x) * (pair.1 - y));
    covariance / mean(&|pair| (pair.0 - x).powi(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(exponent: f64) -> Vec<Point> {
        let point = |value: usize| {
            let mut point = Point::new(value, (value as f64).powi(2) * 1e9);
            for round in 1..=3 {
                let seconds = f64::from(round) * (value as f64).powf(exponent) / 1e3;
                let cpu = Duration::from_secs_f64(2.0 * seconds);
                point.push(Duration::from_secs_f64(seconds), Some(cpu));
            }
            point
        };
        [1, 2, 4].map(point).into()
    }

    #[test]
    fn a_power_has_its_exponent() {
        for exponent in [0.5, 1.0, 1.7] {
            let found = slope([1.0, 2.0, 8.0].map(|x: f64| (x, 3.0 * x.powf(exponent))).into_iter());
            assert!((found - exponent).abs() < 1e-12, "{found}");
        }
    }

    #[test]
    fn the_table_has_a_line_a_size_and_the_exponents() {
        let text = exponent_table("batch", &points(1.0));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[2..5],
            [
                "| 1 | 1.00 | 4.0 | 2.0 | 1.000 |",
                "| 2 | 4.00 | 8.0 | 4.0 | 0.500 |",
                "| 4 | 16.00 | 16.0 | 8.0 | 0.250 |"
            ]
        );
        let expected = "exponent in batch: CPU time 1.000 (1.000 to 1.000), time 1.000 (1.000 to 1.000), FLOPs 2.000, 3 rounds";
        assert_eq!(lines[5], expected);
    }
}
