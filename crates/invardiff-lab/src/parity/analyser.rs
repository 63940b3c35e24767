//! The calibration rules alone, on stored features.

use invardiff_plan::Kind;
use invardiff_plan::two_phase::{DistanceTable, Precision, Settings, Variant, distance};

use super::arrays::Arrays;
use super::check::Checks;
use super::folder::Folder;
use super::rule::{Origin, Setting, missing, settings};
use crate::error::{Context, Result, ensure};

/// Compares every setting.
///
/// # Errors
/// When the features are missing or do not fit together.
pub(super) fn check(folder: &Folder, variant: Variant, checks: &mut Checks) -> Result<()> {
    let arrays = folder.arrays("analyser.safetensors")?;
    let features = Features::read(&arrays, folder.manifest().get("steps")?.count()?)?;
    let runs = folder.manifest().get("runs")?.items()?;
    let kinds: Vec<Kind> = features.streams.iter().map(|stream| stream.kind).collect();
    let asked: Vec<Settings> =
        runs.iter().map(|run| settings(run, variant, &kinds)).collect::<Result<_>>()?;
    // Of Wan's two branches the first one, the conditional, is measured.
    let measured = match variant {
        Variant::Dit | Variant::Flux => features.runs,
        Variant::Wan => 1,
    };
    let mut tables: Vec<DistanceTable> =
        (0..measured).map(|run| features.neighbours(run)).collect::<Result<_>>()?;
    for pair in missing(&tables, &asked)? {
        for (run, table) in tables.iter_mut().enumerate() {
            features.record(table, run, pair.stream, pair.from, pair.to)?;
        }
    }
    for (index, (run, settings)) in runs.into_iter().zip(asked).enumerate() {
        Setting { folder, arrays: &arrays, index, origin: Origin::Given, run, settings }
            .check(checks, &tables);
    }
    Ok(())
}

/// All features: those of each stream, and the hidden state.
struct Features {
    runs: usize,
    steps: usize,
    streams: Vec<Stream>,
    hidden: Stream,
}

/// The features of one stream, `[run, step, layer, ...]`; the hidden state has one layer.
struct Stream {
    kind: Kind,
    layers: usize,
    /// Values of one feature.
    width: usize,
    values: Vec<f32>,
}

impl Features {
    fn read(arrays: &Arrays, steps: usize) -> Result<Self> {
        let names = arrays.under("features.");
        let streams = names.iter().filter(|name| *name != "hidden");
        let streams = streams.map(|name| Stream::read(arrays, name, Kind::parse(name)?, steps));
        let streams: Vec<Stream> = streams.collect::<Result<_>>()?;
        ensure!(!streams.is_empty(), "{}: there are no arrays 'features.<stream>'", arrays.file);
        let hidden = Stream::read(arrays, "hidden", Kind::TRUNK, steps)?;
        let runs = hidden.runs(steps);
        for stream in &streams {
            let found = stream.runs(steps);
            ensure!(found == runs, "features.{} has {found} runs, features.hidden {runs}", stream.kind);
        }
        ensure!(runs > 0, "{}: 'features.hidden' has no run", arrays.file);
        Ok(Self { runs, steps, streams, hidden })
    }

    /// A run's distances between neighbouring steps.
    fn neighbours(&self, run: usize) -> Result<DistanceTable> {
        let names = self
            .streams
            .iter()
            .flat_map(|stream| (0..stream.layers as u32).map(|layer| (stream.kind, layer)));
        let mut table = DistanceTable::new(self.steps, 1, names.collect())?;
        for stream in 0..table.streams().len() {
            for to in 1..self.steps {
                self.record(&mut table, run, stream, to - 1, to)?;
            }
        }
        Ok(table)
    }

    fn record(
        &self,
        table: &mut DistanceTable,
        run: usize,
        stream: usize,
        from: usize,
        to: usize,
    ) -> Result<()> {
        let (kind, layer) = table.streams()[stream];
        let source = self.streams.iter().find(|source| source.kind == kind).unwrap_or(&self.hidden);
        let feature = |step| source.feature(run * self.steps + step, layer as usize);
        table.record(stream, from, to, distance(feature(from), feature(to), Precision::F32)?)?;
        Ok(())
    }
}

impl Stream {
    fn read(arrays: &Arrays, name: &str, kind: Kind, steps: usize) -> Result<Self> {
        let key = format!("features.{name}");
        let shape = arrays.shape(&key)?.to_vec();
        let (axes, layers) = if kind == Kind::TRUNK { (2, 1) } else { (3, *shape.get(2).unwrap_or(&0)) };
        let width = shape.get(axes..).context("too few axes").map(|rest| rest.iter().product::<usize>());
        let fits = width.as_ref().is_ok_and(|width| *width > 0) && shape[1] == steps && layers > 0;
        let expected = if kind == Kind::TRUNK { "[runs, steps, ...]" } else { "[runs, steps, layers, ...]" };
        ensure!(fits, "{}: '{key}' has shape {shape:?}, expected {expected} with {steps} steps", arrays.file);
        let values = arrays.get(&key)?.iter().map(|value| *value as f32).collect();
        Ok(Self { kind, layers, width: width?, values })
    }

    fn runs(&self, steps: usize) -> usize {
        self.values.len() / (steps * self.layers * self.width)
    }

    /// The feature at row `run * steps + step`.
    fn feature(&self, row: usize, layer: usize) -> &[f32] {
        let start = (row * self.layers + layer) * self.width;
        &self.values[start..start + self.width]
    }
}
