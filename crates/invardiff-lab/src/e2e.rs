//! End-to-end checks: a device compared with the CPU.
//!
//! Both get the same model, noise and settings; change rates, plans and images are compared. An empty plan, cache bytes and
//! threads are checked on the device alone, and networks against arrays that other programs made.

mod attention;
mod books;
mod calibration;
mod check;
mod images;
mod pair;

use std::io;

pub use check::{DeviceCheck, Outcome};
pub use pair::Amounts;

use crate::error::Result;
use crate::parity::{Checked, check_all};
use check::Checks;
use images::Draw;
use invardiff::OpenDevice;
use pair::Pair;

/// Makes every check in turn, showing each as soon as it is done.
///
/// # Errors
/// When the embedded model does not load, or `look` fails. A check that cannot be made is a failed check.
pub fn run(
    device: &OpenDevice,
    amounts: &Amounts,
    look: &mut dyn FnMut(&DeviceCheck) -> io::Result<()>,
) -> Result<Vec<DeviceCheck>> {
    let mut checks = Checks::new(look);
    parity(device, amounts, &mut checks)?;
    let pair = Pair::open(device, amounts)?;
    let plans = calibration::compare(&pair, &mut checks)?;
    Draw::new(&pair).compare(&plans, &mut checks)?;
    attention::compare(device, amounts.attention, &mut checks)?;
    checks.run("the device ends without an error", || {
        device.wait()?;
        Ok(DeviceCheck::equal(0.0, 0.0, "errors"))
    })?;
    Ok(checks.into_list())
}

/// Networks and whole trajectories against stored arrays, one check per folder.
fn parity(device: &OpenDevice, amounts: &Amounts, checks: &mut Checks<'_>) -> Result<()> {
    if amounts.fixtures.is_empty() {
        return checks.skip("parity", "there are no fixtures beside this program; name folders of them");
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
            let check = DeviceCheck::equal(failed.len() as f64, 0.0, "comparisons off");
            Ok(check.with_notes([format!("{made} comparisons")].into_iter().chain(failed)))
        })?;
    }
    Ok(())
}
