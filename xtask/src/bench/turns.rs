//! Running two builds of the benches in turns.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};

use super::build::folder;
use super::estimates::{Estimates, read};

/// What one round measured of the benchmarks that both sides have: the base, then the working tree.
pub(super) type Round = [Estimates; 2];

/// What was measured, and what could not be.
#[derive(Clone, Debug, Default)]
pub(super) struct Measured {
    pub(super) rounds: Vec<Round>,
    /// Names that only one side has: the base, then the working tree.
    pub(super) only: [Vec<String>; 2],
}

/// The benchmarks of one side, by name, with the program that has them.
type Benchmarks = BTreeMap<String, PathBuf>;

/// Runs every benchmark that both sides have `rounds` times on each. The two runs of a round follow each other at once, and
/// which side goes first alternates, so that load that comes and goes favours nobody.
pub(super) fn run(
    root: &Path,
    sides: [&[PathBuf]; 2],
    rounds: u32,
    filter: Option<&str>,
    args: &[OsString],
) -> Result<Measured> {
    let sides = [list(root, sides[0], filter)?, list(root, sides[1], filter)?];
    let only = [only(&sides[0], &sides[1]), only(&sides[1], &sides[0])];
    let common: Vec<&String> = sides[0].keys().filter(|name| sides[1].contains_key(*name)).collect();
    let mut measured = Measured { rounds: Vec::new(), only };
    for round in 0..rounds as usize {
        eprintln!("bench: round {} of {rounds}, {} benchmarks on both sides", round + 1, common.len());
        let mut times = Round::default();
        for (index, name) in common.iter().enumerate() {
            let mut order = [0, 1];
            order.rotate_left((round + index) % 2);
            for side in order {
                times[side].insert((*name).clone(), measure(root, &sides[side][*name], name, args)?);
            }
        }
        measured.rounds.push(times);
    }
    Ok(measured)
}

fn only(one: &Benchmarks, other: &Benchmarks) -> Vec<String> {
    one.keys().filter(|name| !other.contains_key(*name)).cloned().collect()
}

/// Asks the programs of one side what they have.
fn list(root: &Path, programs: &[PathBuf], filter: Option<&str>) -> Result<Benchmarks> {
    let mut benchmarks = Benchmarks::new();
    for program in programs {
        let output = call(Command::new(program).args(["--bench", "--list"]).args(filter).current_dir(root))?;
        let listed = names(&String::from_utf8_lossy(&output.stdout));
        benchmarks.extend(listed.into_iter().map(|name| (name, program.clone())));
    }
    Ok(benchmarks)
}

/// The names in what `--list` prints.
fn names(text: &str) -> Vec<String> {
    text.lines().filter_map(|line| Some(line.strip_suffix(": benchmark")?.to_owned())).collect()
}

/// The median time of one benchmark in nanoseconds, with a fresh folder for what criterion writes.
fn measure(root: &Path, program: &Path, name: &str, args: &[OsString]) -> Result<f64> {
    let home = folder(root).join("criterion");
    if home.exists() {
        fs::remove_dir_all(&home).with_context(|| home.display().to_string())?;
    }
    fs::create_dir_all(&home).with_context(|| home.display().to_string())?;
    let mut bench = Command::new(program);
    bench.args(["--bench", "--exact", name]).args(args).env("CRITERION_HOME", &home).current_dir(root);
    call(&mut bench)?;
    let found = read(&home)?.get(name).copied();
    found.with_context(|| format!("{} --exact {name} measured nothing", program.display()))
}

/// Runs a program to its end; what it complains about is part of the error.
fn call(command: &mut Command) -> Result<Output> {
    let program = Path::new(command.get_program()).display().to_string();
    let output = command.output().with_context(|| program.clone())?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} failed ({}): {}", output.status, complaint.trim());
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_from_the_list() {
        let text = "plan/json: benchmark\nblock/384 wide: benchmark\n\nreplay: something else\n";
        assert_eq!(names(text), ["plan/json", "block/384 wide"]);
    }

    #[test]
    fn what_one_side_lacks_is_found() {
        let side = |names: &[&str]| -> Benchmarks {
            names.iter().map(|name| ((*name).to_owned(), PathBuf::from("program"))).collect()
        };
        assert_eq!(only(&side(&["a", "b"]), &side(&["b", "c"])), ["a"]);
    }

    #[test]
    fn a_program_that_fails_says_why() {
        let error = call(Command::new("git").arg("no-such-command")).unwrap_err();
        assert!(error.to_string().contains("no-such-command"), "{error}");
    }

    /// A program that behaves as a bench program does towards this module. (A link to a script: a file that was just
    /// written may be open for writing in a child of another test, and does not run then.)
    #[cfg(unix)]
    fn program(folder: &Path, name: &str, benchmarks: &str) -> PathBuf {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/bench-program.sh");
        let path = folder.join(name);
        std::os::unix::fs::symlink(script, &path).unwrap();
        fs::write(path.with_extension("txt"), benchmarks).unwrap();
        path
    }

    #[cfg(unix)]
    #[test]
    fn both_sides_run_every_common_benchmark_in_turns() {
        let root = tempfile::tempdir().unwrap();
        let before = program(root.path(), "before", "a 10\nb 20\nold 1\n");
        let after = program(root.path(), "after", "a 11\nb 30\nnew 1\n");
        let args = ["--quiet".into()];
        let measured = run(root.path(), [&[before], &[after]], 3, Some("x"), &args).unwrap();
        let times = |a: f64, b: f64| Estimates::from([("a".to_owned(), a), ("b".to_owned(), b)]);
        assert_eq!(measured.rounds, vec![[times(10.0, 20.0), times(11.0, 30.0)]; 3]);
        assert_eq!(measured.only, [["old"], ["new"]]);
        let calls = fs::read_to_string(root.path().join("calls")).unwrap();
        let calls: Vec<&str> = calls.lines().collect();
        assert_eq!(calls[..2], ["before --bench --list x", "after --bench --list x"]);
        let first = ["before --bench --exact a --quiet", "after --bench --exact a --quiet"];
        assert_eq!(calls[2..4], first);
        assert_eq!(calls[4..6], ["after --bench --exact b --quiet", "before --bench --exact b --quiet"]);
        assert_eq!(calls[6..8], [first[1], first[0]]);
        assert_eq!(calls.len(), 2 + 3 * 4);
    }

    #[cfg(unix)]
    #[test]
    fn a_benchmark_that_measures_nothing_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let path = program(root.path(), "before", "a 10\n");
        let error = measure(root.path(), &path, "b", &[]).unwrap_err();
        assert!(error.to_string().contains("--exact b measured nothing"), "{error}");
    }
}
