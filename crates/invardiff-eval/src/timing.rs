//! Timing runs against each other, and peak memory.

use std::time::Instant;

use cpu_time::ProcessTime;

/// A run to time. It must wait for its device (`device.sync()`) before it returns.
pub type Run<'a, E> = &'a mut dyn FnMut() -> Result<(), E>;

/// Times of one subject, in seconds, in the order of the rounds. There is at least one.
#[derive(Clone, Debug, PartialEq)]
pub struct Timings {
    seconds: Vec<f64>,
    cpu_seconds: Vec<f64>,
}

impl Timings {
    /// Wall times and CPU times measured elsewhere, one of each a round; `None` without any, or when their numbers differ.
    pub fn new(seconds: Vec<f64>, cpu_seconds: Vec<f64>) -> Option<Self> {
        let fit = !seconds.is_empty() && seconds.len() == cpu_seconds.len();
        fit.then_some(Self { seconds, cpu_seconds })
    }

    /// Seconds of each round, by the clock on the wall.
    pub fn seconds(&self) -> &[f64] {
        &self.seconds
    }

    /// CPU seconds of each round, over all threads of the process; NaN where the system does not say.
    pub fn cpu_seconds(&self) -> &[f64] {
        &self.cpu_seconds
    }

    /// The median wall time in seconds.
    pub fn median(&self) -> f64 {
        median(&self.seconds)
    }

    /// The shortest wall time in seconds: what the machine can do when nothing else runs.
    pub fn min(&self) -> f64 {
        self.seconds.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// `base / self` of each round: how many times faster than `base` in the same round.
    pub fn speedups_over(&self, base: &Self) -> Vec<f64> {
        base.seconds.iter().zip(&self.seconds).map(|(base, own)| base / own).collect()
    }

    /// The median of [`Timings::speedups_over`]. Load that comes and goes on a shared machine hits both runs of a round
    /// and cancels.
    pub fn speedup_over(&self, base: &Self) -> f64 {
        median(&self.speedups_over(base))
    }

    /// The same in CPU time: what the processor is spared, whatever else it does meanwhile. It says nothing of work on
    /// other devices, and hides threads that wait for each other.
    pub fn cpu_speedup_over(&self, base: &Self) -> f64 {
        let ratios = base.cpu_seconds.iter().zip(&self.cpu_seconds).map(|(base, own)| base / own);
        median(&ratios.collect::<Vec<_>>())
    }
}

/// Times several runs in one process, in turns: `warm_up` rounds that are not counted, then `rounds` (at least one) that
/// are. In a round every subject runs once; every second round goes backwards, so that slow drift favours nobody.
///
/// # Errors
/// The first error of a subject.
pub fn alternate<E>(rounds: usize, warm_up: usize, subjects: &mut [Run<'_, E>]) -> Result<Vec<Timings>, E> {
    let none = Timings { seconds: Vec::new(), cpu_seconds: Vec::new() };
    let mut timings = vec![none; subjects.len()];
    for round in 0..warm_up + rounds.max(1) {
        let mut order: Vec<usize> = (0..subjects.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for subject in order {
            let (start, cpu) = (Instant::now(), ProcessTime::try_now());
            subjects[subject]()?;
            let elapsed = start.elapsed().as_secs_f64();
            if round >= warm_up {
                let cpu = cpu.and_then(|cpu| cpu.try_elapsed());
                timings[subject].seconds.push(elapsed);
                timings[subject].cpu_seconds.push(cpu.map_or(f64::NAN, |cpu| cpu.as_secs_f64()));
            }
        }
    }
    Ok(timings)
}

/// The most resident memory this process ever had, or had since [`reset_peak_rss`], in bytes. `None` where the system does not say (it is read from
/// `/proc/self/status` on Linux).
pub fn peak_rss() -> Option<u64> {
    high_water(&std::fs::read_to_string("/proc/self/status").ok()?)
}

/// Has [`peak_rss`] count from now on, starting at what is resident now. `false` where the system does not let it (it is asked
/// through `/proc/self/clear_refs` on Linux).
pub fn reset_peak_rss() -> bool {
    std::fs::write("/proc/self/clear_refs", "5").is_ok()
}

fn high_water(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// The middle value, or the mean of the two in the middle; NaN of nothing.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.len(), sorted.len() / 2) {
        (0, _) => f64::NAN,
        (length, middle) if length % 2 == 1 => sorted[middle],
        (_, middle) => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// The median of each step over several rounds of the same steps.
pub fn medians(rounds: &[Vec<f64>]) -> Vec<f64> {
    let steps = rounds.first().map_or(0, Vec::len);
    (0..steps).map(|step| median(&rounds.iter().map(|round| round[step]).collect::<Vec<_>>())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::convert::Infallible;

    #[test]
    fn rounds_alternate_their_order_and_warm_up_is_not_counted() {
        let order = RefCell::new(String::new());
        let note = |name| -> Result<(), Infallible> {
            order.borrow_mut().push(name);
            Ok(())
        };
        let mut first = || note('a');
        let mut second = || note('b');
        let timings = alternate(3, 1, &mut [&mut first, &mut second]).unwrap();
        assert_eq!(order.into_inner(), "abbaabba");
        assert!(timings.iter().all(|timing| timing.seconds().len() == 3), "{timings:?}");
    }

    #[test]
    fn the_first_error_ends_the_timing() {
        let mut ran = 0;
        let mut good = || {
            ran += 1;
            Ok(())
        };
        let mut bad = || Err("out of memory");
        assert_eq!(alternate(5, 0, &mut [&mut good, &mut bad]).unwrap_err(), "out of memory");
        assert_eq!(ran, 1);
    }

    #[test]
    fn summaries_are_those_of_the_rounds() {
        let base = Timings::new(vec![4.0, 9.0, 6.0, 6.0], vec![8.0; 4]).unwrap();
        let fast = Timings::new(vec![2.0, 3.0, 3.0, 2.0], vec![2.0, 4.0, 2.0, 2.0]).unwrap();
        assert_eq!((base.median(), base.min(), fast.median()), (6.0, 4.0, 2.5));
        assert_eq!(fast.speedups_over(&base), [2.0, 3.0, 2.0, 3.0]);
        assert_eq!(fast.speedup_over(&base), 2.5);
        assert_eq!((fast.cpu_speedup_over(&base), fast.cpu_seconds()[1]), (4.0, 4.0));
        assert!(Timings::new(Vec::new(), Vec::new()).is_none());
        assert!(Timings::new(vec![1.0], Vec::new()).is_none());
    }

    #[test]
    fn a_run_takes_at_least_as_long_as_it_waits() {
        let wait = |millis| {
            move || -> Result<(), Infallible> {
                std::thread::sleep(std::time::Duration::from_millis(millis));
                Ok(())
            }
        };
        let timings = alternate(3, 0, &mut [&mut wait(1), &mut wait(20)]).unwrap();
        assert!(timings[0].min() >= 0.001 && timings[1].min() >= 0.02, "{timings:?}");
        if cfg!(unix) {
            assert!(timings[1].cpu_seconds().iter().all(|cpu| *cpu >= 0.0), "{timings:?}");
        }
    }

    #[test]
    fn peak_memory_is_read_from_the_status_file() {
        assert_eq!(high_water("Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t 1 kB\n"), Some(2 * 1024 * 1024));
        assert_eq!(high_water("VmRSS:\t 1 kB\n"), None);
        if cfg!(target_os = "linux") {
            assert!(peak_rss().unwrap() > 1 << 20);
        }
    }

    #[test]
    fn peak_memory_starts_again_where_the_system_lets_it() {
        const LARGE: usize = 256 << 20;
        let before = peak_rss();
        drop(std::hint::black_box(vec![1u8; LARGE]));
        let with = peak_rss();
        if let (Some(before), Some(with), true) = (before, with, reset_peak_rss()) {
            assert!(with >= before && with >= LARGE as u64, "{before} {with}");
            assert!(peak_rss().unwrap() < with, "{with}");
        }
    }
}
