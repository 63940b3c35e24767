//! What the crates of the program may do: run while they are compiled, hold `unsafe` code, open connections, start programs. By the
//! text of their sources, so it says where to look, and not what happens.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::cargo::cargo;

/// What is counted, with the texts by which it is found in a crate's sources; none where cargo says it.
const KINDS: [(&str, &[&str]); 5] = [
    ("build scripts", &[]),
    ("macros that run while crates are compiled", &[]),
    ("unsafe code", &["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern", "unsafe trait"]),
    ("connections", &["std::net::", "TcpStream", "UdpSocket"]),
    ("other programs", &["process::Command", "Command::new("]),
];

/// A crate of the program.
struct Crate {
    name: String,
    /// Whether it is of each of the kinds.
    is: [bool; KINDS.len()],
}

/// Prints, for the program with its default features on this system, how many of its crates are of each kind, and which where they are
/// few.
pub(crate) fn run(root: &Path) -> Result<()> {
    let crates = crates(root)?;
    println!("{} crates in invardiff-cli", crates.len());
    for (at, (kind, _)) in KINDS.iter().enumerate() {
        let names: Vec<&str> =
            crates.iter().filter(|found| found.is[at]).map(|found| found.name.as_str()).collect();
        let list = if names.len() <= 60 { format!(": {}", names.join(", ")) } else { String::new() };
        println!("{:4} with {kind}{list}", names.len());
    }
    Ok(())
}

fn crates(root: &Path) -> Result<Vec<Crate>> {
    let tree = read(
        root,
        &["tree", "-p", "invardiff-cli", "--edges", "no-dev", "--prefix", "none", "--format", "{p}"],
    )?;
    let metadata: Value = serde_json::from_str(&read(root, &["metadata", "--format-version", "1"])?)?;
    let packages = metadata["packages"].as_array().context("cargo metadata has no packages")?;
    let by_id: BTreeMap<(&str, &str), &Value> = packages
        .iter()
        .filter_map(|package| Some(((package["name"].as_str()?, package["version"].as_str()?), package)))
        .collect();
    let mut ids: Vec<(&str, &str)> = tree
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            Some((words.next()?, words.next()?.strip_prefix('v')?))
        })
        .collect();
    ids.sort_unstable();
    ids.dedup();
    ids.into_iter()
        .map(|id| {
            let package =
                by_id.get(&id).with_context(|| format!("cargo metadata does not know {} {}", id.0, id.1))?;
            looked_at(id.0, package)
        })
        .collect()
}

/// A crate by what cargo says of it, and the text of its sources.
fn looked_at(name: &str, package: &Value) -> Result<Crate> {
    let manifest = Path::new(package["manifest_path"].as_str().context("a package has no manifest")?);
    let kinds: Vec<&str> = package["targets"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|target| target["kind"].as_array().into_iter().flatten())
        .filter_map(Value::as_str)
        .collect();
    let source = manifest.parent().context("a manifest has no folder")?.join("src");
    let mut text = String::new();
    for file in sources(&source)? {
        let file = fs::read(&file).with_context(|| file.display().to_string())?;
        let file = String::from_utf8_lossy(&file);
        text.extend(
            file.lines().filter(|line| !line.trim_start().starts_with("//")).flat_map(|line| [line, "\n"]),
        );
    }
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let mut is = KINDS.map(|(_, words)| has(words));
    (is[0], is[1]) = (kinds.contains(&"custom-build"), kinds.contains(&"proc-macro"));
    Ok(Crate { name: name.to_owned(), is })
}

/// The sources below a folder; none where it is not there.
fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(sources(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(found)
}

/// What cargo prints.
fn read(root: &Path, args: &[&str]) -> Result<String> {
    let output = cargo(root).args(args).output()?;
    ensure!(output.status.success(), "cargo {}: {}", args[0], String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8(output.stdout)?)
}
