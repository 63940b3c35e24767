//! Raw and averaged weights under many names and behind wrappers.

use invardiff_models::LoadOptions;

use crate::fixture::{Dump, Stored, bits};
use crate::tiny::{Folder, drawn, floats, load, public, refusal, values};

fn base() -> Dump {
    floats(&public("model/flux1-dev-fp8.safetensors"))
}

/// Other weights: the averaged ones.
fn averaged() -> Dump {
    let mut dump = base();
    for stored in dump.0.values_mut() {
        *stored =
            Stored::f32(&stored.shape, &values(stored).iter().map(|value| value * 0.9).collect::<Vec<_>>());
    }
    dump
}

fn under(prefix: &str, dump: &Dump) -> Dump {
    Dump(dump.0.iter().map(|(key, stored)| (format!("{prefix}{key}"), stored.clone())).collect())
}

fn join(dumps: &[Dump]) -> Dump {
    Dump(dumps.iter().flat_map(|dump| dump.0.clone()).collect())
}

#[test]
fn prefixes_and_wrappers_are_no_part_of_names() {
    let folder = Folder::new();
    let expected = bits(drawn(&folder.write("a.safetensors", &base()), &LoadOptions::default()));
    for prefix in [
        "model.diffusion_model.",
        "diffusion_model.",
        "transformer.",
        "module.",
        "_orig_mod.",
        "module._orig_mod.",
        "state_dict.module.",
    ] {
        let path = folder.write("b.safetensors", &under(prefix, &base()));
        assert_eq!(bits(drawn(&path, &LoadOptions::default())), expected, "{prefix}");
    }
    // A compiled block inside of a model that is not.
    let inside = base().0.into_iter();
    let inside =
        inside.map(|(key, stored)| (key.replace("double_blocks.0.", "double_blocks.0._orig_mod."), stored));
    let path = folder.write("c.safetensors", &Dump(inside.collect()));
    assert_eq!(bits(drawn(&path, &LoadOptions::default())), expected);
}

#[test]
fn averaged_weights_come_first_whatever_they_are_called() {
    let folder = Folder::new();
    let [raw, ema] = [base(), averaged()];
    let expected = bits(drawn(&folder.write("a.safetensors", &ema), &LoadOptions::default()));
    for (raw_name, ema_name) in [
        ("model.", "ema."),
        ("module.", "ema.module."),
        ("state_dict.", "state_dict_ema."),
        ("model.module.", "model_ema.module."),
        ("params.", "params_ema."),
        ("online_model.", "ema_model."),
        ("", "ema."),
        ("model_state_dict.", "ema_state_dict._orig_mod."),
        ("net.", "averaged_model."),
    ] {
        let path = folder.write("b.safetensors", &join(&[under(raw_name, &raw), under(ema_name, &ema)]));
        let loaded = load(&path, &LoadOptions::default()).unwrap();
        let section = loaded.section.clone().unwrap();
        assert_eq!(section, ema_name.replace("_orig_mod.", "").trim_end_matches('.'));
        assert!(
            loaded.notes[0].contains(&format!("of 2 sections with weights, '{section}' is read")),
            "{:?}",
            loaded.notes
        );
        assert_eq!(bits(crate::tiny::output(loaded.model)), expected, "{ema_name}");
    }
}

/// The averages of latent diffusion's training code lose the dots of their names, and hold what is trained alone.
#[test]
fn averages_may_have_lost_their_dots() {
    let folder = Folder::new();
    let [raw, mut ema] = [base(), averaged()];
    let untrained = "double_blocks.0.img_attn.norm.key_norm.scale";
    ema.0.insert(untrained.into(), raw.0[untrained].clone());
    let expected = bits(drawn(&folder.write("a.safetensors", &ema), &LoadOptions::default()));
    ema.0.remove(untrained);
    let flat = ema
        .0
        .iter()
        .map(|(key, stored)| (format!("model_ema.diffusion_model{}", key.replace('.', "")), stored.clone()));
    let whole = join(&[under("model.diffusion_model.", &raw), Dump(flat.collect())]);
    let path = folder.write("b.safetensors", &whole);
    assert_eq!(bits(drawn(&path, &LoadOptions::default())), expected);
}

#[test]
fn a_section_can_be_named_and_must_be_where_several_are_alike() {
    let folder = Folder::new();
    let [raw, ema] = [base(), averaged()];
    let path = folder.write("a.safetensors", &join(&[under("model.", &raw), under("ema.", &ema)]));
    let plain = bits(drawn(&folder.write("b.safetensors", &raw), &LoadOptions::default()));
    assert_eq!(bits(drawn(&path, &LoadOptions::default().with_section("model"))), plain);
    let message = load(&path, &LoadOptions::default().with_section("best")).unwrap_err().to_string();
    assert!(
        message.contains("there is no one section 'best'; the weights are in 'ema', 'model'"),
        "{message}"
    );
    let path = folder.write("c.safetensors", &join(&[under("ema_a.", &raw), under("ema_b.", &ema)]));
    let message = refusal(&path);
    assert!(message.contains("in several sections, and one must be named: 'ema_a', 'ema_b'"), "{message}");
}
