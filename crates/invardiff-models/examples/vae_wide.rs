//! Decodes one image at the widths of the published autoencoders with random weights: time and peak memory.
//!
//! ```text
//! cargo run --release -p invardiff-models --example vae_wide -- 1024 64 flux
//! ```
//!
//! Arguments: the image's side in pixels, latent pixels along a side of a tile (0: no tiles), the autoencoder (sd, flux).

use std::error::Error;
use std::time::Instant;

use burn::tensor::{DType, Device, Tensor, TensorData};
use invardiff_models::{AutoencoderKl, Tiling, VaeConfig};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: usize| arguments.next().map_or(Ok(default), |text| text.parse());
    let (pixels, tile) = (number(512)?, number(0)?);
    let config = match arguments.next().as_deref() {
        None | Some("sd") => VaeConfig::stable_diffusion(),
        Some("flux") => VaeConfig::flux(),
        Some(other) => return Err(format!("'{other}' is no autoencoder; there are sd, flux").into()),
    };
    let device = Device::flex();
    let vae = AutoencoderKl::random(&config, 0, DType::F32, &device)?;
    print_memory(&format!("{}: the weights", config.name()));
    let side = pixels / config.factor();
    let shape = [1, config.latent_channels, side, side];
    let values = (0..shape.iter().product()).map(|i: usize| (i as f32 * 0.7).sin()).collect();
    let z = Tensor::<4>::from_data(TensorData::new::<f32, _>(values, shape), (&device, DType::F32));
    let start = Instant::now();
    let image = match tile {
        0 => vae.decode(z),
        tile => vae.decode_tiled(z, Tiling::new(tile, tile / 4)?, |done, all| {
            println!("tile {done} of {all}: {:.1?}", start.elapsed());
        }),
    };
    let largest: f32 = image.clone().abs().max().into_scalar();
    println!("{:?} in {:.1?}, largest value {largest:.2}", image.dims(), start.elapsed());
    print_memory("in all");
    Ok(())
}

/// Peak resident memory of this process, where the system tells it (Linux).
fn print_memory(when: &str) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    match status.lines().find_map(|line| line.strip_prefix("VmHWM:")) {
        Some(peak) => println!("peak memory, {when}: {}", peak.trim()),
        None => println!("peak memory, {when}: unknown on this system"),
    }
}
