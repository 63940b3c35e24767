//! Progress bars: on a terminal only, and on standard error, so that output can be piped.

use std::sync::{Mutex, PoisonError};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use invardiff_runtime::Progress;

use crate::stdout::note;

/// A [`Progress`] that draws one bar per open phase.
#[derive(Debug, Default)]
pub(crate) struct Bars {
    all: MultiProgress,
    open: Mutex<Vec<ProgressBar>>,
}

impl Bars {
    fn open(&self) -> std::sync::MutexGuard<'_, Vec<ProgressBar>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for Bars {
    fn begin(&self, phase: &str, length: u64) {
        let bar = styled(ProgressBar::new(length));
        bar.set_message(phase.to_owned());
        self.open().push(self.all.add(bar));
    }

    fn advance(&self, units: u64) {
        if let Some(bar) = self.open().last() {
            bar.inc(units);
        }
    }

    fn finish(&self) {
        if let Some(bar) = self.open().pop() {
            bar.finish_and_clear();
        }
    }

    fn note(&self, line: &str) {
        self.all.suspend(|| note(line));
    }
}

/// A bar of `length` units, hidden where standard error is no terminal.
pub(crate) fn bar(length: usize, what: &'static str) -> ProgressBar {
    let bar = styled(ProgressBar::new(length as u64));
    bar.set_message(what);
    bar
}

fn styled(bar: ProgressBar) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:24} [{bar:30}] {pos}/{len}  {per_sec}  {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
    bar
}
