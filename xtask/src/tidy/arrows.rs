//! Which crate may see which.

use super::finding::Finding;
use super::manifest::Manifest;

/// The crates of the workspace, each with those of the workspace that it may depend on. Arrows run one way:
/// plan <- runtime <- {models, calib, eval} <- invardiff <- lab <- cli, and eval <- report <- lab; models, calib and eval do
/// not see each other.
const ARROWS: [(&str, &[&str]); 13] = [
    ("invardiff-plan", &[]),
    ("invardiff-runtime", &["invardiff-plan", HACK]),
    ("invardiff-models", &["invardiff-plan", "invardiff-runtime", HACK]),
    ("invardiff-calib", &["invardiff-plan", "invardiff-runtime", HACK]),
    ("invardiff-eval", &["invardiff-plan", "invardiff-runtime", HACK]),
    ("invardiff-report", &["invardiff-plan", "invardiff-eval", HACK]),
    ("invardiff", &LIBRARY),
    (
        "invardiff-lab",
        &[
            "invardiff",
            "invardiff-report",
            "invardiff-plan",
            "invardiff-runtime",
            "invardiff-models",
            "invardiff-calib",
            "invardiff-eval",
            HACK,
        ],
    ),
    (
        "invardiff-cli",
        &[
            "invardiff",
            "invardiff-lab",
            "invardiff-report",
            "invardiff-plan",
            "invardiff-runtime",
            "invardiff-models",
            "invardiff-calib",
            "invardiff-eval",
            HACK,
        ],
    ),
    (
        "invardiff-benches",
        &[
            "invardiff",
            "invardiff-plan",
            "invardiff-runtime",
            "invardiff-models",
            "invardiff-calib",
            "invardiff-eval",
            HACK,
        ],
    ),
    ("invardiff-campaign", &["invardiff", "invardiff-plan", "invardiff-models", "invardiff-eval", HACK]),
    ("xtask", &[]),
    (HACK, &[]),
];

/// What the facade is made of.
const LIBRARY: [&str; 6] =
    ["invardiff-plan", "invardiff-runtime", "invardiff-models", "invardiff-calib", "invardiff-eval", HACK];

/// Pins features, see its manifest.
const HACK: &str = "workspace-hack";

/// Crates that know nothing of tensors.
const WITHOUT_BURN: [&str; 3] = ["invardiff-plan", "xtask", HACK];

/// What belongs to programs, with the crates that may depend on it.
const OF_PROGRAMS: [(&str, &[&str]); 3] = [
    ("clap", &["invardiff-cli", "invardiff-campaign", "xtask"]),
    ("anyhow", &["invardiff-cli", "invardiff-campaign", "xtask"]),
    ("indicatif", &["invardiff-cli"]),
];

/// Checks the arrows and that every crate takes the workspace's lints.
pub(super) fn check(manifests: &[Manifest]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = manifests.iter().flat_map(of_crate).collect();
    for (name, _) in ARROWS {
        if !manifests.iter().any(|manifest| manifest.name == name) {
            findings.push(Finding::new("Cargo.toml", format!("the crate {name} is missing")));
        }
    }
    findings
}

fn of_crate(manifest: &Manifest) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut find = |what: String| findings.push(Finding::new(&manifest.path, what));
    match ARROWS.iter().find(|(name, _)| *name == manifest.name) {
        None => find(format!("{} has no place in the arrows of xtask/src/tidy/arrows.rs", manifest.name)),
        Some((_, allowed)) => {
            for dependency in dependencies(&manifest.table) {
                let inside = ARROWS.iter().any(|(name, _)| *name == dependency);
                if inside && !allowed.contains(&dependency.as_str()) {
                    find(format!("{} may not depend on {dependency}", manifest.name));
                }
                if dependency.starts_with("burn") && WITHOUT_BURN.contains(&manifest.name.as_str()) {
                    find(format!(
                        "{} knows nothing of tensors and may not depend on {dependency}",
                        manifest.name
                    ));
                }
            }
        }
    }
    for (package, allowed) in OF_PROGRAMS {
        let takes = dependencies(&manifest.table).iter().any(|name| name == package);
        if takes && !allowed.contains(&manifest.name.as_str()) {
            find(format!("{} is no program and may not depend on {package}", manifest.name));
        }
    }
    let lints = manifest.table.get("lints").and_then(|lints| lints.get("workspace")?.as_bool());
    if lints != Some(true) {
        find("does not say lints.workspace = true".into());
    }
    findings
}

/// Names of everything that a manifest depends on: normal, dev and build, also by platform.
pub(super) fn dependencies(table: &toml::Table) -> Vec<String> {
    let platforms =
        table.get("target").and_then(toml::Value::as_table).into_iter().flat_map(toml::Table::values);
    let tables = std::iter::once(table).chain(platforms.filter_map(toml::Value::as_table));
    let mut names = Vec::new();
    for table in tables {
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            for (key, value) in table.get(section).and_then(toml::Value::as_table).into_iter().flatten() {
                let renamed = value.get("package").and_then(toml::Value::as_str);
                names.push(renamed.unwrap_or(key).to_owned());
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::super::manifest::manifest;
    use super::*;

    fn found(name: &str, rest: &str) -> Vec<String> {
        let text = format!("package.name = '{name}'\n{rest}");
        let manifest = manifest("crates/x/Cargo.toml", &text).unwrap().unwrap();
        of_crate(&manifest).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn an_arrow_against_the_stream_is_found_wherever_it_stands() {
        let lints = "lints.workspace = true\n";
        let down = "dependencies.invardiff-plan.workspace = true";
        assert!(found("invardiff-runtime", &format!("{lints}{down}")).is_empty());
        for arrow in [
            "dependencies.invardiff-calib.workspace = true",
            "dev-dependencies.invardiff-models.path = '../models'",
            "build-dependencies.x.package = 'invardiff-eval'",
            "target.'cfg(unix)'.dependencies.invardiff = '1'",
        ] {
            assert_eq!(found("invardiff-runtime", &format!("{lints}{arrow}")).len(), 1, "{arrow}");
        }
        assert_eq!(found("invardiff-calib", &format!("{lints}dependencies.invardiff-eval = '1'")).len(), 1);
        assert_eq!(found("xtask", &format!("{lints}dependencies.invardiff-plan = '1'")).len(), 1);
    }

    #[test]
    fn the_plan_stays_without_tensors() {
        let lints = "lints.workspace = true\n";
        assert_eq!(found("invardiff-plan", &format!("{lints}dev-dependencies.burn-flex = '1'")).len(), 1);
        assert!(found("invardiff-runtime", &format!("{lints}dependencies.burn = '1'")).is_empty());
    }

    #[test]
    fn what_belongs_to_programs_stays_there() {
        let takes =
            |name, package| found(name, &format!("lints.workspace = true\ndependencies.{package} = '1'"));
        for (package, _) in OF_PROGRAMS {
            assert_eq!(takes("invardiff-calib", package).len(), 1, "{package}");
            assert!(takes("invardiff-cli", package).is_empty(), "{package}");
        }
        for library in ["invardiff", "invardiff-lab"] {
            assert_eq!(takes(library, "clap").len(), 1);
        }
    }

    #[test]
    fn lints_unknown_crates_and_missing_crates_are_found() {
        assert_eq!(found("invardiff-plan", "").len(), 1);
        assert_eq!(found("invardiff-plan", "lints.workspace = false").len(), 1);
        assert_eq!(found("invardiff-new", "lints.workspace = true").len(), 1);
        assert_eq!(check(&[]).len(), ARROWS.len());
    }
}
