//! Progress bars: on a terminal only, and on standard error, so that output can be piped.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar of `length` units, hidden where standard error is no terminal.
pub fn bar(length: usize, what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(length as u64);
    let style = ProgressStyle::with_template("{msg:24} [{bar:30}] {pos}/{len}  {per_sec}  {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
    bar.set_message(what);
    bar
}
