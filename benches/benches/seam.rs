//! What the seam costs: one small network with it and written out without it.

use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use criterion::Criterion;
use invardiff_plan::{CachePlan, Kind};
use invardiff_runtime::{Denoiser, Executor, Full, GaussianNoise, Policy, Replay, Site, SiteSpec, Topology};

use crate::paired::paired;

const LAYERS: u32 = 12;
const BATCH: usize = 2;
const TOKENS: usize = 16;
const DIM: usize = 64;

pub(crate) fn benches(criterion: &mut Criterion) {
    let toy = &Toy::new();
    let x = &GaussianNoise::seeded(2).draw([BATCH, TOKENS, DIM], &Device::flex());
    let bits = |y: Tensor<3>| y.into_data().iter::<f32>().map(f32::to_bits).collect::<Vec<_>>();
    let plain = || toy.plain(x.clone());
    let full = || toy.predict(&mut Full, x.clone(), 0.0, &());
    assert_eq!(bits(plain()), bits(full()), "both must do the same work");

    let empty = CachePlan::empty(&toy.topology(), 1).schedule(&toy.topology()).expect("the toy's own sites");
    let schedule = &Arc::new(empty);
    let replay = || toy.predict(&mut Replay::new(schedule.clone()).step(0), x.clone(), 0.0, &());
    let mut group = criterion.benchmark_group("seam");
    paired(&mut group, "full", "the plain forward", full, plain);
    paired(&mut group, "empty_plan", "the plain forward", replay, plain);
    group.finish();
}

/// Twelve layers of two sites, each a product of small matrices: little work a site, so that the seam weighs more than in
/// any real model.
struct Toy {
    weights: Vec<[Tensor<3>; 2]>,
}

impl Toy {
    const FIRST: Kind = Kind::new("first");
    const SECOND: Kind = Kind::new("second");

    fn new() -> Self {
        let noise = &mut GaussianNoise::seeded(1);
        let mut weight = || noise.draw([BATCH, DIM, DIM], &Device::flex()) * (DIM as f32).sqrt().recip();
        Self { weights: (0..LAYERS).map(|_| [weight(), weight()]).collect() }
    }

    fn module(weight: &Tensor<3>, x: &Tensor<3>) -> Tensor<3> {
        x.clone().matmul(weight.clone()).tanh()
    }

    fn plain(&self, x: Tensor<3>) -> Tensor<3> {
        self.weights.iter().fold(x, |x, [first, second]| {
            let value = Self::module(first, &x);
            let x = x + value;
            let value = Self::module(second, &x);
            x + value
        })
    }
}

impl Denoiser<3> for Toy {
    type Cond = ();

    fn topology(&self) -> Topology {
        let layer = |layer| {
            [Self::FIRST, Self::SECOND].map(|kind| SiteSpec::single(Site::new(kind, layer), TOKENS, DIM, 1.0))
        };
        Topology {
            model: "toy".into(),
            sites: (0..LAYERS).flat_map(layer).collect(),
            trunk: SiteSpec::single(Site::TRUNK, TOKENS, DIM, 0.0),
            head_flops: 0.0,
            output_elements: TOKENS * DIM,
        }
    }

    fn predict<E: Executor>(&self, exec: &mut E, x: Tensor<3>, _: f32, (): &()) -> Tensor<3> {
        let [x] = exec.at(Site::TRUNK, |exec| {
            [(0..).zip(&self.weights).fold(x, |x, (layer, [first, second])| {
                let [value] = exec.at(Site::new(Self::FIRST, layer), |_| [Self::module(first, &x)]);
                let x = x + value;
                let [value] = exec.at(Site::new(Self::SECOND, layer), |_| [Self::module(second, &x)]);
                x + value
            })]
        });
        x
    }
}
