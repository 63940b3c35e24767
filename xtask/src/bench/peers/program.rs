//! Programs that run the forward when told.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::bench::build::executables;
use crate::cargo::{FEATURES, cargo};

/// Where the peers lie.
const FOLDER: &str = "benches/peers";
/// Names another Python than `python3`.
const PYTHON: &str = "INVARDIFF_PYTHON";

/// A program that can be started.
#[derive(Debug)]
pub(super) struct Program(Command);

/// Ours, built.
///
/// # Errors
/// When it does not build.
pub(super) fn ours(root: &Path) -> Result<Program> {
    let mut cargo = cargo(root);
    cargo.args(["build", "--release", "--workspace", "--example", "peer"]).args(FEATURES);
    built(&mut cargo)
}

/// The peer in candle, built with its own lock file.
///
/// # Errors
/// When it does not build, for want of a network for example.
pub(super) fn candle(root: &Path) -> Result<Program> {
    let mut cargo = cargo(root);
    cargo.env("CARGO_TARGET_DIR", root.join("target").join("peers"));
    cargo.args(["build", "--release", "--locked", "--manifest-path"]);
    cargo.arg(root.join(FOLDER).join("candle").join("Cargo.toml"));
    built(&mut cargo)
}

/// The peer in PyTorch, if there is one.
///
/// # Errors
/// Says what to install.
pub(super) fn pytorch(root: &Path) -> Result<Program> {
    let python = std::env::var_os(PYTHON).unwrap_or_else(|| "python3".into());
    let name = python.display().to_string();
    let install = format!("install {FOLDER}/requirements.txt, or name another Python in {PYTHON}");
    let probe = Command::new(&python).args(["-c", "import numpy, torch"]).output();
    let probe = probe.with_context(|| format!("there is no {name}; {install}"))?;
    ensure!(probe.status.success(), "{name} has no torch or no numpy; {install}");
    let mut command = Command::new(python);
    command.arg(root.join(FOLDER).join("dit.py"));
    Ok(Program(command))
}

fn built(cargo: &mut Command) -> Result<Program> {
    cargo.args(["--message-format", "json"]);
    let output = cargo.stderr(Stdio::inherit()).output().context("cargo build")?;
    ensure!(output.status.success(), "it does not build ({}), see above", output.status);
    let messages = String::from_utf8_lossy(&output.stdout);
    let path: Option<PathBuf> = executables(&messages, &["example", "bin"]).pop();
    Ok(Program(Command::new(path.context("cargo built no program")?)))
}

/// A program that has its weights and waits.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) name: String,
    pub(super) version: String,
    /// Some of its output's values.
    pub(super) values: Vec<f64>,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

#[derive(Deserialize)]
struct Hello {
    peer: String,
    version: String,
    values: Vec<f64>,
}

/// What one forward took, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub(in crate::bench) struct Spent {
    pub(in crate::bench) wall: f64,
    /// Over all threads.
    pub(in crate::bench) cpu: f64,
}

impl Program {
    /// Starts it and waits until it has its weights.
    pub(super) fn start(mut self, model: &str, threads: usize) -> Result<Running> {
        let count = threads.to_string();
        self.0.args([model, &count]).env("OMP_NUM_THREADS", &count);
        let mut child =
            self.0.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("cannot be started")?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let (input, output) = input.zip(output).context("has no input and output")?;
        let mut output = BufReader::new(output);
        let Hello { peer, version, values } = answer(&mut output)?;
        Ok(Running { name: peer, version, values, child, input, output })
    }
}

impl Running {
    /// Runs one forward.
    pub(super) fn forward(&mut self) -> Result<Spent> {
        let told = writeln!(self.input).and_then(|()| self.input.flush());
        told.context("stopped").and_then(|()| answer(&mut self.output)).with_context(|| self.name.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It ends by itself at the end of its input; one that hangs is not waited for.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn answer<T: for<'a> Deserialize<'a>>(output: &mut impl BufRead) -> Result<T> {
    let mut line = String::new();
    output.read_line(&mut line).context("its output cannot be read")?;
    ensure!(!line.is_empty(), "it stopped before it answered, see above");
    serde_json::from_str(&line).with_context(|| format!("it answered '{}'", line.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_line_by_line_and_an_end_is_an_error() {
        let mut output = BufReader::new(&b"{\"wall\": 0.5, \"cpu\": 1}\nno\n"[..]);
        assert_eq!(answer::<Spent>(&mut output).unwrap(), Spent { wall: 0.5, cpu: 1.0 });
        let message = format!("{:#}", answer::<Spent>(&mut output).unwrap_err());
        assert!(message.starts_with("it answered 'no'"), "{message}");
        let message = format!("{:#}", answer::<Spent>(&mut output).unwrap_err());
        assert!(message.contains("it stopped"), "{message}");
    }
}
