//! A configuration read off the shapes of an autoencoder's weights.

use super::Shapes;
use crate::VaeConfig;
use crate::load::checkpoint::Checkpoint;
use crate::load::error::LoadError;

/// The published configuration of these weights, identified by the decoder's first and last convolution.
pub(crate) fn infer(checkpoint: &Checkpoint) -> Result<VaeConfig, LoadError> {
    let shapes = Shapes { checkpoint };
    let [widest, latent, ..]: [usize; 4] = shapes.of("decoder.conv_in.weight")?;
    let [channels, narrowest, ..]: [usize; 4] = shapes.of("decoder.conv_out.weight")?;
    let published = [VaeConfig::flux(), VaeConfig::stable_diffusion()].into_iter().find(|config| {
        let widths = &config.block_out_channels;
        (config.latent_channels, config.out_channels) == (latent, channels)
            && (widths.first(), widths.last()) == (Some(&narrowest), Some(&widest))
    });
    published.ok_or_else(|| {
        shapes.refuse(&format!(
            "with {latent} latent channels and {widest} to {narrowest} channels it is no published autoencoder, so groups \
             of norms and scale of latents are unknown"
        ))
    })
}
