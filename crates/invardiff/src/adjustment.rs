//! Files of Block Caching's scale-shift vectors, beside the plan that they belong to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::{DType, Device, Tensor, TensorData};
use invardiff_plan::{CachePlan, Site, Topology};
use invardiff_runtime::{Affine, ScaleShift};
use serde::{Deserialize, Serialize};

use crate::error::{About, Error, Result};
use crate::tensor_file::TensorFile;

const FORMAT: &str = "invardiff-scale-shift";

/// The object in a file's metadata.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    /// The fingerprint of the plan.
    plan: String,
    /// Which program trained it, on what and for how long.
    notes: Vec<String>,
    /// The steps that each site is adjusted at: the rows of its arrays.
    steps: Vec<(Site, Vec<usize>)>,
}

/// The name of a plan's adjustment, in the plan's folder: `scale-shift-` and the first 12 digits of its fingerprint.
///
/// # Errors
/// When the plan has no fingerprint, being too large for a file.
pub fn adjustment_path(plan_path: &Path, plan: &CachePlan) -> Result<PathBuf> {
    let fingerprint = plan.fingerprint()?;
    Ok(plan_path.with_file_name(format!("scale-shift-{}.safetensors", &fingerprint[..12])))
}

/// Writes the vectors of a plan's reuses as safetensors: for stream `S` of site `KIND[L]` the arrays `KIND.L.S.scale` and
/// `KIND.L.S.shift`, f32 `[adjusted steps, channels]`; which steps these are, the plan's fingerprint and `notes` are JSON in
/// the metadata.
///
/// # Errors
/// When the file cannot be written; names it.
pub fn write_adjustment(
    adjustment: &ScaleShift,
    plan: &CachePlan,
    notes: Vec<String>,
    path: &Path,
) -> Result<()> {
    let mut by_site: BTreeMap<Site, Vec<(usize, &[Affine])>> = BTreeMap::new();
    for (step, site, streams) in adjustment.iter() {
        by_site.entry(site).or_default().push((step, streams));
    }
    let steps = by_site.iter().map(|(site, rows)| (*site, rows.iter().map(|(step, _)| *step).collect()));
    let content = Content { plan: plan.fingerprint()?, notes, steps: steps.collect() };
    let mut file = TensorFile::new(FORMAT, &content)?;
    for (site, rows) in &by_site {
        for stream in 0..rows[0].1.len() {
            for (part, vector) in PARTS {
                let values = rows.iter().flat_map(|(_, streams)| {
                    vector(&streams[stream])
                        .clone()
                        .cast(DType::F32)
                        .into_data()
                        .iter::<f32>()
                        .collect::<Vec<_>>()
                });
                let values: Vec<f32> = values.collect();
                let shape = [rows.len(), values.len() / rows.len()];
                file.insert(&name(*site, stream, part), &shape, values)?;
            }
        }
    }
    file.write(path)
}

/// Reads the vectors of a plan.
///
/// # Errors
/// When the file cannot be read, belongs to another plan, or its vectors do not fit the model; names it.
pub fn read_adjustment(
    path: &Path,
    plan: &CachePlan,
    topology: &Topology,
    device: &Device,
) -> Result<ScaleShift> {
    let file = TensorFile::read(path, FORMAT)?;
    let content: Content = file.object()?;
    let (own, found) = (plan.fingerprint()?, &content.plan);
    if *found != own {
        let problem = format_args!("the vectors were trained for the plan {found}, this one is {own}");
        return Err(Error::file(path, problem));
    }
    let mut at: BTreeMap<(usize, Site), Vec<Affine>> = BTreeMap::new();
    for (site, steps) in &content.steps {
        let streams = topology.index(*site).map_or(0, |index| topology.sites[index].streams.len());
        for stream in 0..streams {
            let [scale, shift] = PARTS.map(|(part, _)| name(*site, stream, part));
            let (shape, scales) = file.array::<2>(&scale)?;
            let shifts = file.shaped(&shift, shape)?;
            let [rows, dim] = shape;
            if rows != steps.len() || dim == 0 {
                let problem = format_args!("'{scale}' has shape {shape:?}, expected {} rows", steps.len());
                return Err(Error::file(path, problem));
            }
            let vector = |values: &[f32]| {
                Tensor::from_data(TensorData::new(values.to_vec(), [1, 1, dim]), (device, DType::F32))
            };
            for ((step, scale), shift) in steps.iter().zip(scales.chunks(dim)).zip(shifts.chunks(dim)) {
                let affine = Affine { scale: vector(scale), shift: vector(shift) };
                at.entry((*step, *site)).or_default().push(affine);
            }
        }
    }
    let schedule = plan.schedule(topology)?;
    ScaleShift::new(at, &schedule, topology).about(path.display())
}

type Part = (&'static str, fn(&Affine) -> &Tensor<3>);

const PARTS: [Part; 2] = [("scale", |affine| &affine.scale), ("shift", |affine| &affine.shift)];

fn name(site: Site, stream: usize, part: &str) -> String {
    format!("{}.{}.{stream}.{part}", site.kind, site.layer)
}
