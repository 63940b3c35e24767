//! SHA-256 of files.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::thread;

use sha2::{Digest, Sha256};

use super::error::LoadError;

/// SHA-256 of a file, hexadecimal.
pub(super) fn of_file(path: &Path) -> Result<String, LoadError> {
    let io = |source| LoadError::Io { file: path.display().to_string(), source };
    let mut file = File::open(path).map_err(io)?;
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        let read = file.read(&mut buffer).map_err(io)?;
        if read == 0 {
            return Ok(hex(&hasher.finalize()));
        }
        hasher.update(&buffer[..read]);
    }
}

/// SHA-256 of the lines `<SHA-256 of the shard>  <its name>`, hexadecimal. Hashes several shards at a time, because it takes
/// long.
pub(super) fn of_shards(paths: &[PathBuf]) -> Result<String, LoadError> {
    let at_once = thread::available_parallelism().map_or(1, usize::from);
    let mut lines = Sha256::new();
    for paths in paths.chunks(at_once) {
        let hashes: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = paths.iter().map(|path| scope.spawn(|| of_file(path))).collect();
            threads.into_iter().map(|thread| thread.join().expect("errors are returned")).collect()
        });
        for (path, hash) in paths.iter().zip(hashes) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            lines.update(format!("{}  {name}\n", hash?));
        }
    }
    Ok(hex(&lines.finalize()))
}

/// SHA-256 of bytes, hexadecimal.
pub(super) fn of_bytes(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(digest: &[u8]) -> String {
    digest.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
