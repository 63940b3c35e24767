//! Everything that must hold before a change lands.

use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::cargo::{FEATURES, cargo};
use crate::graphics::Build;
use crate::test::{self, Outcome};
use crate::{campaign, e2e, tidy};

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
    timed("fuzz", || fuzz(root))?;
    Ok(graphics(root, outcome)?.close())
}

/// A minute of the fuzzing targets.
fn fuzz(root: &Path) -> Result<()> {
    let status = campaign::fuzz(root, &["--seconds".into(), "60".into()])?;
    ensure!(status == ExitCode::SUCCESS, "a fuzzing target found something, see above");
    Ok(())
}

/// Says that a software renderer was installed, so that `wgpu` has to be run and not only built.
const REQUIRE_WGPU: &str = "INVARDIFF_REQUIRE_WGPU";

/// What the graphics backends add: that they compile, the paths of devices that are not there, and whole runs on the devices
/// that are. One build for wgpu and CUDA, without autotune: so Mesa's software renderer is known to run it. Of the tests, only
/// those that meet a device: all others have run, and every test program more is one to compile and link.
fn graphics(root: &Path, tests: Outcome) -> Result<Outcome> {
    let build = Build::with("wgpu,cuda")?;
    timed("build with graphics", || build.build(root))?;
    let own = timed("test with graphics", || {
        test::counted(build.cargo(root, "test").args(["--test", "cli", "--", "device"]))
    })?;
    if own.passed() {
        let required = std::env::var_os(REQUIRE_WGPU).is_some_and(|value| !value.is_empty());
        timed("e2e on cpu", || e2e::check(root, "cpu", true))?;
        timed("e2e on wgpu", || e2e::check(root, "wgpu", required))?;
        timed("e2e on cuda", || e2e::check(root, "cuda", false))?;
    }
    Ok(tests.with(own))
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
