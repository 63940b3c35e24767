//! Builds with graphics backends. Every set of features has a target directory of its own: in a shared one, each change of
//! the set would compile the tensor library again.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::cargo::{FEATURES, cargo, target};

/// A set of features of the package `invardiff-cli`, and how it is compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Build {
    /// Empty for the set that every other task builds.
    features: Vec<String>,
    profile: Profile,
}

/// How a set is compiled. Each profile has its own folder in the set's target directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Profile {
    /// As every other task compiles.
    Release,
    /// In a third of the time, for checks: see the workspace's manifest.
    E2e,
    /// As it is given away.
    Small,
}

impl Profile {
    /// Its name, which is also that of its folder.
    const fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::E2e => "e2e",
            Self::Small => "small",
        }
    }
}

impl Build {
    /// The set that every other task builds; it reaches the processor alone.
    pub(crate) const fn usual() -> Self {
        Self { features: Vec::new(), profile: Profile::Release }
    }

    /// A set as `--features` takes it, names with commas between, compiled for checks: a device computes the same whatever
    /// the program around it is.
    ///
    /// # Errors
    /// When a name cannot be a feature's.
    pub(crate) fn with(features: &str) -> Result<Self> {
        let mut names: Vec<String> = features.split([',', ' ']).map(str::to_owned).collect();
        names.retain(|name| !name.is_empty());
        let fits = |name: &String| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        ensure!(
            !names.is_empty() && names.iter().all(fits),
            "--features {features}: expected names such as cuda,autotune"
        );
        names.sort_unstable();
        names.dedup();
        Ok(Self { features: names, profile: Profile::E2e })
    }

    /// The same set, as it is given away.
    pub(crate) fn small(self) -> Self {
        Self { profile: Profile::Small, ..self }
    }

    /// The set that a device is checked with. wgpu and CUDA share one, which is cheaper than two; SPIR-V (`vulkan`) would take
    /// the place of WGSL in it.
    ///
    /// # Errors
    /// When there is no such device.
    pub(crate) fn of_device(device: &str) -> Result<Self> {
        match device.split(':').next().unwrap_or_default() {
            "cpu" => Ok(Self::usual()),
            "wgpu" | "cuda" => Self::with("wgpu,cuda"),
            "vulkan" => Self::with("vulkan"),
            _ => anyhow::bail!(
                "--device {device}: there are cpu, cuda, vulkan, wgpu, the n-th of these as cuda:1, and all"
            ),
        }
    }

    /// Its name in paths.
    pub(crate) fn name(&self) -> String {
        self.features.join("-")
    }

    /// Its target directory.
    pub(crate) fn folder(&self, root: &Path) -> PathBuf {
        if self.features.is_empty() { target(root) } else { target(root).join(self.name()) }
    }

    /// The program, once it is built.
    pub(crate) fn binary(&self, root: &Path) -> PathBuf {
        self.folder(root)
            .join(self.profile.name())
            .join("invardiff")
            .with_extension(std::env::consts::EXE_EXTENSION)
    }

    /// `cargo COMMAND` for this set and the package `invardiff-cli`, in its own target directory.
    pub(crate) fn cargo(&self, root: &Path, command: &str) -> Command {
        let mut cargo = cargo(root);
        cargo.args([command, "--profile", self.profile.name(), "--package", "invardiff-cli"]);
        if self.features.is_empty() {
            cargo.args(FEATURES);
        } else {
            cargo.arg("--features").arg(self.features.join(",")).arg("--target-dir").arg(self.folder(root));
        }
        cargo
    }

    /// Builds the program and says where it is.
    ///
    /// # Errors
    /// When it does not build.
    pub(crate) fn build(&self, root: &Path) -> Result<PathBuf> {
        let binary = self.binary(root);
        if !binary.exists() {
            eprintln!(
                "Building invardiff {}. The first build compiles the tensor library and takes many minutes.",
                if self.features.is_empty() {
                    "for the processor".into()
                } else {
                    format!("with {}", self.features.join(", "))
                }
            );
        }
        let mut build = self.cargo(root, "build");
        let status = build.args(["--quiet", "--bin", "invardiff"]).status().context("cargo build")?;
        ensure!(status.success(), "cargo build --features {} failed ({status})", self.features.join(","));
        Ok(binary)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_one_folder_whatever_its_order() {
        let root = Path::new("r");
        let set = Build::with("wgpu,cuda").unwrap();
        assert_eq!(set, Build::with("cuda, wgpu,cuda").unwrap());
        assert_eq!(set.folder(root), target(root).join("cuda-wgpu"));
        assert_eq!(Build::usual().folder(root), target(root));
        let [quick, small] = [Build::with("cuda").unwrap(), Build::with("cuda").unwrap().small()];
        assert_eq!(quick.folder(root), small.folder(root));
        assert!(quick.binary(root).starts_with(quick.folder(root).join("e2e")));
        assert!(small.binary(root).starts_with(small.folder(root).join("small")));
        for odd in ["", ",", "cuda;rm", "a/b", "../x"] {
            assert!(Build::with(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn spirv_is_never_in_the_set_that_wgpu_is_checked_with() {
        for device in ["wgpu", "wgpu:1", "cuda", "cpu"] {
            assert!(!Build::of_device(device).unwrap().features.contains(&"vulkan".to_owned()), "{device}");
        }
        assert_eq!(Build::of_device("vulkan:0").unwrap().features, ["vulkan"]);
        assert!(Build::of_device("gpu").is_err() && Build::of_device("").is_err());
    }

    #[test]
    fn the_usual_set_is_that_of_all_tasks() {
        let arguments = |build: &Build| {
            let command = build.cargo(Path::new("r"), "build");
            command.get_args().map(|arg| arg.to_string_lossy().into_owned()).collect::<Vec<_>>()
        };
        assert!(arguments(&Build::usual()).ends_with(&FEATURES.map(str::to_owned)));
        assert_eq!(Build::of_device("cpu").unwrap(), Build::usual(), "it is built already");
        assert!(arguments(&Build::with("cuda").unwrap()).contains(&"--target-dir".to_owned()));
    }
}
