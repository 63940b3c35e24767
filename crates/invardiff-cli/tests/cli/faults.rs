//! Commands whose disk fails, or who are killed, at each call that changes a file: what is there afterwards is the old file or the
//! whole new one. Linux alone: the calls are spoilt by a library that is loaded before the C library.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use assert_cmd::cargo::cargo_bin;

use crate::support::{fashion_plan, names, run, write_fashion_plan};

/// Says that every call of each command is to be spoilt in turn, and not a few of them.
const ALL: &str = "INVARDIFF_ALL_FAULTS";

/// The library of `disk.c`, compiled by the compiler that links Rust's programs too.
fn disk() -> &'static Path {
    static DISK: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = DISK.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/faults/disk.c");
        let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
        let mut command = Command::new(compiler);
        command.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&path).arg(source).arg("-ldl");
        assert!(command.status().unwrap().success());
        (folder, path)
    });
    path
}

/// Runs `invardiff` in a folder over such a disk.
fn spoilt(folder: &Path, variables: &[(&str, &str)], args: &[&str]) -> Output {
    let mut command = Command::new(cargo_bin!("invardiff"));
    command
        .current_dir(folder)
        .env("XDG_RUNTIME_DIR", folder)
        .env("LD_PRELOAD", disk())
        .env("FAULT_DIR", folder);
    command.envs(variables.iter().copied()).args(args).output().unwrap()
}

/// All files below a folder, with their bytes.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for name in names(folder) {
        let path = folder.join(&name);
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), fs::read(path).unwrap());
        }
    }
    found
}

/// Whether a file has its end.
fn is_whole(path: &Path, bytes: &[u8]) -> bool {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("json") => serde_json::from_slice::<serde_json::Value>(bytes).is_ok(),
        Some("html") => bytes.trim_ascii_end().ends_with(b"</html>"),
        Some("svg") => bytes.trim_ascii_end().ends_with(b"</svg>"),
        Some("png") => bytes.ends_with(b"IEND\xaeB`\x82"),
        Some("safetensors") => safetensors::SafeTensors::deserialize(bytes).is_ok(),
        Some("csv" | "md") => bytes.ends_with(b"\n"),
        _ => false,
    }
}

/// The calls to spoil of all `calls`: `few`, spread over the whole of them and not the same ones from command to command.
fn points(calls: usize, few: usize) -> Vec<usize> {
    if std::env::var_os(ALL).is_some() {
        return (1..=calls).collect();
    }
    let few = few.min(calls);
    (0..few).map(|n| 1 + (n * calls + calls % few) / few).filter(|point| *point <= calls).collect()
}

/// Spoils a command at one point after another. `old` and `new` are its arguments in two runs that write the same files with
/// different bytes; `make` writes what the command reads; `few` is how many calls are spoilt, each in both ways.
fn never_torn(few: usize, make: fn(&Path), old: &[&str], new: &[&str]) {
    let before = tempfile::tempdir().unwrap();
    make(before.path());
    let output = run(before.path(), old);
    assert!(output.status.success(), "{old:?}: {}", String::from_utf8_lossy(&output.stderr));
    let relative = |folder: &Path| -> BTreeMap<PathBuf, Vec<u8>> {
        files(folder)
            .into_iter()
            .map(|(path, bytes)| (path.strip_prefix(folder).unwrap().to_owned(), bytes))
            .collect()
    };
    let old_files = relative(before.path());
    let fresh = || {
        let folder = tempfile::tempdir().unwrap();
        for (path, bytes) in &old_files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        folder
    };
    let after = fresh();
    let count = tempfile::NamedTempFile::new().unwrap();
    let output = spoilt(after.path(), &[("FAULT_COUNT", count.path().to_str().unwrap())], new);
    assert!(output.status.success(), "{new:?}: {}", String::from_utf8_lossy(&output.stderr));
    let calls: usize = fs::read_to_string(count.path()).unwrap().parse().unwrap();
    assert!(calls >= 4, "{new:?}: {calls} calls: a file is opened, written and synced, and so is its folder");
    let new_files = relative(after.path());
    assert_ne!(old_files, new_files, "{new:?} writes what was there");
    for (point, mode) in points(calls, few).into_iter().flat_map(|point| [(point, "fail"), (point, "kill")]) {
        let place = format!("{new:?}, {mode} at {point} of {calls}");
        let folder = fresh();
        let output = spoilt(folder.path(), &[("FAULT_AT", &point.to_string()), ("FAULT_MODE", mode)], new);
        assert!(!output.status.success(), "{place}: it went well");
        if mode == "fail" {
            let message = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(1), "{place}: {message}");
            assert!(message.contains("error: "), "{place}: {message}");
        }
        for (path, bytes) in relative(folder.path()) {
            let left = path.file_name().unwrap().to_str().unwrap().starts_with(".invardiff-");
            let known = [&old_files, &new_files].into_iter().any(|files| files.get(&path) == Some(&bytes));
            assert!(
                known || left && mode == "kill" || is_whole(&path, &bytes),
                "{place}: {} is torn",
                path.display()
            );
        }
        for path in old_files.keys() {
            assert!(folder.path().join(path).exists(), "{place}: {} is gone", path.display());
        }
    }
}

fn nothing(_: &Path) {}

#[test]
fn generate() {
    let few = ["generate", "--num-inference-steps", "2", "--class-labels", "1", "--out", "a.png"];
    never_torn(5, nothing, &few, &[&few[..], &["--seed", "1"]].concat());
}

#[test]
fn calibrate() {
    let few =
        ["calibrate", "--num-inference-steps", "4", "--runs", "1", "--images", "1", "--converged-steps", "0"];
    let few = [&few[..], &["--out", "o"]].concat();
    never_torn(2, nothing, &few, &[&few[..], &["--seed", "1"]].concat());
}

#[test]
fn compare() {
    let few = [
        "compare",
        "--num-inference-steps",
        "4",
        "--images",
        "1",
        "--converged-steps",
        "0",
        "--method",
        "fora=2",
    ];
    let few = [&few[..], &["--out", "o"]].concat();
    never_torn(4, nothing, &few, &[&few[..], &["--seed", "1"]].concat());
}

#[test]
fn plans() {
    let make = |folder: &Path| {
        write_fashion_plan(folder);
        fashion_plan().gate_alone().write(folder.join("gate.json")).unwrap();
    };
    never_torn(
        5,
        make,
        &["plan", "convert", "plan.json", "p.bin"],
        &["plan", "convert", "gate.json", "p.bin"],
    );
}

#[test]
fn block_cache_plan() {
    let few = ["block-cache", "plan", "--num-inference-steps", "4", "--runs", "1", "--out", "plan.json"];
    let to = |delta| [&few[..], &["--delta", delta]].concat();
    never_torn(3, nothing, &to("0.1"), &to("1e9"));
}

#[cfg(feature = "autodiff")]
#[test]
fn route_train() {
    let few = [
        "route",
        "train",
        "--num-inference-steps",
        "4",
        "--batch-size",
        "2",
        "--drawn-examples",
        "2",
        "--images",
        "2",
    ];
    let few = [&few[..], &["--iterations", "1", "--out", "o"]].concat();
    never_torn(2, nothing, &few, &[&few[..], &["--seed", "1"]].concat());
}
