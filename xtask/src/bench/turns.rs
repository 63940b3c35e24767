//! Running two builds of the benches in turns.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::build::folder;
use super::estimates::{Estimates, read};

/// What one round measured: the base, then the working tree.
pub(super) type Round = [Estimates; 2];

/// Runs both `rounds` times with `args`; every second round the working tree goes first, so that slow drift favours nobody.
pub(super) fn run(root: &Path, sides: [&[PathBuf]; 2], rounds: u32, args: &[OsString]) -> Result<Vec<Round>> {
    (0..rounds)
        .map(|round| {
            let one = |side: usize| {
                let name = ["before", "after"][side];
                eprintln!("bench: round {} of {rounds}, {name}", round + 1);
                let home = folder(root).join("criterion").join(format!("{name}-{}", round + 1));
                measure(root, sides[side], &home, args)
            };
            Ok(if round % 2 == 0 {
                [one(0)?, one(1)?]
            } else {
                let after = one(1)?;
                [one(0)?, after]
            })
        })
        .collect()
}

/// Runs the programs of one side, with a fresh folder for what criterion writes.
fn measure(root: &Path, programs: &[PathBuf], home: &Path, args: &[OsString]) -> Result<Estimates> {
    if home.exists() {
        fs::remove_dir_all(home).with_context(|| home.display().to_string())?;
    }
    fs::create_dir_all(home).with_context(|| home.display().to_string())?;
    for program in programs {
        let mut bench = Command::new(program);
        bench.arg("--bench").args(args).env("CRITERION_HOME", home).current_dir(root).stdout(Stdio::null());
        let status = bench.status().with_context(|| program.display().to_string())?;
        ensure!(status.success(), "{} failed ({status})", program.display());
    }
    read(home)
}
