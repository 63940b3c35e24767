//! The library.

use burn::tensor::{Device, Tensor};
use invardiff::{
    Caching, Calibrating, Dtype, ModelFacts, Pretrained, Resampling, Sampling, TextToImage,
    TextToImageOptions,
};
use invardiff_plan::methods::baseline::{random_plan, uniform_gate};
use invardiff_plan::{CachePlan, GateSite, OutputForm, ReuseRule};
use invardiff_runtime::{Denoiser, Sampler, Topology};
use ndarray::Array2;

use super::models;

fn options() -> TextToImageOptions {
    TextToImageOptions {
        height: 48,
        width: 64,
        num_inference_steps: Some(5),
        max_sequence_length: Some(16),
        ..TextToImageOptions::default()
    }
}

fn open(options: &TextToImageOptions, prompts: &[&str]) -> TextToImage {
    let model = models().diffusers();
    TextToImage::from_pretrained(model.to_str().unwrap(), prompts, options, &Device::flex()).unwrap()
}

fn bits(x: Tensor<3>) -> Vec<u32> {
    x.into_data().iter::<f32>().map(f32::to_bits).collect()
}

fn draw(pipeline: &TextToImage, seed: u64) -> Vec<u32> {
    bits(pipeline.generate(&pipeline.prompts()[..1], &[seed]).unwrap())
}

/// A plan of skips and of modules that are reused here and there.
fn plan(topology: &Topology, steps: usize, seed: u64) -> CachePlan {
    let sites: Vec<_> = topology.sites.iter().map(|spec| spec.site).collect();
    let some = Array2::from_shape_fn((steps, sites.len()), |(step, site)| (step + site).is_multiple_of(3));
    let like = CachePlan::new(sites, uniform_gate(steps, steps - 1).unwrap(), some).unwrap();
    random_plan(topology, &like, seed).unwrap()
}

#[test]
fn a_image_has_its_size_and_depends_on_prompt_seed_and_guidance() {
    let pipeline = open(&options(), &["a red cat", "a blue dog"]);
    let samples = pipeline.generate(pipeline.prompts(), &[0, 1]).unwrap();
    assert_eq!(samples.dims(), [2, 3 * 4, 64]);
    let images = pipeline.images(samples.clone()).unwrap();
    assert_eq!(images.shape(), [2, 3, 48, 64]);
    assert!(images.iter().all(|value| value.is_finite()));
    let spread = images.iter().fold(0f32, |most, value| most.max((value - images[[0, 0, 0, 0]]).abs()));
    assert!(spread > 0.1, "the image is of one colour ({spread})");
    let [cat, dog] = [0, 1].map(|row| pipeline.prompts()[row].clone());
    let of = |prompt: &invardiff::Prompt, seed| {
        bits(pipeline.generate(std::slice::from_ref(prompt), &[seed]).unwrap())
    };
    assert_ne!(of(&cat, 0), of(&dog, 0));
    assert_ne!(of(&cat, 0), of(&cat, 1));
    assert_eq!(of(&cat, 0), of(&cat, 0));
    let told = open(&TextToImageOptions { guidance_scale: Some(1.0), ..options() }, &["a red cat"]);
    assert_ne!(draw(&told, 0), of(&cat, 0));
    assert_eq!(pipeline.execution().guidance_scale, Some(3.5));
    // Another batch changes how sums are rounded and nothing else.
    let alone: Vec<f32> = pipeline.generate(&[dog], &[1]).unwrap().into_data().iter().collect();
    let together: Vec<f32> = samples.narrow(0, 1, 1).into_data().iter().collect();
    let difference = alone.iter().zip(&together).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(difference < 1e-4, "{difference}");
}

#[test]
fn both_layouts_are_one_model() {
    let device = Device::flex();
    let [diffusers, original] = [models().diffusers(), models().original().join("flux1-dev.safetensors")]
        .map(|path| {
            let parts = Pretrained::open(path.to_str().unwrap()).unwrap();
            TextToImage::new(&parts, &["a red cat"], &options(), &device).unwrap()
        });
    assert_eq!(draw(&diffusers, 7), draw(&original, 7));
    assert_eq!(diffusers.execution().timesteps, original.execution().timesteps);
    let samples = diffusers.generate(diffusers.prompts(), &[7]).unwrap();
    assert_eq!(diffusers.images(samples.clone()).unwrap(), original.images(samples).unwrap());
}

#[test]
fn a_plan_is_for_the_run_it_was_made_for() {
    let mut pipeline = open(&options(), &["a red cat"]);
    let full = draw(&pipeline, 0);
    let topology = pipeline.denoiser().topology();
    pipeline.enable_cache(&CachePlan::empty(&topology, 5)).unwrap();
    assert_eq!(draw(&pipeline, 0), full);
    let mut skipping = CachePlan::gate_only(&topology, uniform_gate(5, 3).unwrap());
    skipping.provenance.execution = Some(pipeline.execution());
    pipeline.enable_cache(&skipping).unwrap();
    let (samples, peak) = pipeline.generate_measured(pipeline.prompts(), &[0]).unwrap();
    assert_ne!(bits(samples), full);
    assert_eq!(peak, skipping.schedule(&topology).unwrap().peak_bytes(1, 4));
    let wide = open(&TextToImageOptions { width: 96, ..options() }, &["a red cat"]);
    let message = wide.clone().enable_cache(&skipping).unwrap_err().to_string();
    assert!(message.contains("size is 48x64 in the plan and 48x96 here"), "{message}");
    let half = open(&TextToImageOptions { dtype: Dtype::Bf16, ..options() }, &["a red cat"]);
    let message = half.clone().enable_cache(&skipping).unwrap_err().to_string();
    assert!(message.contains("dtype is f32 in the plan and bf16 here"), "{message}");
    let found = half.clone().force_cache(&skipping).unwrap();
    assert_eq!(found.len(), 1);
}

/// Two images at once in two threads, under different plans, are the two drawn alone; with a negative prompt as well.
#[test]
fn two_threads_with_two_plans_do_not_meet() {
    let negative = TextToImageOptions { negative_prompt: Some("a blue dog".into()), ..options() };
    for options in [options(), negative] {
        let full = open(&options, &["a red cat"]);
        let topology = full.denoiser().topology();
        let pipelines = [3, 4].map(|seed| {
            let mut pipeline = full.clone();
            pipeline.force_cache(&plan(&topology, full.sampler().steps(), seed)).unwrap();
            pipeline
        });
        let alone = pipelines.each_ref().map(|pipeline| draw(pipeline, 11));
        assert!(alone[0] != alone[1] && alone[0] != draw(&full, 11));
        let together = std::thread::scope(|scope| {
            pipelines
                .each_ref()
                .map(|pipeline| scope.spawn(|| draw(pipeline, 11)))
                .map(|thread| thread.join().unwrap())
        });
        assert_eq!(together, alone);
    }
}

#[test]
fn a_negative_prompt_is_a_second_pass_with_features_of_its_own() {
    let with = |scale| TextToImageOptions {
        negative_prompt: Some("a blue dog".into()),
        true_cfg_scale: Some(scale),
        ..options()
    };
    let plain = open(&options(), &["a red cat"]);
    let guided = open(&with(3.0), &["a red cat"]);
    assert_eq!((guided.true_cfg_scale(), guided.passes(), guided.prompts().len()), (Some(3.0), 2, 1));
    assert_ne!(draw(&guided, 0), draw(&plain, 0));
    // A scale of 1 is the conditional prediction, but for rounding.
    let values = |pipeline: &TextToImage| -> Vec<f32> {
        pipeline.generate(pipeline.prompts(), &[0]).unwrap().into_data().iter().collect()
    };
    let close = values(&open(&with(1.0), &["a red cat"]));
    let difference = close.iter().zip(values(&plain)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(difference < 1e-4, "{difference}");
    assert_eq!(draw(&guided.unguided().unwrap(), 0), draw(&plain, 0));
    assert!(plain.unguided().is_none());
    // Every rule that a plan can have, against the bound of its schedule.
    let topology = guided.denoiser().topology();
    let output = (GateSite::Output(OutputForm::X0), ReuseRule::Extrapolate(1));
    for plan in [
        CachePlan::empty(&topology, 5),
        plan(&topology, 5, 1),
        CachePlan::gate_only(&topology, uniform_gate(5, 3).unwrap()),
        CachePlan::gate_only(&topology, uniform_gate(5, 3).unwrap()).with_gate_rule(output.0, output.1),
    ] {
        let mut cached = guided.clone();
        cached.enable_cache(&plan).unwrap();
        let (samples, peak) = cached.generate_measured(cached.prompts(), &[0]).unwrap();
        let bound = plan.schedule(&topology).unwrap().peak_bytes(1, 4);
        assert!(peak <= bound && (peak > 0) == (bound > 0), "{peak} of {bound}");
        let reuses = plan.skipped_steps() + plan.reused_modules() > 0;
        assert_eq!(bits(samples) != draw(&guided, 0), reuses);
    }
}

#[test]
fn sixteen_bits_draw_nearly_the_same() {
    let reference = open(&options(), &["a red cat"]);
    let values = |pipeline: &TextToImage| -> Vec<f32> {
        pipeline.generate(pipeline.prompts(), &[0]).unwrap().into_data().iter().collect()
    };
    let full = values(&reference);
    let largest = full.iter().fold(0f32, |most, value| most.max(value.abs()));
    // Eleven bits of mantissa and eight: about 1e-3 and 1e-2 of the largest value, over five steps.
    for (dtype, tolerance) in [(Dtype::F16, 0.01), (Dtype::Bf16, 0.08)] {
        let half = open(&TextToImageOptions { dtype, ..options() }, &["a red cat"]);
        let difference = values(&half).iter().zip(&full).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(difference > 0.0 && difference < tolerance * largest, "{dtype:?}: {difference} of {largest}");
    }
}

#[test]
fn other_steps_are_drawn_from_the_same_noise() {
    let pipeline = open(&options(), &["a red cat"]);
    let fewer = pipeline.with_sampler(invardiff::SamplerKind::FlowMatchEuler, 3).unwrap();
    assert_eq!((fewer.sampler().steps(), Sampler::<3>::steps(pipeline.sampler())), (3, 5));
    assert_ne!(draw(&fewer, 0), draw(&pipeline, 0));
    assert!(pipeline.with_sampler(invardiff::SamplerKind::Ddim, 3).is_err());
}
