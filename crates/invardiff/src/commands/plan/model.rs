//! The model that a plan is for: named, said by the plan, or guessed from its sites.

use std::path::Path;

use anyhow::{Context, Result, bail};
use invardiff_models::DitConfig;
use invardiff_plan::{CachePlan, Execution, Kind, PlanFile, Site, Topology};

use super::Source;
use crate::{DeviceChoice, Embedded, NamedDit};

/// What a plan's cost depends on.
#[derive(Clone, Debug)]
pub(super) struct Model {
    /// Its name.
    pub(super) name: String,
    /// Its sites, for one picture as the plan's run has it.
    pub(super) topology: Topology,
    /// Why it was taken, where nobody named it.
    pub(super) assumed: Option<String>,
    /// Whether a picture takes a conditional and an unconditional row.
    pub(super) guided: bool,
}

/// A plan with the model it is for.
pub(super) struct Resolved {
    pub(super) plan: CachePlan,
    /// Why it is `None`, where nothing known has the plan's sites.
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
pub(super) fn resolve(source: &Source, flag: Option<&str>) -> Result<Resolved> {
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
        let topology = named(name).with_context(|| format!("--model {name}"))?;
        let plan = source.plan(Some(&topology))?;
        return Ok(Resolved { plan, model: Ok(model(name, topology, None)) });
    }
    let plan = match source.file() {
        PlanFile::SmoothCache(_) | PlanFile::StepMask(_) => {
            source.plan(None).context("--model is missing")?
        }
        PlanFile::Json(_) | PlanFile::Binary(_) | PlanFile::Book(..) => source.plan(None)?,
    };
    let said = run.and_then(|run| known(&run.model).ok().flatten().map(|topology| (&run.model, topology)));
    if let Some((name, topology)) = said {
        return Ok(Resolved { plan, model: Ok(model(name, topology, None)) });
    }
    let found = guess(plan.sites(), run).map(|(name, topology, why)| model(&name, topology, Some(why)));
    Ok(Resolved { plan, model: found })
}

/// The topology of an embedded model, a published one, or the weights or configuration at a path.
fn named(name: &str) -> Result<Topology> {
    if let Some(topology) = known(name)? {
        return Ok(topology);
    }
    let path = Path::new(name);
    if !path.exists() {
        let embedded = Embedded::ALL.map(Embedded::name).join(", ");
        bail!("there is no such file or model; known are {embedded}, {}", Topology::names().join(", "));
    }
    if path.is_file() && path.extension().is_some_and(|extension| extension == "json") {
        return Ok(DitConfig::from_json(&std::fs::read_to_string(path)?)?.topology());
    }
    Ok(NamedDit::open(name, &DeviceChoice::Cpu.open())?.config().topology())
}

fn known(name: &str) -> Result<Option<Topology>> {
    if let Some(embedded) = Embedded::ALL.into_iter().find(|embedded| embedded.name() == name) {
        return Ok(Some(embedded.load(&DeviceChoice::Cpu.open())?.config().topology()));
    }
    Ok(Topology::named(name).ok())
}

/// The first known model with these sites, and why it was taken; or why none was.
fn guess(sites: &[Site], run: Option<&Execution>) -> Result<(String, Topology, String), String> {
    let said = run.map_or_else(String::new, |run| {
        format!("the plan is for {}, whose shapes are not known here; ", run.model)
    });
    let mut fitting = Topology::named_with_sites(sites);
    if fitting.is_empty() {
        let embedded =
            Embedded::ALL.iter().filter_map(|model| known(model.name()).ok().flatten().map(|t| (model, t)));
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
        return Err(format!("{said}no known model has {layers}; name it with --model"));
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
    Ok((
        topology.model.clone(),
        topology,
        format!("{said}assumed because it has {layers}{also}; --model names another"),
    ))
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

/// A topology that says which sites there are and nothing of their sizes.
fn bare(sites: &[Site]) -> Topology {
    use invardiff_plan::SiteSpec;
    Topology {
        model: "the plan's model".into(),
        sites: sites.iter().map(|site| SiteSpec::single(*site, 0, 0, 0.0)).collect(),
        trunk: SiteSpec::single(Site::TRUNK, 0, 0, 0.0),
        head_flops: 0.0,
        output_elements: 0,
    }
}
