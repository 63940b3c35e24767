//! The readers of `invardiff-plan`, and what commands do with what was read.

use std::sync::LazyLock;

use invardiff_plan::core::{Cost, diff, fit_to_budget};
use invardiff_plan::fitted::{GramAtlas, Pricing, time_front};
use invardiff_plan::formats::{
    AuthorBook, BookLayout, BookName, BookVersion, Fit, PlanFile, SmoothCache, StepMask,
};
use invardiff_plan::least_error::{Criterion, PlannerOptions, SkipErrors, front};
use invardiff_plan::lint::{lint, lint_book};
use invardiff_plan::methods::magcache::Magnitudes;
use invardiff_plan::methods::smoothcache::ComponentErrors;
use invardiff_plan::methods::teacache::TeaCacheFit;
use invardiff_plan::{CachePlan, Kind, ReuseRule, Site, SiteSpec, Topology};

/// Published models, for which what was read is made a plan.
static MODELS: LazyLock<Vec<Topology>> = LazyLock::new(|| {
    ["dit-s-2-256", "flux1-dev-1024"].iter().filter_map(|name| Topology::named(name).ok()).collect()
});

/// A plan's file in any format; where it is one, everything that commands do with a plan: written and read again, it must be the
/// same.
pub fn plan_file(input: &[u8]) -> bool {
    let Ok(file) = PlanFile::parse(input, "file") else { return false };
    if let PlanFile::Book(book, _) = &file {
        book_again(book);
        let _ = (lint_book(book), book.topology());
    }
    let few = match &file {
        PlanFile::StepMask(mask) => mask.gate().len() <= 200,
        PlanFile::SmoothCache(schedule) => schedule.steps() <= 200,
        PlanFile::Book(..) | PlanFile::Json(_) | PlanFile::Binary(_) => true,
    };
    match file.clone().plan(None) {
        Ok(plan) => with_plan(&plan),
        Err(_) if few => {
            for model in MODELS.iter() {
                if let Ok(plan) = file.clone().plan(Some(model)) {
                    with_plan(&plan);
                }
            }
        }
        Err(_) => {}
    }
    true
}

/// A plan in the compact format.
pub fn plan_binary(input: &[u8]) -> bool {
    match CachePlan::from_bytes(input, "file") {
        Ok(plan) => {
            with_plan(&plan);
            true
        }
        Err(_) => false,
    }
}

/// Masks, cache books of the authors and their file names, and the names of kinds and models.
pub fn books_and_masks(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else { return false };
    let mut any = false;
    if let Some(name) = BookName::parse(text) {
        let _ = (name.to_string(), name.steps(), name.nonskip_rate(), name.quantiles(), name.notes());
        any = true;
    }
    if let Ok(mask) = StepMask::parse(text, "mask") {
        let again = StepMask::parse(&mask.to_string(), "again").expect("an own mask is read again");
        assert_eq!(mask, again);
        any = true;
    }
    if let Ok(book) = AuthorBook::from_json(text, "book") {
        book_again(&book);
        any = true;
    }
    if let Ok(schedule) = SmoothCache::from_json(text, "schedule") {
        SmoothCache::from_json(&schedule.to_json(), "again").expect("an own schedule is read again");
        any = true;
    }
    any |= Kind::parse(text).is_ok();
    any | Topology::named(text).is_ok_and(|model| model.full_flops() > 0.0)
}

/// Measurements of other methods.
pub fn measurements(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else { return false };
    let teacache = Fit::<TeaCacheFit>::from_json(text, "fit").map(|fit| fit.to_json().is_ok());
    let magnitudes = Fit::<Magnitudes>::from_json(text, "fit").map(|fit| fit.to_json().is_ok());
    let components = Fit::<ComponentErrors>::from_json(text, "fit").map(|fit| {
        let _ = fit.fit.schedule(0.18);
        fit.to_json().is_ok()
    });
    let read = [teacache, magnitudes, components];
    assert!(read.iter().flatten().all(|written| *written), "what was read can be written");
    read.iter().any(Result::is_ok)
}

/// Measured errors of skips, and the plans made of them; inner products of trajectories, and the times chosen by them.
pub fn atlas(input: &[u8]) -> bool {
    if let Ok(grams) = GramAtlas::from_bytes(input, "grams") {
        GramAtlas::from_bytes(&grams.to_bytes().expect("it is written"), "again").expect("it is read again");
        if grams.points() <= 24 {
            let _ = time_front(&grams, &Pricing::default());
        }
        return true;
    }
    let Ok(atlas) = SkipErrors::from_bytes(input, "atlas") else { return false };
    SkipErrors::from_bytes(&atlas.to_bytes().expect("it is written"), "again").expect("it is read again");
    if atlas.steps() <= 32 && atlas.window() <= 8 {
        for rule in [ReuseRule::Hold, ReuseRule::Extrapolate(1), ReuseRule::Taylor(200)] {
            let usual = PlannerOptions::default().with_rule(rule).with_criterion(Criterion::Squares);
            for options in [usual, usual.with_warm_up(usize::MAX).with_longest_run(usize::MAX)] {
                let Ok(points) = front(&atlas, &options) else { continue };
                let plan = points.last().and_then(|point| point.plan(&atlas, rule).ok());
                if let Some(plan) = plan {
                    let _ = plan.schedule(atlas.topology()).map(|schedule| schedule.peak_bytes(2, 4));
                }
            }
        }
    }
    true
}

fn book_again(book: &AuthorBook) {
    let again = AuthorBook::from_json(&book.to_json(), "again").expect("an own book is read again");
    assert!(again.gate() == book.gate() && again.streams() == book.streams(), "the book has changed");
}

/// What commands do with a plan. All of it for one plan in sixteen, by its content.
fn with_plan(plan: &CachePlan) {
    if plan.steps() * plan.sites().len().max(1) > 20_000 {
        return;
    }
    let bytes = plan.to_bytes().expect("a plan that was read can be written");
    let again = CachePlan::from_bytes(&bytes, "again").expect("own bytes are read again");
    // NaN differs from itself.
    let same = |again: &CachePlan| again == plan || format!("{again:?}") == format!("{plan:?}");
    assert!(same(&again), "the plan has changed in the compact format");
    if let Ok(text) = plan.to_json() {
        assert!(
            same(&CachePlan::from_json(&text, "again").expect("own JSON is read again")),
            "the plan has changed in JSON"
        );
    }
    if bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)) % 16 == 0 {
        in_depth(plan);
    }
}

fn in_depth(plan: &CachePlan) {
    let of_plan = Topology {
        model: "m".into(),
        sites: plan.sites().iter().map(|site| SiteSpec::single(*site, 4, 2, 1.0)).collect(),
        trunk: SiteSpec::single(Site::TRUNK, 4, 2, 1.0),
        head_flops: 1.0,
        output_elements: 8,
    };
    let times: Vec<f64> = (0..=plan.steps()).map(|step| 5.0 - step as f64).collect();
    for model in std::iter::once(&of_plan).chain(MODELS.iter()) {
        if let Ok(schedule) = plan.schedule(model) {
            let _ = (schedule.peak_bytes(3, 4), Cost::of(plan, model).map(|cost| cost.speedup()));
            if plan.steps() * plan.sites().len() < 1000 {
                let _ = fit_to_budget(plan, model, 100, |schedule| schedule.peak_bytes(1, 4));
            }
        }
        let _ = lint(plan, model).iter().map(ToString::to_string).count();
        let _ = (plan.transfer(model, &times), plan.transfer(model, plan.times()));
    }
    assert!(diff(plan, plan).is_empty(), "a plan does not differ from itself");
    let _ = (diff(plan, &plan.gate_alone()).to_string(), plan.modules_alone(), plan.fingerprint());
    let _ = SmoothCache::from_plan(plan).map(|schedule| schedule.to_json());
    for layout in [BookLayout::Dit, BookLayout::Flux, BookLayout::Wan, BookLayout::Hybrid] {
        for version in [BookVersion::V1, BookVersion::V2] {
            if let Ok(book) = AuthorBook::from_plan(plan, layout, version) {
                book_again(&book);
                let _ = BookName::of(plan, layout, "t").map(|name| name.to_string());
            }
        }
    }
    if let Some(run) = &plan.provenance.execution {
        let _ = plan.check(run).map_err(|error| error.to_string());
    }
}
