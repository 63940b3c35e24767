//! What was measured, as a table and as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::measured::{Measured, Timed};
use crate::bench::judge::{mean_and_half_width, median};
use crate::bench::peers::program::Spent;

/// A time of a round.
type Clock = fn(&Spent) -> f64;

/// Our time over a program's: the geometric mean over the rounds and its 95 % interval.
fn ratio(ours: &Timed, other: &Timed, clock: Clock) -> [f64; 3] {
    let pairs = ours.rounds.iter().zip(&other.rounds);
    let logarithms: Vec<f64> = pairs.map(|(ours, other)| (clock(ours) / clock(other)).ln()).collect();
    let (mean, half) = mean_and_half_width(&logarithms);
    [mean.exp(), (mean - half).exp(), (mean + half).exp()]
}

fn middle(timed: &Timed, clock: Clock) -> f64 {
    median(timed.rounds.iter().map(clock).collect())
}

const CPU: Clock = |spent| spent.cpu;
const WALL: Clock = |spent| spent.wall;

/// A markdown table, and what was not run.
pub(in crate::bench) fn markdown(measured: &Measured) -> String {
    let mut text = String::from(
        "| program | CPU seconds | seconds | ours over it, CPU | 95 % interval | ours over it, time | 95 % interval |\n\
         |---|--:|--:|--:|:-:|--:|:-:|\n",
    );
    let Some((ours, others)) = measured.programs.split_first() else { return text };
    for program in &measured.programs {
        let (name, version) = (&program.name, &program.version);
        let _ =
            write!(text, "| {name} {version} | {:.2} | {:.2} |", middle(program, CPU), middle(program, WALL));
        for clock in [CPU, WALL] {
            let [mean, low, high] = ratio(ours, program, clock);
            let _ = if others.contains(program) {
                write!(text, " {mean:.2} | {low:.2} to {high:.2} |")
            } else {
                write!(text, " | |")
            };
        }
        text.push('\n');
    }
    let rounds = ours.rounds.len();
    let _ = writeln!(
        text,
        "\nOne forward of {} at batch 2, f32, {} threads, {rounds} rounds in turns; times are medians.",
        measured.model, measured.threads
    );
    for (name, why) in &measured.missing {
        let _ = writeln!(text, "Not run: {name}: {why}.");
    }
    text
}

/// The same for programs.
pub(in crate::bench) fn json(measured: &Measured) -> Value {
    let ours = measured.programs.first();
    let program = |timed: &Timed| {
        let against = |clock| ours.map(|ours| ratio(ours, timed, clock));
        json!({
            "name": timed.name,
            "version": timed.version,
            "cpu_seconds": timed.rounds.iter().map(CPU).collect::<Vec<_>>(),
            "wall_seconds": timed.rounds.iter().map(WALL).collect::<Vec<_>>(),
            "ours_over_it_cpu": against(CPU),
            "ours_over_it_wall": against(WALL),
        })
    };
    let missing = |(name, why): &(String, String)| json!({"name": name, "why": why});
    json!({
        "model": measured.model,
        "threads": measured.threads,
        "programs": measured.programs.iter().map(program).collect::<Vec<_>>(),
        "not_run": measured.missing.iter().map(missing).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured() -> Measured {
        let timed = |name: &str, cpu: f64| Timed {
            name: name.into(),
            version: "1".into(),
            rounds: (1..=3).map(|round| Spent { wall: cpu / 2.0, cpu: cpu * f64::from(round) }).collect(),
        };
        Measured {
            model: "dit-s-2-256".into(),
            threads: 2,
            programs: vec![timed("this workspace", 1.0), timed("PyTorch", 2.0)],
            missing: vec![("candle".into(), "it does not build".into())],
        }
    }

    #[test]
    fn ratios_are_ours_over_theirs_round_by_round() {
        let text = markdown(&measured());
        assert!(text.contains("| this workspace 1 | 2.00 | 0.50 | | | | |\n"), "{text}");
        assert!(text.contains("| PyTorch 1 | 4.00 | 1.00 | 0.50 | 0.50 to 0.50 | 0.50 |"), "{text}");
        assert!(text.contains("Not run: candle: it does not build.\n"), "{text}");
        let found = json(&measured());
        assert_eq!(found["programs"][1]["cpu_seconds"], json!([2.0, 4.0, 6.0]));
        assert!((found["programs"][1]["ours_over_it_cpu"][0].as_f64().unwrap() - 0.5).abs() < 1e-12);
        assert_eq!(found["not_run"][0]["name"], "candle");
    }
}
