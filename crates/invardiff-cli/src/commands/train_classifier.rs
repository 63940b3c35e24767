//! `invardiff train-classifier`: trains the small classifier that `compare` uses for class accuracy and Fréchet distance.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use invardiff::{ReferenceClassifier, files};
use invardiff_lab::classifier::{ClassifierData, Epoch, Recipe, train_classifier};
use serde_json::json;

use crate::args::DeviceArg;
use crate::progress::Bars;
use crate::stdout::say;

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
pub(crate) struct Args {
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

/// Runs the command.
///
/// # Errors
/// When the data cannot be read or are inconsistent, or the file cannot be written.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    files::check_writable(&args.out)?;
    let recipe = Recipe {
        epochs: args.epochs as usize,
        batch: args.batch as usize,
        learning_rate: args.learning_rate,
        mirror: !args.no_mirror,
        seed: args.seed,
    };
    let device = args.device.open()?;
    let read = |path: &PathBuf| ReferenceClassifier::read(path, &device);
    let known = args.measure.as_ref().map(read).transpose().context("--measure")?;
    let data = ClassifierData { folder: args.data.clone(), name: args.data_name.clone() };
    let (trained, epochs) = train_classifier(&data, &recipe, known, &device, &Bars::default())?;
    trained.write(&args.out)?;
    report(args, &trained, &epochs)?;
    Ok(ExitCode::SUCCESS)
}

fn report(args: &Args, trained: &ReferenceClassifier, epochs: &[Epoch]) -> Result<()> {
    let facts = &trained.facts;
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
