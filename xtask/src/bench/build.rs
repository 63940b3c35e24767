//! Building the bench programs of a commit and of the working tree.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::cargo::{FEATURES, cargo};

/// The benches' program, selected over the whole workspace, as features are.
pub(super) const BENCHES: [&str; 3] = ["--workspace", "--bench", "benches"];

/// Where everything of a comparison lies: the other commit's sources and build, and what criterion writes.
pub(super) fn folder(root: &Path) -> PathBuf {
    root.join("target").join("bench-base")
}

/// The full name of a commit.
///
/// # Errors
/// When git does not know it.
pub(super) fn commit(root: &Path, revision: &str) -> Result<String> {
    let wanted = format!("{revision}^{{commit}}");
    let name = git(root, &["rev-parse", "--verify", "--end-of-options", &wanted])
        .with_context(|| format!("--compare {revision}: git knows no such commit"))?;
    Ok(name.trim().to_owned())
}

/// The bench programs of a commit, built from its own work tree in its own target folder. The work tree is gone after; the
/// target folder stays, so that the next comparison compiles the workspace's crates alone.
pub(super) fn commit_programs(root: &Path, commit: &str) -> Result<Vec<PathBuf>> {
    let tree = Tree::check_out(root, commit)?;
    let target = folder(root).join("target");
    programs(cargo(&tree.path).env("CARGO_TARGET_DIR", target))
        .with_context(|| format!("building the benches of {commit}"))
}

/// The bench programs of the working tree, in the usual target folder.
pub(super) fn tree_programs(root: &Path) -> Result<Vec<PathBuf>> {
    programs(&mut cargo(root)).context("building the benches of the working tree")
}

/// Builds, and reads off cargo's messages what was built.
fn programs(cargo: &mut Command) -> Result<Vec<PathBuf>> {
    cargo.arg("bench").args(BENCHES).args(FEATURES).args(["--no-run", "--message-format", "json"]);
    let output = cargo.stderr(Stdio::inherit()).output().context("cargo bench --no-run")?;
    ensure!(output.status.success(), "cargo bench --no-run failed ({}), see above", output.status);
    let programs = executables(&String::from_utf8_lossy(&output.stdout), &["bench"]);
    ensure!(!programs.is_empty(), "it has no benches");
    Ok(programs)
}

/// The executables of targets of some kinds in cargo's messages, one JSON object a line.
pub(super) fn executables(messages: &str, wanted: &[&str]) -> Vec<PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let is_wanted = |message: &Value| {
        let kinds = message.pointer("/target/kind").and_then(Value::as_array);
        kinds.is_some_and(|kinds| kinds.iter().any(|kind| wanted.iter().any(|wanted| kind == wanted)))
    };
    let executable = |message: Value| message.get("executable")?.as_str().map(PathBuf::from);
    messages.filter(is_wanted).filter_map(executable).collect()
}

/// A work tree of git with one commit in it, removed when dropped.
struct Tree<'a> {
    root: &'a Path,
    path: PathBuf,
}

impl<'a> Tree<'a> {
    fn check_out(root: &'a Path, commit: &str) -> Result<Self> {
        let path = folder(root).join("tree");
        let tree = Self { root, path };
        tree.remove().context("an old work tree is in the way")?;
        let place = tree.path.to_str().context("the workspace lies at a path that is no UTF-8")?;
        git(root, &["worktree", "add", "--quiet", "--force", "--detach", place, commit])?;
        Ok(tree)
    }

    /// Removes the folder, and git's note of it.
    fn remove(&self) -> Result<()> {
        if self.path.exists() {
            fs::remove_dir_all(&self.path).with_context(|| self.path.display().to_string())?;
        }
        git(self.root, &["worktree", "prune"]).map(drop)
    }
}

impl Drop for Tree<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            eprintln!("warning: the work tree {} was not removed: {error:#}", self.path.display());
        }
    }
}

/// What git prints.
fn git(root: &Path, args: &[&str]) -> Result<String> {
    let mut git = Command::new("git");
    // Set where git runs a hook; they would name another repository than the one at `root`.
    for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        git.env_remove(variable);
    }
    let output = git.current_dir(root).args(args).output().context("git")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "git {} failed: {}", args.join(" "), complaint.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bench_targets_with_an_executable_are_run() {
        let messages = r#"
            {"reason":"compiler-artifact","target":{"kind":["lib"],"name":"a"},"executable":null}
            {"reason":"compiler-artifact","target":{"kind":["bench"],"name":"b"},"executable":"deps/b-1"}
            {"reason":"compiler-artifact","target":{"kind":["bench"],"name":"c"},"executable":null}
            {"reason":"compiler-artifact","target":{"kind":["bin"],"name":"d"},"executable":"deps/d"}
            not JSON
            {"reason":"build-finished","success":true}"#;
        assert_eq!(executables(messages, &["bench"]), [PathBuf::from("deps/b-1")]);
    }

    #[test]
    fn a_commit_is_resolved_and_an_unknown_one_refused() {
        let folder = Repository::new();
        let first = folder.commit("one");
        let second = folder.commit("two");
        assert_eq!(commit(folder.path(), "HEAD").unwrap(), second);
        assert_eq!(commit(folder.path(), "HEAD~1").unwrap(), first);
        for unknown in ["no-such-branch", "--help", ""] {
            let error = format!("{:#}", commit(folder.path(), unknown).unwrap_err());
            assert!(error.contains("git knows no such commit"), "{error}");
        }
    }

    #[test]
    fn a_work_tree_holds_the_commit_and_goes_again() {
        let folder = Repository::new();
        let first = folder.commit("one");
        folder.commit("two");
        let trees = || git(folder.path(), &["worktree", "list"]).unwrap().lines().count();
        for _ in 0..2 {
            let tree = Tree::check_out(folder.path(), &first).unwrap();
            assert_eq!(fs::read_to_string(tree.path.join("file")).unwrap(), "one");
            assert_eq!(trees(), 2);
            let path = tree.path.clone();
            drop(tree);
            assert!(!path.exists());
            assert_eq!(trees(), 1);
        }
        // One that an interrupted comparison left behind.
        std::mem::forget(Tree::check_out(folder.path(), &first).unwrap());
        Tree::check_out(folder.path(), "HEAD").unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("file")).unwrap(), "two");
        assert_eq!(trees(), 1);
    }

    /// A repository of its own, in a folder that is removed.
    struct Repository(tempfile::TempDir);

    impl Repository {
        fn new() -> Self {
            let repository = Self(tempfile::tempdir().unwrap());
            git(repository.path(), &["init", "--quiet"]).unwrap();
            repository
        }

        fn path(&self) -> &Path {
            self.0.path()
        }

        /// Commits a file with this text; the commit's name.
        fn commit(&self, text: &str) -> String {
            fs::write(self.path().join("file"), text).unwrap();
            git(self.path(), &["add", "file"]).unwrap();
            let who = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"];
            git(self.path(), &[&who[..], &["commit", "--quiet", "-m", text]].concat()).unwrap();
            git(self.path(), &["rev-parse", "HEAD"]).unwrap().trim().to_owned()
        }
    }
}
