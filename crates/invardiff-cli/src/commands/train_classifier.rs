//! `invardiff train-classifier`: trains the small classifier that `compare` uses for class accuracy and Fréchet distance.

mod idx;
mod training;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use invardiff::reference_classifier::classifier;
use invardiff::{ClassifierFacts, RealImages, ReferenceClassifier, files};
use invardiff_eval::{Classifier, Gaussian};
use invardiff_plan::core::SplitMix64;
use ndarray::{Array2, ArrayView2, Axis, concatenate};
use serde_json::json;

use crate::args::DeviceArg;
use crate::progress::bar;
use crate::stdout::say;
use idx::Labelled;
use training::{Epoch, Recipe, train};

const HELP: &str = "\
Examples:
  invardiff train-classifier --data fashion-mnist --out classifier.safetensors
      On the four IDX files of Fashion-MNIST (t10k-*, train-*; as they are, or with .gz) in a folder
  invardiff compare --classifier classifier.safetensors
      Adds class accuracy and Fréchet distance to every row

--json prints one object: data, images, test accuracy, losses, the Fréchet distances of real images.";

/// Train the small classifier that `compare` uses for class accuracy and Fréchet distance
///
/// Reads the training and test images of a folder, trains on the first, and measures on the second; the file holds the
/// network, the test accuracy, and the mean and covariance of the test images' features.
#[derive(Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub struct Args {
    /// The folder with train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The data's name and licence, for the file and for reports
    #[arg(long, default_value = "Fashion-MNIST (MIT)", value_name = "TEXT")]
    data_name: String,
    /// Number of epochs
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    epochs: u32,
    /// Batch size
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    batch: u32,
    /// Initial learning rate of AdamW, with cosine decay to 0
    #[arg(long, default_value_t = 2e-3, value_name = "RATE")]
    learning_rate: f64,
    /// Do not mirror images (for data in which left and right differ)
    #[arg(long)]
    no_mirror: bool,
    /// Do not train: measure the network of this file on the data again
    #[arg(long, value_name = "FILE", conflicts_with_all = ["epochs", "batch", "learning_rate"])]
    measure: Option<PathBuf>,
    /// Seed of the initial weights and of the order of images
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    device: DeviceArg,
    /// The file to write
    #[arg(long, default_value = "classifier.safetensors", value_name = "FILE")]
    out: PathBuf,
    /// Print one JSON object instead of the lines
    #[arg(long)]
    json: bool,
}

/// Numbers of real images for which the Fréchet distance is measured.
const COUNTS: [usize; 6] = [20, 50, 100, 200, 500, 1000];
/// Random draws per number.
const DRAWS: u64 = 20;

/// Runs the command.
///
/// # Errors
/// When the data cannot be read or are inconsistent, or the file cannot be written.
pub fn run(args: &Args) -> Result<ExitCode> {
    files::check_writable(&args.out)?;
    ensure!(
        args.learning_rate.is_finite() && args.learning_rate > 0.0,
        "--learning-rate is {}, expected a number above 0",
        args.learning_rate
    );
    let read = |name| Labelled::read(&args.data, name).context("--data");
    let (training, test) = (read("train")?, read("t10k")?);
    let shape = training.shape()?;
    ensure!(
        test.images.dim().1 == training.images.dim().1 && test.classes() <= shape.classes,
        "--data: the test images are of another size, or of classes that the training images lack"
    );
    let recipe = Recipe {
        epochs: args.epochs as usize,
        batch: args.batch as usize,
        learning_rate: args.learning_rate,
        mirror: !args.no_mirror,
        seed: args.seed,
    };
    let device = args.device.open()?;
    let (network, epochs, words) = if let Some(path) = &args.measure {
        let known = ReferenceClassifier::read(path, &device).context("--measure")?;
        ensure!(
            known.facts.shape == shape,
            "--measure {}: it is of {:?}, the data are of {shape:?}",
            path.display(),
            known.facts.shape
        );
        (known.classifier, Vec::new(), known.facts.recipe)
    } else {
        let progress = bar(recipe.updates(training.len()), "training (updates)");
        let (parameters, epochs) = train(shape, &training, &recipe, &device, &|| progress.inc(1))?;
        progress.finish_and_clear();
        (classifier(shape, parameters, &device)?, epochs, recipe.to_string())
    };
    let mut critic = judge(args, network, (&training, &test))?;
    critic.facts.recipe = words;
    critic.write(&args.out)?;
    report(args, &critic, &epochs)?;
    Ok(ExitCode::SUCCESS)
}

/// Measures a trained network on the test images.
fn judge(
    args: &Args,
    classifier: Classifier,
    (training, test): (&Labelled, &Labelled),
) -> Result<ReferenceClassifier> {
    let (shape, mirror) = (classifier.shape(), !args.no_mirror);
    let seen = classifier.classify(test.scaled(0..test.len()).view())?;
    let right = seen.classes.iter().zip(&test.labels).filter(|(found, label)| found == label).count();
    let both = |data: &Labelled, count: usize| features(&classifier, data, count, mirror);
    let reference = Gaussian::of(both(test, test.len())?.view())?;
    // Enough training images for the largest draws; their features are needed once each.
    let some = training.len().min(20 * COUNTS[COUNTS.len() - 1]);
    let known = both(training, some)?;
    let real = real_images(known.view(), &training.labels[..some], shape.classes, args.seed, &reference)?;
    let facts = ClassifierFacts {
        shape,
        data: args.data_name.clone(),
        training_images: training.len(),
        test_images: test.len(),
        accuracy: right as f64 / test.len() as f64,
        mirrored: mirror,
        real,
        recipe: String::new(),
    };
    Ok(ReferenceClassifier { classifier, reference, facts })
}

/// Features of the first `count` images, and where images are mirrored, of their mirror images after them.
fn features(classifier: &Classifier, data: &Labelled, count: usize, mirror: bool) -> Result<Array2<f32>> {
    let mut images = data.scaled(0..count);
    let plain = classifier.classify(images.view())?.features;
    if !mirror {
        return Ok(plain);
    }
    images.invert_axis(Axis(3));
    Ok(concatenate(Axis(0), &[plain.view(), classifier.classify(images.view())?.features.view()])?)
}

/// The mean Fréchet distance of draws of training images, all classes in turn. Where there are more features than labels,
/// the rest are those of the mirror images, and a drawn image is mirrored or not by chance.
fn real_images(
    features: ArrayView2<'_, f32>,
    labels: &[usize],
    classes: usize,
    seed: u64,
    reference: &Gaussian,
) -> Result<Vec<RealImages>> {
    let of =
        |class| labels.iter().enumerate().filter(move |(_, label)| **label == class).map(|(place, _)| place);
    let by_class: Vec<Vec<usize>> =
        (0..classes).map(|class| of(class).collect()).filter(|places: &Vec<_>| !places.is_empty()).collect();
    let mut found = Vec::new();
    for images in COUNTS.into_iter().filter(|count| 2 * count <= labels.len()) {
        let mut sum = 0.0;
        for draw in 0..DRAWS {
            let mut draws = SplitMix64::of_part(seed, draw);
            let rows: Vec<usize> = (0..images)
                .map(|image| {
                    let places = &by_class[image % by_class.len()];
                    let copies = features.nrows() / labels.len();
                    places[draws.below(places.len())] + labels.len() * draws.below(copies)
                })
                .collect();
            let drawn: Array2<f32> = features.select(Axis(0), &rows);
            sum += Gaussian::of(drawn.view())?.frechet(reference)?;
        }
        found.push(RealImages { images, frechet: sum / DRAWS as f64 });
    }
    Ok(found)
}

fn report(args: &Args, critic: &ReferenceClassifier, epochs: &[Epoch]) -> Result<()> {
    let facts = &critic.facts;
    if args.json {
        let losses: Vec<f64> = epochs.iter().map(|epoch| epoch.loss).collect();
        let object = json!({ "out": args.out, "facts": facts, "losses": losses });
        say(format_args!("{object:#}"))?;
        return Ok(());
    }
    for (number, epoch) in (1..).zip(epochs) {
        say(format_args!("epoch {number}: loss {:.4}, {:.1} s", epoch.loss, epoch.seconds))?;
    }
    say(format_args!("{}", facts.recipe))?;
    say(format_args!(
        "finds the class of {:.2} % of {} test images",
        facts.accuracy * 100.0,
        facts.test_images
    ))?;
    for real in &facts.real {
        say(format_args!("Fréchet distance of {} real images: {:.3}", real.images, real.frechet))?;
    }
    say(format_args!("{}", args.out.display()))?;
    Ok(())
}
