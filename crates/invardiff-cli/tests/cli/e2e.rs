//! `invardiff e2e`.

use serde_json::Value;

use crate::support::{data, run, stdout};

/// Little, so that it is done in seconds.
const LITTLE: [&str; 9] =
    ["e2e", "--runs", "1", "--num-inference-steps", "5", "--images", "1", "--attention", "1,2,48,16"];

fn reports(output: &std::process::Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_processor_agrees_with_itself() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &[&LITTLE[..], &["--device", "cpu", "--require", "--json"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    let reports = reports(&output);
    let report = &reports[0];
    assert_eq!((&report["device"], &report["outcome"]), (&"cpu".into(), &"passed".into()));
    let checks = report["checks"].as_array().unwrap();
    let names: Vec<&str> = checks.iter().map(|check| check["name"].as_str().unwrap()).collect();
    for name in [
        "parity with dit_tiny",
        "parity with flux_tiny",
        "rates of the first phase",
        "decisions of the plan",
        "images under the device's plan",
        "an empty plan changes nothing",
        "peak cache bytes as scheduled",
        "two plans at once, each as alone",
        "attention [1, 2, 48, 16] in bf16",
    ] {
        assert!(names.contains(&name), "{name} is not among {names:?}");
    }
    assert!(checks.iter().all(|check| check["outcome"] == "passed"), "{checks:?}");
    // The same program twice: nothing differs. In 16 bits it rounds, within what is allowed.
    let value =
        |name| checks[names.iter().position(|found| *found == name).unwrap()]["value"].as_f64().unwrap();
    assert_eq!(value("rates of the first phase"), 0.0);
    assert!(value("images, everything computed") > 90.0);
    assert!(value("attention [1, 2, 48, 16] in f16") > 0.0);
}

#[test]
fn a_fixture_that_does_not_fit_is_a_failed_check() {
    let folder = tempfile::tempdir().unwrap();
    let tiny = data("invardiff-models/tests/data/dit_tiny");
    let broken = folder.path().join("broken");
    std::fs::create_dir(&broken).unwrap();
    for file in ["forward.safetensors", "manifest.json", "weights.safetensors"] {
        std::fs::copy(std::path::Path::new(&tiny).join(file), broken.join(file)).unwrap();
    }
    // The last bytes of the weights are the class table's: its row for no class, which guidance uses.
    let path = broken.join("weights.safetensors");
    let mut bytes = std::fs::read(&path).unwrap();
    let end = bytes.len();
    bytes[end - 64..].fill(0x42);
    std::fs::write(&path, bytes).unwrap();
    let args = [&LITTLE[..], &["--device", "cpu", "--fixtures", "broken"]].concat();
    let output = run(folder.path(), &args);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{text}");
    let lines = text.lines().collect::<Vec<_>>();
    assert!(lines.iter().any(|line| line.starts_with("FAIL     parity with broken")), "{text}");
    assert!(lines.iter().any(|line| line.starts_with("         - cfg.out: ")), "{text}");
    assert!(text.trim_end().lines().last().unwrap().starts_with("cpu: failed: "), "{text}");
}

#[test]
fn a_device_that_is_not_there_is_not_run_and_with_require_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    for device in ["cuda:9", "vulkan:9", "wgpu:9"] {
        let args = [&LITTLE[..], &["--device", device]].concat();
        let text = stdout(folder.path(), &args);
        assert!(text.starts_with(&format!("{device}: not run: ")), "{text}");
        let output = run(folder.path(), &[&args[..], &["--require", "--json"]].concat());
        assert_eq!(output.status.code(), Some(1));
        let reports = reports(&output);
        assert_eq!(
            (&reports[0]["outcome"], reports[0]["checks"].as_array().unwrap().len()),
            (&"not_run".into(), 0)
        );
    }
}

#[test]
fn flags_that_say_nothing_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for args in
        [["e2e", "--attention", "1,2,3"], ["e2e", "--attention", "1,2,0,4"], ["e2e", "--device", "every"]]
    {
        assert_eq!(run(folder.path(), &args).status.code(), Some(2), "{args:?}");
    }
    let output = run(folder.path(), &["e2e", "--device", "cpu", "--fixtures", "nowhere"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--fixtures nowhere: there is no such folder"));
}
