//! The model that a plan is for: named by a flag, by the plan, or guessed from its sites.

use anyhow::{Context, Result};
use invardiff::{Embedded, known_topology, topology};
use invardiff_models::DitConfig;
use invardiff_plan::formats::PlanFile;
use invardiff_plan::{CachePlan, Kind, RunSpec, Site, SiteSpec, Topology};

use super::PlanSource;

/// A model, as far as a plan's cost depends on it.
#[derive(Clone, Debug)]
pub(super) struct Model {
    /// Its name.
    pub(super) name: String,
    /// Its sites, for one image of the size in the plan's run.
    pub(super) topology: Topology,
    /// Why it was chosen, if it was guessed.
    pub(super) assumed: Option<String>,
    /// Whether an image takes two rows of the batch, a conditional and an unconditional one.
    pub(super) guided: bool,
}

/// A plan with the model it is for.
pub(super) struct Resolved {
    pub(super) plan: CachePlan,
    /// Why the model is `None`, if no known model has the plan's sites.
    pub(super) model: Result<Model, String>,
}

impl Resolved {
    /// The model's topology, or one of the plan's sites alone, without sizes.
    pub(super) fn topology(&self) -> Topology {
        self.model.as_ref().map_or_else(|_| bare(self.plan.sites()), |model| model.topology.clone())
    }
}

/// The plan in a file, and its model: the one that `--model` names, the one that the plan says, or the first known one with
/// the plan's sites.
///
/// # Errors
/// When the named model is unknown, or the file says too little to do without one.
pub(super) fn resolve(source: &PlanSource, flag: Option<&str>) -> Result<Resolved> {
    let run = source.execution();
    let guided = |topology: &Topology| {
        run.is_some_and(|run| run.guidance_scale.is_some()) && topology.kinds().contains(&Kind::MSA)
    };
    let model = |name: &str, topology: Topology, assumed| {
        let guided = guided(&topology);
        let topology = if guided { topology.batched(2) } else { topology };
        Model { name: name.to_owned(), topology, assumed, guided }
    };
    if let Some(name) = flag {
        let topology = topology(name).with_context(|| format!("--model {name}"))?;
        let plan = source.plan(Some(&topology))?;
        return Ok(Resolved { plan, model: Ok(model(name, topology, None)) });
    }
    let plan = match source.file() {
        PlanFile::SmoothCache(_) | PlanFile::StepMask(_) => {
            source.plan(None).context("--model is missing")?
        }
        PlanFile::Json(_) | PlanFile::Binary(_) | PlanFile::Book(..) => source.plan(None)?,
    };
    let found = match run {
        Some(run) => said(run)?,
        None => guess(plan.sites()),
    };
    Ok(Resolved { plan, model: found.map(|(name, topology, why)| model(&name, topology, why)) })
}

/// A model's name and topology, and why it was chosen if it was guessed; or why there is none.
type Found = Result<(String, Topology, Option<String>), String>;

/// The model that the plan names as its own.
fn said(run: &RunSpec) -> Result<Found> {
    let name = run.model.as_str();
    // FLUX has one name for all image sizes, but one topology name per size.
    let sized = (run.height == run.width).then(|| format!("{name}-{}", run.height));
    for name in std::iter::once(name.to_owned()).chain(sized) {
        if let Some(topology) = known_topology(&name)? {
            return Ok(Ok((name, topology, None)));
        }
    }
    let Some(config) = spelled(name) else {
        return Ok(Err(format!(
            "the plan is for {name}, whose shapes are not known here; give them with --model"
        )));
    };
    let why = "its shapes are read off its name; a feed-forward of 4 times the width is assumed".to_owned();
    Ok(Ok((name.to_owned(), config.topology(), Some(why))))
}

/// The sizes in a name as [`DitConfig::name`] spells them: `dit-8x128-p4-28x28x1`.
fn spelled(name: &str) -> Option<DitConfig> {
    let mut parts = name.strip_prefix("dit-")?.split('-');
    let mut numbers = |prefix: &str| -> Option<Vec<usize>> {
        parts.next()?.strip_prefix(prefix)?.split('x').map(|number| number.parse().ok()).collect()
    };
    let ([depth, hidden], [patch], [size, _, channels]) =
        (numbers("")?.try_into().ok()?, numbers("p")?.try_into().ok()?, numbers("")?.try_into().ok()?);
    // Heads change no cost; one head fits any width.
    let config = DitConfig {
        input_size: size,
        patch_size: patch,
        in_channels: channels,
        hidden_size: hidden,
        depth,
        num_heads: 1,
        ..DitConfig::default()
    };
    (config.validate().is_ok() && config.name() == name).then_some(config)
}

/// The first known model with these sites, and why it was chosen; or why none was.
fn guess(sites: &[Site]) -> Found {
    let mut fitting = Topology::named_with_sites(sites);
    if fitting.is_empty() {
        let embedded = Embedded::ALL
            .iter()
            .filter_map(|model| known_topology(model.name()).ok().flatten().map(|t| (model, t)));
        let same = |topology: &Topology| {
            topology.sites.len() == sites.len() && sites.iter().all(|site| topology.index(*site).is_some())
        };
        fitting.extend(embedded.filter(|(_, topology)| same(topology)).map(|(model, mut topology)| {
            model.name().clone_into(&mut topology.model);
            topology
        }));
    }
    let layers = layers(sites);
    if fitting.is_empty() {
        return Err(format!("no known model has {layers}; name it with --model"));
    }
    // `plan show` prints the projected FLUX beside the other by itself.
    let others: Vec<String> = fitting
        .split_off(1)
        .into_iter()
        .map(|t| t.model)
        .filter(|name| !name.ends_with("-projected"))
        .collect();
    let also = match others.as_slice() {
        [] => String::new(),
        [first, rest @ ..] if rest.len() > 2 => format!(", as have {first} and {} more", rest.len()),
        several => format!(", as {} {}", if several.len() == 1 { "has" } else { "have" }, several.join(", ")),
    };
    let topology = fitting.swap_remove(0);
    let why = format!("assumed because it has {layers}{also}; --model names another");
    Ok((topology.model.clone(), topology, Some(why)))
}

/// The numbers of layers in words.
fn layers(sites: &[Site]) -> String {
    let mut counts: Vec<(Kind, usize)> = Vec::new();
    for site in sites {
        match counts.iter_mut().find(|(kind, _)| *kind == site.kind) {
            Some((_, count)) => *count += 1,
            None => counts.push((site.kind, 1)),
        }
    }
    let words: Vec<String> = counts.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    format!("{} layers", words.join(", "))
}

/// A topology with the sites' names only, without sizes.
fn bare(sites: &[Site]) -> Topology {
    Topology {
        model: "the plan's model".into(),
        sites: sites.iter().map(|site| SiteSpec::single(*site, 0, 0, 0.0)).collect(),
        trunk: SiteSpec::single(Site::TRUNK, 0, 0, 0.0),
        head_flops: 0.0,
        output_elements: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_off_a_spelled_name() {
        let config = DitConfig {
            input_size: 28,
            patch_size: 4,
            in_channels: 1,
            hidden_size: 128,
            depth: 8,
            num_heads: 4,
            ..DitConfig::default()
        };
        assert_eq!(spelled(&config.name()).unwrap().topology().sites, config.topology().sites);
        for name in [
            "dit-xl-2-256",
            "dit-8x128-p3-28x28x1",
            "dit-8x128-p4-28x32x1",
            "dit-8x128-p4",
            "flux-8x128-p4-28x28x1",
        ] {
            assert!(spelled(name).is_none(), "{name}");
        }
        let huge = "dit-99999999999999999999x1-p1-1x1x1";
        assert!(spelled(huge).is_none());
    }

    #[test]
    fn a_plan_that_names_an_unknown_model_is_not_counted_with_another() {
        let said = |model: &str| {
            let run = RunSpec {
                model: model.into(),
                weights_sha256: None,
                sampler: "ddim".into(),
                timesteps: vec![999.0],
                height: 1024,
                width: 1024,
                guidance_scale: None,
                dtype: "f32".into(),
            };
            said(&run).unwrap()
        };
        assert_eq!(said("emoji").unwrap().2, None);
        assert_eq!(said("flux1-dev").unwrap().0, "flux1-dev-1024");
        assert!(said("dit-8x128-p4-28x28x1").unwrap().2.unwrap().contains("read off its name"));
        assert!(said("pixart").unwrap_err().contains("the plan is for pixart"));
    }

    #[test]
    fn sites_without_a_name_are_laid_over_the_first_model_that_has_them() {
        let sites = |layers: u32| {
            (0..layers).flat_map(|layer| [Site::msa(layer), Site::mlp(layer)]).collect::<Vec<_>>()
        };
        let (name, _, why) = guess(&sites(12)).unwrap();
        assert_eq!(name, "dit-b-2-256");
        assert!(
            why.unwrap().starts_with("assumed because it has 12 msa, 12 mlp layers, as have dit-b-2-512 and")
        );
        assert_eq!(guess(&sites(8)).unwrap().0, "fashion");
        assert!(guess(&sites(5)).unwrap_err().contains("no known model has 5 msa, 5 mlp layers"));
    }
}
