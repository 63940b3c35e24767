//! A report that opens from disk: one page, its figures as files, and all its numbers.
//!
//! [`Report`] is plain data; whoever ran the experiment fills it and calls [`Report::write`]. The page needs no network and none of
//! the files beside it, and follows the reader's light or dark setting. Its one script is part of it: it sorts tables, shows
//! values under the pointer and lays two images over each other; without it everything is still there to read.

mod axis;
mod colour;
mod error;
mod files;
mod heat_map;
mod json;
mod legend;
mod number;

mod images;
mod page;
mod plan_map;
mod report;
mod series;
mod study;
mod svg;
mod table;
mod tradeoff;
mod training;
mod write;

pub use axis::Scale;
pub use error::ReportError;
pub use heat_map::{HeatMap, Measure};
pub use images::{Amplify, ImageGrid, ImageRow};
pub use plan_map::PlanMap;
pub use report::{Highlight, Report};
pub use series::{Series, StepChart, Unit};
pub use study::{Line, Panel, Point, Scores, Study};
pub use table::{Group, Row, Table};
pub use tradeoff::{Curve, CurvePoint};
pub use training::{TrainingChart, TrainingLine};
