//! How long work reports how far it has come, whoever listens.

/// Hears how far long work has come. `()` hears nothing.
///
/// Work is told in phases of a known length; one phase may run inside of another. Calls may come from several threads.
pub trait Progress: Sync {
    /// A phase of `length` units begins; its name says what is done and, in parentheses, in which unit.
    fn begin(&self, phase: &str, length: u64);

    /// So many more units of the innermost phase are done.
    fn advance(&self, units: u64);

    /// The innermost phase is over, whether or not all of its units were done.
    fn finish(&self);

    /// Something that whoever waits should know, in one line.
    fn note(&self, _line: &str) {}
}

impl Progress for () {
    fn begin(&self, _: &str, _: u64) {}

    fn advance(&self, _: u64) {}

    fn finish(&self) {}
}

/// A phase of long work: begins when it is made, is over when it is dropped.
///
/// ```
/// use invardiff_runtime::{Phase, Progress};
///
/// fn sum(values: &[f64], progress: &dyn Progress) -> f64 {
///     let phase = Phase::begin(progress, "adding (values)", values.len());
///     values.iter().inspect(|_| phase.advance(1)).sum()
/// }
///
/// assert_eq!(sum(&[1.0, 2.0], &()), 3.0);
/// ```
#[must_use]
pub struct Phase<'a> {
    progress: &'a dyn Progress,
}

impl<'a> Phase<'a> {
    /// Begins a phase of `length` units.
    pub fn begin(progress: &'a dyn Progress, phase: &str, length: usize) -> Self {
        progress.begin(phase, length as u64);
        Self { progress }
    }

    /// So many more units are done.
    pub fn advance(&self, units: usize) {
        self.progress.advance(units as u64);
    }
}

impl Drop for Phase<'_> {
    fn drop(&mut self) {
        self.progress.finish();
    }
}
