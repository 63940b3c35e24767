//! Runs the binary.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Output;

use assert_cmd::cargo::cargo_bin_cmd;
use serde_json::Value;

/// Runs `invardiff` in a folder, with nothing of the environment's hub.
pub(crate) fn run(folder: &Path, args: &[&str]) -> Output {
    let mut command = cargo_bin_cmd!("invardiff");
    command.current_dir(folder).env("HF_HOME", folder.join("no-home")).env("HF_HUB_OFFLINE", "1");
    command.args(args).output().unwrap()
}

/// What a command that must succeed prints on standard output and standard error.
pub(crate) fn printed(folder: &Path, args: &[&str]) -> (String, String) {
    let output = run(folder, args);
    let [out, error] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert!(output.status.success(), "{args:?}: {error}");
    (out, error)
}

/// The object that a command with `--json` prints.
pub(crate) fn json(folder: &Path, args: &[&str]) -> Value {
    serde_json::from_str(&printed(folder, args).0).unwrap()
}

/// The message of a command that must fail, with exit code 1 and nothing on standard output.
pub(crate) fn error(folder: &Path, args: &[&str]) -> String {
    let output = run(folder, args);
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{args:?}: {message}");
    message
}

/// The names in a folder.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// An image: its text chunks by keyword, its width and height, and its bytes.
pub(crate) struct Png {
    pub(crate) text: BTreeMap<String, String>,
    pub(crate) size: (u32, u32),
    pub(crate) bytes: Vec<u8>,
}

impl Png {
    pub(crate) fn read(path: &Path) -> Self {
        let file = std::io::BufReader::new(std::fs::File::open(path).unwrap());
        let mut reader = png::Decoder::new(file).read_info().unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut bytes).unwrap();
        let info = reader.info();
        let plain =
            info.uncompressed_latin1_text.iter().map(|chunk| (chunk.keyword.clone(), chunk.text.clone()));
        let wide = info.utf8_text.iter().map(|chunk| (chunk.keyword.clone(), chunk.get_text().unwrap()));
        Self { text: plain.chain(wide).collect(), size: (info.width, info.height), bytes }
    }
}
