//! From a prompt to an image, with a tiny FLUX.

mod command;
mod library;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::tiny::{Sizes, write_flux, write_original_flux};

/// A tiny FLUX in both layouts, written once.
pub(crate) struct Models {
    folder: tempfile::TempDir,
}

impl Models {
    /// The diffusers folder.
    pub(crate) fn diffusers(&self) -> PathBuf {
        self.folder.path().join("diffusers")
    }

    /// The folder of the original files.
    pub(crate) fn original(&self) -> PathBuf {
        self.folder.path().join("original")
    }
}

pub(crate) fn models() -> &'static Models {
    static MODELS: OnceLock<Models> = OnceLock::new();
    MODELS.get_or_init(|| {
        let models = Models { folder: tempfile::tempdir().unwrap() };
        write_flux(&models.diffusers(), &Sizes::TINY);
        write_original_flux(&models.original(), &Sizes::TINY);
        models
    })
}

/// A copy of a folder, to be spoilt.
pub(crate) fn copy(from: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy_into(from, folder.path());
    folder
}

pub(crate) fn copy_into(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_into(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}
