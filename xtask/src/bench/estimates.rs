//! What criterion leaves behind.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

/// The median time of each benchmark in nanoseconds, by its full name.
pub(super) type Estimates = BTreeMap<String, f64>;

/// Reads all benchmarks below a folder of criterion's: each has a folder `new` with its name in `benchmark.json` and its
/// times in `estimates.json`.
pub(super) fn read(home: &Path) -> Result<Estimates> {
    let (mut folders, mut found) = (vec![home.to_owned()], Estimates::new());
    while let Some(folder) = folders.pop() {
        let of_folder = || folder.display().to_string();
        for entry in fs::read_dir(&folder).with_context(of_folder)? {
            let entry = entry.with_context(of_folder)?;
            if !entry.file_type().with_context(of_folder)?.is_dir() {
                continue;
            }
            let path = entry.path();
            if path.join("benchmark.json").is_file() && entry.file_name() == "new" {
                let (name, nanoseconds) = benchmark(&path)?;
                found.insert(name, nanoseconds);
            } else {
                folders.push(path);
            }
        }
    }
    Ok(found)
}

fn benchmark(folder: &Path) -> Result<(String, f64)> {
    let name = value(&folder.join("benchmark.json"), "/full_id")?;
    let name = name.as_str().with_context(|| format!("{}: no name", folder.display()))?.to_owned();
    let median = value(&folder.join("estimates.json"), "/median/point_estimate")?;
    let median = median.as_f64().filter(|median| *median > 0.0);
    Ok((name, median.with_context(|| format!("{}: the median is no time", folder.display()))?))
}

/// The value at a JSON pointer in a file.
fn value(file: &Path, pointer: &str) -> Result<Value> {
    let place = || format!("{}: criterion's format has changed? {pointer}", file.display());
    let text = fs::read_to_string(file).with_context(place)?;
    let mut json: Value = serde_json::from_str(&text).with_context(place)?;
    json.pointer_mut(pointer).map(Value::take).with_context(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(home: &Path, folder: &str, name: &str, estimates: &str) {
        let folder = home.join(folder);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("benchmark.json"), format!(r#"{{"full_id":"{name}"}}"#)).unwrap();
        fs::write(folder.join("estimates.json"), estimates).unwrap();
    }

    #[test]
    fn medians_are_read_from_the_newest_run_of_each_benchmark() {
        let home = tempfile::tempdir().unwrap();
        let estimates = |median: &str| format!(r#"{{"median":{{"point_estimate":{median}}}}}"#);
        write(home.path(), "plan/json/new", "plan/json", &estimates("12.5"));
        write(home.path(), "plan/json/base", "plan/json", &estimates("99"));
        write(home.path(), "a_b/c/new", "a/b/c", &estimates("2e6"));
        fs::create_dir_all(home.path().join("report")).unwrap();
        let expected = Estimates::from([("a/b/c".to_owned(), 2e6), ("plan/json".to_owned(), 12.5)]);
        assert_eq!(read(home.path()).unwrap(), expected);
    }

    #[test]
    fn what_criterion_did_not_write_is_named() {
        let home = tempfile::tempdir().unwrap();
        assert!(read(home.path()).unwrap().is_empty());
        for broken in
            ["{}", "[", r#"{"median":{"point_estimate":null}}"#, r#"{"median":{"point_estimate":0}}"#]
        {
            write(home.path(), "x/new", "x", broken);
            let error = format!("{:#}", read(home.path()).unwrap_err());
            assert!(error.contains("x/new"), "{error}");
        }
    }
}
