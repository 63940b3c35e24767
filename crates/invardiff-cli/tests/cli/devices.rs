//! `invardiff devices`, and `--device` and `--dtype` of the other commands.

use serde_json::Value;

use crate::support::{error, json, run, run_with, stdout};

const BACKENDS: [(&str, bool); 3] = [
    ("cuda", cfg!(feature = "cuda")),
    ("vulkan", cfg!(feature = "vulkan")),
    ("wgpu", cfg!(feature = "wgpu")),
];

/// What is listed of a backend: its entry, and its devices.
fn listed<'a>(listing: &'a Value, backend: &str) -> (&'a Value, Vec<&'a Value>) {
    let entry =
        listing["backends"].as_array().unwrap().iter().find(|entry| entry["name"] == backend).unwrap();
    let devices = listing["devices"].as_array().unwrap().iter();
    let of_it = |row: &&Value| row["device"].as_str().unwrap().starts_with(&format!("{backend}:"));
    (entry, devices.filter(of_it).collect())
}

#[test]
fn the_list_has_the_processor_and_every_backend() {
    let folder = tempfile::tempdir().unwrap();
    let listing = json(folder.path(), &["devices", "--json"]);
    let processor = &listing["devices"][0];
    assert_eq!((&processor["device"], &processor["kind"]), (&"cpu".into(), &"processor".into()));
    assert_eq!(processor["dtypes"], serde_json::json!(["f32", "f16", "bf16"]));
    for (backend, compiled) in BACKENDS {
        let (entry, devices) = listed(&listing, backend);
        assert_eq!(entry["compiled"], compiled, "{backend}");
        assert_eq!(entry["found"], devices.len(), "{backend}");
    }
    let auto = listing["auto"].as_str().unwrap();
    let chosen = listing["devices"].as_array().unwrap().iter().find(|row| row["device"] == auto).unwrap();
    assert_ne!(chosen["kind"], "software", "auto is {auto}");
    let text = stdout(folder.path(), &["devices"]);
    assert!(text.ends_with(&format!("--device auto is {auto}\n")), "{text}");
}

#[test]
fn a_device_that_is_not_there_is_one_error_of_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let listing = json(folder.path(), &["devices", "--json"]);
    for (backend, compiled) in BACKENDS {
        let count = listed(&listing, backend).1.len();
        let device = format!("{backend}:{count}");
        for command in [
            &["calibrate"][..],
            &["generate", "--out", "grid.png"],
            &["verify"],
            &["parity", &crate::support::data("invardiff-eval/tests/data/metrics")],
        ] {
            let message = error(folder.path(), &[command, &["--device", &device]].concat());
            assert!(message.starts_with(&format!("error: --device {device}: ")), "{message}");
            let why = if !compiled {
                format!("built without {backend}")
            } else if count == 0 {
                "was found: ".to_owned()
            } else {
                " only; ".to_owned()
            };
            assert!(message.contains(&why), "{message}");
        }
        assert!(!folder.path().join("grid.png").exists());
    }
}

#[cfg(target_os = "linux")]
#[test]
fn without_a_driver_there_is_the_processor_alone() {
    use crate::support::only_error;
    // An environment in which Linux finds no graphics driver and CUDA no card.
    const NOTHING_THERE: [(&str, &str); 4] = [
        ("VK_DRIVER_FILES", "/nonexistent"),
        ("VK_ICD_FILENAMES", "/nonexistent"),
        ("__EGL_VENDOR_LIBRARY_FILENAMES", "/nonexistent"),
        ("CUDA_VISIBLE_DEVICES", ""),
    ];
    let folder = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| run_with(folder.path(), &NOTHING_THERE, args);
    let listing: Value = serde_json::from_slice(&run(&["devices", "--json"]).stdout).unwrap();
    assert_eq!((listing["devices"].as_array().unwrap().len(), &listing["auto"]), (1, &"cpu".into()));
    for (backend, compiled) in BACKENDS {
        assert_eq!(listed(&listing, backend).0["compiled"], compiled, "{backend}");
        let why = if compiled { "device was found: " } else { "built without " };
        let args = ["verify", "--device", backend];
        let message = only_error(run(&args), &args);
        assert!(message.starts_with(&format!("error: --device {backend}: ")), "{message}");
        assert!(message.contains(why), "{message}");
        let output = run(&["e2e", "--device", backend, "--require"]);
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.starts_with(&format!("{backend}: not run: ")) && text.contains(why), "{text}");
    }
    let output = run(&["verify", "--device", "auto", "--num-inference-steps", "4"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_precision_that_a_device_lacks_is_one_error() {
    let folder = tempfile::tempdir().unwrap();
    let listing = json(folder.path(), &["devices", "--json"]);
    for row in listing["devices"].as_array().unwrap() {
        let has = row["dtypes"].as_array().unwrap();
        let device = row["device"].as_str().unwrap();
        for dtype in ["f32", "f16", "bf16"] {
            if has.iter().any(|name| name == dtype) {
                continue;
            }
            let message = error(folder.path(), &["verify", "--device", device, "--dtype", dtype]);
            assert!(
                message.starts_with(&format!("error: --dtype {dtype}: the device does not compute in it")),
                "{message}"
            );
        }
    }
}

#[test]
fn a_device_that_cannot_be_meant_is_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();
    for device in ["gpu", "cpu:1", "cuda:x"] {
        let output = run(folder.path(), &["verify", "--device", device]);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains("there are auto, cpu, cuda, vulkan, wgpu"), "{message}");
    }
}

#[test]
fn the_environment_says_which_device_where_no_flag_does() {
    let folder = tempfile::tempdir().unwrap();
    let verify = |flags: &[&str]| {
        let args = [&["verify", "--num-inference-steps", "4"], flags].concat();
        run_with(folder.path(), &[("INVARDIFF_DEVICE", "cuda:999")], &args)
    };
    let output = verify(&[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("error: --device cuda:999: "));
    assert!(verify(&["--device", "cpu"]).status.success());
}

#[test]
fn everything_holds_in_16_bits() {
    let folder = tempfile::tempdir().unwrap();
    let verify = |dtype| {
        let args = ["verify", "--device", "cpu", "--num-inference-steps", "4", "--json", "--dtype", dtype];
        let found = json(folder.path(), &args);
        assert_eq!((&found["dtype"], &found["failed"]), (&dtype.into(), &0.into()));
        found["checks"].clone()
    };
    let [full, half, brief] = ["f32", "f16", "bf16"].map(verify);
    let found = |checks: &Value, index: usize| checks[index]["found"].as_str().unwrap().to_owned();
    let bytes = |checks, index| found(checks, index).parse::<usize>().unwrap();
    for checks in [&half, &brief] {
        assert_ne!(found(checks, 0), found(&full, 0), "a rounded model draws another image");
        // Kept modules have half the bytes; kept outputs are samples, f32 as ever.
        assert_eq!(2 * bytes(checks, 6), bytes(&full, 6));
        assert_eq!(bytes(checks, 7), bytes(&full, 7));
    }
}

#[test]
fn a_plan_says_in_which_precision_it_is_replayed() {
    const DRAW: [&str; 9] = [
        "generate",
        "--plan",
        "cal/plan.json",
        "--class-labels",
        "0",
        "--out",
        "grid.png",
        "--device",
        "cpu",
    ];
    let folder = tempfile::tempdir().unwrap();
    let args = ["calibrate", "--num-inference-steps", "5", "--runs", "2", "--images", "2"];
    let args = [&args[..], &["--converged-steps", "20", "--dtype", "bf16"]].concat();
    stdout(folder.path(), &[&args[..], &["--device", "cpu", "--out", "cal"]].concat());
    let facts = json(folder.path(), &[&DRAW[..], &["--json"]].concat());
    assert_eq!((&facts["dtype"], &facts["plan_forced"]), (&"bf16".into(), &serde_json::json!([])));
    let message = error(folder.path(), &[&DRAW[..], &["--dtype", "f32"]].concat());
    assert!(message.contains("dtype is bf16 in the plan and f32 here"), "{message}");
    assert!(run(folder.path(), &[&DRAW[..], &["--dtype", "f32", "--force"]].concat()).status.success());
}
