//! Standard output that may be closed before the end (`| head`).

use std::fmt::Display;
use std::io::{self, Write};

use invardiff::fault::with_causes;

/// Prints a line.
///
/// # Errors
/// When standard output cannot be written; [`closed`] tells whether its reader has gone, which is no failure.
pub fn say(line: impl Display) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{line}")
}

/// Whether an error means that nobody reads standard output any more.
pub fn closed(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// An error with its causes, in one line, as [`with_causes`] has it.
pub fn in_one_line(error: &anyhow::Error) -> String {
    with_causes(error.as_ref())
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn a_cause_is_not_said_twice() {
        let missing = || io::Error::new(io::ErrorKind::NotFound, "no such file");
        let quoting = invardiff_plan::PlanError::Io { path: "p.json".into(), source: missing() };
        let message = in_one_line(&anyhow::Error::from(quoting).context("--plan"));
        assert_eq!(message, "--plan: p.json: no such file");
        let plain = anyhow::Error::from(missing()).context("weights").context("--model");
        assert_eq!(in_one_line(&plain), "--model: weights: no such file");
    }

    #[test]
    fn only_a_reader_that_has_gone_is_no_failure() {
        assert!(closed(&io::Error::from(io::ErrorKind::BrokenPipe).into()));
        assert!(!closed(&io::Error::from(io::ErrorKind::StorageFull).into()));
        assert!(!closed(&anyhow!("broken pipe")));
    }
}
