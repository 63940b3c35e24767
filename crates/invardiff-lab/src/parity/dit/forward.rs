//! One forward and its parts.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use invardiff_models::{Difference, Dit, DitConfig, Golden, Loaded, Numerics};
use invardiff_plan::files;
use invardiff_runtime::{Event, Full, Observed, Policy, Site};

use crate::error::{Context, Result, ensure};
use crate::parity::arrays::Arrays;
use crate::parity::check::{Checks, Deviation, Measure};
use crate::parity::compare::{self, values};
use crate::parity::folder::Folder;
use crate::parity::guidance::guide;
use crate::parity::trajectory::{Guidance, labels};

/// A frequency below 1 may be rounded either way; the angle of timestep `t` then moves by up to `t * 2^-24`.
const ANGLE: f64 = 1.0 / 16_777_216.0;
/// Tolerance of the position table: sines and cosines computed in f64 and rounded once.
const POSITIONS: f64 = 1e-6;

/// The model and the inputs of its forward.
struct Forward<'a> {
    dit: &'a Dit,
    arrays: &'a Arrays,
    x: Tensor<4>,
    t: Tensor<1>,
    y: Tensor<1, Int>,
}

/// Compares the outputs, every block, the embeddings and guidance, as far as the file has them.
///
/// # Errors
/// When inputs are missing or do not fit the model.
pub(super) fn check(
    folder: &Folder,
    loaded: &Loaded<Dit>,
    arrays: &Arrays,
    device: &Device,
    checks: &mut Checks,
) -> Result<()> {
    let forward = Forward::read("", &loaded.model, arrays, device)?;
    for key in ["out", "out_float64"].into_iter().filter(|key| arrays.has(key)) {
        checks.run(format!("forward {key}"), || {
            compare::forward(&forward.out(&loaded.model), &arrays.get(key)?)
        });
    }
    other_files(folder, loaded, &forward, device, checks)?;
    if arrays.has("out_freqshift0_eps1e6") {
        checks.run("forward out_freqshift0_eps1e6", || {
            let original = with_original_numerics(loaded, device)?;
            compare::forward(&forward.out(&original), &arrays.get("out_freqshift0_eps1e6")?)
        });
    }
    forward.embeddings(device, checks);
    forward.blocks(device, checks);
    if arrays.has("cfg.out") {
        guided(folder, &loaded.model, arrays, device, checks);
    }
    Ok(())
}

/// The same weights in the folder's other files, such as a `.pt` beside a `.safetensors`.
fn other_files(
    folder: &Folder,
    loaded: &Loaded<Dit>,
    forward: &Forward<'_>,
    device: &Device,
    checks: &mut Checks,
) -> Result<()> {
    let main = loaded.file.as_ref().and_then(|file| file.file_name());
    for extension in ["pt", "pth", "bin"] {
        for file in folder.files(extension)?.into_iter().filter(|file| main != Some(file.as_ref())) {
            checks.run(format!("forward out, {file}"), || {
                let other = Dit::load(folder.path.join(&file), device)?;
                let measured = compare::forward(&forward.out(&other.model), &forward.arrays.get("out")?)?;
                Ok(match other.section.as_deref() {
                    Some(section) => measured.with_note(format!("weights under '{section}'")),
                    None => measured,
                })
            });
        }
    }
    Ok(())
}

/// The model with the constants of the original code, whatever the layout of its weights.
fn with_original_numerics(loaded: &Loaded<Dit>, device: &Device) -> Result<Dit> {
    let file = loaded.file.as_ref().context("the weights have no file")?;
    let config = DitConfig { numerics: Some(Numerics::Original), ..loaded.model.config().clone() };
    ensure!(
        file.extension().is_some_and(|end| end == "safetensors"),
        "{} is no safetensors file",
        file.display()
    );
    Ok(Dit::from_bytes(&files::read(file, files::TENSORS_LIMIT)?, &config, device)?.model)
}

impl<'a> Forward<'a> {
    /// Reads `{prefix}x`, `{prefix}t` and `{prefix}y`.
    fn read(prefix: &str, dit: &'a Dit, arrays: &'a Arrays, device: &Device) -> Result<Self> {
        let (config, key) = (dit.config(), |name: &str| format!("{prefix}{name}"));
        let batch = arrays.shape(&key("x"))?.first().copied().unwrap_or(0);
        ensure!(batch > 0, "{}: '{}' has no row", arrays.file, key("x"));
        let shape = [batch, config.in_channels, config.input_size, config.input_size];
        let x = arrays.tensor(&key("x"), shape, device)?;
        let t = arrays.tensor(&key("t"), [batch], device)?;
        let y = labels(arrays, &key("y"), batch, dit, device)?;
        Ok(Self { dit, arrays, x, t, y })
    }

    fn out(&self, dit: &Dit) -> ndarray::ArrayD<f64> {
        values(dit.forward(&mut Full, self.x.clone(), self.t.clone(), self.y.clone()))
    }

    fn embeddings(&self, device: &Device, checks: &mut Checks) {
        let t_embedder = &self.dit.t_embedder;
        self.part(checks, "x_emb_no_pos", || Ok(values(self.dit.x_embedder.forward(self.x.clone()))));
        self.part(checks, "t_emb", || Ok(values(t_embedder.forward(self.t.clone()))));
        self.part(checks, "y_emb", || Ok(values(self.dit.embed_labels(self.y.clone()))));
        self.part(checks, "temb.out", || Ok(values(t_embedder.forward(self.times(device)?.0))));
        if self.arrays.has("temb.sinusoid") {
            checks.run("temb.sinusoid", || {
                let (t, latest) = self.times(device)?;
                let found = values(t_embedder.sinusoid(t));
                compare::within(&found, &self.arrays.get("temb.sinusoid")?, (latest * ANGLE).max(POSITIONS))
            });
        }
        if self.arrays.has("pos_embed") {
            checks.run("pos_embed", || {
                let found = values(self.dit.pos_embed.val());
                compare::within(&found, &self.arrays.get("pos_embed")?, POSITIONS)
            });
        }
    }

    /// The timesteps of the embedder's own arrays, and the largest of them.
    fn times(&self, device: &Device) -> Result<(Tensor<1>, f64)> {
        let times = self.arrays.with_axes("temb.t", 1)?;
        ensure!(!times.is_empty(), "{}: 'temb.t' is empty", self.arrays.file);
        let latest = times.iter().fold(0.0_f64, |most, t| most.max(t.abs()));
        let values: Vec<f32> = times.iter().map(|t| *t as f32).collect();
        let count = values.len();
        Ok((Tensor::from_data(TensorData::new(values, [count]), (device, DType::F32)), latest))
    }

    fn part(&self, checks: &mut Checks, key: &str, found: impl FnOnce() -> Result<ndarray::ArrayD<f64>>) {
        if self.arrays.has(key) {
            checks.run(key, || compare::forward(&found()?, &self.arrays.get(key)?));
        }
    }

    /// Every module's output, each from the stored values before it; and the hidden state after every block.
    fn blocks(&self, device: &Device, checks: &mut Checks) {
        let keys = self.arrays.under("block");
        let mut places: Vec<(usize, &str)> = keys.iter().filter_map(|key| place(key)).collect();
        places.sort_unstable();
        let differences = self.modules(&places, device);
        for (layer, part) in places {
            let key = format!("block{layer}.{part}");
            checks.run(key.clone(), || {
                let depth = self.dit.config().depth;
                ensure!(layer < depth, "the model has {depth} blocks");
                let stored = self.tokens(&key, device)?;
                let Some(site) = site(layer, part) else {
                    return self.hidden(layer, stored);
                };
                let found = differences.iter().find(|difference| difference.site == site);
                let found = found.context("the forward did not come by it")?;
                let tolerance = compare::forward_tolerance(f64::from(found.largest));
                Ok(Deviation::new(Measure::Absolute, f64::from(found.max_abs), tolerance))
            });
        }
    }

    /// Compares every stored module in one forward, which continues with the stored values, so that errors do not accumulate.
    fn modules(&self, places: &[(usize, &str)], device: &Device) -> Vec<Difference> {
        let stored = places.iter().filter_map(|(layer, part)| {
            let expected = self.tokens(&format!("block{layer}.{part}"), device).ok()?;
            Some((site(*layer, part)?, expected))
        });
        let mut golden =
            stored.fold(Golden::new(), |golden, (site, expected)| golden.expect(site, vec![expected]));
        self.dit.forward(&mut golden, self.x.clone(), self.t.clone(), self.y.clone());
        golden.differences
    }

    /// The hidden state after a block: the trunk of the same model without the blocks that follow.
    fn hidden(&self, layer: usize, expected: Tensor<3>) -> Result<Deviation> {
        let mut model = self.dit.clone();
        model.blocks.truncate(layer + 1);
        let mut trunk = None;
        let mut observed = Observed::new(Full, |_, site, event: Event<'_>| {
            if let (Site::TRUNK, Event::Computed([hidden])) = (site, event) {
                trunk = Some(hidden.clone());
            }
        });
        model.forward(&mut observed.step(0), self.x.clone(), self.t.clone(), self.y.clone());
        compare::forward(&values(trunk.context("the forward has no trunk")?), &values(expected))
    }

    fn tokens(&self, key: &str, device: &Device) -> Result<Tensor<3>> {
        let (config, [batch, ..]) = (self.dit.config(), self.x.dims());
        self.arrays.tensor(key, [batch, config.tokens(), config.hidden_size], device)
    }
}

/// `2.msa` as layer 2 and `msa`.
fn place(key: &str) -> Option<(usize, &str)> {
    let (layer, part) = key.split_once('.')?;
    ["msa", "mlp", "hidden"].contains(&part).then_some((layer.parse().ok()?, part))
}

/// The site of a module; `None` for the hidden state after a block.
fn site(layer: usize, part: &str) -> Option<Site> {
    match part {
        "msa" => Some(Site::msa(layer as u32)),
        "mlp" => Some(Site::mlp(layer as u32)),
        _ => None,
    }
}

/// A forward with guidance: both halves from the conditional rows of the sample.
fn guided(folder: &Folder, dit: &Dit, arrays: &Arrays, device: &Device, checks: &mut Checks) {
    checks.run("cfg.out", || {
        let Guidance { scale, channels } = Guidance::of(&[folder.manifest()])?;
        let Forward { x, t, y, .. } = Forward::read("cfg.", dit, arrays, device)?;
        let [rows, ..] = x.dims();
        ensure!(rows.is_multiple_of(2), "{}: 'cfg.x' has {rows} rows, expected two halves", arrays.file);
        let half = x.narrow(0, 0, rows / 2);
        let raw = dit.forward(&mut Full, Tensor::cat(vec![half.clone(), half], 0), t, y);
        let measured = compare::forward(&values(guide(raw, scale, channels)), &arrays.get("cfg.out")?)?;
        Ok(measured.with_note(format!("scale {scale} on {channels} channels, both halves")))
    });
}
