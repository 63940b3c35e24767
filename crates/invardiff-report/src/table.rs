//! The comparison: what each way of sampling costs and how near it stays to full computation.

use std::fmt;

use invardiff_eval::{PSNR_OF_EQUAL, Quality};
use serde::Serialize;

use super::number::bytes;

/// The group of a row, which decides its place in the table and its mark in the chart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// Full computation, which everything is compared with.
    Reference,
    /// The plan that the report is about.
    Plan,
    /// The plan's step gate or its modules alone.
    Part,
    /// Plans made by other rules at the same compute.
    OtherPlan,
    /// Plain sampling with fewer steps at the same compute.
    FewerSteps,
}

impl Group {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 5] = [Self::Reference, Self::Plan, Self::Part, Self::OtherPlan, Self::FewerSteps];

    /// The heading of its rows.
    pub fn title(self) -> &'static str {
        match self {
            Self::Reference => "Reference",
            Self::Plan => "The plan",
            Self::Part => "Its parts alone",
            Self::OtherPlan => "Other plans at the same compute",
            Self::FewerSteps => "Fewer steps at the same compute",
        }
    }
}

/// One way of sampling. Differences are to the reference's images from the same noise.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Its short name.
    pub name: String,
    /// What it does, in a sentence; may be empty.
    pub description: String,
    /// Its group.
    pub group: Group,
    /// FLOPs over the reference's, by the cost model.
    pub compute_fraction: f64,
    /// Speed-up by the cost model.
    pub predicted_speedup: Option<f64>,
    /// Speed-up in wall time: one process, alternating runs, median.
    pub measured_speedup: Option<f64>,
    /// The same in CPU time, on the CPU.
    pub cpu_speedup: Option<f64>,
    /// Image metrics against the reference's images.
    #[serde(flatten)]
    pub quality: Quality,
    /// Image metrics against the converged trajectory's images, where these were drawn.
    pub converged: Option<Quality>,
    /// The most bytes that the feature store held.
    pub peak_cache_bytes: Option<u64>,
}

impl Row {
    /// The numbers as text, in the order of [`Table::headings`] after the name.
    pub(super) fn cells(&self, table: &Table) -> Vec<String> {
        let times = |value: Option<f64>| value.map_or_else(dash, |value| format!("{value:.2}x"));
        let decibels = |value: f64| match value {
            value if value >= PSNR_OF_EQUAL => "equal".to_owned(),
            value => number(value, 2),
        };
        let mut cells = vec![
            format!("{:.1} %", self.compute_fraction * 100.0),
            times(self.predicted_speedup),
            times(self.measured_speedup),
        ];
        if table.knows_cpu() {
            cells.push(times(self.cpu_speedup));
        }
        cells.extend([
            decibels(self.quality.psnr_mean),
            decibels(self.quality.psnr_worst),
            number(self.quality.ssim_mean, 4),
            number(self.quality.ssim_worst, 4),
        ]);
        if table.knows_converged() {
            let of =
                |value: fn(&Quality) -> f64| self.converged.as_ref().map(value).map_or_else(dash, decibels);
            cells.extend([of(|quality| quality.psnr_mean), of(|quality| quality.psnr_worst)]);
        }
        cells.push(self.peak_cache_bytes.map_or_else(dash, bytes));
        cells
    }
}

fn dash() -> String {
    "-".to_owned()
}

fn number(value: f64, decimals: usize) -> String {
    if value.is_finite() { format!("{value:.decimals$}") } else { dash() }
}

/// The rows, shown by group in the order of [`Group::ALL`].
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Table {
    /// The rows in any order.
    pub rows: Vec<Row>,
}

impl Table {
    /// The headings of a row: the name, then its numbers. CPU time and the two about the converged trajectory are present where
    /// any row has them.
    pub fn headings(&self) -> Vec<&'static str> {
        let mut headings = vec!["sampling", "compute", "predicted", "measured"];
        if self.knows_cpu() {
            headings.push("CPU time");
        }
        headings.extend(["PSNR mean", "PSNR worst", "SSIM mean", "SSIM worst"]);
        if self.knows_converged() {
            headings.extend(["converged mean", "converged worst"]);
        }
        headings.push("peak cache");
        headings
    }

    /// Whether any row's CPU time was measured.
    pub(super) fn knows_cpu(&self) -> bool {
        self.rows.iter().any(|row| row.cpu_speedup.is_some())
    }

    /// Whether any row was compared with the converged trajectory.
    pub(super) fn knows_converged(&self) -> bool {
        self.rows.iter().any(|row| row.converged.is_some())
    }

    /// The rows of each group that has any.
    pub(super) fn groups(&self) -> Vec<(Group, Vec<&Row>)> {
        let of = |group| self.rows.iter().filter(|row| row.group == group).collect::<Vec<_>>();
        Group::ALL.into_iter().map(|group| (group, of(group))).filter(|(_, rows)| !rows.is_empty()).collect()
    }

    fn ordered(&self) -> impl Iterator<Item = &Row> {
        self.groups().into_iter().flat_map(|(_, rows)| rows)
    }

    /// The table in Markdown.
    pub fn markdown(&self) -> String {
        let headings = self.headings();
        let mut text = format!("| {} |\n|---|{}\n", headings.join(" | "), "---:|".repeat(headings.len() - 1));
        for row in self.ordered() {
            let name = row.name.replace('\\', "\\\\").replace('|', "\\|").replace(['\n', '\r'], " ");
            let cells = row.cells(self).join(" | ");
            text.push_str(&["| ", &name, " | ", &cells, " |\n"].concat());
        }
        text
    }

    /// The table as comma separated values, with all digits and a header line.
    pub fn csv(&self) -> String {
        let mut text =
            "name,description,group,compute_fraction,predicted_speedup,measured_speedup,cpu_speedup,psnr_mean,\
                        psnr_worst,ssim_mean,ssim_worst,converged_psnr_mean,converged_psnr_worst,peak_cache_bytes\n"
                .to_owned();
        let optional = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
        for row in self.ordered() {
            let fields = [
                quoted(&row.name),
                quoted(&row.description),
                quoted(row.group.title()),
                row.compute_fraction.to_string(),
                optional(row.predicted_speedup),
                optional(row.measured_speedup),
                optional(row.cpu_speedup),
                row.quality.psnr_mean.to_string(),
                row.quality.psnr_worst.to_string(),
                row.quality.ssim_mean.to_string(),
                row.quality.ssim_worst.to_string(),
                optional(row.converged.map(|quality| quality.psnr_mean)),
                optional(row.converged.map(|quality| quality.psnr_worst)),
                row.peak_cache_bytes.map_or_else(String::new, |bytes| bytes.to_string()),
            ];
            text.push_str(&fields.join(","));
            text.push('\n');
        }
        text
    }
}

fn quoted(field: &str) -> String {
    format!("\"{}\"", field.replace('"', "\"\""))
}

/// The table for a terminal, columns aligned.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines: Vec<Vec<String>> = vec![self.headings().into_iter().map(str::to_owned).collect()];
        lines.extend(self.ordered().map(|row| [vec![row.name.clone()], row.cells(self)].concat()));
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..lines[0].len()).map(width).collect();
        for line in &lines {
            write!(f, "{:<1$}", line[0], widths[0])?;
            for (cell, width) in line.iter().zip(&widths).skip(1) {
                write!(f, "  {cell:>width$}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, group: Group) -> Row {
        Row {
            name: name.into(),
            description: String::new(),
            group,
            compute_fraction: 0.4,
            predicted_speedup: Some(2.5),
            measured_speedup: None,
            cpu_speedup: None,
            quality: Quality { psnr_mean: 31.416, psnr_worst: 100.0, ssim_mean: 0.97, ssim_worst: f64::NAN },
            converged: None,
            peak_cache_bytes: Some(1536),
        }
    }

    #[test]
    fn rows_come_by_group_and_aligned() {
        let table = Table { rows: vec![row("uniform", Group::OtherPlan), row("full", Group::Reference)] };
        let text = table.to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].starts_with("full") && lines[2].starts_with("uniform"), "{text}");
        assert!(lines.iter().all(|line| line.len() == lines[0].len()), "{text}");
        for part in ["40.0 %", "2.50x", "31.42", "equal", "0.9700", "1.5 KiB"] {
            assert!(lines[1].contains(part), "{part} not in {}", lines[1]);
        }
    }

    #[test]
    fn the_converged_trajectory_has_columns_where_it_is_known() {
        let mut known = row("full", Group::Reference);
        known.converged = Some(Quality { psnr_mean: 39.5, psnr_worst: 33.81, ..known.quality });
        let table = Table { rows: vec![known, row("uniform", Group::OtherPlan)] };
        let text = table.to_string();
        assert!(text.lines().next().unwrap().contains("converged worst") && text.contains("33.81"), "{text}");
        assert!(!Table { rows: vec![row("full", Group::Reference)] }.to_string().contains("converged"));
        assert!(table.csv().lines().nth(1).unwrap().contains(",39.5,33.81,1536"));
    }

    #[test]
    fn names_cannot_break_markdown_or_csv() {
        let table = Table { rows: vec![row("a|b\n\"c\"", Group::Plan)] };
        assert!(table.markdown().lines().nth(2).unwrap().starts_with("| a\\|b \"c\" |"));
        assert!(table.csv().contains("\"a|b\n\"\"c\"\"\",\"\",\"The plan\",0.4,2.5,,,31.416,100,"));
    }
}
