//! Quantised blocks of GGUF files: a block of numbers shares one or two scales.
//!
//! Written here because the readers of this format on crates.io either stop at the header or bring a second tensor library. The
//! order of operations is that of the `gguf` package on PyPI, so the values are the same bit for bit.

use half::f16;

/// How GGUF files quantise blocks of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(non_camel_case_types, reason = "the names of the format")]
pub(in crate::load) enum BlockType {
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q2_K,
    Q3_K,
    Q4_K,
    Q5_K,
    Q6_K,
    IQ4_NL,
    IQ4_XS,
}

/// The sixteen values of IQ4.
const IQ4: [f32; 16] = [
    -127.0, -104.0, -83.0, -65.0, -49.0, -35.0, -22.0, -10.0, 1.0, 13.0, 25.0, 38.0, 53.0, 69.0, 89.0, 113.0,
];

impl BlockType {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Q4_0 => "Q4_0",
            Self::Q4_1 => "Q4_1",
            Self::Q5_0 => "Q5_0",
            Self::Q5_1 => "Q5_1",
            Self::Q8_0 => "Q8_0",
            Self::Q2_K => "Q2_K",
            Self::Q3_K => "Q3_K",
            Self::Q4_K => "Q4_K",
            Self::Q5_K => "Q5_K",
            Self::Q6_K => "Q6_K",
            Self::IQ4_NL => "IQ4_NL",
            Self::IQ4_XS => "IQ4_XS",
        }
    }

    /// Numbers per block, and bytes that store them.
    pub(in crate::load) const fn sizes(self) -> (usize, usize) {
        match self {
            Self::Q4_0 | Self::IQ4_NL => (32, 18),
            Self::Q4_1 => (32, 20),
            Self::Q5_0 => (32, 22),
            Self::Q5_1 => (32, 24),
            Self::Q8_0 => (32, 34),
            Self::Q2_K => (256, 84),
            Self::Q3_K => (256, 110),
            Self::Q4_K => (256, 144),
            Self::Q5_K => (256, 176),
            Self::Q6_K => (256, 210),
            Self::IQ4_XS => (256, 136),
        }
    }

    /// The values of whole blocks.
    pub(super) fn decode(self, bytes: &[u8]) -> Vec<f32> {
        let (count, size) = self.sizes();
        let mut values = Vec::with_capacity(bytes.len() / size * count);
        for block in bytes.chunks_exact(size) {
            match self {
                Self::Q4_0 => q4_0(block, &mut values),
                Self::Q4_1 => q4_1(block, &mut values),
                Self::Q5_0 => q5_0(block, &mut values),
                Self::Q5_1 => q5_1(block, &mut values),
                Self::Q8_0 => q8_0(block, &mut values),
                Self::Q2_K => q2_k(block, &mut values),
                Self::Q3_K => q3_k(block, &mut values),
                Self::Q4_K => q4_k(block, &mut values),
                Self::Q5_K => q5_k(block, &mut values),
                Self::Q6_K => q6_k(block, &mut values),
                Self::IQ4_NL => iq4_nl(block, &mut values),
                Self::IQ4_XS => iq4_xs(block, &mut values),
            }
        }
        values
    }
}

/// The f16 at an offset.
fn half(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

/// The lower four bits of all bytes, then the upper ones.
fn nibbles(bytes: &[u8]) -> impl Iterator<Item = u8> {
    bytes.iter().map(|byte| byte & 15).chain(bytes.iter().map(|byte| byte >> 4))
}

fn q4_0(block: &[u8], values: &mut Vec<f32>) {
    let d = half(block, 0);
    values.extend(nibbles(&block[2..]).map(|q| d * (f32::from(q) - 8.0)));
}

fn q4_1(block: &[u8], values: &mut Vec<f32>) {
    let (d, m) = (half(block, 0), half(block, 2));
    values.extend(nibbles(&block[4..]).map(|q| d * f32::from(q) + m));
}

/// The five-bit numbers of a block; their highest bits are stored in four bytes.
fn fives<'a>(high: &[u8], low: &'a [u8]) -> impl Iterator<Item = f32> + use<'a> {
    let high = u32::from_le_bytes([high[0], high[1], high[2], high[3]]);
    nibbles(low).enumerate().map(move |(i, q)| f32::from(q | (((high >> i) & 1) as u8) << 4))
}

fn q5_0(block: &[u8], values: &mut Vec<f32>) {
    let d = half(block, 0);
    values.extend(fives(&block[2..6], &block[6..]).map(|q| d * (q - 16.0)));
}

fn q5_1(block: &[u8], values: &mut Vec<f32>) {
    let (d, m) = (half(block, 0), half(block, 2));
    values.extend(fives(&block[4..8], &block[8..]).map(|q| d * q + m));
}

fn q8_0(block: &[u8], values: &mut Vec<f32>) {
    let d = half(block, 0);
    values.extend(block[2..].iter().map(|q| f32::from(q.cast_signed()) * d));
}

fn q2_k(block: &[u8], values: &mut Vec<f32>) {
    let (scales, quants) = (&block[..16], &block[16..80]);
    let (d, min) = (half(block, 80), half(block, 82));
    for (i, scale) in scales.iter().enumerate() {
        let (dl, ml) = (d * f32::from(scale & 15), min * f32::from(scale >> 4));
        // Groups of 16: both halves of 32 bytes at each of four shifts.
        let (start, shift) = (i / 8 * 32 + i % 2 * 16, i % 8 / 2 * 2);
        let group = quants[start..start + 16].iter();
        values.extend(group.map(|byte| dl * f32::from((byte >> shift) & 3) - ml));
    }
}

fn q3_k(block: &[u8], values: &mut Vec<f32>) {
    let (mask, quants, packed) = (&block[..32], &block[32..96], &block[96..108]);
    let d = half(block, 108);
    for i in 0..16 {
        let low = if i < 8 { packed[i] & 15 } else { packed[i - 8] >> 4 };
        let high = (packed[8 + i % 4] >> (i / 4 * 2)) & 3;
        let scale = d * (f32::from(low | high << 4) - 32.0);
        let (start, shift) = (i / 8 * 32 + i % 2 * 16, i % 8 / 2 * 2);
        let bit = i / 2;
        for j in 0..16 {
            let low = (quants[start + j] >> shift) & 3;
            let high = (mask[i % 2 * 16 + j] >> bit) & 1;
            values.push(scale * (f32::from(low) - if high == 1 { 0.0 } else { 4.0 }));
        }
    }
}

/// Scale and minimum of group `i` of eight, six bits each, in twelve bytes.
fn scale_and_min(packed: &[u8], i: usize) -> (f32, f32) {
    let (scale, min) = if i < 4 {
        (packed[i] & 63, packed[4 + i] & 63)
    } else {
        let both = packed[4 + i];
        ((both & 15) | (packed[i - 4] >> 2) & 0x30, (both >> 4) | (packed[i] >> 2) & 0x30)
    };
    (f32::from(scale), f32::from(min))
}

fn q4_k(block: &[u8], values: &mut Vec<f32>) {
    let (d, min, packed, quants) = (half(block, 0), half(block, 2), &block[4..16], &block[16..]);
    for i in 0..8 {
        let (scale, offset) = scale_and_min(packed, i);
        let (dl, ml) = (d * scale, min * offset);
        let group = quants[i / 2 * 32..i / 2 * 32 + 32].iter();
        values.extend(group.map(|byte| dl * f32::from((byte >> (i % 2 * 4)) & 15) - ml));
    }
}

fn q5_k(block: &[u8], values: &mut Vec<f32>) {
    let (d, min, packed) = (half(block, 0), half(block, 2), &block[4..16]);
    let (high, quants) = (&block[16..48], &block[48..]);
    for i in 0..8 {
        let (scale, offset) = scale_and_min(packed, i);
        let (dl, ml) = (d * scale, min * offset);
        let group = quants[i / 2 * 32..i / 2 * 32 + 32].iter().zip(high);
        values.extend(group.map(|(low, high)| {
            let q = (low >> (i % 2 * 4)) & 15 | ((high >> i) & 1) << 4;
            dl * f32::from(q) - ml
        }));
    }
}

fn q6_k(block: &[u8], values: &mut Vec<f32>) {
    let (low, high, scales) = (&block[..128], &block[128..192], &block[192..208]);
    let d = half(block, 208);
    for i in 0..8 {
        let (half, quarter) = (i / 4, i % 4);
        for j in 0..32 {
            let low = (low[half * 64 + quarter % 2 * 32 + j] >> (quarter / 2 * 4)) & 15;
            let high = (high[half * 32 + j] >> (quarter * 2)) & 3;
            let scale = d * f32::from(scales[i * 2 + j / 16].cast_signed());
            values.push(scale * (f32::from(low | high << 4) - 32.0));
        }
    }
}

fn iq4_nl(block: &[u8], values: &mut Vec<f32>) {
    let d = half(block, 0);
    values.extend(nibbles(&block[2..]).map(|q| d * IQ4[usize::from(q)]));
}

fn iq4_xs(block: &[u8], values: &mut Vec<f32>) {
    let (d, high) = (half(block, 0), u16::from_le_bytes([block[2], block[3]]));
    let (low, quants) = (&block[4..8], &block[8..]);
    for (i, group) in quants.chunks_exact(16).enumerate() {
        let low = (low[i / 2] >> (i % 2 * 4)) & 15;
        let high = ((high >> (2 * i)) & 3) as u8;
        let scale = d * (f32::from(low | high << 4) - 32.0);
        values.extend(nibbles(group).map(|q| scale * IQ4[usize::from(q)]));
    }
}
