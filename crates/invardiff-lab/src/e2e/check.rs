//! One check: a measured value and its bound.

use std::fmt;
use std::io;

use invardiff::fault::{caught, with_causes};
use serde::Serialize;

use crate::error::Result;

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Passed.
    Passed,
    /// Failed, or could not be made.
    Failed,
    /// Not run.
    NotRun,
}

/// How a bound is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Bound {
    AtMost,
    AtLeast,
    Equal,
}

/// One line.
#[derive(Clone, Debug, Serialize)]
pub struct DeviceCheck {
    /// What was compared.
    pub name: String,
    /// How it went.
    pub outcome: Outcome,
    /// The measured value; null where there is none, or it is infinite.
    value: Option<f64>,
    bound: Option<Bound>,
    limit: Option<f64>,
    unit: &'static str,
    /// A remark, or why the check could not be made.
    notes: Vec<String>,
}

impl DeviceCheck {
    /// A value that may be at most this large.
    pub(super) fn at_most(value: f64, limit: f64, unit: &'static str) -> Self {
        Self::bounded(value, Bound::AtMost, limit, unit, value <= limit)
    }

    /// A value that must be at least this large.
    pub(super) fn at_least(value: f64, limit: f64, unit: &'static str) -> Self {
        Self::bounded(value, Bound::AtLeast, limit, unit, value >= limit)
    }

    /// A value that must be equal to this one.
    pub(super) fn equal(value: f64, expected: f64, unit: &'static str) -> Self {
        Self::bounded(value, Bound::Equal, expected, unit, value == expected)
    }

    fn bounded(value: f64, bound: Bound, limit: f64, unit: &'static str, holds: bool) -> Self {
        let outcome = if holds { Outcome::Passed } else { Outcome::Failed };
        let value = value.is_finite().then_some(value);
        Self {
            name: String::new(),
            outcome,
            value,
            bound: Some(bound),
            limit: Some(limit),
            unit,
            notes: Vec::new(),
        }
    }

    /// The same check with a remark added.
    pub(super) fn with_notes(mut self, notes: impl IntoIterator<Item = String>) -> Self {
        self.notes.extend(notes);
        self
    }

    fn without_value(name: String, outcome: Outcome, why: String) -> Self {
        Self { name, outcome, value: None, bound: None, limit: None, unit: "", notes: vec![why] }
    }
}

impl fmt::Display for DeviceCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.outcome {
            Outcome::Passed => "ok",
            Outcome::Failed => "FAIL",
            Outcome::NotRun => "not run",
        };
        write!(f, "{verdict:7}  {:48}", self.name)?;
        if let (Some(bound), Some(limit)) = (self.bound, self.limit) {
            let relation = match bound {
                Bound::AtMost => "at most",
                Bound::AtLeast => "at least",
                Bound::Equal => "must be",
            };
            let value = self.value.map_or("not finite".into(), short);
            write!(f, "  {value} {}, {relation} {}", self.unit, short(limit))?;
        }
        match self.notes.as_slice() {
            [] => Ok(()),
            [one] => write!(f, "  ({one})"),
            many => many.iter().try_for_each(|note| write!(f, "\n         - {note}")),
        }
    }
}

/// A number as text: counts as they are, very small and very large numbers in powers of ten.
fn short(value: f64) -> String {
    if value == 0.0 || (value.fract() == 0.0 && value.abs() < 1e12) {
        format!("{value:.0}")
    } else if (0.01..1e6).contains(&value.abs()) {
        format!("{value:.2}")
    } else {
        format!("{value:.1e}")
    }
}

/// Checks in order, each shown when it is done.
pub(super) struct Checks<'a> {
    list: Vec<DeviceCheck>,
    look: &'a mut dyn FnMut(&DeviceCheck) -> io::Result<()>,
}

impl<'a> Checks<'a> {
    pub(super) fn new(look: &'a mut dyn FnMut(&DeviceCheck) -> io::Result<()>) -> Self {
        Self { list: Vec::new(), look }
    }

    /// Makes a check. One that cannot be made has failed; the next ones are made all the same.
    pub(super) fn run(
        &mut self,
        name: impl Into<String>,
        make: impl FnOnce() -> Result<DeviceCheck>,
    ) -> Result<()> {
        let name = name.into();
        let check = match caught(make) {
            Ok(Ok(check)) => DeviceCheck { name, ..check },
            Ok(Err(error)) => DeviceCheck::without_value(name, Outcome::Failed, with_causes(&error)),
            Err(fault) => DeviceCheck::without_value(name, Outcome::Failed, fault.to_string()),
        };
        self.add(check)
    }

    /// Notes that a check was not made.
    pub(super) fn skip(&mut self, name: &str, why: &str) -> Result<()> {
        self.add(DeviceCheck::without_value(name.to_owned(), Outcome::NotRun, why.to_owned()))
    }

    pub(super) fn into_list(self) -> Vec<DeviceCheck> {
        self.list
    }

    fn add(&mut self, check: DeviceCheck) -> Result<()> {
        (self.look)(&check)?;
        self.list.push(check);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_hold_at_the_bound_and_never_for_what_is_no_number() {
        let outcome = |check: DeviceCheck| check.outcome;
        assert_eq!(outcome(DeviceCheck::at_most(1.0, 1.0, "")), Outcome::Passed);
        assert_eq!(outcome(DeviceCheck::at_least(50.0, 50.0, "dB")), Outcome::Passed);
        assert_eq!(outcome(DeviceCheck::equal(3.0, 3.0, "")), Outcome::Passed);
        for bad in [
            DeviceCheck::at_most(1.1, 1.0, ""),
            DeviceCheck::at_least(49.9, 50.0, "dB"),
            DeviceCheck::equal(3.0, 4.0, ""),
            DeviceCheck::at_most(f64::NAN, 1.0, ""),
            DeviceCheck::at_least(f64::NAN, 1.0, ""),
            DeviceCheck::equal(f64::NAN, 0.0, ""),
        ] {
            assert_eq!(bad.outcome, Outcome::Failed, "{bad}");
        }
        assert!(
            DeviceCheck::at_most(f64::INFINITY, 1.0, "relative")
                .to_string()
                .contains("not finite relative, at most 1")
        );
    }

    #[test]
    fn a_check_that_stops_has_failed_and_the_next_is_made() {
        let mut lines = Vec::new();
        let mut look = |check: &DeviceCheck| {
            lines.push(check.to_string());
            Ok(())
        };
        let mut checks = Checks::new(&mut look);
        checks.run("a", || crate::error::bail!("no such\nkey")).unwrap();
        checks.run("b", || panic!("out of order")).unwrap();
        checks
            .run("c", || Ok(DeviceCheck::at_most(1e-6, 1e-3, "relative").with_notes(["d".into()])))
            .unwrap();
        checks.skip("e", "no fixtures").unwrap();
        let outcomes: Vec<Outcome> = checks.into_list().iter().map(|check| check.outcome).collect();
        assert_eq!(outcomes, [Outcome::Failed, Outcome::Failed, Outcome::Passed, Outcome::NotRun]);
        let words = |line: &String| line.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(words(&lines[0]), "FAIL a (no such key)");
        assert!(lines[1].contains("out of order"), "{}", lines[1]);
        assert_eq!(words(&lines[2]), "ok c 1.0e-6 relative, at most 1.0e-3 (d)");
        assert_eq!(words(&lines[3]), "not run e (no fixtures)");
    }
}
