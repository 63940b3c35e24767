//! A comparison of methods, each at several settings: speed against quality, one line per method.

mod chart;
mod data;
mod page;
mod table;

use std::path::{Path, PathBuf};

use super::error::ReportError;
use super::files;
use super::images::ImageGrid;
use data::Drawings;

pub use data::{Line, Panel, Point, Scores, Study};

impl Study {
    /// Writes the study into `folder`, which is made if it is not there: `study.html`, `study.json`, `points.csv`, `points.md`,
    /// `overview-<reference>.svg`, two charts per panel and one image per strip. Every file is written under a temporary name and renamed; the page is the last one.
    ///
    /// Returns the page's path.
    ///
    /// # Errors
    /// [`ReportError::Shape`] when parts do not fit together (nothing is written then), [`ReportError::Write`] naming the file
    /// that cannot be written, [`ReportError::Encode`] for an image.
    pub fn write(&self, folder: &Path) -> Result<PathBuf, ReportError> {
        self.check()?;
        let drawings = self.draw();
        let page = page::page(self, &drawings)?.into_string();
        let numbers = serde_json::to_string_pretty(self)? + "\n";
        std::fs::create_dir_all(folder)
            .map_err(|source| ReportError::Write { path: folder.to_owned(), source })?;
        for figure in drawings.figures() {
            files::write(folder, &figure.file, figure.document().as_bytes())?;
        }
        for (grid, name) in self.strips.iter().zip(&drawings.strips) {
            let image = image::DynamicImage::ImageRgb8(grid.labelled()?);
            files::write(folder, name, &files::png(&image, &grid.title)?)?;
        }
        files::write(folder, "points.csv", table::csv(self).as_bytes())?;
        files::write(folder, "points.md", table::markdown(self).as_bytes())?;
        files::write(folder, "study.json", numbers.as_bytes())?;
        files::write(folder, "study.html", page.as_bytes())
    }

    /// All points as text, columns aligned, one part per panel.
    pub fn text(&self) -> String {
        table::text(self)
    }

    fn check(&self) -> Result<(), ReportError> {
        let shape = |what: String, most: usize, found: usize| {
            let expected = format!("at most {most} lines");
            if found <= most {
                Ok(())
            } else {
                Err(ReportError::Shape { what, expected, found: vec![found] })
            }
        };
        shape("the baselines of a study".into(), Self::BASELINES, self.baselines.len())?;
        for panel in &self.panels {
            shape(format!("the panel '{}'", panel.title), Self::LINES, panel.lines.len())?;
        }
        self.strips.iter().try_for_each(ImageGrid::check)
    }

    fn draw(&self) -> Drawings {
        let charts =
            self.panels.iter().enumerate().map(|(number, panel)| chart::charts(self, panel, number + 1));
        let strips = (1..=self.strips.len()).map(|number| format!("strip-{number}.png")).collect();
        Drawings { overview: chart::overview(self), charts: charts.collect(), strips }
    }
}
