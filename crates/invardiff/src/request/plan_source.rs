//! Opening a plan file, whatever its format.

use std::path::{Path, PathBuf};

use invardiff_plan::formats::{AuthorBook, BookVersion, MaskOnes, PlanFile};
use invardiff_plan::{CachePlan, RunSpec, Topology};

use crate::error::{About, Result};

/// A plan file that was read, with its path for messages.
#[derive(Clone, Debug)]
pub struct PlanSource {
    path: PathBuf,
    file: PlanFile,
}

impl PlanSource {
    /// Reads the file.
    ///
    /// # Errors
    /// As [`PlanFile::read`]; the file is named.
    pub fn read(path: &Path) -> Result<Self> {
        Ok(Self { path: path.to_owned(), file: PlanFile::read(path)? })
    }

    /// Reads a mask of steps in whose text a 1 means what `ones` says.
    ///
    /// # Errors
    /// As [`PlanFile::read_mask`]; the file is named.
    pub fn read_mask(path: &Path, ones: MaskOnes) -> Result<Self> {
        Ok(Self { path: path.to_owned(), file: PlanFile::read_mask(path, ones)? })
    }

    /// The path as given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The format of the file.
    pub fn file(&self) -> &PlanFile {
        &self.file
    }

    /// The run that the plan was made for, where it says so.
    pub fn execution(&self) -> Option<&RunSpec> {
        match &self.file {
            PlanFile::Json(plan) | PlanFile::Binary(plan) => plan.provenance.execution.as_ref(),
            PlanFile::Book(..) | PlanFile::SmoothCache(_) | PlanFile::StepMask(_) => None,
        }
    }

    /// The plan; formats that do not say which sites there are take them from `topology`.
    ///
    /// # Errors
    /// As [`PlanFile::plan`]; the file is named.
    pub fn plan(&self, topology: Option<&Topology>) -> Result<CachePlan> {
        self.file.clone().plan(topology).about(self.path.display())
    }

    /// The format in words.
    pub fn format(&self) -> String {
        match &self.file {
            PlanFile::Json(_) => "invardiff JSON".into(),
            PlanFile::Binary(_) => "invardiff binary".into(),
            PlanFile::Book(book, _) => {
                format!("{} book of the InvarDiff authors, version {}", book.layout().name(), version(book))
            }
            PlanFile::SmoothCache(_) => "SmoothCache schedule".into(),
            PlanFile::StepMask(_) => "step mask".into(),
        }
    }
}

const fn version(book: &AuthorBook) -> u8 {
    match book.version() {
        BookVersion::V1 => 1,
        BookVersion::V2 => 2,
    }
}
