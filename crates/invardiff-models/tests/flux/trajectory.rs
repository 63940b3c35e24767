//! A whole trajectory: 8 flow-match Euler steps with dynamic shift, to 1e-4 of the largest value.

use burn::tensor::Tensor;
use invardiff_runtime::{FlowMatchEuler, Full, Shift, sample_with};

use crate::fixture::{Dump, difference, largest, manifest, within};
use crate::tiny::{CANVAS, FILES, folder, model, values};

#[test]
fn eight_steps() {
    let dump = Dump::open(&folder().join("trajectory.safetensors"));
    let expected: Tensor<4> = dump.tensor("latents");
    let scale = largest(expected.clone());
    let steps = manifest("flux_tiny", "steps") as usize;
    let guidance = manifest("flux_tiny", "guidance_scale") as f32;
    let sampler = FlowMatchEuler::new(steps, Shift::for_image(CANVAS.image_tokens())).unwrap();
    for (sigma, stored) in sampler.sigmas().iter().zip(values(&dump, "sigmas")) {
        within("sigma", (*sigma as f32 - stored).abs(), 1e-6);
    }
    for file in FILES {
        let flux = model(file);
        let text = dump.tensor("encoder_hidden_states");
        let cond = flux.cond(text, dump.tensor("pooled_projections"), Some(guidance)).unwrap();
        let (mut worst, mut count) = (0f32, 0);
        sample_with(&flux, &sampler, &mut Full, dump.tensor("latents0"), &cond, |_, step, x| {
            let row = expected.clone().narrow(0, step, 1).squeeze_dim::<3>(0);
            worst = worst.max(difference(x.clone(), row) / scale);
            count += 1;
        });
        assert_eq!(count, 8);
        within(&format!("{file} trajectory, relative"), worst, 1e-4);
    }
}
