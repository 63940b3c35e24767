//! The samplers against stored tables, steps and trajectories of the original implementations (`data/schedulers`).

use std::path::PathBuf;

use burn::tensor::{Device, Tensor, TensorData};
use invardiff_runtime::{
    BetaSchedule, Ddim, DpmSolverPlusPlus, FlowMatchEuler, GaussianNoise, Marginal, NoiseSchedule,
    OutputForm, RuntimeError, Sampler, Shift, Spacing,
};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

const FORMS: [OutputForm; 3] = [OutputForm::X0, OutputForm::Epsilon, OutputForm::Velocity];

fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/schedulers").join(name)
}

fn manifest() -> Value {
    serde_json::from_slice(&std::fs::read(data("manifest.json")).unwrap()).unwrap()
}

/// A fixture file, every number as f64.
struct Fixture(Vec<u8>);

impl Fixture {
    fn open(name: &str) -> Self {
        Self(std::fs::read(data(name)).unwrap())
    }

    fn values(&self, key: &str) -> Vec<f64> {
        let file = SafeTensors::deserialize(&self.0).unwrap();
        let view = file.tensor(key).unwrap();
        let bytes = view.data();
        match view.dtype() {
            Dtype::F64 => bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect(),
            Dtype::F32 => bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b).into()).collect(),
            Dtype::I64 => bytes.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b) as f64).collect(),
            other => panic!("{key} is {other:?}"),
        }
    }

    /// The tensor, or row `row` of its first axis.
    fn row(&self, key: &str, row: Option<usize>, width: usize) -> Vec<f64> {
        let values = self.values(key);
        row.map_or(values.clone(), |row| values[row * width..(row + 1) * width].to_vec())
    }
}

fn tensor(values: &[f64]) -> Tensor<2> {
    let values: Vec<f32> = values.iter().map(|value| *value as f32).collect();
    let shape = [1, values.len()];
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}

fn read<const D: usize>(tensor: &Tensor<D>) -> Vec<f64> {
    tensor.clone().into_data().iter::<f64>().collect()
}

/// Largest difference, as a fraction of the largest expected value.
fn error(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
    let worst = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(found.iter().all(|value| value.is_finite()));
    worst / largest
}

/// Largest relative difference, element by element.
fn relative(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let one = |(a, b): (&f64, &f64)| if a == b { 0.0 } else { (a - b).abs() / b.abs() };
    found.iter().zip(expected).map(one).fold(0.0, f64::max)
}

fn check(what: &str, error: f64, tolerance: f64) {
    println!("{what}: {error:.2e} (tolerance {tolerance:.0e})");
    assert!(error <= tolerance, "{what}: {error:e} is above {tolerance:e}");
}

fn timesteps(values: &[f64]) -> Vec<usize> {
    values.iter().map(|value| *value as usize).collect()
}

fn dit(steps: usize, prediction: OutputForm) -> Ddim {
    Ddim::new(&NoiseSchedule::dit(), Spacing::Respaced, steps, prediction).unwrap()
}

/// The next sample of a sampler without memory of earlier steps, or from the first of them.
fn advance<S: Sampler<2>>(sampler: &S, step: usize, x: &Tensor<2>, prediction: Tensor<2>) -> Tensor<2> {
    sampler.advance(&mut sampler.start(), step, x.clone(), prediction)
}

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

/// Prediction, clean sample and noise agree with `x = alpha x0 + sigma eps`, and every conversion has its way back.
#[test]
fn forms_convert_into_each_other_and_back() {
    let noise = &mut GaussianNoise::seeded(3);
    let [x0, eps] = [(); 2].map(|()| noise.draw([1, 64], &Device::flex()));
    let levels = [0.9999, 0.7, 0.5, 0.1, 4e-5].map(Marginal::variance_preserving);
    for level in levels.into_iter().chain([0.999, 0.6, 0.01].map(Marginal::straight)) {
        let x: Tensor<2> = x0.clone() * level.alpha as f32 + eps.clone() * level.sigma as f32;
        for (from, to) in FORMS.into_iter().flat_map(|from| FORMS.map(|to| (from, to))) {
            let (a, b) = level.weights(from, to);
            let (back_a, back_b) = level.weights(to, from);
            assert!((b * back_b - 1.0).abs() < 1e-9, "{level:?} {from:?} to {to:?}");
            assert!((back_a + back_b * a).abs() < 1e-9 * (1.0 + a.abs()), "{level:?} {from:?} to {to:?}");
            if from == to {
                assert_eq!((a, b), (0.0, 1.0));
            }
        }
        let velocity = level.convert(x.clone(), eps.clone(), OutputForm::Epsilon, OutputForm::Velocity);
        for (form, expected) in [(OutputForm::X0, &x0), (OutputForm::Epsilon, &eps)] {
            let found = level.convert(x.clone(), velocity.clone(), OutputForm::Velocity, form);
            // The detour through the velocity divides one rounding error of f32 by alpha.
            check(
                &format!("{level:?} to {form:?}"),
                error(&read(&found), &read(expected)),
                2e-7 / level.alpha,
            );
        }
    }
}

/// A velocity means what the papers say: `sqrt(ab) eps - sqrt(1 - ab) x0`, and `eps - x0` for a flow.
#[test]
fn velocities_are_those_of_the_papers() {
    let (alpha_cumprod, x0, eps) = (0.3_f64, 0.7, -1.2);
    let level = Marginal::variance_preserving(alpha_cumprod);
    let x = alpha_cumprod.sqrt() * x0 + (1.0 - alpha_cumprod).sqrt() * eps;
    let (a, b) = level.weights(OutputForm::Epsilon, OutputForm::Velocity);
    let expected = alpha_cumprod.sqrt() * eps - (1.0 - alpha_cumprod).sqrt() * x0;
    assert!((a * x + b * eps - expected).abs() < 1e-14);
    let (a, b) = level.weights(OutputForm::Velocity, OutputForm::Epsilon);
    assert!((a - (1.0 - alpha_cumprod).sqrt()).abs() < 1e-14 && (b - alpha_cumprod.sqrt()).abs() < 1e-14);

    let level = Marginal::straight(0.4);
    let (a, b) = level.weights(OutputForm::X0, OutputForm::Velocity);
    assert!((a * (0.6 * x0 + 0.4 * eps) + b * x0 - (eps - x0)).abs() < 1e-14);
    // The first step of a flow: the velocity still gives both, an epsilon gives nothing.
    let level = Marginal::straight(1.0);
    assert_eq!(level.weights(OutputForm::Velocity, OutputForm::X0), (1.0, -1.0));
    assert!(!level.weights(OutputForm::Epsilon, OutputForm::X0).0.is_finite());
}

/// A model that knows the one clean sample leads every sampler to it, whatever form it predicts.
#[test]
fn a_perfect_model_ends_at_its_sample() {
    fn run<S: Sampler<2>>(sampler: &S, level: impl Fn(usize) -> Marginal, form: OutputForm) -> f64 {
        let noise = &mut GaussianNoise::seeded(5);
        let [target, mut x] = [(); 2].map(|()| noise.draw([1, 32], &Device::flex()));
        let mut history = sampler.start();
        for step in 0..sampler.steps() {
            let prediction = level(step).convert(x.clone(), target.clone(), OutputForm::X0, form);
            x = sampler.advance(&mut history, step, x, prediction);
        }
        error(&read(&x), &read(&target))
    }
    let schedule = NoiseSchedule::dit();
    for form in FORMS {
        let ddim = dit(10, form);
        check(&format!("ddim {form:?}"), run(&ddim, |step| ddim.noise_level(step), form), 2e-5);
        let dpm = DpmSolverPlusPlus::new(&schedule, Spacing::Respaced, 10, form).unwrap();
        check(&format!("dpm {form:?}"), run(&dpm, |step| dpm.noise_level(step), form), 2e-5);
    }
    let flow = FlowMatchEuler::new(10, Shift::for_image(1024)).unwrap();
    check("flow", run(&flow, |step| flow.noise_level(step), OutputForm::Velocity), 2e-5);
}

/// For normal data the probability flow is known: `x` scales with its standard deviation. The second-order solver must be
/// nearer to it than DDIM on the same timesteps.
#[test]
fn second_order_beats_first_order_on_the_same_timesteps() {
    fn run<S: Sampler<2>>(sampler: &S, level: impl Fn(usize) -> Marginal) -> f64 {
        let spread = 0.5_f64;
        let start = level(0);
        let deviation = |level: Marginal| (level.alpha.powi(2) * spread.powi(2) + level.sigma.powi(2)).sqrt();
        let noise: Tensor<2> = GaussianNoise::seeded(6).draw([1, 32], &Device::flex());
        let (mut x, mut history) = (noise.clone(), sampler.start());
        for step in 0..sampler.steps() {
            let here = level(step);
            let mean = here.alpha * spread.powi(2) / deviation(here).powi(2);
            x = sampler.advance(&mut history, step, x.clone(), x * mean as f32);
        }
        error(&read(&x), &read(&(noise * (spread / deviation(start)) as f32)))
    }
    let schedule = NoiseSchedule::dit();
    let ddim = Ddim::new(&schedule, Spacing::Linspace, 20, OutputForm::X0).unwrap();
    let dpm = DpmSolverPlusPlus::new(&schedule, Spacing::Linspace, 20, OutputForm::X0).unwrap();
    let (first, second) =
        (run(&ddim, |step| ddim.noise_level(step)), run(&dpm, |step| dpm.noise_level(step)));
    println!("ddim {first:.2e}, dpm-solver++ {second:.2e}");
    assert!(second < first / 2.0, "{second} against {first}");
}

#[test]
fn samplers_say_what_plans_record() {
    let ddim = dit(50, OutputForm::Velocity);
    let dpm =
        DpmSolverPlusPlus::from_timesteps(&NoiseSchedule::dit(), &ddim.timesteps(), OutputForm::Epsilon)
            .unwrap();
    let flow = FlowMatchEuler::new(28, Shift::for_image(4096)).unwrap();
    fn own_times<S: Sampler<2>>(sampler: &S) -> Vec<f64> {
        sampler.deterministic().unwrap();
        (0..sampler.steps()).map(|step| sampler.own_time(step)).collect()
    }
    assert_eq!((Sampler::<2>::name(&ddim), Sampler::<2>::name(&dpm)), ("ddim", "dpm-solver++"));
    assert_eq!((Sampler::<2>::time(&ddim, 0), Sampler::<2>::time(&ddim, 49)), (999.0, 0.0));
    assert_eq!(Sampler::<2>::time(&dpm, 1), 979.0);
    // One noise schedule: the two know the same half log-SNR at the same timestep.
    check("half log-SNR", relative(&own_times(&ddim), &own_times(&dpm)), 1e-9);
    assert!(own_times(&ddim).windows(2).all(|pair| pair[0] < pair[1]));
    assert!(own_times(&flow).windows(2).all(|pair| pair[0] > pair[1]));
    let ends = 0.9999_f64;
    check("last", relative(&own_times(&ddim)[49..], &[0.5 * (ends / (1.0 - ends)).ln()]), 1e-9);
}

#[test]
fn a_noisy_ddim_is_seeded_and_refused_for_plans() {
    let device = Device::flex();
    let quiet = dit(5, OutputForm::Epsilon);
    let noisy = |eta, seed| quiet.clone().with_eta(eta, seed).unwrap();
    Sampler::<2>::deterministic(&noisy(0.0, 1)).unwrap();
    let refused = Sampler::<2>::deterministic(&noisy(0.5, 1)).unwrap_err();
    assert!(matches!(refused, RuntimeError::Stochastic { .. }));
    assert!(refused.to_string().contains("eta = 0.5"), "{refused}");

    let run = |sampler: &Ddim| {
        let mut x: Tensor<2> = GaussianNoise::seeded(7).draw([1, 4096], &device);
        let mut history = Sampler::<2>::start(sampler);
        for step in 0..sampler.steps() {
            x = sampler.advance(&mut history, step, x.clone(), x * 0.9);
        }
        read(&x)
    };
    assert_eq!(run(&noisy(1.0, 1)), run(&noisy(1.0, 1)));
    assert_ne!(run(&noisy(1.0, 1)), run(&noisy(1.0, 2)));
    assert_eq!(run(&noisy(0.0, 1)), run(&quiet));

    // One step from zero with a zero prediction is the noise alone; the last step draws none.
    let zero: Tensor<2> = Tensor::zeros([1, 4096], &device);
    let drawn = read(&advance(&noisy(1.0, 1), 2, &zero, zero.clone()));
    let found = (drawn.iter().map(|value| value * value).sum::<f64>() / 4096.0).sqrt();
    let kept = quiet.schedule().alphas_cumprod();
    let expected = ((1.0 - kept[1]) / (1.0 - kept[2]) * (1.0 - kept[2] / kept[1])).sqrt();
    check("standard deviation of one step", (found / expected - 1.0).abs(), 0.05);
    assert!(read(&advance(&noisy(1.0, 1), 4, &zero, zero.clone())).iter().all(|value| *value == 0.0));
}

#[test]
fn gaussian_noise_is_standard_and_reproducible() {
    let draw = |seed| read(&GaussianNoise::seeded(seed).draw([100, 200], &Device::flex()));
    let values = draw(1);
    assert_eq!(values, draw(1));
    assert_ne!(values, draw(2));
    let mean = values.iter().sum::<f64>() / 2e4;
    let variance = values.iter().map(|value| value * value).sum::<f64>() / 2e4;
    assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
    // One source goes on: the second draw is new.
    let source = &mut GaussianNoise::seeded(1);
    let [first, second] = [(); 2].map(|()| read(&source.draw([10, 20], &Device::flex())));
    assert_ne!(first, second);
    assert_eq!(first, values[..200]);
}

#[test]
fn timesteps_of_every_spacing() {
    assert_eq!(Spacing::Respaced.timesteps(1, 1000).unwrap(), [0]);
    assert_eq!(Spacing::Respaced.timesteps(2, 1000).unwrap(), [999, 0]);
    assert_eq!(Spacing::Respaced.timesteps(1000, 1000).unwrap(), (0..1000).rev().collect::<Vec<_>>());
    assert_eq!(Spacing::Linspace.timesteps(2, 1000).unwrap(), [999, 500]);
    assert_eq!(Spacing::Trailing.timesteps(3, 1000).unwrap(), [999, 666, 332]);
    assert_eq!(Spacing::Leading { offset: 0 }.timesteps(3, 1000).unwrap(), [750, 500, 250]);
    for steps in 1..=999 {
        for spacing in [Spacing::Respaced, Spacing::Linspace, Spacing::Trailing] {
            let chosen = spacing.timesteps(steps, 1000).unwrap();
            assert!(chosen.len() == steps && chosen.windows(2).all(|pair| pair[0] > pair[1]), "{spacing:?}");
        }
    }
}

/// Nothing out of range is sampled with, and the error names what it was.
#[test]
fn bad_settings_are_refused_by_name() {
    let schedule = NoiseSchedule::dit();
    let ddim =
        |timesteps: &[usize]| Ddim::from_timesteps(&schedule, timesteps, OutputForm::Epsilon).map(|_| ());
    let dpm =
        |spacing, steps| DpmSolverPlusPlus::new(&schedule, spacing, steps, OutputForm::Epsilon).map(|_| ());
    let eta = |eta| dit(5, OutputForm::Epsilon).with_eta(eta, 0).map(|_| ());
    let betas = |start, end, n| NoiseSchedule::new(BetaSchedule::Linear { start, end }, n).map(|_| ());
    let flow = |sigmas: &[f64]| FlowMatchEuler::from_sigmas(sigmas.to_vec()).map(|_| ());
    for (result, named) in [
        (ddim(&[]), "timesteps"),
        (ddim(&[1000, 1]), "timesteps"),
        (ddim(&[5, 5]), "timesteps"),
        (ddim(&[1, 5]), "timesteps"),
        (dpm(Spacing::Respaced, 0), "num_inference_steps"),
        (dpm(Spacing::Respaced, 1001), "num_inference_steps"),
        (dpm(Spacing::Linspace, 1000), "num_inference_steps"),
        (dpm(Spacing::Leading { offset: 1 }, 1000), "num_inference_steps"),
        (dpm(Spacing::Leading { offset: 300 }, 9), "num_inference_steps"),
        (eta(-0.1), "eta"),
        (eta(1.5), "eta"),
        (eta(f64::NAN), "eta"),
        (betas(0.0, 0.02, 1000), "beta"),
        (betas(1e-4, 1.0, 1000), "beta"),
        (betas(f64::NAN, 0.02, 1000), "beta"),
        (betas(1e-4, 0.02, 0), "num_train_timesteps"),
        (flow(&[]), "num_inference_steps"),
        (flow(&[1.1, 0.5]), "sigmas"),
        (flow(&[1.0, 0.5, 0.5]), "sigmas"),
        (flow(&[1.0, 0.5, 0.0]), "sigmas"),
        (flow(&[f64::NAN]), "sigmas"),
        (FlowMatchEuler::new(0, Shift::Static(1.0)).map(|_| ()), "num_inference_steps"),
        (FlowMatchEuler::new(4, Shift::Static(0.0)).map(|_| ()), "shift"),
        (FlowMatchEuler::new(4, Shift::Dynamic { mu: f64::NAN }).map(|_| ()), "mu"),
        (FlowMatchEuler::over_training_range(4, -1.0, 1000).map(|_| ()), "shift"),
        (FlowMatchEuler::over_training_range(4, 3.0, 0).map(|_| ()), "num_train_timesteps"),
        (schedule.respaced(&[3, 2]).map(|_| ()), "timesteps"),
    ] {
        let refused = result.unwrap_err().to_string();
        assert!(refused.starts_with(&format!("{named} is ")), "{named}: {refused}");
    }
}

/// Shifts leave the ends alone and give grids that fall, for any number of steps.
#[test]
fn shifted_grids_fall_from_one() {
    for shift in [Shift::Static(1.0), Shift::Static(1.7), Shift::Static(3.0), Shift::for_image(300)] {
        for steps in 1..=60 {
            let sampler = FlowMatchEuler::new(steps, shift).unwrap();
            assert_eq!((sampler.steps(), sampler.sigmas()[0], sampler.sigmas()[steps]), (steps, 1.0, 0.0));
        }
    }
    // A dynamic shift is a static one.
    let pair = [Shift::Dynamic { mu: 1.15 }, Shift::Static(1.15_f64.exp())].map(|shift| shift.apply(0.3));
    assert!((pair[0] - pair[1]).abs() < 1e-15);
}
