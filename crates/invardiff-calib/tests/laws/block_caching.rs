//! Relative changes, as Block Caching plans from them.

use invardiff_calib::{CalibError, Concurrency};
use invardiff_runtime::{Site, SiteSpec};

use crate::toy::{MIX, Toy, features, runs, session, solver};

const STEPS: usize = 6;

#[test]
fn changes_are_those_of_the_features_and_averaged_over_runs() {
    let (toy, sampler, all) = (Toy::seeded(1), solver(STEPS), runs(2));
    let session = session(&toy, &sampler, &all);
    let found = session.with_concurrency(Concurrency::Parallel).block_changes().unwrap();
    assert_eq!((found.runs(), found.steps()), (2, STEPS));
    // Streams of a distance table: the trunk, mix[0], joint[0] and its text, mix[1], ..
    let of_site = [&[1][..], &[2, 3], &[4], &[5, 6]];
    let by_run: Vec<_> = all.iter().map(|run| features(&toy, STEPS, run)).collect();
    let l1 = |values: &mut dyn Iterator<Item = f64>| values.map(f64::abs).sum::<f64>();
    for step in 1..STEPS {
        for (column, streams) in of_site.iter().enumerate() {
            let change = |run: &Vec<Vec<Vec<f32>>>| {
                let difference = |stream: &usize| {
                    let pairs = run[*stream][step].iter().zip(&run[*stream][step - 1]);
                    l1(&mut pairs.map(|(a, b)| f64::from(*a) - f64::from(*b)))
                };
                let size = |stream: &usize| l1(&mut run[*stream][step].iter().map(|a| f64::from(*a)));
                streams.iter().map(difference).sum::<f64>() / streams.iter().map(size).sum::<f64>()
            };
            let expected = by_run.iter().map(change).sum::<f64>() / 2.0;
            let found = found.changes()[[step, column]];
            assert!((found / expected - 1.0).abs() < 1e-5, "{step} {column}: {found} {expected}"); // sums in f32
        }
    }
    assert_eq!(session.block_changes().unwrap(), found);
}

#[test]
fn sites_that_are_not_passed_are_named() {
    let mut toy = Toy::seeded(1);
    toy.topology.sites.push(SiteSpec::single(Site::new(MIX, 2), 5, 4, 1.0));
    let error = session(&toy, &solver(STEPS), &runs(1)).block_changes().unwrap_err();
    assert!(matches!(error, CalibError::Sites { .. }) && error.to_string().contains("mix[2]"), "{error}");
}
