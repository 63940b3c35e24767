//! Everything that must hold before a change lands.

use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::cargo::{FEATURES, cargo};
use crate::test;
use crate::{e2e, tidy};

/// The steps before the tests, in the order in which they run: cheap ones first where nothing else decides.
#[derive(Clone, Copy, Debug)]
enum Check {
    Fmt,
    Clippy,
    /// Without any feature, as a crate that depends on this one builds it.
    Defaults,
    Docs,
    Tidy,
    Deny,
}

const CHECKS: [Check; 6] =
    [Check::Fmt, Check::Clippy, Check::Defaults, Check::Docs, Check::Tidy, Check::Deny];

impl Check {
    const fn name(self) -> &'static str {
        match self {
            Self::Fmt => "fmt",
            Self::Clippy => "clippy",
            Self::Defaults => "clippy without features",
            Self::Docs => "docs",
            Self::Tidy => "tidy",
            Self::Deny => "deny",
        }
    }

    fn run(self, root: &Path) -> Result<()> {
        match self {
            Self::Fmt => call(root, &["fmt", "--all", "--check"], &[]),
            Self::Clippy => clippy(root, &FEATURES),
            Self::Defaults => clippy(root, &[]),
            Self::Docs => {
                let args = ["doc", "--release", "--workspace", "--no-deps"].iter().chain(&FEATURES);
                call(root, &args.copied().collect::<Vec<_>>(), &[("RUSTDOCFLAGS", "-D warnings")])
            }
            Self::Tidy => tidy::run(root),
            Self::Deny => deny(root),
        }
    }
}

/// Runs all checks and then all tests; stops at the first that fails. The last line is the counts of the tests.
pub(crate) fn run(root: &Path) -> Result<ExitCode> {
    for check in CHECKS {
        timed(check.name(), || check.run(root))?;
    }
    let outcome = timed("test", || test::run(root, &[]))?;
    if !outcome.passed() {
        return Ok(outcome.close());
    }
    timed("e2e on cpu", || e2e::check(root, "cpu", true))?;
    Ok(outcome.close())
}

fn timed<T>(name: &str, step: impl FnOnce() -> Result<T>) -> Result<T> {
    println!("ci: {name}");
    let start = Instant::now();
    let result = step().with_context(|| format!("ci stopped at {name}"));
    println!("ci: {name} took {:.1} s", start.elapsed().as_secs_f64());
    result
}

fn call(root: &Path, args: &[&str], variables: &[(&str, &str)]) -> Result<()> {
    let status = cargo(root).args(args).envs(variables.iter().copied()).status()?;
    ensure!(status.success(), "cargo {} failed ({status})", args.join(" "));
    Ok(())
}

fn clippy(root: &Path, features: &[&str]) -> Result<()> {
    let before = ["clippy", "--release", "--workspace", "--all-targets"].iter();
    let args: Vec<&str> = before.chain(features).chain(&["--", "-D", "warnings"]).copied().collect();
    call(root, &args, &[])
}

/// Licences, bans and sources, where cargo-deny is there. Advisories come from outside of the registry and are left to whoever reaches them.
fn deny(root: &Path) -> Result<()> {
    let probe = cargo(root).args(["deny", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !probe.is_ok_and(|status| status.success()) {
        println!("cargo-deny is not installed: licences and bans are not checked here");
        return Ok(());
    }
    println!(
        "advisories are not checked here: their database is fetched from elsewhere (cargo deny check advisories)"
    );
    call(root, &["deny", "check", "licenses", "bans", "sources"], &[])
}
