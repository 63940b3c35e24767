//! PSNR, SSIM and LPIPS on pairs of images.

use burn::tensor::Device;
use invardiff_eval::{Backbone, Lpips, Weights, formula_weights, psnr, ssim};
use ndarray::{Array3, Array4, Axis, Ix3};

use super::arrays::Arrays;
use super::check::{Checks, Deviation, Measure};
use super::compare::{differing, list, within};
use super::folder::{Entry, Folder};
use crate::error::{Context, Result, bail, ensure};

/// Tolerance of PSNR, in dB.
const PSNR: f64 = 1e-4;
/// Absolute tolerance of SSIM; the reference computes in f32.
const SSIM: f64 = 1e-5;
/// Tolerance of LPIPS, relative to the distance, or to 1e-3 for smaller distances.
const LPIPS: f64 = 1e-5;
const SMALL_LPIPS: f64 = 1e-3;

/// Compares every pair with the values in the manifest.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn check(folder: &Folder, device: &Device, checks: &mut Checks) -> Result<()> {
    let arrays = folder.arrays("images.safetensors")?;
    let results = folder.manifest().get("results")?.items()?;
    for result in &results {
        pair(&arrays, result, checks)?;
    }
    if let Some(lpips) = folder.manifest().find("lpips") {
        for (name, net) in lpips.get("nets")?.members()? {
            match network(folder, &arrays, name, &net, device, checks) {
                Ok(metric) => distances(&metric, &arrays, name, &results, checks),
                Err(error) => checks.run(format!("lpips {name}"), || Err(error)),
            }
        }
    }
    Ok(())
}

/// PSNR and SSIM of one pair, against each implementation that computed the same metric.
fn pair(arrays: &Arrays, result: &Entry<'_>, checks: &mut Checks) -> Result<()> {
    let index = result.get("index")?.count()?;
    let one = |value: f64| list(vec![value]);
    for key in ["psnr_reference", "psnr_skimage_uint8"] {
        if let Some(expected) = result.find(key) {
            checks.run(format!("{key} {index}"), || {
                let [a, b] = images(arrays, index)?;
                let found = psnr(a.view(), b.view())?;
                let measured = within(&one(found), &one(expected.number()?), PSNR)?;
                Ok(Deviation { measure: Measure::Decibels, ..measured })
            });
        }
    }
    for key in ["ssim_pytorch_msssim", "ssim_skimage_gaussian_cropped", "ssim_skimage_gaussian_manual_crop5"]
    {
        if let Some(expected) = result.find(key) {
            checks.run(format!("{key} {index}"), || {
                let [a, b] = images(arrays, index)?;
                within(&one(ssim(a.view(), b.view())?), &one(expected.number()?), SSIM)
            });
        }
    }
    Ok(())
}

/// The network with the weights of the manifest's formula, the first of which are stored.
fn network(
    folder: &Folder,
    arrays: &Arrays,
    name: &str,
    net: &Entry<'_>,
    device: &Device,
    checks: &mut Checks,
) -> Result<Lpips> {
    let backbone = match name {
        "alex" => Backbone::Alex,
        "squeeze" => Backbone::Squeeze,
        _ => bail!("this version has the networks alex and squeeze"),
    };
    let (order, shapes) = (net.get("order")?.items()?, net.get("shapes")?);
    let parameter = |key: &Entry<'_>| {
        let key = key.text()?;
        Ok((key.to_owned(), shapes.get(key)?.sizes()?))
    };
    let parameters: Vec<(String, Vec<usize>)> = order.iter().map(parameter).collect::<Result<_>>()?;
    ensure!(
        parameters == backbone.parameters(),
        "the manifest lists other tensors than {} has",
        backbone.metric()
    );
    let weights = formula_weights(&parameters, folder.manifest().get("seed")?.count()? as u64);
    let stored = format!("{name}.check");
    if arrays.has(&stored) {
        checks
            .run(format!("lpips {name} weights"), || compare_firsts(arrays, &stored, &parameters, &weights));
    }
    Ok(Lpips::new(backbone, weights, device)?)
}

/// The first three values of every tensor in order.
fn compare_firsts(
    arrays: &Arrays,
    key: &str,
    parameters: &[(String, Vec<usize>)],
    weights: &Weights,
) -> Result<Deviation> {
    let expected = arrays.with_axes(key, 1)?;
    let found: Vec<f32> = parameters
        .iter()
        .flat_map(|(key, _)| weights.values(key).unwrap_or(&[]).iter().take(3).copied())
        .collect();
    ensure!(found.len() == expected.len(), "'{key}' has {} values, expected {}", expected.len(), found.len());
    Ok(differing(found.iter().zip(&expected).filter(|(a, b)| f64::from(**a) != **b).count()))
}

fn distances(metric: &Lpips, arrays: &Arrays, name: &str, results: &[Entry<'_>], checks: &mut Checks) {
    for (index, result) in results.iter().enumerate() {
        let whole = result.find(&format!("lpips_{name}_formula_weights"));
        let layers = result.find(&format!("lpips_{name}_per_layer"));
        if whole.is_some() || layers.is_some() {
            checks.run(format!("lpips {name} {index}"), || {
                let index = result.get("index")?.count()?;
                let [a, b] = images(arrays, index)?.map(|image| signed(&image));
                let found = metric.layers(a.view(), b.view())?.row(0).to_vec();
                let mut error = 0.0_f64;
                if let Some(layers) = &layers {
                    let expected = layers.numbers()?;
                    let (count, stored) = (found.len(), expected.len());
                    ensure!(count == stored, "the network has {count} layers, stored are {stored}");
                    error = found.iter().zip(&expected).map(|(a, b)| off(*a, *b)).fold(error, f64::max);
                }
                if let Some(whole) = &whole {
                    error = error.max(off(found.iter().sum(), whole.number()?));
                }
                Ok(Deviation::new(Measure::Relative, error, LPIPS))
            });
        }
    }
}

fn off(found: f64, expected: f64) -> f64 {
    let error = (found - expected).abs() / expected.abs().max(SMALL_LPIPS);
    if error.is_nan() { f64::INFINITY } else { error }
}

/// The pair `a<index>`, `b<index>`, each `[channels, height, width]`.
fn images(arrays: &Arrays, index: usize) -> Result<[Array3<u8>; 2]> {
    let read = |side: &str| {
        let key = format!("{side}{index}");
        let image = arrays.with_axes(&key, 3)?.into_dimensionality::<Ix3>().context(key)?;
        Ok(image.mapv(|value| value as u8))
    };
    let [a, b]: [Result<_>; 2] = ["a", "b"].map(read);
    Ok([a?, b?])
}

/// A batch of one image in [-1, 1].
fn signed(image: &Array3<u8>) -> Array4<f32> {
    image.mapv(|value| f32::from(value) / 127.5 - 1.0).insert_axis(Axis(0))
}
