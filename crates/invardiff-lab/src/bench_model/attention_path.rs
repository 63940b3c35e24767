//! Finds out how attention is computed, from the memory that it takes.

use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{DType, Distribution, Tensor};
use invardiff::{DeviceKind, OpenDevice};
use serde::Serialize;

use crate::error::Result;

/// With more products of queries and keys than this, burn-flex computes attention in tiles.
const FLEX_TILES: usize = 256 * 1024;

/// How attention is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AttentionPath {
    /// One kernel; the scores are never written to memory.
    Fused,
    /// Separate kernels, with all scores in memory between them.
    Unfused,
    /// On the CPU, in tiles.
    Tiled,
    /// On the CPU, with all scores in memory.
    Whole,
    /// Unknown: the device does not report its memory.
    Unknown,
}

impl AttentionPath {
    /// The path in words.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Fused => "fused: the scores are never in memory",
            Self::Unfused => "unfused: the scores are written to memory",
            Self::Tiled => "in tiles",
            Self::Whole => "with all scores in memory",
            Self::Unknown => "unknown: the device does not say how much memory it takes",
        }
    }
}

/// The path taken at a shape (batch, heads, tokens, channels of a head), with the bytes that a run of it took and those of
/// its scores. Call it before anything else is on the device.
///
/// # Errors
/// When the device fails.
pub fn attention_path(
    device: &OpenDevice,
    [batch, heads, tokens, channels]: [usize; 4],
    dtype: DType,
) -> Result<(AttentionPath, Option<u64>, u64)> {
    let scores = (batch * heads * tokens * tokens * dtype.size()) as u64;
    if device.kind() == DeviceKind::Processor {
        let path = if tokens * tokens > FLEX_TILES { AttentionPath::Tiled } else { AttentionPath::Whole };
        return Ok((path, None, scores));
    }
    let inputs = [(); 3].map(|()| {
        let values = Distribution::Uniform(-1.0, 1.0);
        Tensor::<4>::random([batch, heads, tokens, channels], values, (&**device, DType::F32)).cast(dtype)
    });
    let attend = || {
        let [query, key, value] = inputs.clone();
        drop(attention(query, key, value, None, None, AttentionModuleOptions::default()));
        device.wait()
    };
    // The first run chooses a kernel, and may try others. What it took is given back.
    attend()?;
    device.memory_cleanup();
    device.wait()?;
    let reserved = || device.memory_pool_usage().map(|usage| usage.bytes_reserved);
    let before = reserved();
    attend()?;
    let taken = reserved().zip(before).map(|(after, before)| after.saturating_sub(before));
    let path = match taken {
        None => AttentionPath::Unknown,
        Some(bytes) if bytes >= scores => AttentionPath::Unfused,
        Some(_) => AttentionPath::Fused,
    };
    Ok((path, taken, scores))
}
