//! One setting of a calibration: rates, thresholds and reuse masks against the stored ones.

mod rates;
mod stored;

use invardiff_plan::core::Threshold;
use invardiff_plan::formats::{AuthorBook, FILE_LIMIT};
use invardiff_plan::two_phase::{
    DistanceTable, Phase, Phases, RateTable, ReuseMasks, Settings, StepPair, TwoPhase, Variant, WarmUp,
    missing_pairs, two_phase,
};
use invardiff_plan::{Kind, files};
use serde_json::Value;

use super::arrays::Arrays;
use super::check::Checks;
use super::compare::{differing, list, relative};
use super::folder::{Entry, Folder};
use crate::error::{Context, Result, ensure};
use rates::worst;
pub(crate) use rates::{Origin, check_rates, check_runs};
pub(crate) use stored::{PhaseArrays, stored_books};
use stored::{alias, books_differ};

/// Parses an entry of the manifest's `runs`. A quantile's key is the stream's name, with or without `_thres` after it;
/// `context_attn` uses that of `attn` where it has none.
///
/// # Errors
/// When a quantile is missing.
pub(crate) fn settings(run: &Entry<'_>, variant: Variant, streams: &[Kind]) -> Result<Settings> {
    let quantile = |name: &str| -> Result<f64> {
        let found = run.find(&format!("{name}_thres")).or_else(|| run.find(name));
        let shared = (name == Kind::CONTEXT_ATTN.as_str()).then(|| run.find("attn")).flatten();
        found.or(shared).map_or_else(|| run.get(name), Ok)?.number()
    };
    Ok(Settings {
        variant,
        gate_quantile: quantile("step")?,
        quantiles: streams.iter().map(|kind| Ok((*kind, quantile(kind.as_str())?))).collect::<Result<_>>()?,
        warm_up: WarmUp::Rate(run.get("nonskip_rate")?.number()?),
        phases: Phases::Two,
    })
}

/// The pairs of steps that any of the settings reads and the tables lack.
///
/// # Errors
/// As [`missing_pairs`].
pub(crate) fn missing(tables: &[DistanceTable], settings: &[Settings]) -> Result<Vec<StepPair>> {
    let mut pairs = Vec::new();
    for settings in settings {
        pairs.extend(missing_pairs(tables, settings)?);
    }
    pairs.sort_unstable();
    pairs.dedup();
    Ok(pairs)
}

/// One setting with everything stored for it, under `s<index>.`.
pub(crate) struct Setting<'a> {
    pub(crate) folder: &'a Folder,
    pub(crate) arrays: &'a Arrays,
    pub(crate) index: usize,
    /// Where the features come from.
    pub(crate) origin: Origin,
    /// The manifest's entry.
    pub(crate) run: Entry<'a>,
    pub(crate) settings: Settings,
}

impl Setting<'_> {
    /// Compares the results of both phases with the stored ones.
    pub(crate) fn check(&self, checks: &mut Checks, tables: &[DistanceTable]) {
        let found = match two_phase(tables, &self.settings) {
            Ok(found) => found,
            Err(error) => return checks.run(self.name("both phases"), || Err(error.into())),
        };
        self.phase(checks, 1, &found.first);
        self.books(checks, "provisional", &found.provisional);
        if let Some(second) = &found.second {
            self.phase(checks, 2, second);
            let reference = self.reference(&found);
            check_runs(checks, self.arrays, self.origin, &self.key("phase2."), tables, |table| {
                RateTable::phase2(table, &reference).map_err(Into::into)
            });
        }
        self.books(checks, "book", &found.masks);
        self.rule_alone(checks);
        self.counts(checks, &found.masks);
        self.book_file(checks, &found.masks);
    }

    fn name(&self, what: &str) -> String {
        format!("s{} {what}", self.index)
    }

    fn key(&self, what: &str) -> String {
        format!("s{}.{what}", self.index)
    }

    /// The masks under which the second phase was measured.
    fn reference(&self, found: &TwoPhase) -> ReuseMasks {
        let provisional = found.provisional.clone();
        if self.settings.variant.corrects_gate() { provisional } else { provisional.without_gate() }
    }

    fn phase(&self, checks: &mut Checks, number: usize, phase: &Phase) {
        let stored = PhaseArrays::read(self.arrays, &self.key(&format!("phase{number}.")));
        let name = self.name(&format!("phase {number} rates"));
        check_rates(checks, self.arrays, self.origin, &name, &stored, &phase.rates);
        if !stored.thresholds.is_empty() {
            checks.run(self.name(&format!("phase {number} thresholds")), || {
                worst(stored.thresholds.iter().map(|(name, key)| {
                    let found = threshold(&phase.thresholds, name)?.value;
                    let found = list(vec![f64::from(found)]);
                    Ok((
                        name.as_str(),
                        relative(&found, &self.arrays.shaped(key, &[1])?, self.origin.threshold())?,
                    ))
                }))
            });
        }
    }

    /// Final masks are required; those of the first phase are optional.
    fn books(&self, checks: &mut Checks, which: &str, found: &ReuseMasks) {
        let prefix = self.key(&format!("{which}."));
        if which == "book" || !self.arrays.under(&prefix).is_empty() {
            checks.run(self.name(&format!("{which} entries")), || books_differ(self.arrays, &prefix, found));
        }
    }

    /// The rule alone: from the stored rates, thresholds must agree in every bit and masks in every entry.
    fn rule_alone(&self, checks: &mut Checks) {
        let read = |number: usize| PhaseArrays::read(self.arrays, &self.key(&format!("phase{number}.")));
        let (first_stored, second_stored, shared) =
            (read(1), read(2), PhaseArrays::read(self.arrays, "phase1."));
        let first = first_stored.rates(self.arrays, None).or_else(|| shared.rates(self.arrays, None));
        let Some(first) = first else { return };
        // Where the second phase does not correct the gate, its trunk is that of the first.
        let trunk =
            first_stored.trunk().or(shared.trunk()).filter(|_| !self.settings.variant.corrects_gate());
        let second = second_stored.rates(self.arrays, trunk);
        checks.run(self.name("rule, from stored rates"), || {
            let (first, mut wrong) = (first?, 0);
            let thresholds = self.settings.thresholds(&first)?;
            wrong += self.bits_differ(&first_stored, &thresholds)?;
            let provisional = self.key("provisional.");
            if !self.arrays.under(&provisional).is_empty() {
                let found = self.settings.provisional_masks(&first, &thresholds)?;
                wrong += books_differ(self.arrays, &provisional, &found)?.error as usize;
            }
            if let Some(second) = second {
                let second = second?;
                let thresholds = self.settings.thresholds(&second)?;
                wrong += self.bits_differ(&second_stored, &thresholds)?;
                let found = self.settings.final_masks(&second, &thresholds)?;
                wrong += books_differ(self.arrays, &self.key("book."), &found)?.error as usize;
            }
            Ok(differing(wrong).with_note("thresholds bit by bit, and books"))
        });
    }

    fn bits_differ(&self, stored: &PhaseArrays, found: &[Threshold]) -> Result<usize> {
        let mut wrong = 0;
        for (name, key) in &stored.thresholds {
            let expected = self.arrays.shaped(key, &[1])?[[0]] as f32;
            wrong += usize::from(threshold(found, name)?.value.to_bits() != expected.to_bits());
        }
        Ok(wrong)
    }

    /// Compares the gate and the counts that the manifest repeats.
    fn counts(&self, checks: &mut Checks, found: &ReuseMasks) {
        let gate: String = found.gate().iter().map(|skip| if *skip { '1' } else { '0' }).collect();
        let skipped = gate.matches('1').count();
        let mut counts = vec![("steps_skipped".to_owned(), skipped)];
        counts.extend(
            found
                .streams()
                .iter()
                .map(|(kind, book)| (format!("{kind}_true"), book.iter().filter(|reused| **reused).count())),
        );
        let known = self.run.find("step_book").is_some()
            || counts.iter().any(|(key, _)| self.run.find(key).is_some());
        if !known {
            return;
        }
        checks.run(self.name("gate and counts in the manifest"), || {
            let mut wrong = match self.run.find("step_book") {
                Some(text) => usize::from(text.text()? != gate),
                None => 0,
            };
            for (key, count) in &counts {
                if let Some(expected) = self.run.find(key) {
                    wrong += usize::from(expected.count()? != *count);
                }
            }
            Ok(differing(wrong))
        });
    }

    /// The authors' file of the final masks: read, compared, and equal to the one that this program writes.
    fn book_file(&self, checks: &mut Checks, found: &ReuseMasks) {
        let named = self.run.find("book_file").map(|file| file.text().map(str::to_owned));
        let numbered = || {
            let ending = format!("_s{}.json", self.index);
            let files = self.folder.files("json").unwrap_or_default();
            files.into_iter().find(|file| file.ends_with(&ending)).map(Ok)
        };
        let Some(file) = named.or_else(numbered) else { return };
        checks.run(self.name("book file"), || {
            let file = file?;
            let text = files::read_text(&self.folder.path.join(&file), FILE_LIMIT).context(file.clone())?;
            let book = AuthorBook::from_json(&text, &file)?;
            let streams = book.streams().iter().map(|(kind, _)| {
                let book = found.stream(alias(*kind));
                Ok((*kind, book.with_context(|| format!("the books have no stream '{kind}'"))?.clone()))
            });
            let gate = found.gate().to_vec();
            let streams = streams.collect::<Result<Vec<_>>>()?;
            let ours =
                AuthorBook::new(book.layout(), book.version(), gate, streams, book.metadata().clone())?;
            let wrong = ours.gate().iter().zip(book.gate()).filter(|(a, b)| a != b).count()
                + usize::from(ours.steps() != book.steps())
                + usize::from(ours.streams() != book.streams());
            let json = |text: &str| serde_json::from_str::<Value>(text);
            ensure!(wrong > 0 || json(&ours.to_json())? == json(&text)?, "{file} is written with other keys");
            Ok(differing(wrong).with_note(file))
        });
    }
}

fn threshold<'t>(found: &'t [Threshold], name: &str) -> Result<&'t Threshold> {
    let kind = stored::kind(name)?;
    found
        .iter()
        .find(|threshold| threshold.kind == kind)
        .with_context(|| format!("'{name}' has no threshold"))
}
