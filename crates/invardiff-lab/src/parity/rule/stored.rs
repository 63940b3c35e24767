//! The arrays of a calibration, by phase and stream.

use invardiff_plan::Kind;
use invardiff_plan::two_phase::{RateTable, ReuseMasks};
use ndarray::{Array1, Array2, ArrayD, Ix1, Ix2};

use crate::error::{Context, Result, bail, ensure};
use crate::parity::arrays::Arrays;
use crate::parity::check::Deviation;
use crate::parity::compare::{differing, equal};

/// What the files call the trunk.
const STEP: &str = "step";
/// The authors' other name of FLUX's `attn`.
const IP_ATTN: Kind = Kind::new("ip_attn");

/// The arrays of one phase, each as (stream, key).
#[derive(Debug, Default)]
pub(crate) struct PhaseArrays {
    /// Mean rates: `avg_<stream>`, or the stream's name alone.
    pub(crate) averages: Vec<(String, String)>,
    /// `threshold_<stream>`.
    pub(crate) thresholds: Vec<(String, String)>,
    /// Rates of each run: `runs_<stream>`.
    pub(crate) runs: Vec<(String, String)>,
}

impl PhaseArrays {
    /// Sorts the arrays that start with `prefix`.
    pub(crate) fn read(arrays: &Arrays, prefix: &str) -> Self {
        let mut found = Self::default();
        for name in arrays.under(prefix) {
            let key = format!("{prefix}{name}");
            let (list, stream) = match name.split_once('_') {
                Some(("avg", stream)) => (&mut found.averages, stream),
                Some(("threshold", stream)) => (&mut found.thresholds, stream),
                Some(("runs", stream)) => (&mut found.runs, stream),
                Some(_) | None => (&mut found.averages, name.as_str()),
            };
            list.push((stream.to_owned(), key));
        }
        found
    }

    /// The key of the trunk's mean rates.
    pub(crate) fn trunk(&self) -> Option<&str> {
        self.averages.iter().find(|(stream, _)| stream == STEP).map(|(_, key)| key.as_str())
    }

    /// The mean rates as a table, with the trunk's under `trunk` where this phase has none; `None` where there are none of
    /// the trunk or none of any stream.
    pub(crate) fn rates(&self, arrays: &Arrays, trunk: Option<&str>) -> Option<Result<RateTable>> {
        let trunk = self.trunk().or(trunk)?;
        let streams: Vec<_> = self.averages.iter().filter(|(stream, _)| stream != STEP).collect();
        (!streams.is_empty()).then(|| {
            let float = |values: ArrayD<f64>| values.mapv(|value| value as f32);
            let trunk: Array1<f32> = float(arrays.get(trunk)?).into_dimensionality::<Ix1>()?;
            let streams = streams.into_iter().map(|(stream, key)| {
                let table: Array2<f32> = float(arrays.with_axes(key, 2)?).into_dimensionality::<Ix2>()?;
                Ok((kind(stream)?, table))
            });
            Ok(RateTable::new(trunk, streams.collect::<Result<_>>()?)?)
        })
    }
}

/// The kind that a file's name of a stream means.
pub(super) fn kind(stream: &str) -> Result<Kind> {
    Ok(if stream == STEP { Kind::TRUNK } else { Kind::parse(stream)? })
}

/// The stream whose mask this one repeats, or itself.
pub(super) fn alias(kind: Kind) -> Kind {
    if kind == IP_ATTN { Kind::ATTN } else { kind }
}

/// The rates of a stream: `[steps]` for the trunk, else `[steps, layers]`.
pub(super) fn named(rates: &RateTable, stream: &str) -> Result<ArrayD<f64>> {
    let kind = kind(stream)?;
    if kind == Kind::TRUNK {
        return Ok(rates.trunk().mapv(f64::from).into_dyn());
    }
    let table = rates.stream(kind).with_context(|| format!("'{stream}' was not measured"))?;
    Ok(table.mapv(f64::from).into_dyn())
}

/// How many entries of masks differ from the stored ones under `prefix`.
pub(super) fn books_differ(arrays: &Arrays, prefix: &str, found: &ReuseMasks) -> Result<Deviation> {
    let names = arrays.under(prefix);
    ensure!(!names.is_empty(), "{}: '{prefix}step' is missing", arrays.file);
    let mut wrong = 0.0;
    for name in names {
        let expected = arrays.flags(&format!("{prefix}{name}"))?;
        let kind = kind(&name)?;
        let book = if kind == Kind::TRUNK {
            Array1::from(found.gate().to_vec()).into_dyn()
        } else {
            let book = found.stream(alias(kind));
            book.with_context(|| format!("'{prefix}{name}' is the book of a stream that was not measured"))?
                .clone()
                .into_dyn()
        };
        wrong += equal(&book, &expected).with_context(|| format!("{prefix}{name}"))?.error;
    }
    Ok(differing(wrong as usize))
}

/// The stored masks under `prefix`, of these streams.
///
/// # Errors
/// When one is missing, or they do not fit together.
pub(crate) fn stored_books(arrays: &Arrays, prefix: &str, streams: &[Kind]) -> Result<ReuseMasks> {
    let gate = arrays.flags(&format!("{prefix}{STEP}"))?;
    if gate.ndim() != 1 {
        bail!("{}: '{prefix}{STEP}' has shape {:?}, expected [steps]", arrays.file, gate.shape());
    }
    let book = |kind: &Kind| {
        let key = format!("{prefix}{kind}");
        let book = arrays.flags(&key)?.into_dimensionality::<Ix2>();
        Ok((*kind, book.with_context(|| format!("{}: '{key}' is not [steps, layers]", arrays.file))?))
    };
    Ok(ReuseMasks::new(gate.into_iter().collect(), streams.iter().map(book).collect::<Result<_>>()?)?)
}
