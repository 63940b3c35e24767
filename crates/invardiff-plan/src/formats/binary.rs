//! The compact format: eight bytes that name it, then bincode with one bit an entry.

use ndarray::Array2;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::core::{CachePlan, PlanError, Provenance};
use crate::formats::fitted::FittedPart;
use crate::formats::groups::{SiteGroup, group, ungroup};
use crate::formats::rules::{Rules, check_rules};
use crate::formats::{envelope, limits};

/// The first bytes of a file; its version is the byte after them.
const MAGIC: [u8; 7] = *b"INVPLAN";
const VERSION: u8 = 1;
/// The version of plans with weights or times of their own: the content of version 1, then the rest.
const FITTED_VERSION: u8 = 2;

/// The content after the header. Bits are packed into bytes from the lowest; the rest of the last byte is 0.
#[derive(Serialize, Deserialize)]
struct Packed {
    steps: u32,
    sites: Vec<SiteGroup>,
    gate: Vec<u8>,
    /// `[steps, sites]`, row by row.
    reuse: Vec<u8>,
    rules: Rules,
    provenance: Provenance,
}

/// Whether a file starts as this format does.
pub(super) fn is_binary(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

impl CachePlan {
    /// The plan in the compact format: version 1, or 2 where the plan has weights or times of its own. Equal plans give equal bytes.
    ///
    /// # Errors
    /// [`PlanError::Format`] for a plan larger than [`FILE_LIMIT`](envelope::FILE_LIMIT), [`PlanError::Range`] for one with
    /// more steps or sites than are read back, or with a rule of weights and none of these.
    pub fn to_bytes(&self) -> Result<Vec<u8>, PlanError> {
        check_rules(self)?;
        limits::steps(self.steps())?;
        limits::sites(self.steps(), self.sites().iter().copied())?;
        let packed = Packed {
            steps: self.steps() as u32,
            sites: group(self.sites())?,
            gate: pack(self.gate().iter().copied()),
            reuse: pack(self.reuse().iter().copied()),
            rules: Rules::of(self),
            provenance: self.provenance.clone(),
        };
        match FittedPart::of(self) {
            None => envelope::seal(MAGIC, VERSION, &packed, "the plan"),
            Some(part) => envelope::seal(MAGIC, FITTED_VERSION, &(packed, part), "the plan"),
        }
    }

    /// Reads a plan in the compact format; `what` names the file in errors.
    ///
    /// # Errors
    /// [`PlanError::Format`], [`PlanError::Shape`] and [`PlanError::Range`], each naming the file: bytes of another format or
    /// version, a file that is cut short, larger than [`FILE_LIMIT`](envelope::FILE_LIMIT) or has bytes left over.
    pub fn from_bytes(bytes: &[u8], what: &str) -> Result<Self, PlanError> {
        let plan = match envelope::version(MAGIC, bytes) {
            Some(FITTED_VERSION) => {
                let (packed, part): (Packed, FittedPart) =
                    envelope::open(MAGIC, FITTED_VERSION, bytes, what)?;
                packed.plan().and_then(|plan| part.on(plan))
            }
            Some(version) if version != VERSION => {
                let known = format!("this program reads {VERSION} and {FITTED_VERSION}");
                return Err(wrong(what, &format!("version {version} is unknown; {known}")));
            }
            Some(_) | None => envelope::open::<Packed>(MAGIC, VERSION, bytes, what)?.plan(),
        };
        let plan = plan.and_then(|plan| check_rules(&plan).map(|()| plan));
        plan.map_err(|error| error.in_file(what))
    }

    /// The SHA-256 of [`CachePlan::to_bytes`] in hexadecimal. It identifies this plan, provenance included.
    ///
    /// # Errors
    /// As [`CachePlan::to_bytes`].
    pub fn fingerprint(&self) -> Result<String, PlanError> {
        use std::fmt::Write as _;
        let mut text = String::with_capacity(64);
        for byte in Sha256::digest(self.to_bytes()?) {
            write!(text, "{byte:02x}").map_err(|error| wrong("the plan", &error))?;
        }
        Ok(text)
    }
}

impl Packed {
    fn plan(self) -> Result<CachePlan, PlanError> {
        let steps = self.steps as usize;
        let sites = ungroup(&self.sites)?;
        limits::steps(steps)?;
        limits::sites(steps, sites.iter().copied())?;
        let sites = sites.len();
        let gate = unpack("gate [steps]", &self.gate, steps)?;
        let entries = steps.saturating_mul(sites);
        let reuse = unpack("reuse [steps, sites]", &self.reuse, entries)?;
        let reuse = Array2::from_shape_vec((steps, sites), reuse).map_err(|error| wrong("reuse", &error))?;
        self.rules.plan(&self.sites, gate, reuse, self.provenance)
    }
}

fn pack(bits: impl ExactSizeIterator<Item = bool>) -> Vec<u8> {
    let mut bytes = vec![0; bits.len().div_ceil(8)];
    for (index, bit) in bits.enumerate() {
        bytes[index / 8] |= u8::from(bit) << (index % 8);
    }
    bytes
}

fn unpack(what: &str, bytes: &[u8], bits: usize) -> Result<Vec<bool>, PlanError> {
    if bytes.len() != bits.div_ceil(8) {
        let (expected, found) = (vec![bits.div_ceil(8)], vec![bytes.len()]);
        return Err(PlanError::Shape { what: format!("{what}, bytes"), expected, found });
    }
    let bit = |index: usize| bytes[index / 8] >> (index % 8) & 1 == 1;
    if (bits..bytes.len() * 8).any(bit) {
        return Err(wrong(what, &"bits are set after the last entry"));
    }
    Ok((0..bits).map(bit).collect())
}

fn wrong(what: &str, detail: &dyn std::fmt::Display) -> PlanError {
    PlanError::Format { what: what.into(), detail: detail.to_string() }
}
