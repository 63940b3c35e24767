//! End to end: a device held against the processor.
//!
//! The same model, noise and settings on both: change rates, plans, images. What needs no second device (an empty plan,
//! bytes, threads) is checked on the device alone, and networks against arrays that other programs made.

mod attention;
mod books;
mod calibration;
mod check;
mod pictures;

use std::io;
use std::path::PathBuf;

use anyhow::Result;
use invardiff_runtime::Sampler;

pub(crate) use check::{Check, Outcome};

use crate::parity::{Checked, check_all};
use check::Checks;
use invardiff::fault::caught;
use invardiff::{ClassToImage, Embedded, OpenDevice, Pipeline, SamplingOptions};
use pictures::Draw;

/// How much is computed.
#[derive(Clone, Debug)]
pub(crate) struct Amounts {
    /// Trajectories of the calibration.
    pub(crate) runs: usize,
    /// Steps of all trajectories.
    pub(crate) num_inference_steps: usize,
    /// Images that are compared.
    pub(crate) pictures: usize,
    /// The seed of the first run.
    pub(crate) seed: u64,
    /// Batch, heads, tokens and channels of a head of the attention that is compared.
    pub(crate) attention: [usize; 4],
    /// Folders of arrays to compare networks with.
    pub(crate) fixtures: Vec<PathBuf>,
}

/// The embedded model on the processor and on the device.
struct Pair<'a> {
    amounts: &'a Amounts,
    processor: ClassToImage,
    device: ClassToImage,
}

/// Makes every check in turn, showing each as soon as it is done.
///
/// # Errors
/// When the embedded model does not load, or `look` fails. A check that cannot be made is a failed check.
pub(crate) fn run(
    device: &OpenDevice,
    amounts: &Amounts,
    look: &mut dyn FnMut(&Check) -> io::Result<()>,
) -> Result<Vec<Check>> {
    let mut checks = Checks::new(look);
    parity(device, amounts, &mut checks)?;
    let pair = Pair::open(device, amounts)?;
    let plans = calibration::compare(&pair, &mut checks)?;
    Draw::new(&pair).compare(&plans, &mut checks)?;
    attention::compare(device, amounts.attention, &mut checks)?;
    checks.run("the device ends without an error", || {
        device.wait()?;
        Ok(Check::equal(0.0, 0.0, "errors"))
    })?;
    Ok(checks.into_list())
}

/// Networks and whole trajectories against stored arrays, one check a folder.
fn parity(device: &OpenDevice, amounts: &Amounts, checks: &mut Checks<'_>) -> Result<()> {
    if amounts.fixtures.is_empty() {
        return checks.skip("parity", "there are no fixtures beside this program; give folders (--fixtures)");
    }
    for folder in &amounts.fixtures {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        checks.run(format!("parity with {name}"), || {
            let (mut made, mut failed) = (0, Vec::new());
            check_all(std::slice::from_ref(folder), device, |checked: &Checked| {
                made += checked.checks.len();
                let bad = checked.checks.iter().filter(|check| !check.passed());
                failed.extend(bad.map(|check| format!("{}: {}", check.name, check.error())));
            });
            let check = Check::equal(failed.len() as f64, 0.0, "comparisons off");
            Ok(check.with_notes([format!("{made} comparisons")].into_iter().chain(failed)))
        })?;
    }
    Ok(())
}

impl<'a> Pair<'a> {
    fn open(device: &OpenDevice, amounts: &'a Amounts) -> Result<Self> {
        let options = SamplingOptions {
            num_inference_steps: amounts.num_inference_steps,
            ..SamplingOptions::default()
        };
        let on = |device: &OpenDevice| ClassToImage::new(Embedded::Fashion.load(device)?, options, device);
        let loaded = caught(|| on(device))??;
        Ok(Self { amounts, processor: on(&OpenDevice::processor())?, device: loaded })
    }

    /// The classes of `count` trajectories, in turns.
    fn classes(&self, count: usize) -> Vec<usize> {
        (0..count).map(|index| index % self.processor.model().config().num_classes).collect()
    }

    fn steps(&self) -> usize {
        self.processor.sampler().steps()
    }
}
