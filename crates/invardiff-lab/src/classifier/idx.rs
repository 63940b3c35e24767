//! Labelled images from IDX files, the format of MNIST.

use std::fs::File;
use std::io::{BufReader, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use invardiff_eval::ClassifierShape;
use ndarray::{Array3, Array4, Axis, Slice};

use crate::error::{Context, Result, bail, ensure};

/// The most bytes that a file may hold, unpacked.
const LIMIT: u64 = 1 << 30;
/// The most bytes that one byte of a packed file may stand for: images take ten at most, zeros a thousand.
const PACKED: u64 = 64;

/// Grey images and their classes.
#[derive(Clone, Debug)]
pub(super) struct Labelled {
    /// Pixels, `[images, rows, columns]`; 0 is black.
    pub(super) images: Array3<u8>,
    /// The class of each image.
    pub(super) labels: Vec<usize>,
}

impl Labelled {
    /// Reads `NAME-images-idx3-ubyte` and `NAME-labels-idx1-ubyte` of a folder, plain or with `.gz`.
    ///
    /// # Errors
    /// When a file is missing or is not an IDX file of bytes, or the two do not fit together; names the file.
    pub(super) fn read(folder: &Path, name: &str) -> Result<Self> {
        let (path, [count, rows, columns], pixels) = idx(folder, &format!("{name}-images-idx3-ubyte"))?;
        let images = Array3::from_shape_vec((count, rows, columns), pixels)
            .with_context(|| path.display().to_string())?;
        let (path, [labels], bytes) = idx(folder, &format!("{name}-labels-idx1-ubyte"))?;
        ensure!(labels == count, "{}: {labels} labels for {count} images", path.display());
        ensure!(
            count >= 2 && rows == columns && rows >= 2,
            "{}: {count} images of {columns}x{rows}, expected square ones",
            path.display()
        );
        Ok(Self { images, labels: bytes.into_iter().map(usize::from).collect() })
    }

    /// The number of images.
    pub(super) fn len(&self) -> usize {
        self.labels.len()
    }

    /// The number of classes: the largest label plus 1.
    pub(super) fn classes(&self) -> usize {
        self.labels.iter().max().map_or(0, |label| label + 1)
    }

    /// The input size and classes of a classifier of these images.
    ///
    /// # Errors
    /// When they are all of one class.
    pub(super) fn shape(&self) -> Result<ClassifierShape> {
        let classes = self.classes();
        ensure!(classes >= 2, "all images are of class 0, there is nothing to tell apart");
        Ok(ClassifierShape { channels: 1, size: self.images.len_of(Axis(1)), classes })
    }

    /// Images scaled to `-1 ..= 1`.
    ///
    /// # Shapes
    /// - result: `[images, 1, rows, columns]`
    pub(super) fn scaled(&self, range: Range<usize>) -> Array4<f32> {
        self.images.slice_axis(Axis(0), Slice::from(range)).mapv(scale).insert_axis(Axis(1))
    }
}

/// A byte scaled to `-1 ..= 1`.
pub(super) fn scale(byte: u8) -> f32 {
    f32::from(byte) / 127.5 - 1.0
}

/// A file's path, its dimensions and its bytes. No more is read than the dimensions announce.
fn idx<const D: usize>(folder: &Path, name: &str) -> Result<(PathBuf, [usize; D], Vec<u8>)> {
    let (path, mut file, most) = open(folder, name)?;
    let place = || path.display().to_string();
    let wrong = |what: &str| format!("{}: no IDX file of bytes with {D} dimensions: {what}", path.display());
    let mut head = Vec::new();
    file.by_ref().take(4 + 4 * D as u64).read_to_end(&mut head).with_context(place)?;
    ensure!(head.get(..4) == Some(&[0, 0, 8, D as u8]), "{}", wrong("its first four bytes are others"));
    ensure!(head.len() == 4 + 4 * D, "{}", wrong("it ends in its header"));
    let mut shape = [0; D];
    for (dimension, four) in shape.iter_mut().zip(head[4..].as_chunks().0) {
        *dimension = u32::from_be_bytes(*four) as usize;
    }
    let expected = shape.iter().try_fold(1_usize, |product, dimension| product.checked_mul(*dimension));
    let expected = expected.filter(|expected| *expected as u64 <= most);
    let expected =
        expected.with_context(|| wrong(&format!("{shape:?} is more than the {most} bytes that fit it")))?;
    let mut values = Vec::new();
    file.take(expected as u64 + 1).read_to_end(&mut values).with_context(place)?;
    let found = if values.len() > expected { "more".to_owned() } else { values.len().to_string() };
    ensure!(values.len() == expected, "{}", wrong(&format!("{found} bytes for {shape:?}")));
    Ok((path, shape, values))
}

/// A file, unpacked as it is read, and the most bytes that it may hold.
fn open(folder: &Path, name: &str) -> Result<(PathBuf, Box<dyn Read>, u64)> {
    let (plain, packed) = (folder.join(name), folder.join(format!("{name}.gz")));
    let file = |path: &Path| -> Result<(File, u64)> {
        let opened = File::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
        let (length, file) = opened.with_context(|| path.display().to_string())?;
        Ok((file, length))
    };
    if plain.is_file() {
        let (file, length) = file(&plain)?;
        Ok((plain, Box::new(BufReader::new(file)), length.min(LIMIT)))
    } else if packed.is_file() {
        let (file, length) = file(&packed)?;
        let most = length.saturating_mul(PACKED).min(LIMIT);
        Ok((packed, Box::new(GzDecoder::new(BufReader::new(file))), most))
    } else {
        bail!("there is neither {} nor {}", plain.display(), packed.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn write(folder: &Path, name: &str, dims: &[u32], bytes: &[u8]) {
        let mut all = vec![0, 0, 8, dims.len() as u8];
        all.extend(dims.iter().flat_map(|dim| dim.to_be_bytes()));
        all.extend(bytes);
        std::fs::write(folder.join(name), all).unwrap();
    }

    #[test]
    fn images_come_plain_and_packed_and_what_is_wrong_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let pixels: Vec<u8> = (0..18).collect();
        write(folder, "train-images-idx3-ubyte", &[2, 3, 3], &pixels);
        let message = || invardiff::fault::with_causes(&Labelled::read(folder, "train").unwrap_err());
        assert!(message().contains("train-labels-idx1-ubyte.gz"), "{}", message());
        write(folder, "train-labels-idx1-ubyte", &[2], &[1, 0]);
        let read = Labelled::read(folder, "train").unwrap();
        assert_eq!((read.labels, read.images[[1, 0, 2]]), (vec![1, 0], 11));

        let plain = std::fs::read(folder.join("train-images-idx3-ubyte")).unwrap();
        let file = File::create(folder.join("train-images-idx3-ubyte.gz")).unwrap();
        let mut packed = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        packed.write_all(&plain).unwrap();
        packed.finish().unwrap();
        std::fs::remove_file(folder.join("train-images-idx3-ubyte")).unwrap();
        let read = Labelled::read(folder, "train").unwrap();
        assert_eq!(read.shape().unwrap(), ClassifierShape { channels: 1, size: 3, classes: 2 });
        assert_eq!(read.scaled(1..2)[[0, 0, 0, 0]], 9.0 / 127.5 - 1.0);

        write(folder, "train-labels-idx1-ubyte", &[3], &[1, 0, 1]);
        assert!(message().contains("3 labels for 2 images"), "{}", message());
        write(folder, "train-labels-idx1-ubyte", &[3], &[1, 0]);
        assert!(message().contains("2 bytes for [3]"), "{}", message());
        write(folder, "train-labels-idx1-ubyte", &[1 << 20], &[1, 0]);
        assert!(message().contains("[1048576] is more than the"), "{}", message());
        write(folder, "train-labels-idx1-ubyte", &[1], &[1, 0]);
        assert!(message().contains("more bytes for [1]"), "{}", message());
        std::fs::write(folder.join("train-labels-idx1-ubyte"), b"ID").unwrap();
        assert!(message().contains("no IDX file"), "{}", message());
    }
}
