//! Standard output that may be closed before the end (`| head`), and text of files on a terminal.

use std::fmt::{self, Display, Write as _};
use std::io::{self, Write};

/// Prints a line, as [`Plain`] text.
///
/// # Errors
/// When standard output cannot be written; [`closed`] tells whether its reader has gone, which is no failure.
pub(crate) fn say(line: impl Display) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{}", Plain(line))
}

/// Prints a line to standard error, as [`Plain`] text.
pub(crate) fn note(line: impl Display) {
    eprintln!("{}", Plain(line));
}

/// Text for a terminal. Files name models, methods and tensors as they like: characters that would clear the screen, set its
/// title, or show the rest of the line in another order are written as `\u{1b}`. Line ends and tabs stay.
pub(crate) struct Plain<T>(pub T);

impl<T: Display> Display for Plain<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Filter(f), "{}", self.0)
    }
}

struct Filter<'a, W>(&'a mut W);

impl<W: fmt::Write> fmt::Write for Filter<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(acts) {
            let (before, from) = rest.split_at(at);
            self.0.write_str(before)?;
            let mut characters = from.chars();
            characters.next().map_or(Ok(()), |c| write!(self.0, "{}", c.escape_unicode()))?;
            rest = characters.as_str();
        }
        self.0.write_str(rest)
    }
}

/// Whether a character acts on a terminal instead of being shown.
fn acts(c: char) -> bool {
    let directs =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    directs || (c.is_control() && !matches!(c, '\n' | '\t'))
}

/// Whether an error means that the reader of standard output has closed the pipe.
pub(crate) fn closed(error: &anyhow::Error) -> bool {
    let of_system = match error.downcast_ref::<invardiff_lab::Error>() {
        Some(invardiff_lab::Error::Io(error)) => Some(error),
        Some(_) | None => error.downcast_ref::<io::Error>(),
    };
    of_system.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn what_acts_on_a_terminal_is_written_out() {
        let plain = |text: &str| Plain(text).to_string();
        assert_eq!(plain("\u{1b}]0;title\u{7}a\u{1b}[2Jb\r"), r"\u{1b}]0;title\u{7}a\u{1b}[2Jb\u{d}");
        assert_eq!(plain("a\u{202e}nosj.\u{2069}"), r"a\u{202e}nosj.\u{2069}");
        assert_eq!(plain("\u{9b}2J\0"), r"\u{9b}2J\u{0}");
        for text in ["", "two\tcolumns\nand lines", "größe 大きさ 👩‍🚀", "שלום"] {
            assert_eq!(plain(text), text);
        }
    }

    #[test]
    fn only_a_reader_that_has_gone_is_no_failure() {
        assert!(closed(&io::Error::from(io::ErrorKind::BrokenPipe).into()));
        assert!(closed(&invardiff_lab::Error::from(io::Error::from(io::ErrorKind::BrokenPipe)).into()));
        assert!(!closed(&io::Error::from(io::ErrorKind::StorageFull).into()));
        assert!(!closed(&anyhow!("broken pipe")));
    }
}
