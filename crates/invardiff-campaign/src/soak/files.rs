//! Files that vanish while they are read, and writes that fail.

use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use invardiff::plan::files;

use super::Shared;
use super::draw::{Images, draw, open};

/// The files of the model `fashion`.
const MODEL: [(&str, &[u8]); 2] = [
    ("config.json", include_bytes!("../../../invardiff/assets/fashion/config.json")),
    ("model.safetensors", include_bytes!("../../../invardiff/assets/fashion/model.safetensors")),
];

/// Opens a model in files again and again, while another thread takes the files away and brings them back: an image is the one of
/// the same model in the program, and all else is one error.
pub(super) fn models_vanish(shared: &Shared, images: &Images, folder: &Path) {
    let path = folder.join("model.safetensors");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            shared.repeat(|round| {
                // Made or taken, in turns; a folder that is there already or gone is no fault.
                if round % 2 == 0 {
                    drop(write_model(folder));
                } else {
                    drop(std::fs::remove_dir_all(folder));
                }
                std::thread::sleep(Duration::from_millis(20 + round % 90));
                Ok(())
            });
        });
        shared.repeat(|_| {
            match open(&path.display().to_string()).and_then(|pipeline| draw(&pipeline)) {
                Ok(image) if image == images.of_first_model() => shared.opened.fetch_add(1, Relaxed),
                Ok(_) => return Err("an image of a model in files differs".into()),
                Err(message) if message.is_empty() => return Err("an error without words".into()),
                Err(_) => {
                    std::thread::sleep(Duration::from_millis(5));
                    shared.vanished.fetch_add(1, Relaxed)
                }
            };
            Ok(())
        });
    });
}

/// Writes the model, weights last.
fn write_model(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for (name, bytes) in MODEL {
        std::fs::write(folder.join(name), bytes)?;
    }
    Ok(())
}

/// Writes a file again and again and reads it: it is the new one where the write went well, and else the old one or the new one.
/// Writes fail where the folder has gone, and where the disk does (`LD_PRELOAD` with the tests' failing disk).
pub(super) fn writes_fail(shared: &Shared, folder: &Path) {
    let path = folder.join("file");
    let mut old = Vec::new();
    shared.repeat(|round| {
        if round % 50 == 0 {
            drop(std::fs::remove_dir_all(folder));
            old.clear();
        }
        if round % 50 == 10 {
            std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
        }
        let new: Vec<u8> = (0..20_000).map(|place: u64| (place ^ round) as u8).collect();
        let written = files::write(&path, &new);
        let found = std::fs::read(&path).unwrap_or_default();
        match written {
            Ok(()) if found == new => shared.written.fetch_add(1, Relaxed),
            Ok(()) => return Err("a file is not what was written".into()),
            Err(_) if found == old || found == new => shared.unwritten.fetch_add(1, Relaxed),
            Err(error) => return Err(format!("a file is torn after {error}")),
        };
        old = found;
        std::thread::sleep(Duration::from_millis(2));
        Ok(())
    });
}
