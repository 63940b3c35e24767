//! Two subjects in turns.

use std::hint::black_box;
use std::time::{Duration, Instant};

use cpu_time::ProcessTime;

use crate::Ratio;

/// How long a subject runs in one round, at least: well above what reading the clocks takes.
const ROUND: Duration = Duration::from_millis(3);

/// A subject and a base that run in turns, round by round; every second round the base goes first, so that slow drift
/// favours nobody.
#[derive(Debug)]
pub struct Turns {
    rounds: Vec<[Spent; 2]>,
    /// How often each runs in a round.
    chunk: u64,
}

/// What one side took in one round.
#[derive(Clone, Copy, Debug)]
struct Spent {
    wall: Duration,
    /// Of all threads; `None` where the system does not say.
    cpu: Option<Duration>,
}

impl Default for Turns {
    fn default() -> Self {
        Self { rounds: Vec::new(), chunk: 1 }
    }
}

impl Turns {
    /// Runs both sides `times` times and returns the wall time of the subject's. The base's results and the subject's are
    /// kept from the optimiser.
    pub fn run<A, B>(
        &mut self,
        times: u64,
        mut subject: impl FnMut() -> A,
        mut base: impl FnMut() -> B,
    ) -> Duration {
        let (mut left, mut total) = (times, Duration::ZERO);
        while left > 0 {
            let now = self.chunk.min(left);
            let base_first = self.rounds.len() % 2 == 1;
            let before = base_first.then(|| spent(now, &mut base));
            let own = spent(now, &mut subject);
            let other = before.unwrap_or_else(|| spent(now, &mut base));
            self.note(now, [own, other]);
            (left, total) = (left - now, total + own.wall);
        }
        total
    }

    fn note(&mut self, times: u64, [own, other]: [Spent; 2]) {
        let one = own.wall.min(other.wall) / u32::try_from(times).unwrap_or(u32::MAX);
        self.chunk = (ROUND.as_nanos() / one.as_nanos().max(1)) as u64 + 1;
        // Rounds that were cut short say more about the clock than about the subjects.
        if times == 1 && self.chunk == 1 || 2 * own.wall >= ROUND && 2 * other.wall >= ROUND {
            self.rounds.push([own, other]);
        }
    }

    /// The wall time of the subject over that of the base.
    pub fn wall(&self) -> Option<Ratio> {
        let ratio = |[own, base]: &[Spent; 2]| own.wall.as_secs_f64() / base.wall.as_secs_f64();
        Ratio::of(self.rounds.iter().map(ratio).collect())
    }

    /// The same in CPU time over all threads; `None` where the system does not say.
    pub fn cpu(&self) -> Option<Ratio> {
        let ratio = |[own, base]: &[Spent; 2]| Some(own.cpu?.as_secs_f64() / base.cpu?.as_secs_f64());
        Ratio::of(self.rounds.iter().map(ratio).collect::<Option<_>>()?)
    }
}

fn spent<T>(times: u64, mut work: impl FnMut() -> T) -> Spent {
    let (start, cpu) = (Instant::now(), ProcessTime::try_now());
    for _ in 0..times {
        black_box(work());
    }
    let cpu = cpu.and_then(|start| Ok(ProcessTime::try_now()?.duration_since(start)));
    Spent { wall: start.elapsed(), cpu: cpu.ok() }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    fn spin(micros: u64) {
        let start = Instant::now();
        while start.elapsed() < Duration::from_micros(micros) {
            black_box(());
        }
    }

    #[test]
    fn both_sides_run_as_often_and_take_turns() {
        let order = RefCell::new(String::new());
        let mut turns = Turns::default();
        let note = |name| {
            order.borrow_mut().push(name);
            std::thread::sleep(ROUND * 2);
        };
        let total = turns.run(3, || note('a'), || note('b'));
        assert_eq!(order.into_inner(), "abbaab");
        assert!(total >= ROUND * 6);
        assert_eq!(turns.wall().unwrap().rounds, 3);
    }

    #[test]
    fn short_work_is_repeated_within_a_round() {
        let (subject, base) = (Cell::new(0), Cell::new(0));
        let count = |cell: &Cell<u32>| {
            spin(20);
            cell.set(cell.get() + 1);
        };
        let mut turns = Turns::default();
        turns.run(2000, || count(&subject), || count(&base));
        assert_eq!((subject.get(), base.get()), (2000, 2000));
        let rounds = turns.wall().unwrap().rounds;
        assert!((2..200).contains(&rounds), "{rounds}");
    }

    #[test]
    fn ratios_are_those_of_the_rounds() {
        let spent = |wall: u64, cpu: u64| Spent {
            wall: Duration::from_millis(wall),
            cpu: Some(Duration::from_millis(cpu)),
        };
        let mut turns = Turns::default();
        for slow in 1..=3 {
            turns.note(1, [spent(8 * slow, 16 * slow), spent(4 * slow, 4 * slow)]);
        }
        assert_eq!((turns.wall().unwrap().median, turns.cpu().unwrap().median), (2.0, 4.0));
        turns.note(1, [Spent { wall: ROUND, cpu: None }, spent(4, 3)]);
        assert!(turns.wall().is_some() && turns.cpu().is_none());
    }
}
