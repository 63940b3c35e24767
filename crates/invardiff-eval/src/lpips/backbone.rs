//! The two backbones as tables.

/// The network whose activations are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backbone {
    /// AlexNet as in torchvision (one tower, 64 to 256 channels); what the authors' evaluation uses.
    Alex,
    /// SqueezeNet 1.1.
    Squeeze,
}

/// One layer of a backbone; `index` is its place in torchvision's `features`, which the key names carry.
#[derive(Clone, Copy, Debug)]
pub(super) enum Layer {
    /// A convolution with bias, followed by a rectifier.
    Conv { index: usize, channels: [usize; 2], kernel: usize, stride: usize, padding: usize },
    /// Maximum over 3x3 windows with stride 2; `ceil` keeps a last window that hangs over the edge.
    Pool { ceil: bool },
    /// A fire module: 1x1 to `squeeze` channels, then 1x1 and 3x3 side by side, `expand` channels each.
    Fire { index: usize, input: usize, squeeze: usize, expand: usize },
}

/// Side and stride of every pooling window.
pub(super) const POOL: (usize, usize) = (3, 2);

/// A size that every backbone takes.
const LARGE: usize = 64;

/// Layers up to one comparison, and the channels compared.
pub(super) type Slice = (&'static [Layer], usize);

/// A parameter: its key and its shape in PyTorch's order.
pub(super) type Parameter = (String, Vec<usize>);

const fn conv(index: usize, channels: [usize; 2], kernel: usize, stride: usize, padding: usize) -> Layer {
    Layer::Conv { index, channels, kernel, stride, padding }
}

const fn fire(index: usize, input: usize, squeeze: usize, expand: usize) -> Layer {
    Layer::Fire { index, input, squeeze, expand }
}

const FLOOR: Layer = Layer::Pool { ceil: false };
const CEIL: Layer = Layer::Pool { ceil: true };

const ALEX: &[Slice] = &[
    (&[conv(0, [3, 64], 11, 4, 2)], 64),
    (&[FLOOR, conv(3, [64, 192], 5, 1, 2)], 192),
    (&[FLOOR, conv(6, [192, 384], 3, 1, 1)], 384),
    (&[conv(8, [384, 256], 3, 1, 1)], 256),
    (&[conv(10, [256, 256], 3, 1, 1)], 256),
];

const SQUEEZE: &[Slice] = &[
    (&[conv(0, [3, 64], 3, 2, 0)], 64),
    (&[CEIL, fire(3, 64, 16, 64), fire(4, 128, 16, 64)], 128),
    (&[CEIL, fire(6, 128, 32, 128), fire(7, 256, 32, 128)], 256),
    (&[CEIL, fire(9, 256, 48, 192)], 384),
    (&[fire(10, 384, 48, 192)], 384),
    (&[fire(11, 384, 64, 256)], 512),
    (&[fire(12, 512, 64, 256)], 512),
];

impl Backbone {
    /// Every parameter as (key, shape), sorted by key: `lin0.model.1.weight` .. `net.slice1.0.weight` .. Shapes are
    /// PyTorch's, `[out, in, height, width]` for a kernel.
    pub fn parameters(self) -> Vec<(String, Vec<usize>)> {
        let mut parameters = Vec::new();
        for (number, (layers, channels)) in self.layers().iter().enumerate() {
            parameters.push((Self::lin_key(number), vec![1, *channels, 1, 1]));
            for layer in *layers {
                parameters.extend(layer.convolutions(number).into_iter().flat_map(Convolution::parameters));
            }
        }
        parameters.sort();
        parameters
    }

    /// The least height and width in pixels.
    pub fn minimum_size(self) -> usize {
        (1..LARGE).find(|size| self.fits(*size)).unwrap_or(LARGE)
    }

    /// The metric's name.
    pub fn metric(self) -> &'static str {
        match self {
            Self::Alex => "LPIPS (alex)",
            Self::Squeeze => "LPIPS (squeeze)",
        }
    }

    /// The key of a layer's channel weights.
    pub(super) fn lin_key(layer: usize) -> String {
        format!("lin{layer}.model.1.weight")
    }

    /// The layers, cut where activations are compared.
    pub(super) fn layers(self) -> &'static [Slice] {
        match self {
            Self::Alex => ALEX,
            Self::Squeeze => SQUEEZE,
        }
    }

    /// Whether every window of an image of this size lies inside what it looks at.
    fn fits(self, size: usize) -> bool {
        let mut layers = self.layers().iter().flat_map(|(layers, _)| layers.iter());
        let after = layers.try_fold(size, |size, layer| match *layer {
            Layer::Conv { kernel, stride, padding, .. } => {
                Some((size + 2 * padding).checked_sub(kernel)? / stride + 1)
            }
            Layer::Pool { ceil } => {
                let rest = size.checked_sub(POOL.0)?;
                Some(if ceil { rest.div_ceil(POOL.1) } else { rest / POOL.1 } + 1)
            }
            Layer::Fire { .. } => Some(size),
        });
        after.is_some()
    }
}

/// One convolution inside a layer.
pub(super) struct Convolution {
    /// The key without `.weight` and `.bias`.
    pub(super) key: String,
    pub(super) channels: [usize; 2],
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) padding: usize,
}

impl Convolution {
    fn parameters(self) -> [Parameter; 2] {
        let [input, output] = self.channels;
        [
            (format!("{}.bias", self.key), vec![output]),
            (format!("{}.weight", self.key), vec![output, input, self.kernel, self.kernel]),
        ]
    }
}

impl Layer {
    /// The convolutions of this layer in slice `slice` (from 0): one, none, or a fire module's squeeze, 1x1 and 3x3.
    pub(super) fn convolutions(self, slice: usize) -> Vec<Convolution> {
        let key = |index: usize| format!("net.slice{}.{index}", slice + 1);
        match self {
            Self::Conv { index, channels, kernel, stride, padding } => {
                vec![Convolution { key: key(index), channels, kernel, stride, padding }]
            }
            Self::Pool { .. } => Vec::new(),
            Self::Fire { index, input, squeeze, expand } => {
                let part = |name, channels, kernel, padding| {
                    let key = format!("{}.{name}", key(index));
                    Convolution { key, channels, kernel, stride: 1, padding }
                };
                vec![
                    part("squeeze", [input, squeeze], 1, 0),
                    part("expand1x1", [squeeze, expand], 1, 0),
                    part("expand3x3", [squeeze, expand], 3, 1),
                ]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_size_is_where_every_window_fits() {
        assert_eq!(Backbone::Alex.minimum_size(), 31);
        assert_eq!(Backbone::Squeeze.minimum_size(), 25);
    }

    #[test]
    fn parameter_counts_are_the_published_ones_without_classifier() {
        let count = |backbone: Backbone| -> usize {
            let parameters = backbone.parameters().into_iter();
            parameters
                .filter(|(key, _)| key.starts_with("net"))
                .map(|(_, shape)| shape.iter().product::<usize>())
                .sum()
        };
        assert_eq!(count(Backbone::Alex), 2_469_696);
        assert_eq!(count(Backbone::Squeeze), 722_496);
    }
}
