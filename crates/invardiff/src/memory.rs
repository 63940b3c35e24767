//! Memory, said before it is taken.

mod available;

use std::fmt;

use crate::units::bytes;

pub use available::available;

/// What a run holds at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phase {
    /// What it does then.
    pub name: &'static str,
    /// What it holds, in bytes.
    pub parts: Vec<(String, u64)>,
}

impl Phase {
    /// The bytes of all parts.
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(|(_, bytes)| bytes).sum()
    }
}

/// What a run will take, phase by phase; what a phase holds is dropped before the next one where that does not list it.
///
/// Weights and kept features are exact, activations estimates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryNeed {
    /// The phases, in order.
    pub phases: Vec<Phase>,
}

impl MemoryNeed {
    /// The most bytes at any time.
    pub fn peak(&self) -> u64 {
        self.phases.iter().map(Phase::bytes).max().unwrap_or(0)
    }

    /// The table, and below it whether it fits: `limit` is what there is, where that is known.
    pub fn table(&self, limit: Option<u64>) -> String {
        let limit = limit.map_or("not known".to_owned(), |limit| bytes(limit as usize));
        format!("{self}\n{:>10}  at the most\n{limit:>10}  available", bytes(self.peak() as usize))
    }

    /// Refuses a run that does not fit.
    ///
    /// # Errors
    /// [`NoRoom`] with the table.
    pub fn check(&self, limit: Option<u64>) -> Result<(), NoRoom> {
        match limit {
            Some(limit) if self.peak() > limit => {
                Err(NoRoom { table: self.table(Some(limit)), peak: self.peak(), limit })
            }
            Some(_) | None => Ok(()),
        }
    }
}

impl fmt::Display for MemoryNeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "memory")?;
        for phase in &self.phases {
            write!(f, "\n{:>10}  {}", bytes(phase.bytes() as usize), phase.name)?;
            for (name, part) in &phase.parts {
                write!(f, "\n{:>14}  {name}", bytes(*part as usize))?;
            }
        }
        Ok(())
    }
}

/// A run that takes more memory than there is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{table}\nthis run cannot fit: it takes {} and there are {}; take a smaller image or batch, a \
     smaller dtype, another plan, or raise the memory limit",
    bytes(*peak as usize),
    bytes(*limit as usize)
)]
pub struct NoRoom {
    table: String,
    /// The most bytes that the run takes.
    pub peak: u64,
    /// The bytes that there are.
    pub limit: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need() -> MemoryNeed {
        let phase = |name, parts: &[(&str, u64)]| Phase {
            name,
            parts: parts.iter().map(|(name, bytes)| ((*name).to_owned(), *bytes)).collect(),
        };
        MemoryNeed {
            phases: vec![
                phase("encoding", &[("T5", 9_500_000_000)]),
                phase("sampling", &[("transformer", 23_800_000_000), ("kept features", 1_610_000_000)]),
            ],
        }
    }

    #[test]
    fn the_largest_phase_decides() {
        assert_eq!(need().peak(), 25_410_000_000);
        need().check(Some(25_410_000_000)).unwrap();
        need().check(None).unwrap();
        let error = need().check(Some(25_409_999_999)).unwrap_err().to_string();
        let expected = "\
memory
   9.50 GB  encoding
       9.50 GB  T5
  25.41 GB  sampling
      23.80 GB  transformer
       1.61 GB  kept features
  25.41 GB  at the most
  25.41 GB  available
this run cannot fit: it takes 25.41 GB";
        assert!(error.starts_with(expected), "{error}");
        assert!(need().table(None).ends_with("not known  available"));
    }
}
