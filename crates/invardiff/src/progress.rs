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

/// A bar of `length` bytes of a file, hidden where standard error is no terminal.
pub(crate) fn bytes_bar(length: u64, file: &str) -> ProgressBar {
    let bar = ProgressBar::new(length);
    let template = "{msg} [{wide_bar}] {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left";
    let style = ProgressStyle::with_template(template);
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
    bar.set_message(file.to_owned());
    bar
}
