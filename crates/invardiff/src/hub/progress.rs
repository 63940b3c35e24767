//! The progress of a download: on a terminal only, and on standard error.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar of `length` bytes of a file, hidden where standard error is no terminal.
pub(crate) fn bytes_bar(length: u64, file: &str) -> ProgressBar {
    let bar = ProgressBar::new(length);
    let template = "{msg} [{wide_bar}] {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left";
    let style = ProgressStyle::with_template(template);
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
    bar.set_message(file.to_owned());
    bar
}
