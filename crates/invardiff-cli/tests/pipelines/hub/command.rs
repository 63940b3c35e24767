//! The whole command on a hub's model.

use std::path::Path;
use std::process::Output;

use assert_cmd::cargo::cargo_bin_cmd;

use super::server::{Fault, HubServer, REPO};

/// A tiny DiT as a repository in diffusers' layout.
fn tiny_dit() -> HubServer {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../invardiff-models/tests/data/dit_tiny_diffusers");
    let part = |name: &str| (format!("transformer/{name}"), std::fs::read(folder.join(name)).unwrap());
    let index = ("model_index.json".to_owned(), br#"{"_class_name": "DiTPipeline"}"#.to_vec());
    HubServer::start([index, part("config.json"), part("diffusion_pytorch_model.safetensors")])
}

/// Latents of the repository's model, with these variables set.
fn generate(folder: &Path, server: &HubServer, out: &str, variables: &[(&str, &str)]) -> Output {
    let mut command = cargo_bin_cmd!("invardiff");
    command.current_dir(folder).env_remove("HF_TOKEN").env("HF_HOME", folder.join("home"));
    command.env("HF_ENDPOINT", &server.endpoint).envs(variables.iter().copied());
    let few =
        ["generate", "--model", REPO, "--num-inference-steps", "2", "--class-labels", "1", "--out", out];
    command.args(few).output().unwrap()
}

fn error(output: &Output) -> String {
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_model_of_a_hub_is_fetched_and_later_needs_no_network() {
    let (folder, server) = (tempfile::tempdir().unwrap(), tiny_dit());
    let here = folder.path();
    let output = generate(here, &server, "a.safetensors", &[("HF_TOKEN", "hf_secret")]);
    assert!(output.status.success(), "{output:?}");
    assert!(here.join("home/hub/models--someone--tiny/refs/main").is_file());
    let seen = server.seen();
    assert!(
        seen.iter().all(|request| request.authorization.as_deref() == Some("Bearer hf_secret")),
        "{seen:?}"
    );
    let output = generate(here, &server, "b.safetensors", &[("HF_HUB_OFFLINE", "1")]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(server.seen(), []);
    let read = |name: &str| std::fs::read(here.join(name)).unwrap();
    assert_eq!(read("a.safetensors"), read("b.safetensors"));
}

#[test]
fn what_a_hub_refuses_is_one_line_and_leaves_nothing() {
    let (folder, server) = (tempfile::tempdir().unwrap(), tiny_dit());
    server.fails(&[Fault::Status("resolve", 403, "GatedRepo")]);
    let message = error(&generate(folder.path(), &server, "a.safetensors", &[]));
    let line = message.lines().last().unwrap();
    assert!(line.starts_with("error: --model someone/tiny: there is no path someone/tiny"), "{message}");
    assert!(
        line.contains("model_index.json may not be read (HTTP 403): accept the model's terms at"),
        "{message}"
    );
    let message = error(&generate(folder.path(), &server, "a.safetensors", &[("HF_HUB_OFFLINE", "1")]));
    assert!(message.contains("someone/tiny is not in the cache"), "{message}");
    assert!(!folder.path().join("a.safetensors").exists());
}
