//! What holds for samplers without a stored number.

use burn::tensor::{Device, Tensor};
use invardiff_runtime::{
    BetaSchedule, Ddim, DpmSolverPlusPlus, FlowMatchEuler, GaussianNoise, Marginal, NoiseSchedule,
    OutputForm, RuntimeError, Sampler, Shift, Spacing,
};

use crate::fixture::{FORMS, advance, check, dit, error, read, relative};

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

/// Half log-SNR or sigma of every step of a deterministic sampler.
fn own_times<S: Sampler<2>>(sampler: &S) -> Vec<f64> {
    sampler.deterministic().unwrap();
    (0..sampler.steps()).map(|step| sampler.schedule_time(step)).collect()
}

#[test]
fn samplers_say_what_plans_record() {
    let ddim = dit(50, OutputForm::Velocity);
    let dpm =
        DpmSolverPlusPlus::from_timesteps(&NoiseSchedule::dit(), &ddim.timesteps(), OutputForm::Epsilon)
            .unwrap();
    let flow = FlowMatchEuler::new(28, Shift::for_image(4096)).unwrap();
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
