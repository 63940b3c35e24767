//! The way through the blocks: what an executor is shown before each of them, and leaving blocks out.

use burn::tensor::Tensor;
use burn::tensor::activation::silu;
use invardiff_models::{Dit, DitConfig};
use invardiff_plan::methods::block_skip::SkipRule;
use invardiff_plan::methods::first_blocks::FirstBlocks;
use invardiff_plan::methods::teacache::{Polynomial, TeaCache};
use invardiff_runtime::{Block, BlockSkip, Denoiser, Event, Full, Observed, Policy, Site};

use crate::fixture::{bits, device};
use crate::laws::{configs, sample};
use crate::seam::{BATCH, Dice, Shown};

fn model() -> (DitConfig, Dit) {
    let config = configs().find(|config| config.depth == 7).unwrap();
    let dit = Dit::random(&config, 21, &device()).unwrap();
    (config, dit)
}

#[test]
fn what_is_shown_is_what_the_blocks_see() {
    let (config, dit) = model();
    let (x, y) = (sample(&mut Dice(1), &config), dit.labels(&[1, 3], &device()).unwrap());
    let full = bits(dit.predict(&mut Full, x.clone(), 321.0, &y));
    let mut shown = Shown::default();
    assert_eq!(bits(dit.predict(&mut shown, x.clone(), 321.0, &y)), full, "looking changes no bit");
    let expected: Vec<Block> = (0..7).map(|index| Block { index, count: 7 }).collect();
    assert_eq!(shown.blocks, expected);
    let c = silu(dit.t_embedder.forward(Tensor::full([BATCH], 321.0, &device())) + dit.embed_labels(y));
    let mut hidden = dit.x_embedder.forward(x) + dit.pos_embed.val();
    for (index, block) in dit.blocks.iter().enumerate() {
        assert_eq!(bits(shown.streams[index][0].clone()), bits(hidden.clone()), "block {index}");
        let m = block.modulation.forward(c.clone()).chunk(6, 1);
        let [shift, scale] = [0, 1].map(|i: usize| m[i].clone().unsqueeze_dim::<3>(1));
        let modulated = block.norm1.forward(hidden.clone()) * (scale + 1.0) + shift;
        assert_eq!(bits(shown.modulated[index].clone()), bits(modulated), "block {index}");
        hidden = block.forward(&mut Full, index as u32, hidden, c.clone());
    }
    assert_eq!(bits(shown.trunk.unwrap()), bits(hidden));
}

/// Two steps at the same sample and time: the second, with blocks left out, gives what the first one did up to rounding, and
/// computes the blocks that the rule names and no other.
#[test]
fn left_out_blocks_add_what_they_added() {
    let (config, dit) = model();
    let (x, y) = (sample(&mut Dice(2), &config), dit.labels(&[0, 2], &device()).unwrap());
    let close = TeaCache { coefficients: Polynomial::identity(), threshold: 1.0 };
    let blocks =
        |first, last| SkipRule::FirstBlocks(FirstBlocks { first, last, ..FirstBlocks::first_block(0.5) });
    let rules = [
        (SkipRule::TeaCache(close), 0..0, 7..7),
        (blocks(1, 0), 0..1, 7..7),
        (blocks(2, 3), 0..2, 4..7),
        (blocks(6, 0), 0..6, 7..7),
    ];
    for (rule, first, last) in rules {
        let mut computed = Vec::new();
        let look = |step, site: Site, event: Event<'_>| {
            if let (1, Event::Computed(_)) = (step, event) {
                computed.push(site);
            }
        };
        let mut policy = Observed::new(BlockSkip::new(&rule, 3).unwrap(), look);
        let run = |policy: &mut Observed<BlockSkip, _>, step| {
            let out: Tensor<4> = dit.predict(&mut policy.step(step), x.clone(), 400.0, &y);
            out
        };
        let (one, two) = (run(&mut policy, 0), run(&mut policy, 1));
        let skipped: Vec<bool> = policy.inner.decisions().iter().map(|decision| decision.skipped).collect();
        assert_eq!(skipped, [false, true], "{rule:?}");
        let worst: f32 = (two - one.clone()).abs().max().into_scalar();
        let scale: f32 = one.abs().max().into_scalar();
        assert!(worst < 1e-5 * scale.max(1.0), "{rule:?}: {worst} of {scale}");
        let sites = first.chain(last).flat_map(|layer: u32| [Site::msa(layer), Site::mlp(layer)]);
        assert_eq!(computed, sites.chain([Site::TRUNK]).collect::<Vec<_>>(), "{rule:?}");
    }
}
