//! The topologies of published models, by name.

use crate::core::{PlanError, Site, Topology};
use crate::shapes::dit::{DitShape, DitSize};
use crate::shapes::flux::{FluxShape, SingleFeature};

const PATCHES: [usize; 3] = [2, 4, 8];
const PIXELS: [usize; 2] = [256, 512];
const FLUX: &str = "flux1-dev-1024";
const FLUX_PROJECTED: &str = "flux1-dev-1024-projected";

impl Topology {
    /// The topology of a published model, without guidance.
    ///
    /// Known are `dit-{xl,l,b,s}-{2,4,8}-{256,512}`, `flux1-dev-1024` (single-stream features before the projection, as
    /// the authors cache them) and `flux1-dev-1024-projected` ([`SingleFeature::Projected`]).
    ///
    /// # Errors
    /// [`PlanError::Range`] listing the known names.
    pub fn named(name: &str) -> Result<Self, PlanError> {
        known()
            .into_iter()
            .find(|(known, _)| known == name)
            .map(|(name, build)| build.topology(name))
            .ok_or_else(|| PlanError::Range {
                what: "the model's name".into(),
                value: format!("'{}'", name.chars().take(80).collect::<String>()),
                expected: Self::names().join(", "),
            })
    }

    /// The names that [`Topology::named`] knows, the authors' models first.
    pub fn names() -> Vec<String> {
        known().into_iter().map(|(name, _)| name).collect()
    }

    /// The known models with exactly these sites, in any order: those that a plan may have been made for.
    pub fn named_with_sites(sites: &[Site]) -> Vec<Self> {
        let mut wanted = sites.to_vec();
        wanted.sort_unstable();
        let fits = |topology: &Self| {
            let mut found: Vec<Site> = topology.sites.iter().map(|spec| spec.site).collect();
            found.sort_unstable();
            found == wanted
        };
        known().into_iter().map(|(name, shape)| shape.topology(name)).filter(fits).collect()
    }
}

enum Shape {
    Dit(DitShape),
    Flux(FluxShape),
}

impl Shape {
    fn topology(&self, name: String) -> Topology {
        match self {
            Self::Dit(shape) => shape.topology(name),
            Self::Flux(shape) => shape.topology(name),
        }
    }
}

fn known() -> Vec<(String, Shape)> {
    let mut known = Vec::new();
    for size in DitSize::ALL {
        for patch in PATCHES {
            for pixels in PIXELS {
                let name = format!("dit-{}-{patch}-{pixels}", size.name());
                known.push((name, Shape::Dit(DitShape::of_size(size, patch, pixels))));
            }
        }
    }
    let flux = FluxShape::dev(1024);
    known.push((FLUX.into(), Shape::Flux(flux)));
    known.push((FLUX_PROJECTED.into(), Shape::Flux(flux.with_single_feature(SingleFeature::Projected))));
    known
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_known_and_an_unknown_one_lists_them() {
        assert_eq!(Topology::names().len(), 4 * 3 * 2 + 2);
        for name in Topology::names() {
            assert_eq!(Topology::named(&name).unwrap().model, name);
        }
        let message = Topology::named("dit-xxl-2-256").unwrap_err().to_string();
        assert!(message.contains("'dit-xxl-2-256'") && message.contains("dit-xl-2-512"), "{message}");
        assert_eq!(Topology::named("dit-b-4-512").unwrap().sites[0].streams[0].tokens, 16 * 16);
    }

    #[test]
    fn sites_tell_the_models_they_may_belong_to() {
        let sites =
            |name: &str| Topology::named(name).unwrap().sites.iter().map(|s| s.site).collect::<Vec<_>>();
        let models = |sites: &[Site]| {
            Topology::named_with_sites(sites).into_iter().map(|topology| topology.model).collect::<Vec<_>>()
        };
        assert_eq!(models(&sites(FLUX)), [FLUX, FLUX_PROJECTED]);
        assert_eq!(models(&sites("dit-xl-2-512"))[..2], ["dit-xl-2-256", "dit-xl-2-512"]);
        assert!(models(&[Site::msa(0)]).is_empty());
    }
}
