//! The measurements that other methods need, with where they come from.

use std::path::Path;

use invardiff::Calibrating;
use invardiff_calib::Changes;
use invardiff_plan::core::Calibration;
use invardiff_plan::formats::{Fit, Measurement};
use invardiff_plan::methods::magcache::Magnitudes;
use invardiff_plan::methods::smoothcache::ComponentErrors;
use invardiff_plan::methods::teacache::TeaCacheFit;
use invardiff_runtime::{Progress, Sampler};
use serde_json::Value;

use crate::error::Result;

/// A method that needs a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FitMethod {
    /// `TeaCache`: a polynomial from the change of the first block's modulated input to the change of the output.
    TeaCache,
    /// `MagCache`: magnitude ratios of the residual of all blocks.
    MagCache,
    /// `SmoothCache`: errors of reuse, per kind of module and distance in steps.
    SmoothCache,
}

/// The measurement that a method needs.
#[derive(Clone, Debug)]
pub enum MethodFit {
    /// That of `TeaCache`.
    TeaCache(Fit<TeaCacheFit>),
    /// That of `MagCache`.
    MagCache(Fit<Magnitudes>),
    /// That of `SmoothCache`.
    SmoothCache(Fit<ComponentErrors>),
}

impl MethodFit {
    /// Measures on `runs` trajectories of the pipeline, from the noise of `seed` on.
    ///
    /// # Errors
    /// When a run cannot be made, or has too few steps to measure on.
    pub fn measure<const D: usize, P: Calibrating<D>>(
        method: FitMethod,
        pipeline: &P,
        runs: usize,
        seed: u64,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let origin = pipeline.calibration_origin(runs, seed);
        let runs = pipeline.calibration_runs(runs, seed)?;
        let session = pipeline.session(&runs)?.with_progress(progress);
        Ok(match method {
            FitMethod::TeaCache => {
                Self::TeaCache(signed(pipeline, origin, Changes::teacache(&session.changes()?)?))
            }
            FitMethod::MagCache => {
                Self::MagCache(signed(pipeline, origin, Changes::magnitudes(&session.changes()?)))
            }
            FitMethod::SmoothCache => {
                let errors = session.component_errors(lookahead(pipeline))?;
                Self::SmoothCache(signed(pipeline, origin, errors))
            }
        })
    }

    /// Writes the file that comparisons read, whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written; names it.
    pub fn write(&self, path: &Path) -> Result<()> {
        match self {
            Self::TeaCache(fit) => fit.write(path)?,
            Self::MagCache(fit) => fit.write(path)?,
            Self::SmoothCache(fit) => fit.write(path)?,
        }
        Ok(())
    }

    /// The measurement alone as JSON.
    ///
    /// # Errors
    /// When a number cannot be written as JSON.
    pub fn json(&self) -> Result<Value> {
        Ok(match self {
            Self::TeaCache(fit) => serde_json::to_value(&fit.fit)?,
            Self::MagCache(fit) => serde_json::to_value(&fit.fit)?,
            Self::SmoothCache(fit) => serde_json::to_value(&fit.fit)?,
        })
    }
}

/// The largest distance in steps at which `SmoothCache` compares modules.
pub(crate) fn lookahead<const D: usize, P: Calibrating<D>>(pipeline: &P) -> usize {
    ComponentErrors::LOOKAHEAD.min(pipeline.sampler().steps() - 1)
}

/// A measurement with its provenance.
fn signed<const D: usize, P: Calibrating<D>, T: Measurement>(
    pipeline: &P,
    origin: Calibration,
    fit: T,
) -> Fit<T> {
    Fit {
        tool: concat!("invardiff ", env!("CARGO_PKG_VERSION")).into(),
        execution: Some(pipeline.execution()),
        calibration: Some(origin),
        fit,
    }
}
