//! Copies of shipped fixtures, changed before they are checked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use tempfile::TempDir;

/// A shipped fixture, by the crate whose tests it serves.
pub(crate) fn shipped(of: &str, folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(of).join("tests/data").join(folder)
}

/// What `parity --json` printed, and its exit code.
pub(crate) fn parity(folders: &[&Path]) -> (Vec<Value>, i32) {
    let output =
        Command::cargo_bin("invardiff").unwrap().args(["parity", "--json"]).args(folders).output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (serde_json::from_slice(&output.stdout).unwrap(), output.status.code().unwrap())
}

/// The failed checks, each as its name and its note.
pub(crate) fn failures(lines: &[Value]) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let failed = lines.iter().filter(|line| line["passed"] == false);
    failed.map(|line| (text(&line["check"]), text(&line["note"]))).collect()
}

/// A copy of a fixture without the manifest's list of files, so that arrays may be left out.
pub(crate) struct Copy {
    pub(crate) folder: TempDir,
}

impl Copy {
    pub(crate) fn of(source: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(source).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
        }
        let copy = Self { folder };
        copy.manifest(|manifest| {
            manifest.as_object_mut().unwrap().remove("files");
        });
        copy
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn manifest(&self, change: impl FnOnce(&mut Value)) {
        let path = self.path().join("manifest.json");
        let mut manifest = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        change(&mut manifest);
        std::fs::write(&path, manifest.to_string()).unwrap();
    }

    pub(crate) fn arrays(&self, file: &str, change: impl FnOnce(&mut Arrays)) {
        let path = self.path().join(file);
        let mut arrays = Arrays::read(&path);
        change(&mut arrays);
        arrays.write(&path);
    }

    /// The failed checks of the copy; it has to exit with 1 if there are any, else with 0.
    pub(crate) fn failures(&self) -> Vec<(String, String)> {
        let (lines, code) = parity(&[self.path()]);
        let failures = failures(&lines);
        assert_eq!(code, i32::from(!failures.is_empty()), "{failures:?}");
        failures
    }

    /// The one failed check, which has to be called so.
    pub(crate) fn fails(&self, check: &str) -> String {
        let failures = self.failures();
        let [(name, note)] = failures.as_slice() else { panic!("{failures:?}") };
        assert_eq!(name, check, "{note}");
        note.clone()
    }
}

/// The arrays of a file: element type, shape and bytes by name.
pub(crate) struct Arrays(pub(crate) BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>);

impl Arrays {
    fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let arrays = file.tensors().into_iter().map(|(key, view)| {
            let (dtype, shape, bytes) = (view.dtype(), view.shape().to_vec(), view.data().to_vec());
            (key, (dtype, shape, bytes))
        });
        Self(arrays.collect())
    }

    fn write(&self, path: &Path) {
        let views = self.0.iter().map(|(key, (dtype, shape, bytes))| {
            (key, TensorView::new(*dtype, shape.clone(), bytes).unwrap())
        });
        std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
    }

    /// Keeps the arrays whose names this says so of.
    pub(crate) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.0.retain(|key, _| keep(key));
    }

    /// Changes one f32 value.
    pub(crate) fn value(&mut self, key: &str, index: usize, change: impl FnOnce(f32) -> f32) {
        let (dtype, _, bytes) = self.0.get_mut(key).unwrap();
        assert_eq!(*dtype, Dtype::F32);
        let place = &mut bytes[4 * index..4 * index + 4];
        let value = change(f32::from_le_bytes(place.try_into().unwrap()));
        place.copy_from_slice(&value.to_le_bytes());
    }

    /// Of `axis` keeps the first `count` entries of every `period`.
    pub(crate) fn cut(&mut self, key: &str, axis: usize, period: usize, count: usize) {
        let (dtype, shape, bytes) = self.0.get_mut(key).unwrap();
        let item = shape[axis + 1..].iter().product::<usize>() * dtype.bitsize() / 8;
        let rows: Vec<u8> = bytes
            .chunks_exact(item)
            .enumerate()
            .filter(|(row, _)| row % period < count)
            .flat_map(|(_, row)| row.to_vec())
            .collect();
        shape[axis] = shape[axis] / period * count;
        *bytes = rows;
    }
}
