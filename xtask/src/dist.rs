//! `cargo xtask dist`: a program to give away.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};

use crate::cargo::target;
use crate::graphics::Build;

/// The largest program, in bytes.
const MAX_BYTES: u64 = 64_000_000;
/// The newest version of glibc that may be asked for: Ubuntu 22.04 has it.
const GLIBC: (u32, u32) = (2, 35);
/// What a program may be linked to: glibc's own libraries, and GCC's runtime, which every Linux with glibc has. Drivers and
/// compilers are looked for when they are used.
const LIBRARIES: [&str; 7] =
    ["libc.so", "libm.so", "libdl.so", "librt.so", "libpthread.so", "libgcc_s.so", "ld-linux"];

/// Arguments of the task.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Backends to build in, e.g. cuda or cuda,autotune; without it the processor alone
    #[arg(long, value_name = "FEATURES")]
    features: Option<String>,
}

/// Builds a stripped program, checks what it needs, and puts it into `dist` below the target directory.
///
/// # Errors
/// When it does not build, is too large, or asks for more than glibc.
pub(crate) fn run(root: &Path, args: &Args) -> Result<ExitCode> {
    let build = args.features.as_deref().map_or(Ok(Build::usual()), Build::with)?.small();
    build.build(root)?;
    let program = place(root, &build)?;
    let bytes = fs::metadata(&program)?.len();
    println!("{}: {:.1} MB", program.display(), bytes as f64 / 1e6);
    ensure!(bytes < MAX_BYTES, "the program has {bytes} bytes, more than {MAX_BYTES}");
    if cfg!(target_os = "linux") {
        check_needs(&program)?;
    }
    let listed = Command::new(&program).arg("devices").status().context("the program does not start")?;
    ensure!(listed.success(), "`invardiff devices` failed ({listed})");
    Ok(ExitCode::SUCCESS)
}

/// Copies the program to where it is given away from.
fn place(root: &Path, build: &Build) -> Result<PathBuf> {
    let folder = target(root).join("dist");
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let features = if build.name().is_empty() { "cpu".to_owned() } else { build.name() };
    let name = format!(
        "invardiff-{}-{features}-{}-{}",
        version(root)?,
        std::env::consts::ARCH,
        std::env::consts::OS
    );
    let program = folder.join(name + std::env::consts::EXE_SUFFIX);
    let from = build.binary(root);
    fs::copy(&from, &program).with_context(|| from.display().to_string())?;
    Ok(program)
}

/// The version of the workspace.
fn version(root: &Path) -> Result<String> {
    let manifest: toml::Table = fs::read_to_string(root.join("Cargo.toml"))?.parse()?;
    let version = manifest.get("workspace").and_then(|table| table.get("package")?.get("version")?.as_str());
    version.map(str::to_owned).context("Cargo.toml has no workspace.package.version")
}

/// Reads off the program which libraries and which glibc it asks for.
fn check_needs(program: &Path) -> Result<()> {
    let readelf = |flags: &[&str]| -> Result<String> {
        let output = Command::new("readelf").args(flags).arg(program).output();
        let output = output.context("readelf (of binutils, which the linker comes with)")?;
        ensure!(output.status.success(), "readelf failed ({})", output.status);
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let libraries = libraries(&readelf(&["--dynamic", "--wide"])?);
    let newest = newest_glibc(&readelf(&["--version-info", "--wide"])?);
    let (major, minor) = newest.context("the program asks for no version of glibc")?;
    println!("linked to {}; glibc {major}.{minor} or later", Vec::from_iter(libraries.clone()).join(", "));
    let odd: Vec<&String> =
        libraries.iter().filter(|name| !LIBRARIES.iter().any(|known| name.starts_with(known))).collect();
    ensure!(odd.is_empty(), "the program is linked to {odd:?}, which not every machine has");
    ensure!(
        (major, minor) <= GLIBC,
        "the program asks for glibc {major}.{minor}, newer than {}.{}",
        GLIBC.0,
        GLIBC.1
    );
    Ok(())
}

/// `0x0000000000000001 (NEEDED)  Shared library: [libm.so.6]`
fn libraries(dynamic: &str) -> BTreeSet<String> {
    let needed = dynamic.lines().filter(|line| line.contains("(NEEDED)"));
    needed.filter_map(|line| Some(line.split_once('[')?.1.split_once(']')?.0.to_owned())).collect()
}

/// The newest `GLIBC_2.34` among the versions that are asked for.
fn newest_glibc(versions: &str) -> Option<(u32, u32)> {
    let names = versions.split_whitespace().filter_map(|word| word.strip_prefix("GLIBC_"));
    let numbers = names.filter_map(|name| {
        let mut parts = name.split('.');
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    });
    numbers.max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_and_versions_are_read_off_readelf() {
        let dynamic = "\
 0x0000000000000001 (NEEDED)             Shared library: [libgcc_s.so.1]
 0x0000000000000001 (NEEDED)             Shared library: [libc.so.6]
 0x000000000000000c (INIT)               0x1000";
        assert_eq!(Vec::from_iter(libraries(dynamic)), ["libc.so.6", "libgcc_s.so.1"]);
        let versions = "\
  0x0010:   Name: GLIBC_2.9  Flags: none  Version: 5
  0x0020:   Name: GLIBC_2.34  Flags: none  Version: 4
  0x0030:   Name: GLIBC_2.2.5  Flags: none  Version: 3
  0x0040:   Name: GCC_4.2.0  Flags: none  Version: 2";
        assert_eq!(newest_glibc(versions), Some((2, 34)));
        assert_eq!(newest_glibc("nothing"), None);
    }

    #[test]
    fn the_version_is_the_workspaces() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        assert_eq!(version(root).unwrap(), env!("CARGO_PKG_VERSION"));
    }
}
