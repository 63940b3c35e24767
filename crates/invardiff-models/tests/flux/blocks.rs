//! The way through the blocks of both kinds: what an executor is shown, and leaving blocks out.

use burn::tensor::Tensor;
use burn::tensor::activation::silu;
use invardiff_plan::methods::block_skip::SkipRule;
use invardiff_plan::methods::first_blocks::FirstBlocks;
use invardiff_plan::methods::teacache::{Polynomial, TeaCache};
use invardiff_runtime::{Block, BlockSkip, Denoiser, Event, Full, Observed, Policy, Site};

use crate::fixture::{bits, device};
use crate::laws::{cond, models, noise};
use crate::seam::{BATCH, Dice, Shown};

/// The same two streams before every block of either kind, and no bit changed by looking.
#[test]
fn both_kinds_of_block_show_the_same_streams() {
    for flux in models() {
        let mut dice = Dice(11);
        let (x, cond) = (noise(&flux, &mut dice), cond(&flux, &mut dice));
        let mut shown = Shown::default();
        let out = bits(flux.predict(&mut shown, x.clone(), 0.4, &cond));
        assert_eq!(out, bits(flux.predict(&mut Full, x, 0.4, &cond)));
        let count = flux.double_blocks.len() + flux.single_blocks.len();
        assert_eq!(shown.blocks, (0..count).map(|index| Block { index, count }).collect::<Vec<_>>());
        let dim = flux.config().hidden_size();
        let image_tokens = flux.canvas().image_tokens() + flux.reference().iter().product::<usize>();
        let shapes = [image_tokens, flux.canvas().text_tokens].map(|n| [BATCH, n, dim]);
        for streams in &shown.streams {
            assert_eq!(streams.iter().map(Tensor::dims).collect::<Vec<_>>(), shapes);
        }
    }
}

/// By hand: the first block sees the image's tokens after its norm and modulation.
#[test]
fn the_modulated_input_is_the_images() {
    let flux = models().remove(0);
    let mut dice = Dice(12);
    let (x, cond) = (noise(&flux, &mut dice), cond(&flux, &mut dice));
    let mut shown = Shown::default();
    flux.predict(&mut shown, x, 0.4, &cond);
    let c = silu(flux.embed(Tensor::full([BATCH], 0.4, &device()), &cond));
    for (index, block) in flux.double_blocks.iter().enumerate() {
        let m = block.img.modulation.forward(c.clone()).chunk(6, 1);
        let [shift, scale] = [0, 1].map(|i: usize| m[i].clone().unsqueeze_dim::<3>(1));
        let expected = block.img.norm1.forward(shown.streams[index][0].clone()) * (scale + 1.0) + shift;
        assert_eq!(bits(shown.modulated[index].clone()), bits(expected), "double block {index}");
    }
    let [double, single] = [flux.double_blocks.len(), flux.single_blocks.len()];
    assert!(double > 0 && shown.modulated.len() == double + single);
    let [text, image] = [flux.canvas().text_tokens, flux.canvas().image_tokens()];
    assert_eq!(shown.modulated[double].dims()[1], text + image, "a single block has one norm for both");
}

/// Two steps at the same sample and time: the second, with blocks left out, gives what the first one did up to rounding, and
/// computes the blocks that the rule names and no other. The left-out range may begin and end in blocks of either kind.
#[test]
fn left_out_blocks_add_what_they_added() {
    let mut skips = 0;
    for flux in models() {
        let count = flux.double_blocks.len() + flux.single_blocks.len();
        let mut dice = Dice(13);
        let (x, cond) = (noise(&flux, &mut dice), cond(&flux, &mut dice));
        let close = TeaCache { coefficients: Polynomial::identity(), threshold: 1.0 };
        let blocks = |[first, last]: [usize; 2]| {
            SkipRule::FirstBlocks(FirstBlocks { first, last, ..FirstBlocks::first_block(0.5) })
        };
        let ranges =
            [[1, 0], [1, 1], [2, 1], [count - 1, 0]].into_iter().filter(|[f, l]| *f > 0 && f + l < count);
        let rules = std::iter::once((SkipRule::TeaCache(close), [0, 0]))
            .chain(ranges.map(|range| (blocks(range), range)));
        for (rule, [first, last]) in rules {
            let mut computed = 0;
            let look = |step, site: Site, event: Event<'_>| {
                let inner = site != Site::TRUNK;
                computed += usize::from(step == 1 && inner && matches!(event, Event::Computed(_)));
            };
            let mut policy = Observed::new(BlockSkip::new(&rule, 3).unwrap(), look);
            let one = flux.predict(&mut policy.step(0), x.clone(), 0.5, &cond);
            let two = flux.predict(&mut policy.step(1), x.clone(), 0.5, &cond);
            assert!(policy.inner.decisions()[1].skipped, "{rule:?}");
            let worst: f32 = (two - one.clone()).abs().max().into_scalar();
            let scale: f32 = one.abs().max().into_scalar();
            assert!(worst < 1e-5 * scale.max(1.0), "{rule:?}: {worst} of {scale}");
            let modules = |block: usize| if block < flux.double_blocks.len() { 3 } else { 2 };
            let expected: usize = (0..first).chain(count - last..count).map(modules).sum();
            assert_eq!(computed, expected, "{rule:?}");
            skips += 1;
        }
    }
    assert!(skips > 20, "{skips}");
}
