//! All tests, with their counts summed.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus, Stdio};

use anyhow::{Context, Result};

use crate::cargo::{FEATURES, cargo, exit_code};

/// How many tests passed, failed and were skipped (ignored, in libtest's words), over all test binaries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// What a run of all tests came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    counts: Counts,
    status: ExitStatus,
}

impl Outcome {
    /// Whether all went well.
    pub(crate) fn passed(&self) -> bool {
        self.status.success() && self.counts.failed == 0
    }

    /// Both together; the status is the later one's where it failed.
    pub(crate) fn with(self, later: Self) -> Self {
        let counts = Counts {
            passed: self.counts.passed + later.counts.passed,
            failed: self.counts.failed + later.counts.failed,
            skipped: self.counts.skipped + later.counts.skipped,
        };
        Self { counts, status: if later.status.success() { self.status } else { later.status } }
    }

    /// Prints the counts as the closing line and gives cargo's exit code. Without counts where no test ran because cargo
    /// failed: zeros would look like a run.
    pub(crate) fn close(self) -> ExitCode {
        if !self.status.success() && self.counts.failed == 0 {
            eprintln!("cargo test failed outside of a test (build error, see above)");
        }
        if self.status.success() || self.counts != Counts::default() {
            println!("{}", self.counts);
        }
        match (self.status.success(), self.counts.failed) {
            (true, 1..) => ExitCode::FAILURE,
            (true, 0) | (false, _) => exit_code(self.status),
        }
    }
}

/// Runs `cargo test --release --workspace --features autodiff ARGS` (unit, integration and doc tests), showing its output as it comes. Where
/// the arguments name packages, only those are tested.
pub(crate) fn run(root: &Path, args: &[OsString]) -> Result<Outcome> {
    let mut cargo = cargo(root);
    cargo.args(["test", "--release", "--no-fail-fast"]);
    if !names_packages(args) {
        cargo.arg("--workspace").args(FEATURES);
    }
    counted(cargo.args(args))
}

/// Runs a `cargo test`, showing its output as it comes, and counts.
pub(crate) fn counted(cargo: &mut Command) -> Result<Outcome> {
    let mut child = cargo.stdout(Stdio::piped()).spawn().context("cargo test")?;
    let mut tally = Tally::default();
    if let Some(output) = child.stdout.take() {
        relay(output, io::stdout(), |line| tally.read(line)).context("reading the output of cargo test")?;
    }
    let status = child.wait().context("cargo test")?;
    Ok(Outcome { counts: tally.close(), status })
}

/// Whether cargo's own arguments (those before `--`) select packages.
fn names_packages(args: &[OsString]) -> bool {
    let mut own = args.iter().map(|arg| arg.to_string_lossy()).take_while(|arg| arg != "--");
    own.any(|arg| arg.starts_with("-p") || arg.starts_with("--package"))
}

/// Copies `from` to `to` byte by byte as it comes, and shows every whole line to `look`.
fn relay(mut from: impl Read, mut to: impl Write, mut look: impl FnMut(&str)) -> io::Result<()> {
    let (mut buffer, mut line) = ([0; 8192], Vec::new());
    loop {
        let read = match from.read(&mut buffer) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if read == 0 {
            break;
        }
        to.write_all(&buffer[..read])?;
        to.flush()?;
        for byte in &buffer[..read] {
            if *byte == b'\n' {
                look(&String::from_utf8_lossy(&line));
                line.clear();
            } else {
                line.push(*byte);
            }
        }
    }
    look(&String::from_utf8_lossy(&line));
    Ok(())
}

/// Adds up the closing lines of libtest. A test binary that starts and never closes (it was aborted) is one failure.
#[derive(Debug, Default)]
struct Tally {
    counts: Counts,
    open: bool,
}

impl Tally {
    fn read(&mut self, line: &str) {
        let line = line.trim();
        if let Some(counts) = closing(line) {
            self.counts.passed += counts.passed;
            self.counts.failed += counts.failed;
            self.counts.skipped += counts.skipped;
            self.open = false;
        } else if opening(line) {
            self.abandon();
            self.open = true;
        }
    }

    fn abandon(&mut self) {
        self.counts.failed += usize::from(self.open);
        self.open = false;
    }

    fn close(mut self) -> Counts {
        self.abandon();
        self.counts
    }
}

/// `running 12 tests`
fn opening(line: &str) -> bool {
    let number = line
        .strip_prefix("running ")
        .and_then(|rest| rest.strip_suffix(" tests").or_else(|| rest.strip_suffix(" test")));
    number.is_some_and(|number| number.parse::<usize>().is_ok())
}

/// `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s`
fn closing(line: &str) -> Option<Counts> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let count =
        |name| counts.split("; ").find_map(|part| part.strip_suffix(name)?.trim_end().parse::<usize>().ok());
    Some(Counts { passed: count("passed")?, failed: count("failed")?, skipped: count("ignored")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "
running 2 tests
test a ... ok
test b ... FAILED
test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s

running 1 test
test c ... ignored, needs a GPU
test result: ok. 0 passed; 0 failed; 1 ignored; 0 measured; 4 filtered out; finished in 0.00s
all doctests ran in 0.30s; merged doctests compilation took 0.20s";

    fn counts(output: &str) -> Counts {
        let (mut tally, mut copy) = (Tally::default(), Vec::new());
        relay(output.as_bytes(), &mut copy, |line| tally.read(line)).unwrap();
        assert_eq!(copy, output.as_bytes());
        tally.close()
    }

    #[test]
    fn counts_are_summed_over_binaries() {
        assert_eq!(counts(OUTPUT), Counts { passed: 1, failed: 1, skipped: 1 });
        assert_eq!(counts(OUTPUT).to_string(), "1 passed, 1 failed, 1 skipped");
    }

    #[test]
    fn a_binary_that_died_is_a_failure() {
        let died = "running 3 tests\ntest a ... ok\n";
        assert_eq!(counts(died).failed, 1);
        assert_eq!(counts(&format!("{died}{OUTPUT}")).failed, 2);
    }

    #[test]
    fn packages_are_named_before_the_dashes() {
        let names = |args: &[&str]| names_packages(&args.iter().map(Into::into).collect::<Vec<_>>());
        assert!(names(&["-p", "xtask"]) && names(&["-pxtask"]) && names(&["--lib", "--package=xtask"]));
        assert!(
            !names(&[]) && !names(&["quantile"]) && !names(&["--", "-p"]) && !names(&["--profile", "dev"])
        );
    }

    #[test]
    fn what_a_test_prints_is_not_counted() {
        let noise = "running late\ntest result: maybe\n7 passed; 1 failed; 0 ignored\nrunning x tests\n";
        assert_eq!(counts(noise), Counts::default());
    }
}
