//! What is told of weights without reading them.

use burn::module::Module;
use invardiff_models::{Architecture, Dit, Flux, LoadError, Outline};

use crate::fixture::{data, device};
use crate::tiny::{FILES, folder, load};

#[test]
fn an_outline_is_that_of_the_loaded_model() {
    for file in FILES {
        let (loaded, outline) = (load(file).model, Flux::outline(folder().join(file)).unwrap());
        assert_eq!(&outline.config, loaded.config());
        assert_eq!(outline.elements, loaded.num_params() as u64, "{file}");
        assert_eq!(outline.file, folder().join(file));
    }
    let path = data("dit_tiny/weights.safetensors");
    let (loaded, outline) = (Dit::load(&path, &device()).unwrap().model, Dit::outline(&path).unwrap());
    assert_eq!(&outline.config, loaded.config());
    assert_eq!(outline.elements, loaded.num_params() as u64);
    assert_eq!(Outline::of(&path).unwrap().elements, outline.elements);
}

#[test]
fn a_dit_and_a_flux_are_told_apart() {
    for path in ["dit_tiny/weights.pt", "dit_tiny/weights.safetensors", "dit_tiny_diffusers", "dit_trained"] {
        assert_eq!(Architecture::of(data(path)).unwrap(), Architecture::Dit, "{path}");
    }
    for path in ["flux_tiny", "flux_tiny/bfl.safetensors"] {
        assert_eq!(Architecture::of(data(path)).unwrap(), Architecture::Flux, "{path}");
    }
    let error = Architecture::of(data("text_tiny/t5.safetensors")).unwrap_err();
    assert!(matches!(error, LoadError::Format { .. }), "{error}");
    assert!(error.to_string().contains("neither a DiT nor a FLUX transformer: it has none of"), "{error}");
    let error = Dit::outline(data("flux_tiny")).unwrap_err();
    assert!(error.to_string().contains("diffusion_pytorch_model.safetensors: no DiT: these are"), "{error}");
    let error = Flux::outline(data("dit_tiny_diffusers")).unwrap_err();
    assert!(error.to_string().contains("no FLUX: these are the weights of a DiT"), "{error}");
    let error = Architecture::of(data("text_tiny")).unwrap_err();
    assert!(error.to_string().contains("neither a DiT nor a FLUX transformer"), "{error}");
}
