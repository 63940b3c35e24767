//! The tasks that the `invardiff` binary does.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus, Stdio};

use anyhow::{Context, Result};

use crate::cargo::{FEATURES, cargo, exit_code};

const BINARY: [&str; 5] = ["--release", "--package", "invardiff-cli", "--bin", "invardiff"];

/// Builds the binary and runs `invardiff COMMAND ARGS` in the caller's directory, with its input, output and exit code.
pub(crate) fn run(root: &Path, command: &str, args: &[OsString]) -> Result<ExitCode> {
    let built = build(root).context("cargo build --package invardiff-cli")?;
    if !built.success() {
        return Ok(exit_code(built));
    }
    let mut cargo = cargo(root);
    cargo.current_dir(std::env::current_dir()?).args(["run", "--quiet"]).args(BINARY).args(FEATURES);
    cargo.arg("--manifest-path").arg(root.join("Cargo.toml")).arg("--").arg(command).args(args);
    Ok(exit_code(cargo.status().context("cargo run --package invardiff-cli")?))
}

/// Builds the binary: silent where nothing is to do, cargo's own progress where something is.
fn build(root: &Path) -> io::Result<ExitStatus> {
    let mut cargo = cargo(root);
    cargo.arg("build").args(BINARY).args(FEATURES);
    if is_built() {
        return without_finish_line(&mut cargo);
    }
    eprintln!("Building invardiff. The first build compiles the tensor library and takes several minutes.");
    cargo.status()
}

/// Whether the release profile has a binary: it lies beside this program's own profile.
fn is_built() -> bool {
    let beside = |own: &Path| Some(own.parent()?.parent()?.join("release").join("invardiff"));
    std::env::current_exe()
        .ok()
        .and_then(|own| beside(&own))
        .is_some_and(|path| path.with_extension(std::env::consts::EXE_EXTENSION).exists())
}

/// Runs cargo and passes its messages on, apart from the line that says that it finished.
fn without_finish_line(cargo: &mut Command) -> io::Result<ExitStatus> {
    let mut child = cargo.stderr(Stdio::piped()).spawn()?;
    if let Some(messages) = child.stderr.take() {
        for line in BufReader::new(messages).lines() {
            let line = line?;
            if !line.trim_start().starts_with("Finished ") {
                eprintln!("{line}");
            }
        }
    }
    child.wait()
}
