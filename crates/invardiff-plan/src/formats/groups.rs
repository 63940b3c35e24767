//! Sites in files, as groups of equal blocks: `{"kinds": ["msa", "mlp"], "first": 0, "layers": 28}` is 28 blocks of two modules.

use serde::{Deserialize, Serialize};

use crate::core::{Kind, PlanError, Site};
use crate::formats::limits::SITE_LIMIT;

/// Consecutive blocks with the same kinds in the same order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SiteGroup {
    kinds: Vec<Kind>,
    first: u32,
    layers: u32,
}

/// The groups of a list of sites.
///
/// # Errors
/// [`PlanError::Range`] for more sites than are read back.
pub(super) fn group(mut sites: &[Site]) -> Result<Vec<SiteGroup>, PlanError> {
    if sites.len() > SITE_LIMIT {
        return Err(range(format!("{} sites", sites.len()), format!("at most {SITE_LIMIT}")));
    }
    let mut groups = Vec::new();
    while let Some(first) = sites.first().map(|site| site.layer) {
        let width = sites.iter().take_while(|site| site.layer == first).count();
        let kinds: Vec<Kind> = sites[..width].iter().map(|site| site.kind).collect();
        let same = |(index, block): &(usize, &[Site])| {
            let layer = u32::try_from(*index).ok().and_then(|index| first.checked_add(index));
            block.iter().zip(&kinds).all(|(site, kind)| Some(site.layer) == layer && site.kind == *kind)
        };
        let layers = sites.chunks_exact(width).enumerate().take_while(same).count();
        groups.push(SiteGroup { kinds, first, layers: layers as u32 });
        sites = &sites[width * layers..];
    }
    Ok(groups)
}

/// The sites of a list of groups.
///
/// # Errors
/// [`PlanError::Range`] for too many sites, or a layer beyond 2^32.
pub(super) fn ungroup(groups: &[SiteGroup]) -> Result<Vec<Site>, PlanError> {
    let counts = groups.iter().map(|group| group.kinds.len().saturating_mul(group.layers as usize));
    let total = counts.fold(0_usize, usize::saturating_add);
    if total > SITE_LIMIT {
        return Err(range(format!("{total} sites"), format!("at most {SITE_LIMIT}")));
    }
    let mut sites = Vec::with_capacity(total);
    for group in groups.iter().filter(|group| group.layers > 0 && !group.kinds.is_empty()) {
        let last = group.first.checked_add(group.layers - 1);
        let last = last.ok_or_else(|| range(format!("first {}", group.first), "layers below 2^32".into()))?;
        sites.extend(
            (group.first..=last)
                .flat_map(|layer| group.kinds.iter().map(move |kind| Site::new(*kind, layer))),
        );
    }
    Ok(sites)
}

fn range(value: String, expected: String) -> PlanError {
    PlanError::Range { what: "sites".into(), value, expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regular_models_are_one_run_a_sort_of_block() {
        let topology = crate::core::Topology::named("flux1-dev-1024").unwrap();
        let sites: Vec<Site> = topology.sites.iter().map(|spec| spec.site).collect();
        let groups = group(&sites).unwrap();
        assert_eq!(groups.len(), 2);
        assert_eq!((groups[0].layers, groups[1].layers), (19, 38));
        assert_eq!(ungroup(&groups).unwrap(), sites);
    }

    #[test]
    fn any_order_survives() {
        let sites =
            [Site::mlp(7), Site::msa(7), Site::msa(0), Site::mlp(0), Site::msa(1), Site::msa(u32::MAX)];
        assert_eq!(ungroup(&group(&sites).unwrap()).unwrap(), sites);
        assert!(group(&[]).unwrap().is_empty());
    }

    #[test]
    fn more_sites_than_are_read_back_are_not_written() {
        let sites: Vec<Site> = (0..=SITE_LIMIT as u32).map(Site::msa).collect();
        assert!(group(&sites[1..]).is_ok());
        assert!(group(&sites).unwrap_err().to_string().contains("65537 sites"));
    }

    #[test]
    fn a_short_file_cannot_ask_for_much_memory() {
        let many = SiteGroup { kinds: vec![Kind::MSA], first: 0, layers: u32::MAX };
        assert!(ungroup(&[many.clone(), many]).unwrap_err().to_string().contains("at most"));
        let high = SiteGroup { kinds: vec![Kind::MSA], first: u32::MAX, layers: 2 };
        assert!(ungroup(&[high]).unwrap_err().to_string().contains("first"));
        let empty = SiteGroup { kinds: Vec::new(), first: 0, layers: u32::MAX };
        assert!(ungroup(&[empty]).unwrap().is_empty());
    }
}
