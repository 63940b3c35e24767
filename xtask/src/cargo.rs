//! Running cargo.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};

/// The features that every task builds: one set, so that the tensor library is compiled once.
pub(crate) const FEATURES: [&str; 2] = ["--features", "autodiff"];

/// The cargo that runs this program, with the workspace's root as working directory.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}

/// A child's exit status as this program's own; 1 where a signal ended it.
pub(crate) fn exit_code(status: ExitStatus) -> ExitCode {
    status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// Where cargo builds.
pub(crate) fn target(root: &Path) -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root.join(folder),
        None => root.join("target"),
    }
}
