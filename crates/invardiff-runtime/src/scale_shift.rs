//! Block Caching's adjustment of reused values: a scale and a shift per channel.

use std::collections::BTreeMap;

use burn::tensor::{DType, Device, Tensor};
use invardiff_plan::{Schedule, Site, StreamSpec, Topology};

use crate::error::RuntimeError;

/// The adjustment `scale * value + shift` of a reused value, per channel.
#[derive(Clone, Debug)]
pub struct Affine {
    /// The scale, `[1, 1, dim]`.
    pub scale: Tensor<3>,
    /// The shift, `[1, 1, dim]`.
    pub shift: Tensor<3>,
}

impl Affine {
    /// Scale 1 and shift 0 for `dim` channels, in f32.
    pub fn identity(dim: usize, device: &Device) -> Self {
        let options = (device, DType::F32);
        Self { scale: Tensor::ones([1, 1, dim], options), shift: Tensor::zeros([1, 1, dim], options) }
    }

    /// # Shapes
    /// - `value`, result: `[batch, tokens, dim]`
    pub(crate) fn apply(&self, value: Tensor<3>) -> Tensor<3> {
        let dtype = value.dtype();
        value * self.scale.clone().cast(dtype) + self.shift.clone().cast(dtype)
    }
}

/// The adjustments of a schedule's reused modules, by step and site (Block Caching, arXiv 2312.03209, section 3.3). Reuses
/// without one stay as they are; skipped steps are never adjusted.
///
/// Adjustments are weights, not features: they exist for the whole trajectory and take [`ScaleShift::bytes`] whatever the
/// batch size. The peak bytes that a schedule predicts do not include them.
#[derive(Clone, Debug, Default)]
pub struct ScaleShift {
    at: BTreeMap<(usize, Site), Vec<Affine>>,
}

impl ScaleShift {
    /// Adjustments of reuses of `schedule`, by (step, site): one [`Affine`] per stream of the site.
    ///
    /// # Errors
    /// [`RuntimeError::Adjustment`] naming the first step and site where the schedule does not reuse, or where the vectors do
    /// not fit the site's streams.
    pub fn new(
        at: BTreeMap<(usize, Site), Vec<Affine>>,
        schedule: &Schedule,
        topology: &Topology,
    ) -> Result<Self, RuntimeError> {
        for ((step, site), streams) in &at {
            check(*step, *site, streams, schedule, topology).map_err(|detail| RuntimeError::Adjustment {
                step: *step,
                site: *site,
                detail,
            })?;
        }
        Ok(Self { at })
    }

    /// Scale 1 and shift 0 for every module that `schedule` reuses, which changes no value.
    ///
    /// # Errors
    /// As [`ScaleShift::new`], for a topology that does not belong to the schedule.
    pub fn identity(schedule: &Schedule, topology: &Topology, device: &Device) -> Result<Self, RuntimeError> {
        let affine = |stream: &StreamSpec| Affine::identity(stream.dim, device);
        let reused = Self::places(schedule, topology).into_iter();
        let at = reused.map(|(step, site, streams)| ((step, site), streams.iter().map(affine).collect()));
        Self::new(at.collect(), schedule, topology)
    }

    /// The reuses that can be adjusted, step by step in order of execution: step, site, and the site's streams.
    pub fn places<'t>(schedule: &Schedule, topology: &'t Topology) -> Vec<(usize, Site, &'t [StreamSpec])> {
        let specs = || topology.sites.iter().filter_map(|spec| Some((spec, schedule.slot(spec.site)?)));
        (0..schedule.steps())
            .flat_map(|step| specs().map(move |(spec, slot)| (step, spec, slot)))
            .filter(|(step, _, slot)| schedule.action(*step, *slot).recipe().is_some())
            .map(|(step, spec, _)| (step, spec.site, spec.streams.as_slice()))
            .collect()
    }

    /// The adjustment of a reuse, one [`Affine`] per stream; `None` where it has none.
    pub fn get(&self, step: usize, site: Site) -> Option<&[Affine]> {
        self.at.get(&(step, site)).map(Vec::as_slice)
    }

    /// All adjustments, in order of (step, site).
    pub fn iter(&self) -> impl Iterator<Item = (usize, Site, &[Affine])> {
        self.at.iter().map(|((step, site), streams)| (*step, *site, streams.as_slice()))
    }

    /// The number of adjusted reuses.
    pub fn len(&self) -> usize {
        self.at.len()
    }

    /// Whether no reuse is adjusted.
    pub fn is_empty(&self) -> bool {
        self.at.is_empty()
    }

    /// The bytes of all vectors.
    pub fn bytes(&self) -> usize {
        let of = |tensor: &Tensor<3>| tensor.dims().iter().product::<usize>() * tensor.dtype().size();
        self.at.values().flatten().map(|affine| of(&affine.scale) + of(&affine.shift)).sum()
    }
}

fn check(
    step: usize,
    site: Site,
    streams: &[Affine],
    schedule: &Schedule,
    topology: &Topology,
) -> Result<(), String> {
    let reused = step < schedule.steps()
        && schedule.slot(site).is_some_and(|slot| schedule.action(step, slot).recipe().is_some());
    if !reused {
        return Err("the schedule does not reuse it there".into());
    }
    let spec = topology.index(site).map(|index| &topology.sites[index]);
    let spec = spec.ok_or_else(|| format!("{} has no such module", topology.model))?;
    if streams.len() != spec.streams.len() {
        return Err(format!("{} vector pairs for its {} tensors", streams.len(), spec.streams.len()));
    }
    for (affine, stream) in streams.iter().zip(&spec.streams) {
        for dims in [affine.scale.dims(), affine.shift.dims()] {
            if dims != [1, 1, stream.dim] {
                return Err(format!("a vector of shape {dims:?} for a tensor of {} channels", stream.dim));
            }
        }
    }
    Ok(())
}
