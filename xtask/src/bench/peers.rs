//! The same forward in other programs: `benches/peers/README.md`.

mod measured;
mod program;
mod report;

use std::path::Path;

use anyhow::{Context, Result, bail};

use measured::{Measured, Timed};
use program::{Running, Spent};
pub(super) use report::{json, markdown};

/// How far a program's values may be from ours, over their root mean square.
const TOLERANCE: f64 = 1e-3;

/// Builds and starts every program that there is, and runs their forwards in turns.
///
/// # Errors
/// When our own program cannot be built or run, or another one stops on the way.
pub(super) fn run(root: &Path, model: &str, threads: usize, rounds: u32) -> Result<Measured> {
    let mut measured = Measured { model: model.to_owned(), threads, ..Measured::default() };
    eprintln!("peers: building and starting ours");
    let mut running = vec![program::ours(root)?.start(model, threads).context("our own program")?];
    for (name, found) in [("PyTorch", program::pytorch(root)), ("candle", program::candle(root))] {
        eprintln!("peers: starting {name}");
        let started = found.and_then(|command| command.start(model, threads));
        match started.and_then(|program| same(&running[0], program)) {
            Ok(program) => running.push(program),
            Err(error) => measured.missing.push((name.to_owned(), format!("{error:#}"))),
        }
    }
    let mut times: Vec<Vec<Spent>> = vec![Vec::new(); running.len()];
    for round in 0..=rounds as usize {
        eprintln!(
            "peers: {}",
            if round == 0 { "warming up".into() } else { format!("round {round} of {rounds}") }
        );
        for turn in 0..running.len() {
            let index = (turn + round) % running.len();
            let spent = running[index].forward()?;
            if round > 0 {
                times[index].push(spent);
            }
        }
    }
    measured.programs = running
        .iter()
        .zip(times)
        .map(|(program, rounds)| Timed {
            name: program.name.clone(),
            version: program.version.clone(),
            rounds,
        })
        .collect();
    Ok(measured)
}

/// Refuses a program that computes something else than ours.
fn same(ours: &Running, other: Running) -> Result<Running> {
    let off = distance(&ours.values, &other.values);
    if off.is_none_or(|off| off > TOLERANCE) {
        bail!(
            "it computes something else than ours: its output is off by {} of the root mean square, expected at most {TOLERANCE}",
            off.map_or_else(|| "another number of values".to_owned(), |off| format!("{off:.1e}"))
        );
    }
    Ok(other)
}

/// The largest difference over the root mean square; `None` where there are not as many values, or none.
fn distance(ours: &[f64], other: &[f64]) -> Option<f64> {
    let rms = (ours.iter().map(|value| value * value).sum::<f64>() / ours.len() as f64).sqrt();
    let pairs = ours.iter().zip(other).map(|(a, b)| (a - b).abs());
    (ours.len() == other.len() && rms > 0.0).then(|| pairs.fold(0.0, f64::max) / rms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_compared_by_their_root_mean_square() {
        assert_eq!(distance(&[3.0, -3.0], &[3.0, -3.3]).map(|off| (off * 1e6).round()), Some(1e5));
        assert_eq!(distance(&[1.0], &[1.0, 1.0]), None);
        assert_eq!(distance(&[], &[]), None);
        assert!(distance(&[1.0], &[f64::NAN]).is_some_and(|off| off.is_nan() || off == 0.0));
    }
}
