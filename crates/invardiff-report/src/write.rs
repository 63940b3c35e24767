//! Writes a report into its folder.

use std::path::{Path, PathBuf};

use crate::error::ReportError;
use crate::report::Report;
use crate::{files, json, page};

impl Report {
    /// Writes the report into `folder`, which is made if it is not there: `report.html`, `report.json`, `table.md`,
    /// `table.csv`, `tradeoff.svg`, `plan.svg`, `heatmap-<kind>-<measure>.svg`, `latency.svg`, `cache-bytes.svg`, `training-<n>.svg`,
    /// `grid-<n>.png`, as far as there is something to show. Every file is written under a temporary name and renamed; the page is the last one.
    ///
    /// Returns the page's path.
    ///
    /// # Errors
    /// [`ReportError::Shape`] when parts do not fit together (nothing is written then), [`ReportError::Write`] naming the file
    /// that cannot be written, [`ReportError::Encode`] for an image.
    pub fn write(&self, folder: &Path) -> Result<PathBuf, ReportError> {
        self.check()?;
        let drawings = self.draw()?;
        let page = page::page(self, &drawings)?.into_string();
        let numbers = json::document(self, &drawings)?;
        std::fs::create_dir_all(folder)
            .map_err(|source| ReportError::Write { path: folder.to_owned(), source })?;
        for figure in drawings.figures() {
            files::write(folder, &figure.file, figure.document().as_bytes())?;
        }
        for (grid, name) in self.grids.iter().zip(&drawings.grids) {
            let image = image::DynamicImage::ImageRgb8(grid.labelled()?);
            files::write(folder, name, &files::png(&image, &grid.title)?)?;
        }
        if !self.table.rows.is_empty() {
            files::write(folder, "table.md", self.table.markdown().as_bytes())?;
            files::write(folder, "table.csv", self.table.csv().as_bytes())?;
        }
        files::write(folder, "report.json", numbers.as_bytes())?;
        files::write(folder, "report.html", page.as_bytes())
    }
}
