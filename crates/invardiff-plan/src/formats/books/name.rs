//! The authors' file names, which have the quantiles that the books themselves lack.

use std::fmt;

use crate::core::{CachePlan, Kind};
use crate::formats::books::book::BookLayout;

/// A file name of a cache book of version 1, e.g. `cache_books_stp50_n0.0_sth0.63_msa0.22_mlp0.22.json`.
///
/// Numbers are kept as text (`0` and `0.0` both occur), so that a name is printed as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookName {
    layout: BookLayout,
    /// Wan's task, e.g. `t2v-1.3B`; empty for the other layouts.
    task: String,
    values: Vec<String>,
}

/// What a field of a name means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    Steps,
    Nonskip,
    /// The quantile of these streams.
    Quantile(&'static [Kind]),
}

/// A field with its prefix.
type Prefixed = (&'static str, Field);

const DIT: &[Prefixed] = &[
    ("stp", Field::Steps),
    ("n", Field::Nonskip),
    ("sth", Field::Quantile(&[Kind::TRUNK])),
    ("msa", Field::Quantile(&[Kind::MSA])),
    ("mlp", Field::Quantile(&[Kind::MLP])),
];

const FLUX: &[Prefixed] = &[
    ("stp", Field::Steps),
    ("n", Field::Nonskip),
    ("th", Field::Quantile(&[Kind::TRUNK])),
    ("attn", Field::Quantile(&[Kind::ATTN, Kind::CONTEXT_ATTN])),
    ("ff", Field::Quantile(&[Kind::FF])),
    ("ctxff", Field::Quantile(&[Kind::CONTEXT_FF])),
    ("sattn", Field::Quantile(&[Kind::SINGLE_ATTN])),
    ("smlp", Field::Quantile(&[Kind::SINGLE_MLP])),
];

const WAN: &[Prefixed] = &[
    ("stp", Field::Steps),
    ("n", Field::Nonskip),
    ("sth", Field::Quantile(&[Kind::TRUNK])),
    ("sa", Field::Quantile(&[Kind::new("self_attn")])),
    ("ca", Field::Quantile(&[Kind::new("cross_attn")])),
    ("ff", Field::Quantile(&[Kind::new("ffn")])),
];

/// The fields of a layout in order. Hybrid books have no such names.
const fn fields(layout: BookLayout) -> &'static [Prefixed] {
    match layout {
        BookLayout::Dit => DIT,
        BookLayout::Flux => FLUX,
        BookLayout::Wan => WAN,
        BookLayout::Hybrid => &[],
    }
}

impl BookName {
    /// Parses a file name without folders; `None` where it does not follow the authors' pattern.
    pub fn parse(name: &str) -> Option<Self> {
        let stem = name.strip_suffix(".json")?;
        if let Some(rest) = stem.strip_prefix("cache_books_") {
            let parse = |layout| Some(Self { layout, task: String::new(), values: values(layout, rest)? });
            return parse(BookLayout::Dit).or_else(|| parse(BookLayout::Flux));
        }
        let rest = stem.strip_prefix("invardiff_")?;
        let (task, _) = rest.rsplit_once("_stp")?;
        let values = values(BookLayout::Wan, &rest[task.len() + 1..])?;
        Some(Self { layout: BookLayout::Wan, task: task.into(), values })
    }

    /// The name that the authors' scripts give to the book of a plan. `task` is used for [`BookLayout::Wan`] only. `None` where
    /// the provenance lacks the warm-up or a quantile, and for hybrid books, which have no such names.
    pub fn of(plan: &CachePlan, layout: BookLayout, task: &str) -> Option<Self> {
        let quantile =
            |kind: Kind| plan.provenance.thresholds.iter().find(|t| t.kind == kind).map(|t| t.quantile);
        let value = |field: Field| match field {
            Field::Steps => Some(plan.steps().to_string()),
            Field::Nonskip => {
                plan.provenance.warm_up.map(|warm_up| format!("{:?}", nonskip_rate(warm_up, plan.steps())))
            }
            Field::Quantile(kinds) => {
                let mut found = kinds.iter().filter_map(|kind| quantile(*kind));
                let first = found.next()?;
                found.all(|other| other == first).then(|| format!("{first:?}"))
            }
        };
        let fields = fields(layout);
        let values: Option<Vec<String>> = fields.iter().map(|(_, field)| value(*field)).collect();
        let task = match layout {
            BookLayout::Wan => task.to_owned(),
            BookLayout::Dit | BookLayout::Flux | BookLayout::Hybrid => String::new(),
        };
        (!fields.is_empty()).then_some(Self { layout, task, values: values? })
    }

    /// The layout of the book with this name.
    pub const fn layout(&self) -> BookLayout {
        self.layout
    }

    /// The number of steps.
    pub fn steps(&self) -> Option<usize> {
        self.with(Field::Steps).and_then(|text| text.parse().ok())
    }

    /// The share of steps at the start that are always computed; the authors take `max(1, floor(rate * steps))` of them.
    pub fn nonskip_rate(&self) -> Option<f64> {
        self.with(Field::Nonskip).and_then(|text| text.parse().ok())
    }

    /// The quantiles by stream; [`Kind::TRUNK`] for the step gate.
    pub fn quantiles(&self) -> Vec<(Kind, f64)> {
        let mut quantiles = Vec::new();
        for ((_, field), text) in fields(self.layout).iter().zip(&self.values) {
            if let (Field::Quantile(kinds), Ok(quantile)) = (field, text.parse()) {
                quantiles.extend(kinds.iter().map(|kind| (*kind, quantile)));
            }
        }
        quantiles
    }

    /// The name and its quantiles as remarks for [`Provenance::notes`](crate::core::Provenance::notes).
    pub fn notes(&self) -> Vec<String> {
        let quantiles: Vec<String> =
            self.quantiles().iter().map(|(kind, quantile)| format!("{kind} {quantile}")).collect();
        vec![format!("file name: {self}"), format!("quantiles by file name: {}", quantiles.join(", "))]
    }

    fn with(&self, wanted: Field) -> Option<&str> {
        let index = fields(self.layout).iter().position(|(_, field)| *field == wanted)?;
        self.values.get(index).map(String::as_str)
    }
}

impl fmt::Display for BookName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.layout {
            BookLayout::Dit | BookLayout::Flux | BookLayout::Hybrid => write!(f, "cache_books")?,
            BookLayout::Wan => write!(f, "invardiff_{}", self.task)?,
        }
        for ((prefix, _), value) in fields(self.layout).iter().zip(&self.values) {
            write!(f, "_{prefix}{value}")?;
        }
        write!(f, ".json")
    }
}

/// The numbers of a name as text; `None` unless every field is there, in order, with a number.
fn values(layout: BookLayout, text: &str) -> Option<Vec<String>> {
    let fields = fields(layout);
    let parts: Vec<&str> = text.split('_').collect();
    let number = |(part, (prefix, field)): (&&str, &Prefixed)| {
        let value = part.strip_prefix(prefix)?;
        let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let valid = match field {
            Field::Steps => value.parse::<usize>().is_ok(),
            Field::Nonskip | Field::Quantile(_) => value.parse::<f64>().is_ok_and(f64::is_finite),
        };
        (digits && valid).then(|| value.to_owned())
    };
    (parts.len() == fields.len()).then(|| parts.iter().zip(fields).map(number).collect())?
}

/// The rate with the fewest digits that the authors' `max(1, floor(rate * steps))` turns into this warm-up.
pub(super) fn nonskip_rate(warm_up: usize, steps: usize) -> f64 {
    if warm_up <= 1 {
        return 0.0;
    }
    let exact = warm_up as f64 / steps as f64;
    let rounded = (1..=6).map(|digits| {
        let scale = 10_f64.powi(digits);
        (exact * scale).ceil() / scale
    });
    // Half a step more is cut off whatever the rounding; 29 of 50 is one that needs it (0.58 * 50 is 28.999..).
    let safe = (warm_up as f64 + 0.5) / steps as f64;
    rounded.into_iter().find(|rate| (rate * steps as f64) as usize == warm_up).unwrap_or(safe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{Provenance, Site, Threshold};

    #[test]
    fn the_authors_names_are_read_and_printed_as_they_are() {
        for name in [
            "cache_books_stp50_n0.0_sth0.63_msa0.22_mlp0.22.json",
            "cache_books_stp20_n0_sth0.5_msa0.3_mlp0.3.json",
            "cache_books_stp28_n0.15_th0.7_attn0.68_ff0_ctxff0_sattn0.7_smlp0.json",
            "invardiff_t2v-1.3B_stp50_n0.1_sth0.5_sa0.3_ca0.2_ff0.1.json",
            "invardiff_a_b_stp50_n0.1_sth0.5_sa0.3_ca0.2_ff0.1.json",
        ] {
            assert_eq!(BookName::parse(name).unwrap().to_string(), name);
        }
        let name =
            BookName::parse("cache_books_stp28_n0.15_th0.7_attn0.68_ff0_ctxff0_sattn0.7_smlp0.json").unwrap();
        assert_eq!((name.steps(), name.nonskip_rate()), (Some(28), Some(0.15)));
        assert_eq!(
            name.quantiles()[..3],
            [(Kind::TRUNK, 0.7), (Kind::ATTN, 0.68), (Kind::CONTEXT_ATTN, 0.68)]
        );
    }

    #[test]
    fn other_names_are_not_mistaken() {
        for name in [
            "plan.json",
            "cache_books_stp50.json",
            "cache_books_stp50_n0.0_sth0.63_msa0.22_mlp0.22",
            "cache_books_stpx_n0.0_sth0.63_msa0.22_mlp0.22.json",
            "cache_books_stp50_n0.0_sth0.63_msa1e3_mlp0.22.json",
            "cache_books_stp50_n0.0_sth0.63_msainf_mlp0.22.json",
            "invardiff_stp50.json",
            "",
        ] {
            assert_eq!(BookName::parse(name), None, "{name}");
        }
    }

    #[test]
    fn a_plan_with_known_quantiles_has_a_name() {
        let sites = vec![Site::msa(0), Site::mlp(0)];
        let plan =
            CachePlan::new(sites, vec![false; 50], ndarray::Array2::from_elem((50, 2), false)).unwrap();
        let threshold = |kind, quantile| Threshold { kind, quantile, value: 1.0 };
        let thresholds =
            vec![threshold(Kind::TRUNK, 0.63), threshold(Kind::MSA, 0.22), threshold(Kind::MLP, 0.22)];
        let plan = plan.with_provenance(Provenance { thresholds, warm_up: Some(1), ..Provenance::default() });
        let name = BookName::of(&plan, BookLayout::Dit, "").unwrap();
        assert_eq!(name.to_string(), "cache_books_stp50_n0.0_sth0.63_msa0.22_mlp0.22.json");
        assert_eq!(BookName::of(&plan, BookLayout::Flux, ""), None);
        assert_eq!(BookName::of(&plan, BookLayout::Hybrid, ""), None);
    }

    #[test]
    fn the_nonskip_rate_gives_the_warm_up_back() {
        for steps in 3..=120_usize {
            for warm_up in 1..steps {
                let rate = nonskip_rate(warm_up, steps);
                assert_eq!(((rate * steps as f64) as usize).max(1), warm_up, "{warm_up} of {steps}: {rate}");
            }
        }
        assert_eq!((nonskip_rate(2, 28), nonskip_rate(6, 28)), (0.1, 0.22));
    }
}
