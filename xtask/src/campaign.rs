//! The campaign of docs/reliability.md: `cargo xtask fuzz` and `cargo xtask soak`.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};

use crate::cargo::{FEATURES, cargo, exit_code, target};

/// The source of the disk that fails, which tests of the program use too.
const DISK: &str = "crates/invardiff-cli/tests/cli/faults/disk.c";
/// Every so-manieth call that changes a file fails.
const EVERY: &str = "17";

/// Runs the fuzzing targets on the seeds in the tree.
pub(crate) fn fuzz(root: &Path, args: &[OsString]) -> Result<ExitCode> {
    let mut program = program(root, "fuzz");
    program.arg("--seeds").arg(root.join("fuzz/seeds")).arg("--findings").arg(target(root).join("fuzz"));
    Ok(exit_code(program.args(args).status().context("cargo run --bin fuzz")?))
}

/// Runs the soak, over a disk that fails where one can be built (Linux with a C compiler).
pub(crate) fn soak(root: &Path, args: &[OsString]) -> Result<ExitCode> {
    let folder = target(root).join("soak");
    fs::create_dir_all(&folder)?;
    let mut program = program(root, "soak");
    program.arg("--folder").arg(&folder).args(args);
    if cfg!(target_os = "linux") {
        // Cargo runs over it too, and writes elsewhere.
        program.env("LD_PRELOAD", disk(root, &folder)?).env("FAULT_EVERY", EVERY);
        program.env("FAULT_DIR", folder.join("files"));
    }
    Ok(exit_code(program.status().context("cargo run --bin soak")?))
}

fn program(root: &Path, name: &str) -> Command {
    let mut cargo = cargo(root);
    cargo
        .args(["run", "--quiet", "--release", "--package", "invardiff-campaign", "--bin", name])
        .args(FEATURES)
        .arg("--");
    cargo
}

/// Compiles the disk that fails.
fn disk(root: &Path, folder: &Path) -> Result<PathBuf> {
    let library = folder.join("disk.so");
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let mut command = Command::new(&compiler);
    command.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(root.join(DISK)).arg("-ldl");
    let built = command.status().with_context(|| compiler.display().to_string())?;
    ensure!(built.success(), "{} could not compile {DISK}", compiler.display());
    Ok(library)
}
