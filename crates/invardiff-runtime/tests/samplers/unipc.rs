//! UniPC against stored trajectories of diffusers (`data/schedulers_flow_unipc`), and its order of convergence.

use invardiff_runtime::{BetaSchedule, NoiseSchedule, OutputForm, Sampler, UniPc};
use serde_json::Value;

use crate::fixture::{Fixture, check, error, read, tensor, timesteps};

const FOLDER: &str = "../schedulers_flow_unipc";

fn runs() -> Vec<Value> {
    let path = crate::fixture::data(FOLDER).join("manifest.json");
    let manifest: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    manifest["runs"].as_array().unwrap().clone()
}

/// The solver of a stored run, where it is one that this crate has: `bh2` on the clean sample, corrected at every step, ending
/// at sigma 0, of lower order at the end.
fn solver(file: &Fixture, run: &Value) -> Option<UniPc> {
    let config = &run["config"];
    let set = |key: &str| !config[key].is_null();
    let ours = run["scheduler"] == "UniPCMultistepScheduler"
        && config["solver_type"] == "bh2"
        && !["final_sigmas_type", "disable_corrector", "predict_x0", "lower_order_final"]
            .into_iter()
            .any(set);
    if !ours {
        return None;
    }
    let order = config["solver_order"].as_u64().unwrap() as usize;
    let key = |name: &str| file.values(&format!("u{}.{name}", run["index"]));
    if set("use_flow_sigmas") {
        let mut sigmas = key("sigmas");
        sigmas.pop();
        return Some(UniPc::from_sigmas(&sigmas, order).unwrap());
    }
    let betas = BetaSchedule::Linear {
        start: config["beta_start"].as_f64().unwrap(),
        end: config["beta_end"].as_f64().unwrap(),
    };
    let form = match config["prediction_type"].as_str().unwrap() {
        "epsilon" => OutputForm::Epsilon,
        "v_prediction" => OutputForm::Velocity,
        "sample" => OutputForm::X0,
        other => panic!("{other}"),
    };
    let schedule = NoiseSchedule::new(betas, 1000).unwrap();
    Some(UniPc::from_timesteps(&schedule, &timesteps(&key("timesteps")), form, order).unwrap())
}

/// Every step from the stored sample and prediction.
#[test]
fn steps_equal_the_original_ones() {
    let file = Fixture::open(&format!("{FOLDER}/trajectories.safetensors"));
    let mut compared = 0;
    for run in runs() {
        let Some(solver) = solver(&file, &run) else { continue };
        let name = format!("u{}", run["index"]);
        let (mut history, mut worst) = (Sampler::<2>::start(&solver), 0.0_f64);
        let mut x = file.values(&format!("{name}.x0"));
        for step in 0..solver.steps() {
            let output = tensor(&file.row(&format!("{name}.model_output"), Some(step), x.len()));
            let found = solver.advance(&mut history, step, tensor(&x), output);
            x = file.row(&format!("{name}.latents"), Some(step), x.len());
            worst = worst.max(error(&read(&found), &x));
        }
        // The originals take coefficients in f32 from sigmas in f32.
        check(&format!("{name}, order {}", solver.order()), worst, 2e-4);
        compared += 1;
    }
    assert!(compared >= 10, "{compared} runs are ours");
}

/// On a linear ODE with a known end, twice the steps divide the error of order 2 by nearly 4 (the first step is of order 1), and
/// higher orders err much less than the first. Order 3 is down at the rounding of f32 where it could be told apart.
#[test]
fn higher_orders_converge_faster() {
    let schedule = NoiseSchedule::dit();
    // Normal data of deviation 0.5: the clean sample is a multiple of x, and so is the end of the ODE.
    let spread = 0.25;
    let end = |steps: usize, order: usize| {
        // Ending well before the last timestep, whose step to 0 is of first order.
        let all: Vec<usize> = (0..=steps).map(|i| 980 - i * 900 / steps).collect();
        let solver = UniPc::from_timesteps(&schedule, &all, OutputForm::X0, order).unwrap();
        let mut history = Sampler::<2>::start(&solver);
        let mut x = tensor(&[1.0]);
        for step in 0..steps {
            let level = Sampler::<2>::noise_level(&solver, step);
            let gain = level.alpha * spread / (level.alpha.powi(2) * spread + level.sigma.powi(2));
            x = solver.advance(&mut history, step, x.clone(), x * gain as f32);
        }
        let deviation = |at: usize| {
            let kept = schedule.alphas_cumprod()[at];
            (kept * spread + 1.0 - kept).sqrt()
        };
        (read(&x)[0] - deviation(all[steps]) / deviation(all[0])).abs()
    };
    let (coarse, fine) = (end(90, 2), end(180, 2));
    println!("order 2: {coarse:e}, {fine:e}");
    assert!(fine < coarse / 2.8, "{coarse:e}, {fine:e}");
    for order in [2, 3] {
        let (own, first) = (end(90, order), end(90, 1));
        println!("order {order}: {own:e}, order 1: {first:e}");
        assert!(own < first / 10.0, "order {order}: {own:e}, {first:e}");
    }
}

#[test]
fn bad_orders_and_grids_are_refused() {
    let schedule = NoiseSchedule::dit();
    for order in [0, 4] {
        let message =
            UniPc::from_timesteps(&schedule, &[999, 0], OutputForm::X0, order).unwrap_err().to_string();
        assert!(message.contains("order of UniPC"), "{message}");
    }
    assert!(UniPc::from_timesteps(&schedule, &[0, 999], OutputForm::X0, 2).is_err());
    for sigmas in [&[][..], &[0.5, 0.5], &[1.5, 0.5], &[0.5, 0.0]] {
        assert!(UniPc::from_sigmas(sigmas, 2).is_err(), "{sigmas:?}");
    }
}
