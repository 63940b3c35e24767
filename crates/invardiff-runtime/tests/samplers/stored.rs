//! Tables, steps and trajectories of the original implementations (`data/schedulers`).

use invardiff_runtime::{
    BetaSchedule, DpmSolverPlusPlus, FlowMatchEuler, NoiseSchedule, OutputForm, Sampler, Shift, Spacing,
};
use serde_json::Value;

use crate::fixture::{
    FORMS, Fixture, advance, check, dit, error, manifest, read, relative, tensor, timesteps,
};

#[test]
fn ddim_tables_equal_the_original_ones() {
    let file = Fixture::open("ddim.safetensors");
    for count in manifest()["ddim"]["counts"].as_array().unwrap() {
        let steps = count.as_u64().unwrap() as usize;
        let ddim = dit(steps, OutputForm::Epsilon);
        let key = |name: &str| file.values(&format!("ddim{steps}.{name}"));
        assert_eq!(ddim.timestep_map(), timesteps(&key("timestep_map")), "{steps} steps");
        let tables = ddim.schedule();
        for (name, found) in [
            ("betas", tables.betas().to_vec()),
            ("alphas_cumprod", tables.alphas_cumprod().to_vec()),
            ("alphas_cumprod_prev", tables.alphas_cumprod_prev()),
            ("sqrt_recip_alphas_cumprod", tables.sqrt_recip_alphas_cumprod()),
            ("sqrt_recipm1_alphas_cumprod", tables.sqrt_recipm1_alphas_cumprod()),
            ("posterior_log_variance_clipped", tables.posterior_log_variance_clipped()),
        ] {
            check(&format!("ddim{steps}.{name}"), relative(&found, &key(name)), 1e-12);
        }
    }
}

/// One update at every index, from the prediction in each of its three forms.
#[test]
fn ddim_steps_equal_the_original_ones_in_every_form() {
    let file = Fixture::open("ddim.safetensors");
    for steps in [50, 20, 250] {
        let (x, eps) =
            (file.values(&format!("ddim{steps}.x")), tensor(&file.values(&format!("ddim{steps}.eps"))));
        let (x, width) = (tensor(&x), x.len());
        for form in FORMS {
            let ddim = dit(steps, form);
            let (mut worst, mut worst_x0) = (0.0_f64, 0.0_f64);
            for step in 0..steps {
                let index = steps - 1 - step;
                let expected = file.row(&format!("ddim{steps}.step_sample_and_x0"), Some(index), 2 * width);
                let level = ddim.noise_level(step);
                let prediction = level.convert(x.clone(), eps.clone(), OutputForm::Epsilon, form);
                let (x0, _) = ddim.split(step, x.clone(), prediction.clone());
                worst = worst.max(error(&read(&advance(&ddim, step, &x, prediction)), &expected[..width]));
                worst_x0 = worst_x0.max(error(&read(&x0), &expected[width..]));
            }
            check(&format!("ddim{steps} {form:?}: step"), worst, 1e-5);
            check(&format!("ddim{steps} {form:?}: x0"), worst_x0, 1e-5);
        }
    }
}

fn dpm(case: &Value, prediction: OutputForm) -> DpmSolverPlusPlus {
    let number = |key: &str| case[key].as_f64().unwrap();
    let (start, end) = (number("beta_start"), number("beta_end"));
    let betas = match case["beta_schedule"].as_str().unwrap() {
        "linear" => BetaSchedule::Linear { start, end },
        "scaled_linear" => BetaSchedule::ScaledLinear { start, end },
        other => panic!("{other}"),
    };
    let spacing = match case["timestep_spacing"].as_str() {
        None | Some("linspace") => Spacing::Linspace,
        Some("trailing") => Spacing::Trailing,
        Some("leading") => Spacing::Leading { offset: case["steps_offset"].as_u64().unwrap() as usize },
        Some(other) => panic!("{other}"),
    };
    let schedule = NoiseSchedule::new(betas, number("num_train_timesteps") as usize).unwrap();
    DpmSolverPlusPlus::new(&schedule, spacing, number("steps") as usize, prediction).unwrap()
}

#[test]
fn dpm_grids_equal_the_original_ones() {
    let file = Fixture::open("dpm.safetensors");
    for (i, case) in manifest()["dpm"].as_array().unwrap().iter().enumerate() {
        let sampler = dpm(case, OutputForm::Epsilon);
        assert_eq!(sampler.timesteps(), timesteps(&file.values(&format!("dpm{i}.timesteps"))), "dpm{i}");
        // The original table is a running product of up to 1000 factors in f32.
        let expected = file.values(&format!("dpm{i}.sigmas"));
        check(&format!("dpm{i}.sigmas"), relative(&sampler.sigmas(), &expected), 1e-5);
    }
}

/// Every step from the stored sample and prediction, in each form.
#[test]
fn dpm_steps_equal_the_original_ones_in_every_form() {
    let file = Fixture::open("dpm.safetensors");
    for (i, case) in manifest()["dpm"].as_array().unwrap().iter().enumerate() {
        for form in FORMS {
            let sampler = dpm(case, form);
            let (mut history, mut worst) = (Sampler::<2>::start(&sampler), 0.0_f64);
            let mut x = file.values(&format!("dpm{i}.x0"));
            for step in 0..sampler.steps() {
                let eps = tensor(&file.row(&format!("dpm{i}.model_output"), Some(step), x.len()));
                let prediction =
                    sampler.noise_level(step).convert(tensor(&x), eps, OutputForm::Epsilon, form);
                let found = sampler.advance(&mut history, step, tensor(&x), prediction);
                x = file.row(&format!("dpm{i}.latents"), Some(step), x.len());
                worst = worst.max(error(&read(&found), &x));
            }
            check(&format!("dpm{i} {form:?}: step"), worst, 1e-5);
        }
    }
}

/// The whole trajectory with the fixture's own model, `tanh(W x) + 0.5 x cos(t / 1000)`.
#[test]
fn dpm_trajectories_equal_the_original_ones() {
    let file = Fixture::open("dpm.safetensors");
    for (i, case) in manifest()["dpm"].as_array().unwrap().iter().enumerate() {
        let sampler = dpm(case, OutputForm::Epsilon);
        let mut x = tensor(&file.values(&format!("dpm{i}.x0")));
        let width = x.dims()[1];
        let weight = tensor(&file.values(&format!("dpm{i}.W"))).reshape([width, width]);
        let (mut history, mut worst) = (sampler.start(), 0.0_f64);
        for step in 0..sampler.steps() {
            let time = Sampler::<2>::time(&sampler, step);
            let moved = x.clone().matmul(weight.clone().transpose()).tanh();
            let prediction = moved + x.clone() * (0.5 * (time / 1000.0).cos());
            x = sampler.advance(&mut history, step, x, prediction);
            let expected = file.row(&format!("dpm{i}.latents"), Some(step), width);
            worst = worst.max(error(&read(&x), &expected));
        }
        check(&format!("dpm{i}: trajectory"), worst, 1e-4);
    }
}

#[test]
fn flow_grids_and_trajectories_equal_the_original_ones() {
    let file = Fixture::open("flow.safetensors");
    for (i, case) in manifest()["flow"].as_array().unwrap().iter().enumerate() {
        let steps = case["steps"].as_u64().unwrap() as usize;
        let sampler = if let Some(tokens) = case["image_seq_len"].as_u64() {
            let shift = Shift::for_image(tokens as usize);
            let Shift::Dynamic { mu } = shift else { panic!("a static shift") };
            check(&format!("flow{i}: mu"), relative(&[mu], &[case["mu"].as_f64().unwrap()]), 1e-12);
            FlowMatchEuler::new(steps, shift).unwrap()
        } else {
            FlowMatchEuler::over_training_range(steps, case["shift"].as_f64().unwrap(), 1000).unwrap()
        };
        // The original tables are in f32.
        let times: Vec<f64> =
            (0..steps).map(|step| f64::from(Sampler::<2>::time(&sampler, step)) * 1000.0).collect();
        let expected = file.values(&format!("flow{i}.timesteps"));
        check(&format!("flow{i}.timesteps"), relative(&times, &expected), 1e-6);
        let expected = file.values(&format!("flow{i}.sigmas"));
        check(&format!("flow{i}.sigmas"), relative(sampler.sigmas(), &expected), 1e-6);

        let mut x = tensor(&file.values(&format!("flow{i}.x0")));
        let (width, mut worst) = (x.dims()[1], 0.0_f64);
        for step in 0..steps {
            let prediction = tensor(&file.row(&format!("flow{i}.model_output"), Some(step), width));
            x = advance(&sampler, step, &x, prediction);
            let expected = file.row(&format!("flow{i}.latents"), Some(step), width);
            worst = worst.max(error(&read(&x), &expected));
        }
        check(&format!("flow{i}: trajectory"), worst, 1e-5);
    }
}
