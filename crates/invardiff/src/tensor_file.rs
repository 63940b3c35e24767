//! Safetensors files of this project: arrays of f32 and one JSON object that says what they are.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use invardiff_plan::files::{TENSORS_LIMIT, read};
use ndarray::{ArrayD, IxDyn};
use safetensors::tensor::{SafeTensors, TensorView};
use safetensors::{Dtype, SafeTensorError, serialize};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::error::{About, Error, Result};
use crate::files;

/// The metadata key of the object.
const KEY: &str = "invardiff";

/// Arrays by name, and the object beside them.
#[derive(Clone, Debug)]
pub struct TensorFile {
    /// What the file holds, e.g. `invardiff-routers`.
    format: &'static str,
    /// The file's name in messages.
    file: String,
    object: Value,
    arrays: BTreeMap<String, ArrayD<f32>>,
}

/// The version of all these formats.
const VERSION: u64 = 1;

impl TensorFile {
    /// An empty file of a format, with its object.
    ///
    /// # Errors
    /// When the object cannot be written as JSON.
    pub fn new(format: &'static str, object: &impl Serialize) -> Result<Self> {
        let object = json!({ "format": format, "version": VERSION, "content": serde_json::to_value(object).map_err(json(format))? });
        Ok(Self { format, file: String::new(), object, arrays: BTreeMap::new() })
    }

    /// Adds an array.
    ///
    /// # Errors
    /// When there are not as many values as the shape says.
    pub fn insert(&mut self, name: &str, shape: &[usize], values: Vec<f32>) -> Result<()> {
        let array = ArrayD::from_shape_vec(IxDyn(shape), values);
        let array = array.map_err(Error::shape).about(format_args!("'{name}'"))?;
        self.arrays.insert(name.to_owned(), array);
        Ok(())
    }

    /// Writes the file whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written; names it.
    pub fn write(&self, path: &Path) -> Result<()> {
        let bytes: BTreeMap<&str, Vec<u8>> = self
            .arrays
            .iter()
            .map(|(name, array)| {
                (name.as_str(), array.iter().flat_map(|value| value.to_le_bytes()).collect())
            })
            .collect();
        let views = self.arrays.iter().map(|(name, array)| {
            Ok((name.as_str(), TensorView::new(Dtype::F32, array.shape().to_vec(), &bytes[name.as_str()])?))
        });
        let unwritable = |error: SafeTensorError| Error::file(path, error);
        let views: Vec<(&str, TensorView<'_>)> = views.collect::<Result<_, _>>().map_err(unwritable)?;
        let metadata = HashMap::from([(KEY.to_owned(), self.object.to_string())]);
        files::write(path, &serialize(views, Some(metadata)).map_err(unwritable)?)
    }

    /// Reads a file of a format.
    ///
    /// # Errors
    /// When it cannot be read, is no safetensors file, or one of another format or version; names it.
    pub fn read(path: &Path, format: &'static str) -> Result<Self> {
        let file = path.display().to_string();
        Self::parse(&read(path, TENSORS_LIMIT).map_err(Error::io(path))?, file, format)
    }

    /// Reads the bytes of a file of a format; `file` names it in messages.
    ///
    /// # Errors
    /// As [`TensorFile::read`].
    pub fn parse(bytes: &[u8], file: String, format: &'static str) -> Result<Self> {
        let refuse = |problem: String| Error::file(&file, problem);
        let wrong = |error: SafeTensorError| refuse(format!("no whole safetensors file: {error}"));
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(wrong)?;
        let object = metadata.metadata().as_ref().and_then(|entries| entries.get(KEY));
        let object = object.ok_or_else(|| refuse(format!("no {format} file: its metadata lack '{KEY}'")))?;
        let object: Value = serde_json::from_str(object).map_err(json(&file))?;
        let found = object["format"].as_str().unwrap_or("of no format");
        if found != format {
            return Err(refuse(format!("expected a file of the format {format}, this one is {found}")));
        }
        let version = &object["version"];
        if version.as_u64() != Some(VERSION) {
            return Err(refuse(format!("version {version} is unknown; this program reads {VERSION}")));
        }
        let tensors = SafeTensors::deserialize(bytes).map_err(wrong)?;
        let arrays = tensors.iter().map(|(name, view)| Ok((name.to_owned(), array(&file, name, &view)?)));
        Ok(Self { format, arrays: arrays.collect::<Result<_>>()?, object, file })
    }

    /// The object.
    ///
    /// # Errors
    /// When it lacks a key or has one of another type; names file and key.
    pub fn object<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_value(self.object["content"].clone()).map_err(json(&self.file))
    }

    /// The values of an array of this many axes, with its shape.
    ///
    /// # Errors
    /// When there is none of this name, or it has other axes; names file and array.
    pub fn array<const D: usize>(&self, name: &str) -> Result<([usize; D], Vec<f32>)> {
        let array = self.arrays.get(name);
        let refuse = |problem: String| Error::file(&self.file, problem);
        let array =
            array.ok_or_else(|| refuse(format!("'{name}' is missing from the {} file", self.format)))?;
        let shape = array.shape().try_into();
        let shape = shape
            .map_err(|_| refuse(format!("'{name}' has shape {:?}, expected {D} axes", array.shape())))?;
        Ok((shape, array.iter().copied().collect()))
    }

    /// The values of an array of exactly this shape.
    ///
    /// # Errors
    /// As [`TensorFile::array`], and for another shape.
    pub fn shaped<const D: usize>(&self, name: &str, shape: [usize; D]) -> Result<Vec<f32>> {
        let (found, values) = self.array::<D>(name)?;
        if found == shape {
            return Ok(values);
        }
        Err(Error::file(&self.file, format_args!("'{name}' has shape {found:?}, expected {shape:?}")))
    }
}

fn array(file: &str, name: &str, view: &TensorView<'_>) -> Result<ArrayD<f32>> {
    if view.dtype() != Dtype::F32 {
        let found = view.dtype();
        return Err(Error::file(file, format_args!("'{name}' has elements of type {found:?}, expected F32")));
    }
    let values = view.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let array = ArrayD::from_shape_vec(IxDyn(view.shape()), values);
    array.map_err(Error::shape).about(format_args!("{file}: '{name}'"))
}

/// An error in the object of a file.
fn json(file: &str) -> impl Fn(serde_json::Error) -> Error {
    move |source| Error::Json { place: format!("{file}: metadata '{KEY}'"), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::with_causes;

    #[test]
    fn a_file_comes_back_and_others_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        let mut file = TensorFile::new("invardiff-test", &json!({ "steps": 4 })).unwrap();
        file.insert("x", &[2, 3], (0..6).map(|value| value as f32).collect()).unwrap();
        assert!(file.insert("y", &[2, 3], vec![0.0]).is_err());
        file.write(&path).unwrap();
        let back = TensorFile::read(&path, "invardiff-test").unwrap();
        assert_eq!(back.object::<Value>().unwrap()["steps"], 4);
        assert_eq!(back.array("x").unwrap(), ([2, 3], vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0]));
        let message = |result: Result<()>| with_causes(&result.unwrap_err());
        let other = message(TensorFile::read(&path, "invardiff-routers").map(drop));
        assert!(other.contains("a.safetensors") && other.contains("invardiff-test"), "{other}");
        assert!(message(back.array::<2>("z").map(drop)).contains("'z' is missing"));
        assert!(message(back.array::<1>("x").map(drop)).contains("expected 1 axes"));
        assert!(message(back.shaped("x", [3, 2]).map(drop)).contains("expected [3, 2]"));
        let bytes = std::fs::read(&path).unwrap();
        for cut in [0, 7, 20, bytes.len() - 1] {
            std::fs::write(&path, &bytes[..cut]).unwrap();
            let error = message(TensorFile::read(&path, "invardiff-test").map(drop));
            assert!(error.contains("a.safetensors"), "{cut}: {error}");
        }
    }
}
