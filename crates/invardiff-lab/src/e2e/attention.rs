//! Attention at a given shape: the device compared with the CPU.

use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{DType, Device, Tensor};
use invardiff::{Dtype, OpenDevice};
use invardiff_runtime::GaussianNoise;

use super::check::{Checks, DeviceCheck};
use crate::error::{Result, unfit};

/// Compares attention in every 16-bit precision that the device has. (In f32 it is part of every other check.)
///
/// # Errors
/// When a check cannot be shown.
pub(super) fn compare(device: &OpenDevice, shape: [usize; 4], checks: &mut Checks<'_>) -> Result<()> {
    for (precision, limit) in [(Dtype::F16, 4e-3), (Dtype::Bf16, 2e-2)] {
        let name = format!("attention {shape:?} in {}", precision.name());
        if precision.check(device).is_err() {
            checks.skip(&name, "the device does not compute in it")?;
            continue;
        }
        checks.run(name, || apart(device, shape, precision.burn(), limit))?;
    }
    Ok(())
}

/// The largest difference over the largest value. Both get the same rounded inputs; the CPU computes in f32.
fn apart(device: &OpenDevice, shape: [usize; 4], dtype: DType, limit: f64) -> Result<DeviceCheck> {
    let processor = Device::flex();
    let inputs = || {
        let mut noise = GaussianNoise::seeded(0);
        [(); 3].map(|()| noise.draw::<4>(shape, &processor).cast(dtype))
    };
    let expected = values(attend(inputs().map(|x| x.cast(DType::F32))))?;
    let on_device = inputs().map(|x| Tensor::<4>::from_data(x.into_data(), (&**device, dtype)));
    let found = values(attend(on_device).cast(DType::F32))?;
    let largest = expected.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
    let apart = expected.iter().zip(&found).map(|(a, b)| {
        let apart = (a - b).abs() / largest;
        if apart.is_nan() { f32::INFINITY } else { apart }
    });
    Ok(DeviceCheck::at_most(f64::from(apart.fold(0.0, f32::max)), limit, "of the largest value"))
}

/// Without scale, bias and mask, because with any of them CubeCL does not use its fused kernels.
fn attend([query, key, value]: [Tensor<4>; 3]) -> Tensor<4> {
    attention(query, key, value, None, None, AttentionModuleOptions::default())
}

fn values(x: Tensor<4>) -> Result<Vec<f32>> {
    x.try_into_data()?.try_to_vec().map_err(|error| unfit!("{error:?}"))
}
