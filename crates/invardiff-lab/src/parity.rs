//! Parity: compares this program with arrays that other programs made.
//!
//! A fixture is a folder with a `manifest.json`, whose `kind` says what is in it, and files of arrays. Everything else
//! (sizes, steps, seeds, thresholds) is read from the manifest and the arrays' shapes. A folder of the authors' books
//! needs no manifest.

mod analyser;
mod arrays;
mod books;
mod calibration;
mod check;
mod compare;
mod dit;
mod find;
mod flux;
mod folder;
mod guidance;
mod metrics;
mod quantile;
mod quantised;
mod rule;
mod schedulers;
mod text;
mod trajectory;
mod vae;

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use invardiff_plan::two_phase::Variant;

pub use check::{Comparison, Deviation, Measure};

use check::Checks;
use find::{Found, Holds};
use folder::Folder;
use invardiff::fault::caught;

use crate::error::{Context, Error, Result, ensure};

/// What a fixture tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Dit,
    DitCalibration,
    Flux,
    FluxCalibration,
    TextEncoders,
    AutoencoderKl,
    Analyser(Variant),
    QuantileAndRate,
    Schedulers,
    ImageMetrics,
    QuantisedWeights,
}

impl Kind {
    const ALL: [(&'static str, Self); 13] = [
        ("dit", Self::Dit),
        ("dit_calibration", Self::DitCalibration),
        ("flux", Self::Flux),
        ("flux_calibration", Self::FluxCalibration),
        ("text_encoders", Self::TextEncoders),
        ("autoencoder_kl", Self::AutoencoderKl),
        ("analyser_dit", Self::Analyser(Variant::Dit)),
        ("analyser_flux", Self::Analyser(Variant::Flux)),
        ("analyser_wan", Self::Analyser(Variant::Wan)),
        ("quantile_and_rate", Self::QuantileAndRate),
        ("schedulers", Self::Schedulers),
        ("image_metrics", Self::ImageMetrics),
        ("quantised_weights", Self::QuantisedWeights),
    ];

    /// The kind that a manifest names. What follows in parentheses is a remark: `dit (trained)` is a `dit`.
    fn named(text: &str) -> Result<Self> {
        let name = text.split('(').next().unwrap_or_default().trim();
        let known = Self::ALL.iter().find(|(known, _)| *known == name);
        known.map(|(_, kind)| *kind).with_context(|| {
            let known = Self::ALL.map(|(known, _)| known).join(", ");
            format!("kind '{text}' is not one that this version checks (it checks {known})")
        })
    }
}

/// The comparisons of one folder.
#[derive(Debug)]
pub struct Checked {
    /// The folder as it was given or found.
    pub path: PathBuf,
    /// Its name, with its parent folders' names where another one has the same name.
    pub label: String,
    /// The kind in its manifest, if that can be read.
    pub kind: Option<String>,
    /// Its comparisons, at least one.
    pub checks: Vec<Comparison>,
}

/// The folders that this repository ships and whose kind is known.
pub fn shipped() -> Vec<PathBuf> {
    let known = |found: &Found| match found.holds {
        Holds::Books => true,
        Holds::Fixture => Folder::open(&found.path).is_ok_and(|folder| {
            folder.manifest().get("kind").and_then(|kind| Kind::named(kind.text()?)).is_ok()
        }),
    };
    find::shipped().into_iter().filter(known).map(|found| found.path).collect()
}

/// Finds the fixtures in and below `given`, compares each, and passes every result to `show`.
pub fn check_all(given: &[PathBuf], device: &Device, mut show: impl FnMut(&Checked)) {
    let each: Vec<(&PathBuf, Result<Vec<Found>>)> =
        given.iter().map(|path| (path, find::find(path))).collect();
    let found = each.iter().filter_map(|(_, found)| found.as_ref().ok()).flatten();
    let all: Vec<PathBuf> = found.map(|found| found.path.clone()).collect();
    let mut show = |checked: Checked| show(&Checked { label: label(&checked.path, &all), ..checked });
    for (path, found) in each {
        match found {
            Ok(found) => found.iter().for_each(|found| show(check(found, &all, device))),
            Err(error) => show(failed(path, None, "folder", error)),
        }
    }
}

/// The last name of a path, or the whole path where that name is not unique.
fn label(path: &Path, all: &[PathBuf]) -> String {
    let alike = all.iter().filter(|other| other.file_name() == path.file_name()).count();
    match path.file_name() {
        Some(name) if alike <= 1 => name.to_string_lossy().into_owned(),
        Some(_) | None => path.display().to_string(),
    }
}

fn check(found: &Found, all: &[PathBuf], device: &Device) -> Checked {
    let path = &found.path;
    match found.holds {
        Holds::Books => guarded(path, None, |checks| books::check(path, checks)),
        Holds::Fixture => match Folder::open(path) {
            Err(error) => failed(path, None, "manifest", error),
            Ok(folder) => check_fixture(&folder, all, device),
        },
    }
}

fn check_fixture(folder: &Folder, all: &[PathBuf], device: &Device) -> Checked {
    let named = folder.manifest().get("kind").and_then(|kind| kind.text());
    let text = match named {
        Ok(text) => text,
        Err(error) => return failed(&folder.path, None, "kind", error),
    };
    let kind = match Kind::named(text) {
        Ok(kind) => kind,
        Err(error) => return failed(&folder.path, Some(text), "kind", error),
    };
    guarded(&folder.path, Some(text), |checks| {
        folder.check_files(checks);
        let listed = checks.len();
        match kind {
            Kind::Dit => dit::check(folder, device, checks),
            Kind::DitCalibration => calibration::check(folder, all, device, checks),
            Kind::Flux => flux::check(folder, device, checks),
            Kind::FluxCalibration => flux::check_calibration(folder, all, device, checks),
            Kind::TextEncoders => text::check(folder, device, checks),
            Kind::AutoencoderKl => vae::check(folder, device, checks),
            Kind::Analyser(variant) => analyser::check(folder, variant, checks),
            Kind::QuantileAndRate => quantile::check(folder, checks),
            Kind::Schedulers => schedulers::check(folder, device, checks),
            Kind::ImageMetrics => metrics::check(folder, device, checks),
            Kind::QuantisedWeights => quantised::check(folder, checks),
        }?;
        ensure!(checks.len() > listed, "it has nothing that could be compared");
        Ok(())
    })
}

/// Runs the comparisons of one folder. Any error, even a panic of this program, becomes a failed check of this folder;
/// the next folders are still compared.
fn guarded(path: &Path, kind: Option<&str>, work: impl FnOnce(&mut Checks) -> Result<()>) -> Checked {
    let mut checks = Checks::default();
    match caught(|| work(&mut checks)) {
        Ok(Ok(())) => {}
        Ok(Err(error)) => checks.run("folder", || Err(error)),
        Err(fault) => checks.run("folder", || Err(fault.into())),
    }
    checked(path, kind, checks)
}

fn failed(path: &Path, kind: Option<&str>, name: &str, error: Error) -> Checked {
    let mut checks = Checks::default();
    checks.run(name, || Err(error));
    checked(path, kind, checks)
}

fn checked(path: &Path, kind: Option<&str>, checks: Checks) -> Checked {
    let kind = kind.map(str::to_owned);
    Checked { path: path.to_owned(), label: String::new(), kind, checks: checks.into_list() }
}
