//! Running a target on many inputs.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use cpu_time::ThreadTime;
use invardiff_eval::peak_rss;

use super::mutate::Mutator;
use super::target::Target;

/// The longest that one input may take, of the processor's time: a machine may be busy or asleep.
pub const TIME_LIMIT: Duration = Duration::from_secs(10);
/// The most resident memory of the process at any time, in bytes.
pub const MEMORY_LIMIT: u64 = 1 << 30;
/// After how many inputs the limits of time and memory are looked at.
const LOOK: u64 = 256;

/// When a run ends: at the first of both.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// How long it may take.
    pub time: Duration,
    /// How many inputs there may be.
    pub executions: u64,
}

/// What a run came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Inputs.
    pub executions: u64,
    /// Inputs that the target read.
    pub accepted: u64,
    /// The longest that an input took, of the processor's time.
    pub slowest: Duration,
}

/// The seeds of a target: the files of a folder.
///
/// # Errors
/// The system's, when the folder or a file cannot be read.
pub fn seeds(folder: &Path) -> io::Result<Vec<Vec<u8>>> {
    let mut files =
        std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    files.sort();
    files.into_iter().map(std::fs::read).collect()
}

/// Runs a target until the budget is spent. `seed` decides on the inputs. The input under way stands in the file `current`, so that it
/// can be found after an abort.
///
/// # Errors
/// Says what the target did with an input: a panic, too long a time, too much memory. The input is then in `current`.
pub fn run(
    target: Target,
    seeds: Vec<Vec<u8>>,
    seed: u64,
    budget: Budget,
    current: &Path,
) -> Result<Figures, String> {
    let (mut mutator, mut figures) = (Mutator::new(seeds.clone(), seed), Figures::default());
    let mut note = File::create(current).map_err(|error| format!("{}: {error}", current.display()))?;
    let began = Instant::now();
    let mut own = seeds.into_iter();
    while figures.executions < budget.executions {
        let input = own.next().unwrap_or_else(|| mutator.input());
        keep(&mut note, &input).map_err(|error| format!("{}: {error}", current.display()))?;
        let start = ThreadTime::now();
        let read = catch_unwind(AssertUnwindSafe(|| (target.read)(&input))).map_err(|panic| said(&*panic))?;
        figures.slowest = figures.slowest.max(start.elapsed());
        figures.executions += 1;
        if read {
            figures.accepted += 1;
            mutator.keep(&input);
        }
        if figures.slowest > TIME_LIMIT {
            return Err(format!("an input took {:?}", figures.slowest));
        }
        if figures.executions.is_multiple_of(LOOK) {
            if let Some(bytes) = peak_rss().filter(|bytes| *bytes > MEMORY_LIMIT) {
                return Err(format!("{bytes} bytes of memory, at one of the last {LOOK} inputs"));
            }
            if began.elapsed() > budget.time {
                break;
            }
        }
    }
    Ok(figures)
}

fn keep(file: &mut File, input: &[u8]) -> io::Result<()> {
    file.rewind()?;
    file.write_all(input)?;
    file.set_len(input.len() as u64)
}

/// What a panic says.
fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message");
    format!("a panic: {text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FEW: Budget = Budget { time: Duration::from_secs(20), executions: 5000 };

    #[test]
    fn a_panic_ends_a_run_and_leaves_its_input() {
        let folder = tempfile::tempdir().unwrap();
        let current = folder.path().join("current");
        let read = |input: &[u8]| {
            assert!(input.first() != Some(&b'x'), "x is too much");
            true
        };
        let target = Target { name: "x", read };
        let error = run(target, vec![b"a".to_vec()], 0, FEW, &current).unwrap_err();
        assert_eq!(error, "a panic: x is too much");
        assert_eq!(std::fs::read(&current).unwrap()[0], b'x');
        let target = Target { name: "y", read: |_| false };
        let figures = run(target, Vec::new(), 0, FEW, &current).unwrap();
        assert_eq!((figures.executions, figures.accepted), (5000, 0));
    }
}
