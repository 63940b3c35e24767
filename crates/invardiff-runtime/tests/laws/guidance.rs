//! Guidance as a denoiser around a denoiser.

use burn::tensor::{Device, Tensor};
use invardiff_runtime::{
    BatchedGuidance, Denoiser, Event, Executor, Full, GaussianNoise, Observed, Policy, Site, SiteSpec,
    Topology,
};

use crate::toy::{MIX, values};

/// A 4-dimensional model for guidance: the condition's class scales the sample.
struct Scaled;

impl Denoiser<4> for Scaled {
    type Cond = Tensor<4>;

    fn topology(&self) -> Topology {
        Topology {
            model: "scaled".into(),
            sites: vec![SiteSpec::single(Site::new(MIX, 0), 4, 3, 1.0)],
            trunk: SiteSpec::single(Site::TRUNK, 4, 3, 0.0),
            head_flops: 0.0,
            output_elements: 12,
        }
    }

    fn predict<E: Executor>(&self, exec: &mut E, x: Tensor<4>, _: f32, cond: &Tensor<4>) -> Tensor<4> {
        let [batch, channels, height, width] = x.dims();
        let [value] =
            exec.at(Site::new(MIX, 0), |_| [(x * cond.clone()).reshape([batch, height * width, channels])]);
        value.reshape([batch, channels, height, width])
    }
}

#[test]
fn guidance_mixes_the_halves_of_one_batch() {
    let device = Device::flex();
    let x: Tensor<4> = GaussianNoise::seeded(1).draw([2, 3, 2, 2], &device);
    let cond = Tensor::<1>::from_floats([2.0, 3.0, 0.5, -1.0], &device).reshape([4, 1, 1, 1]);
    // Rows 0 and 1 are guided from (2, 0.5) and (3, -1): u + 4 (c - u).
    let factor = |c: f64, u: f64| u + 4.0 * (c - u);
    for (channels, guided) in [(None, 3), (Some(1), 1), (Some(3), 3), (Some(7), 3)] {
        let model = BatchedGuidance { channels, ..BatchedGuidance::new(Scaled, 4.0) };
        let found = values(&model.predict(&mut Full, x.clone(), 0.0, &cond));
        for (i, (found, x)) in found.iter().zip(values(&x)).enumerate() {
            let (row, channel) = (i / 12, i / 4 % 3);
            let (c, u) = [(2.0, 0.5), (3.0, -1.0)][row];
            let expected = if channel < guided { factor(c, u) * x } else { c * x };
            assert!((found - expected).abs() < 1e-5, "{channels:?}, element {i}: {found} {expected}");
        }
    }
    let mut shapes = Vec::new();
    let look = |_, _, event: Event<'_>| {
        if let Event::Computed([value]) = event {
            shapes.push(value.dims());
        }
    };
    let model = BatchedGuidance::new(Scaled, 4.0);
    model.predict(&mut Observed::new(Full, look).step(0), x, 0.0, &cond);
    let spec = model.topology().sites[0].streams[0].clone();
    assert_eq!(shapes, [[2 * spec.rows, spec.tokens, spec.dim]]);
}
