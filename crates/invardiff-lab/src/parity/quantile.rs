//! The quantile (compared bit by bit), the strict comparison, and the change rate.

use invardiff_plan::two_phase::{Precision, change_rate, quantile};
use ndarray::ArrayD;

use super::arrays::Arrays;
use super::check::{Checks, Deviation};
use super::compare::{differing, list, relative};
use super::folder::{Entry, Folder};
use crate::error::{Result, ensure, unfit};

/// Tolerance of a few units in the last place: the reference sums in f32, in another order.
const RATE: f64 = 1e-6;

/// Compares every case of the manifest, and every rate.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn check(folder: &Folder, checks: &mut Checks) -> Result<()> {
    let arrays = folder.arrays("quantile.safetensors")?;
    for case in folder.manifest().get("cases")?.items()? {
        let index = case.get("index")?.count()?;
        let cells = Cells::read(&arrays, &case, index);
        let cells = cells.as_ref().map_err(|error| format!("{error:#}"));
        let with = |compare: fn(&Cells) -> Result<Deviation>| match &cells {
            Ok(cells) => compare(cells),
            Err(error) => Err(unfit!("{error}")),
        };
        checks.run(format!("v{index} quantiles, bit by bit"), || with(Cells::quantiles));
        checks.run(format!("v{index} strictly below"), || with(Cells::below));
    }
    let mut rate = 0;
    while arrays.has(&format!("rate{rate}.x")) {
        rates(&arrays, rate, checks);
        rate += 1;
    }
    Ok(())
}

/// Values, quantiles and masks of one case.
struct Cells {
    values: Vec<f32>,
    q: Vec<f64>,
    quantiles: ArrayD<f64>,
    below: ArrayD<bool>,
}

impl Cells {
    fn read(arrays: &Arrays, case: &Entry<'_>, index: usize) -> Result<Self> {
        let q = case.get("q")?.numbers()?;
        let values: Vec<f32> =
            arrays.with_axes(&format!("v{index}"), 1)?.iter().map(|value| *value as f32).collect();
        let quantiles = arrays.shaped(&format!("r{index}"), &[q.len()])?;
        let below = arrays.flags(&format!("less{index}"))?;
        let (expected, found) = ([q.len(), values.len()], below.shape());
        ensure!(
            found == expected,
            "{}: 'less{index}' has shape {found:?}, expected {expected:?}",
            arrays.file
        );
        Ok(Self { values, q, quantiles, below })
    }

    fn quantiles(&self) -> Result<Deviation> {
        let mut wrong = 0;
        for (q, expected) in self.q.iter().zip(&self.quantiles) {
            wrong += usize::from(quantile(&self.values, *q)?.to_bits() != (*expected as f32).to_bits());
        }
        Ok(differing(wrong).with_note(format!("{} values, {} quantiles", self.values.len(), self.q.len())))
    }

    fn below(&self) -> Result<Deviation> {
        let mut wrong = 0;
        for (q, row) in self.q.iter().zip(self.below.outer_iter()) {
            let threshold = quantile(&self.values, *q)?;
            wrong += self
                .values
                .iter()
                .zip(&row)
                .filter(|(value, below)| (**value < threshold) != **below)
                .count();
        }
        Ok(differing(wrong))
    }
}

/// The change rate of three features, in both precisions.
fn rates(arrays: &Arrays, index: usize, checks: &mut Checks) {
    let rate = |precision: Precision| -> Result<ArrayD<f64>> {
        let features = arrays.get(&format!("rate{index}.x"))?;
        let count = features.shape().first().copied().unwrap_or(0);
        ensure!(count == 3, "{}: 'rate{index}.x' has {count} features, expected 3", arrays.file);
        let feature = |step: usize| -> Vec<f32> {
            features.index_axis(ndarray::Axis(0), step).iter().map(|value| *value as f32).collect()
        };
        let rate = change_rate(&feature(0), &feature(1), &feature(2), precision)?;
        Ok(list(vec![f64::from(rate)]))
    };
    for (key, precision, tolerance) in [("r", Precision::F32, RATE), ("r_bf16", Precision::Bf16, 0.0)] {
        let key = format!("rate{index}.{key}");
        if arrays.has(&key) {
            checks.run(key.clone(), || relative(&rate(precision)?, &arrays.shaped(&key, &[1])?, tolerance));
        }
    }
}
