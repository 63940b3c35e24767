//! The files of the workspace.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

/// Larger files are not read as text.
const MAX_TEXT: u64 = 2 << 20;

/// One file of the workspace.
#[derive(Clone, Debug)]
pub(crate) struct File {
    /// Relative to the root, with `/`.
    pub(crate) path: String,
    /// Size in bytes.
    pub(crate) bytes: u64,
    /// Its text, where it is UTF-8 and of a text's size.
    pub(crate) text: Option<String>,
}

impl File {
    /// The text of a file that ends in `extension` (without the dot).
    pub(crate) fn text_of(&self, extension: &str) -> Option<&str> {
        let ends = self.path.rsplit_once('.').is_some_and(|(_, end)| end == extension);
        self.text.as_deref().filter(|_| ends)
    }
}

/// All files that git tracks or would track. Without git (an unpacked archive): all but build outputs.
pub(crate) fn list(root: &Path) -> Result<Vec<File>> {
    let paths = tracked(root).or_else(|_| walk(root))?;
    paths.into_iter().filter(|path| root.join(path).is_file()).map(|path| read(root, path)).collect()
}

fn tracked(root: &Path) -> Result<Vec<String>> {
    let shell = Shell::new()?;
    shell.change_dir(root);
    let command = cmd!(shell, "git ls-files -z --cached --others --exclude-standard");
    let output = command.quiet().ignore_stderr().read()?;
    Ok(output.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect())
}

fn walk(root: &Path) -> Result<Vec<String>> {
    let (mut folders, mut found) = (vec![PathBuf::new()], Vec::new());
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(root.join(&folder)).with_context(|| folder.display().to_string())?;
        for entry in entries {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            match (entry.file_type()?.is_dir(), path.to_str()) {
                (true, Some("target" | "out" | ".git")) => {}
                (true, _) => folders.push(path),
                (false, _) => found.push(path.to_string_lossy().replace('\\', "/")),
            }
        }
    }
    found.sort();
    Ok(found)
}

fn read(root: &Path, path: String) -> Result<File> {
    let full = root.join(&path);
    let bytes = fs::metadata(&full).with_context(|| path.clone())?.len();
    let text = if bytes <= MAX_TEXT {
        String::from_utf8(fs::read(&full).with_context(|| path.clone())?).ok()
    } else {
        None
    };
    Ok(File { path, bytes, text: text.filter(|text| !text.contains('\0')) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn git_and_the_walk_find_this_file() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        for paths in [list(root).unwrap().into_iter().map(|file| file.path).collect(), walk(root).unwrap()] {
            assert!(paths.iter().any(|path| path == "xtask/src/files.rs"));
            assert!(!paths.iter().any(|path| path.starts_with("target/") || path.starts_with(".git/")));
        }
    }

    #[test]
    fn text_is_asked_for_by_extension() {
        let file = File { path: "a/b.rs".into(), bytes: 1, text: Some("x".into()) };
        assert_eq!(file.text_of("rs"), Some("x"));
        assert_eq!(file.text_of("s"), None);
    }
}
