//! Reuse masks: which streams are reused at which step, before a plan is made of them.

use ndarray::{Array2, ArrayView1};

use crate::core::{CachePlan, Kind, PlanError, SiteSpec, Topology};
use crate::two_phase::distance::DistanceTable;
use crate::two_phase::streams::check_streams;

/// The step gate `[steps]` and one matrix `[steps, layers]` per stream, `true` = reuse, steps in sampling order.
///
/// The paper's step gate `c[t]` and plan matrix `C[t, l, s]` (arXiv 2512.05134). [`ReuseMasks::plan`] joins the streams that
/// share a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReuseMasks {
    gate: Vec<bool>,
    streams: Vec<(Kind, Array2<bool>)>,
}

impl ReuseMasks {
    /// Masks from a gate `[steps]` and one matrix `[steps, layers]` per stream.
    ///
    /// # Errors
    /// [`PlanError::Shape`] when a stream has another number of steps than the gate, [`PlanError::Sites`] when a stream is
    /// named twice or called like the trunk.
    pub fn new(gate: Vec<bool>, streams: Vec<(Kind, Array2<bool>)>) -> Result<Self, PlanError> {
        check_streams("the masks", gate.len(), &streams)?;
        Ok(Self { gate, streams })
    }

    /// Masks that reuse nothing, for the streams of a distance table.
    pub fn empty(distances: &DistanceTable) -> Self {
        let steps = distances.steps();
        let mut streams: Vec<(Kind, Array2<bool>)> = Vec::new();
        for (kind, _) in &distances.streams()[DistanceTable::TRUNK + 1..] {
            if !streams.iter().any(|(known, _)| known == kind) {
                streams.push((*kind, Array2::from_elem((steps, distances.layers(*kind)), false)));
            }
        }
        Self { gate: vec![false; steps], streams }
    }

    /// The same masks with the first steps and the last step computed: `gate_rows` steps of the gate, `module_rows` steps of
    /// every stream.
    ///
    /// The first steps change too fast (the paper's warm-up); the last step has no change rate.
    pub fn protected(mut self, gate_rows: usize, module_rows: usize) -> Self {
        let steps = self.gate.len();
        let spared = |rows: usize| (0..steps).filter(move |step| *step < rows || step + 1 == steps);
        spared(gate_rows).for_each(|step| self.gate[step] = false);
        for (_, mask) in &mut self.streams {
            spared(module_rows).for_each(|step| mask.row_mut(step).fill(false));
        }
        self
    }

    /// The same masks with the step gate written into every stream: all entries of a skipped step reuse; a computed step
    /// that follows a skipped one computes all modules.
    ///
    /// A module then never reuses a feature that is older than the last skip. As the authors' published code does.
    pub fn with_gate_written(mut self) -> Self {
        for (step, skipped) in self.gate.iter().enumerate() {
            let after_skip = step > 0 && self.gate[step - 1];
            for (_, mask) in &mut self.streams {
                match (skipped, after_skip) {
                    (true, _) => mask.row_mut(step).fill(true),
                    (false, true) => mask.row_mut(step).fill(false),
                    (false, false) => {}
                }
            }
        }
        self
    }

    /// The same masks with an empty gate; the matrices stay as they are.
    pub fn without_gate(mut self) -> Self {
        self.gate.fill(false);
        self
    }

    /// The plan for a model. A site is reused where all of its streams are.
    ///
    /// The AND over streams is what the authors' published code does for the joint attention of FLUX.
    ///
    /// # Errors
    /// [`PlanError::MissingKind`] when the model has a stream that the masks lack, [`PlanError::UnknownKind`] when the masks
    /// have one that the model lacks, [`PlanError::Shape`] when they differ in layers.
    pub fn plan(&self, topology: &Topology) -> Result<CachePlan, PlanError> {
        let steps = self.gate.len();
        let known = topology.streams();
        for (kind, mask) in &self.streams {
            if !known.iter().any(|(stream, _)| stream == kind) {
                let known = known.iter().map(|(stream, _)| stream.to_string()).collect::<Vec<_>>().join(", ");
                return Err(PlanError::UnknownKind { kind: *kind, model: topology.model.clone(), known });
            }
            let has = |spec: &&SiteSpec| spec.streams.iter().any(|stream| stream.name == *kind);
            let layers = topology.sites.iter().filter(has).count();
            if mask.ncols() != layers {
                let (expected, found) = (vec![steps, layers], mask.shape().to_vec());
                return Err(PlanError::Shape { what: format!("'{kind}' of the masks"), expected, found });
            }
        }
        let mut reuse = Array2::from_elem((steps, topology.sites.len()), true);
        for (site, spec) in topology.sites.iter().enumerate() {
            for stream in &spec.streams {
                let mask = self.column(steps, stream.name, spec.site.layer)?;
                reuse.column_mut(site).zip_mut_with(&mask, |all, one| *all &= *one);
            }
        }
        CachePlan::new(topology.sites.iter().map(|spec| spec.site).collect(), self.gate.clone(), reuse)
    }

    /// The step gate `[steps]`, `true` = skipped.
    pub fn gate(&self) -> &[bool] {
        &self.gate
    }

    /// The streams in order, each `[steps, layers]`.
    pub fn streams(&self) -> &[(Kind, Array2<bool>)] {
        &self.streams
    }

    /// The matrix of one stream, `[steps, layers]`.
    pub fn stream(&self, kind: Kind) -> Option<&Array2<bool>> {
        self.streams.iter().find(|(known, _)| *known == kind).map(|(_, mask)| mask)
    }

    /// The column of one stream at one layer, or the gate for [`Kind::TRUNK`]: `[steps]`.
    pub(crate) fn column(
        &self,
        steps: usize,
        kind: Kind,
        layer: u32,
    ) -> Result<ArrayView1<'_, bool>, PlanError> {
        let column = if kind == Kind::TRUNK {
            ArrayView1::from(&self.gate)
        } else {
            let mask =
                self.stream(kind).ok_or_else(|| PlanError::MissingKind { kind, what: "the masks".into() })?;
            if layer as usize >= mask.ncols() {
                let (expected, found) = (vec![steps, layer as usize + 1], mask.shape().to_vec());
                return Err(PlanError::Shape { what: format!("'{kind}' of the masks"), expected, found });
            }
            mask.column(layer as usize)
        };
        if column.len() != steps {
            let (expected, found) = (vec![steps], vec![column.len()]);
            return Err(PlanError::Shape {
                what: format!("the steps of '{kind}' in the masks"),
                expected,
                found,
            });
        }
        Ok(column)
    }
}
