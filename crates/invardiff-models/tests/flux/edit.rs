//! Edits of an image against diffusers: a reference image (FLUX.1-Kontext) and a mask that is filled in (FLUX.1-Fill), with the same
//! tolerance as the forward from a prompt alone. `make.py` beside the arrays made them.

use burn::tensor::Tensor;
use invardiff_models::{CondError, Flux, FluxConfig, LoadOptions};
use invardiff_runtime::{Denoiser, Full};

use crate::fixture::{Dump, bits, data, device, difference, within};
use crate::tiny::{self, CANVAS, FILES, model};

const TOLERANCE: f32 = 1e-5;

/// Rows and columns of the reference image.
const REFERENCE: [usize; 2] = [3, 2];

fn io() -> Dump {
    Dump::open(&data("flux_edit/io.safetensors"))
}

/// The forward of the stored inputs with this image.
fn forward(flux: &Flux, io: &Dump, image: Option<Tensor<3>>) -> Result<Tensor<3>, CondError> {
    let scales = tiny::values(io, "guidance");
    let (text, pooled) = (io.tensor("encoder_hidden_states"), io.tensor("pooled_projections"));
    let cond = flux.cond_with_image(text, pooled, Some(&scales), image)?;
    Ok(flux.forward(&mut Full, io.tensor("hidden_states"), io.flat("timestep"), &cond))
}

/// The tiny model with the first layer of one that fills in, from its own files.
fn fill() -> Flux {
    let folder = tempfile::tempdir().unwrap();
    let config = std::fs::read_to_string(data("flux_tiny/config.json")).unwrap();
    let mut config: serde_json::Value = serde_json::from_str(&config).unwrap();
    (config["in_channels"], config["out_channels"]) = (288.into(), 16.into());
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let mut weights = Dump::open(&data("flux_tiny").join(FILES[0]));
    weights.0.extend(Dump::open(&data("flux_edit/fill.safetensors")).0);
    weights.write(&folder.path().join(FILES[0]));
    Flux::load_with(folder.path(), &LoadOptions::default(), &device()).unwrap().model.with_canvas(CANVAS)
}

#[test]
fn a_reference_image_is_read_beside_the_noise() {
    let io = io();
    for file in FILES {
        let flux = model(file).with_reference(REFERENCE[0], REFERENCE[1]);
        let out = forward(&flux, &io, Some(io.tensor("reference"))).unwrap();
        within(&format!("{file} kontext.out"), difference(out.clone(), io.tensor("kontext.out")), TOLERANCE);
        // Another place of the same tokens is another image.
        let turned = model(file).with_reference(REFERENCE[1], REFERENCE[0]);
        assert!(difference(forward(&turned, &io, Some(io.tensor("reference"))).unwrap(), out) > 1e-3);
    }
}

#[test]
fn a_masked_image_is_further_channels() {
    let (io, flux) = (io(), fill());
    assert_eq!((flux.config().fills(), flux.config().name()), (true, "flux-2+3x48-fill".to_owned()));
    let out = forward(&flux, &io, Some(io.tensor("fill.image"))).unwrap();
    within("fill.out", difference(out, io.tensor("fill.out")), TOLERANCE);
    let json = serde_json::to_string(flux.config()).unwrap();
    assert_eq!(FluxConfig::from_json(&json).unwrap(), *flux.config());
}

/// What a model takes of an image is known before it runs.
#[test]
fn images_that_do_not_fit_are_refused() {
    let (io, plain, fill) = (io(), model(FILES[0]), fill());
    let message = |flux: &Flux, image: Option<Tensor<3>>| forward(flux, &io, image).unwrap_err().to_string();
    let reference = || Some(io.tensor::<3>("reference"));
    assert!(message(&plain, reference()).contains("draws from a prompt alone, but an image is given"));
    let edit = plain.clone().with_reference(REFERENCE[0], REFERENCE[1]);
    assert!(message(&edit, None).contains("edits an image, but none is given"));
    assert!(
        message(&edit.with_reference(1, 1), reference())
            .contains("have shape [1, 6, 16], expected [1, 1, 16]")
    );
    assert!(message(&fill, None).contains("flux-2+3x48-fill edits an image"));
    assert!(message(&fill, reference()).contains("expected [1, 24, 272]"));
    assert!(message(&fill.clone().with_reference(1, 1), reference()).contains("takes no reference image"));
}

/// A plan for drawing is none for an edit: the topologies have other names and sizes.
#[test]
fn an_edit_has_a_topology_of_its_own() {
    let plain = model(FILES[0]);
    let edit = plain.clone().with_reference(REFERENCE[0], REFERENCE[1]);
    let (own, both) = (plain.topology(), edit.topology());
    assert_ne!(own.model, both.model);
    assert!(own.trunk.elements() < both.trunk.elements());
    assert_eq!((own.output_elements, own.head_flops), (both.output_elements, both.head_flops));
    assert_eq!(both.sites[0].streams[0].tokens, CANVAS.image_tokens() + 6);
    assert!(both.full_flops() > own.full_flops());
    let same = plain.with_reference(0, 3).topology();
    assert_eq!(
        (same.model, bits(model(FILES[0]).img_in.weight.val())),
        (own.model, bits(edit.img_in.weight.val()))
    );
}
