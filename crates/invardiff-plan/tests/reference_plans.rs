//! The plans that the authors published: what they contain, and what the cost model makes of them (stated in the paper's
//! README as 2.8x and 2.5x for DiT, 3.3x, 2.9x, 2.6x and 2.5x for FLUX, end to end).

#[path = "support/reference.rs"]
mod reference;

use invardiff_plan::formats::{AuthorBook, BookLayout, BookName, BookVersion, PlanFile};
use invardiff_plan::{CachePlan, Cost, Kind, Topology};
use serde_json::Value;

use reference::{DIT_FAST, DIT_SLOW, FLUX_FAST, FLUX_MEDIUM_1, FLUX_MEDIUM_2, FLUX_SLOW, path, text};

struct Expected {
    file: &'static str,
    model: &'static str,
    skipped: usize,
    gate: &'static str,
    all: &'static str,
}

/// Steps skipped and speed-ups, to two decimals, from the cost model's independent first implementation.
const EXPECTED: [Expected; 7] = [
    Expected { file: DIT_FAST, model: "dit-xl-2-256", skipped: 30, gate: "2.50", all: "2.96" },
    Expected { file: DIT_SLOW, model: "dit-xl-2-256", skipped: 29, gate: "2.38", all: "2.63" },
    Expected { file: FLUX_FAST, model: "flux1-dev-1024", skipped: 17, gate: "2.55", all: "3.54" },
    Expected { file: FLUX_FAST, model: "flux1-dev-1024-projected", skipped: 17, gate: "2.55", all: "3.98" },
    Expected { file: FLUX_MEDIUM_1, model: "flux1-dev-1024", skipped: 17, gate: "2.55", all: "3.00" },
    Expected { file: FLUX_MEDIUM_2, model: "flux1-dev-1024", skipped: 16, gate: "2.33", all: "2.72" },
    Expected { file: FLUX_SLOW, model: "flux1-dev-1024", skipped: 14, gate: "2.00", all: "2.53" },
];

#[test]
fn skipped_steps_and_speedups_are_the_published_ones() {
    for expected in EXPECTED {
        let topology = Topology::named(expected.model).unwrap();
        let plan = PlanFile::read(path(expected.file)).unwrap().plan(Some(&topology)).unwrap();
        assert_eq!(plan.skipped_steps(), expected.skipped, "{}", expected.file);
        let cost = Cost::of(&plan, &topology).unwrap();
        let two = |speedup: f64| format!("{speedup:.2}");
        assert_eq!(two(cost.gate_speedup()), expected.gate, "{} on {}", expected.file, expected.model);
        assert_eq!(two(cost.speedup()), expected.all, "{} on {}", expected.file, expected.model);
        let product = cost.gate_speedup() * cost.modules_speedup();
        assert!((product / cost.speedup() - 1.0).abs() < 1e-12);
        assert!((cost.compute_fraction() * cost.speedup() - 1.0).abs() < 1e-12);
        // Guidance doubles the batch and changes no ratio.
        let guided = Cost::of(&plan, &topology.batched(2)).unwrap();
        assert!((guided.speedup() / cost.speedup() - 1.0).abs() < 1e-12);
    }
}

#[test]
fn modules_are_reused_where_the_streams_agree() {
    let reused = |file: &str, kind: Kind| {
        let plan = CachePlan::read(path(file)).unwrap();
        let array = plan.of_kind(kind);
        let computed = array.outer_iter().zip(plan.gate()).filter(|(_, skip)| !**skip);
        computed.map(|(row, _)| row.iter().filter(|entry| **entry).count()).sum::<usize>()
    };
    assert_eq!((reused(DIT_FAST, Kind::MSA), reused(DIT_FAST, Kind::MLP)), (85, 89));
    assert_eq!((reused(DIT_SLOW, Kind::MSA), reused(DIT_SLOW, Kind::MLP)), (55, 55));
    let flux = [Kind::ATTN, Kind::FF, Kind::CONTEXT_FF, Kind::SINGLE_ATTN, Kind::SINGLE_MLP];
    assert_eq!(flux.map(|kind| reused(FLUX_FAST, kind)), [76, 76, 60, 151, 151]);
    assert_eq!(flux.map(|kind| reused(FLUX_MEDIUM_1, kind)), [76, 0, 0, 151, 0]);
    assert_eq!(flux.map(|kind| reused(FLUX_MEDIUM_2, kind)), [76, 0, 0, 152, 0]);
    assert_eq!(flux.map(|kind| reused(FLUX_SLOW, kind)), [76, 76, 0, 151, 136]);
}

#[test]
fn books_are_written_as_they_were_read() {
    for file in reference::ALL {
        let book = AuthorBook::from_json(&text(file), file).unwrap();
        let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(value(&book.to_json()), value(&text(file)), "{file}");
        let plan = book.plan(&book.topology()).unwrap();
        let back = AuthorBook::from_plan(&plan, book.layout(), BookVersion::V1).unwrap();
        assert_eq!(back.gate(), book.gate());
        for (kind, array) in book.streams() {
            // The joint attention of a plan has one entry for both streams: it is left where both were marked.
            let joint = matches!(kind.as_str(), "attn" | "context_attn" | "ip_attn");
            let wider = array.iter().zip(back.stream(*kind).unwrap()).filter(|(was, is)| was != is).count();
            assert!(wider == 0 || (joint && book.layout() == BookLayout::Flux), "{file}: {kind} changed");
        }
    }
}

#[test]
fn the_derived_model_has_the_sites_of_the_named_one() {
    for (file, model) in [(DIT_FAST, "dit-xl-2-256"), (FLUX_FAST, "flux1-dev-1024")] {
        let book = AuthorBook::from_json(&text(file), file).unwrap();
        let (derived, named) = (book.topology(), Topology::named(model).unwrap());
        let plan = CachePlan::read(path(file)).unwrap();
        assert_eq!(derived.streams(), named.streams());
        assert!(derived.sites.iter().map(|s| s.site).eq(named.sites.iter().map(|s| s.site)));
        assert_eq!(plan.reuse(), book.plan(&named).unwrap().reuse());
        assert_eq!(Topology::named_with_sites(plan.sites())[0].model, model);
        assert!(plan.schedule(&named).is_ok());
        let message = Cost::of(&plan, &derived).unwrap_err().to_string();
        assert!(message.contains("FLOPs of the model of a"), "{message}");
    }
}

#[test]
fn file_names_say_the_quantiles() {
    for file in reference::ALL {
        let base = file.rsplit('/').next().unwrap();
        let name = BookName::parse(base).unwrap();
        assert_eq!(name.to_string(), base);
        let PlanFile::Book(book, found) = PlanFile::read(path(file)).unwrap() else {
            panic!("{file} is a book")
        };
        assert_eq!(name.steps(), Some(book.steps()));
        assert_eq!(found.as_ref(), Some(&name));
    }
    let plan = CachePlan::read(path(DIT_FAST)).unwrap();
    let notes = plan.provenance.notes.join("\n");
    assert!(notes.contains("quantiles by file name: trunk 0.63, msa 0.22, mlp 0.22"), "{notes}");
}

#[test]
fn plans_survive_both_of_our_formats() {
    for file in reference::ALL {
        let plan = CachePlan::read(path(file)).unwrap();
        let json = plan.to_json().unwrap();
        let bytes = plan.to_bytes().unwrap();
        assert_eq!(CachePlan::from_json(&json, file).unwrap(), plan);
        assert_eq!(CachePlan::from_bytes(&bytes, file).unwrap(), plan);
        assert_eq!(plan.fingerprint().unwrap().len(), 64);
        assert!(bytes.len() < 1200 && json.len() < 12_000, "{file}: {} and {}", bytes.len(), json.len());
    }
}
