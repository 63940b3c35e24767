//! The comparison as a table and as JSON.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::judge::{Comparison, Row, Verdict};

impl Verdict {
    const fn name(self) -> &'static str {
        match self {
            Self::Slower => "slower",
            Self::Faster => "faster",
            Self::Same => "same",
            Self::Unclear => "unclear",
        }
    }
}

/// A markdown table, and a line that sums it up.
pub(super) fn markdown(comparison: &Comparison, revision: &str) -> String {
    let Comparison { rounds, tolerance, .. } = comparison;
    let mut text =
        String::from("| benchmark | before | after | ratio | 95 % interval | |\n|---|--:|--:|--:|:-:|---|\n");
    for row in &comparison.rows {
        text.push_str(&line(row));
    }
    let count = |verdict| comparison.rows.iter().filter(|row| row.verdict == verdict).count();
    let (slower, faster) = (comparison.slower(), count(Verdict::Faster));
    let (same, unclear) = (count(Verdict::Same), count(Verdict::Unclear));
    let percent = tolerance * 100.0;
    let _ = write!(
        text,
        "\nBefore is {revision}, ratio is after / before over {rounds} rounds in turns. Beyond {percent} % with the whole \
         interval: {slower} slower, {faster} faster; {same} the same, {unclear} unclear.\n"
    );
    for (side, names) in [("before", &comparison.only_before), ("after", &comparison.only_after)] {
        if !names.is_empty() {
            let _ = writeln!(text, "\nOnly {side}: {}.", names.join(", "));
        }
    }
    text
}

fn line(row: &Row) -> String {
    let [low, high] = row.interval;
    let (before, after) = (time(row.before), time(row.after));
    let verdict = match row.verdict {
        Verdict::Slower => "**slower**",
        Verdict::Same => "",
        other @ (Verdict::Faster | Verdict::Unclear) => other.name(),
    };
    let name = row.name.replace('|', "\\|");
    format!("| {name} | {before} | {after} | {:.3} | {low:.3} to {high:.3} | {verdict} |\n", row.ratio)
}

/// Three to four digits and a unit.
fn time(nanoseconds: f64) -> String {
    let (value, unit) = match nanoseconds {
        ns if ns < 1e3 => (ns, "ns"),
        ns if ns < 1e6 => (ns / 1e3, "µs"),
        ns if ns < 1e9 => (ns / 1e6, "ms"),
        ns => (ns / 1e9, "s"),
    };
    let digits = if value < 10.0 {
        3
    } else if value < 100.0 {
        2
    } else {
        1
    };
    format!("{value:.digits$} {unit}")
}

/// Writes the comparison.
pub(super) fn write_json(comparison: &Comparison, base: &str, path: &Path) -> Result<()> {
    write(&json(comparison, base), path)
}

/// Writes what was measured; the file is there whole or not at all.
pub(super) fn write(measured: &Value, path: &Path) -> Result<()> {
    let text = format!("{measured:#}\n");
    let name = path.file_name().with_context(|| format!("--json {}: not a file's name", path.display()))?;
    let beside = path.with_file_name(format!(".{}.{}.tmp", name.to_string_lossy(), std::process::id()));
    let written = fs::write(&beside, text).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // The first error is the one to report.
        let _ = fs::remove_file(&beside);
    }
    written.with_context(|| format!("--json {}", path.display()))
}

fn json(comparison: &Comparison, base: &str) -> Value {
    let benchmark = |row: &Row| {
        json!({
            "name": row.name,
            "before_ns": row.before,
            "after_ns": row.after,
            "ratio": row.ratio,
            "interval": row.interval,
            "verdict": row.verdict.name(),
        })
    };
    json!({
        "base": base,
        "rounds": comparison.rounds,
        "tolerance": comparison.tolerance,
        "slower": comparison.slower(),
        "benchmarks": comparison.rows.iter().map(benchmark).collect::<Vec<_>>(),
        "only_before": comparison.only_before,
        "only_after": comparison.only_after,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comparison() -> Comparison {
        let row = |name: &str, ratio: f64, verdict| Row {
            name: name.into(),
            before: 2e6,
            after: 2e6 * ratio,
            ratio,
            interval: [ratio - 0.02, ratio + 0.02],
            verdict,
        };
        Comparison {
            rounds: 5,
            tolerance: 0.05,
            rows: vec![
                row("block/384", 1.125, Verdict::Slower),
                row("plan/json", 1.0, Verdict::Same),
                row("seam/full", 0.5, Verdict::Faster),
            ],
            only_before: Vec::new(),
            only_after: vec!["metrics/psnr".into(), "metrics/ssim".into()],
        }
    }

    #[test]
    fn the_table_has_a_line_a_benchmark_and_a_summary() {
        let expected = "\
| benchmark | before | after | ratio | 95 % interval | |
|---|--:|--:|--:|:-:|---|
| block/384 | 2.000 ms | 2.250 ms | 1.125 | 1.105 to 1.145 | **slower** |
| plan/json | 2.000 ms | 2.000 ms | 1.000 | 0.980 to 1.020 |  |
| seam/full | 2.000 ms | 1.000 ms | 0.500 | 0.480 to 0.520 | faster |

Before is main, ratio is after / before over 5 rounds in turns. Beyond 5 % with the whole interval: 1 slower, 1 faster; \
1 the same, 0 unclear.

Only after: metrics/psnr, metrics/ssim.
";
        assert_eq!(markdown(&comparison(), "main"), expected);
    }

    #[test]
    fn times_have_a_unit_that_fits() {
        for (nanoseconds, text) in
            [(5.25, "5.250 ns"), (12_345.0, "12.35 µs"), (123_456_789.0, "123.5 ms"), (2e9, "2.000 s")]
        {
            assert_eq!(time(nanoseconds), text);
        }
    }

    #[test]
    fn the_file_holds_the_same_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bench.json");
        write_json(&comparison(), "abc123", &path).unwrap();
        let read: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(
            (&read["base"], &read["slower"], &read["tolerance"]),
            (&json!("abc123"), &json!(1), &json!(0.05))
        );
        let first = &read["benchmarks"][0];
        assert_eq!((&first["name"], &first["verdict"]), (&json!("block/384"), &json!("slower")));
        assert_eq!((&first["ratio"], &first["after_ns"]), (&json!(1.125), &json!(2.25e6)));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside the file");
        let error = write_json(&comparison(), "abc123", &folder.path().join("missing/x.json")).unwrap_err();
        assert!(format!("{error:#}").contains("missing"), "{error:#}");
    }
}
