//! A benchmark that is measured against another one.

use criterion::BenchmarkGroup;
use criterion::measurement::WallTime;
use invardiff_benches::{Ratio, Turns};

/// Fewer rounds are no measurement: criterion's test mode makes one.
const FEWEST: usize = 5;

/// Registers `name`, whose every run is followed or preceded by one of the base, and prints what it takes in units of the
/// base. The ratio of CPU times where the system gives one, else of wall times; `None` where nothing was measured.
pub(crate) fn paired<A, B>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    base_name: &str,
    mut subject: impl FnMut() -> A,
    mut base: impl FnMut() -> B,
) -> Option<Ratio> {
    let mut turns = Turns::default();
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|times| turns.run(times, &mut subject, &mut base));
    });
    let wall = turns.wall().filter(|wall| wall.rounds >= FEWEST)?;
    let cpu = turns.cpu();
    let in_cpu = cpu.map_or_else(|| "not known".to_owned(), |cpu| cpu.to_string());
    println!("{:24}ratio to {base_name}: wall {wall}, CPU {in_cpu}, {} rounds", "", wall.rounds);
    Some(cpu.unwrap_or(wall))
}
