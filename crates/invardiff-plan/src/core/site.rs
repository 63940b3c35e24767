//! Sites: the places in a model whose value can be cached.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The kind of a module, as a short name: `msa`, `mlp`, `attn`, ..
///
/// The set is open: a model outside this workspace declares its own kinds as constants with [`Kind::new`]. A kind stores its
/// name by value, so kinds are `Copy`, and one read from a file equals the constant of the same name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kind {
    bytes: [u8; Self::MAX],
    len: u8,
}

impl Kind {
    /// The largest length of a name, in bytes.
    pub const MAX: usize = 31;

    /// Self-attention of a DiT block (`msa` in the authors' books).
    pub const MSA: Self = Self::new("msa");
    /// Feed-forward of a DiT block.
    pub const MLP: Self = Self::new("mlp");
    /// Image stream of FLUX double-stream attention.
    pub const ATTN: Self = Self::new("attn");
    /// Text stream of FLUX double-stream attention.
    pub const CONTEXT_ATTN: Self = Self::new("context_attn");
    /// Image feed-forward of a FLUX double-stream block.
    pub const FF: Self = Self::new("ff");
    /// Text feed-forward of a FLUX double-stream block.
    pub const CONTEXT_FF: Self = Self::new("context_ff");
    /// Attention of a FLUX single-stream block.
    pub const SINGLE_ATTN: Self = Self::new("single_attn");
    /// Feed-forward of a FLUX single-stream block.
    pub const SINGLE_MLP: Self = Self::new("single_mlp");
    /// All blocks as one site, where the step gate acts.
    pub const TRUNK: Self = Self::new("trunk");
    /// The network's output after guidance: a site around the whole call.
    pub const OUTPUT: Self = Self::new("output");

    /// Makes a kind from a literal.
    ///
    /// # Panics
    /// When the name is empty, longer than [`Kind::MAX`] or not printable ASCII. In a `const` this is a compile error.
    /// For names that are read at run time use [`Kind::parse`].
    pub const fn new(name: &str) -> Self {
        match Self::checked(name) {
            Some(kind) => kind,
            None => panic!("a module kind is 1 to 31 bytes of printable ASCII"),
        }
    }

    /// Makes a kind from a name that is read at run time.
    ///
    /// # Errors
    /// [`InvalidKind`] when the name is empty, too long or not printable ASCII.
    pub fn parse(name: &str) -> Result<Self, InvalidKind> {
        Self::checked(name).ok_or_else(|| InvalidKind { name: name.chars().take(80).collect() })
    }

    const fn checked(name: &str) -> Option<Self> {
        let source = name.as_bytes();
        if source.is_empty() || source.len() > Self::MAX {
            return None;
        }
        let mut bytes = [0; Self::MAX];
        let mut i = 0;
        while i < source.len() {
            if !source[i].is_ascii_graphic() {
                return None;
            }
            bytes[i] = source[i];
            i += 1;
        }
        Some(Self { bytes, len: source.len() as u8 })
    }

    /// The kind's name.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }
}

/// A name that cannot be a [`Kind`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{name}' is no module kind: a kind is 1 to {} bytes of printable ASCII", Kind::MAX)]
pub struct InvalidKind {
    /// The name as given, its first 80 characters.
    pub name: String,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kind({})", self.as_str())
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::parse(&name).map_err(serde::de::Error::custom)
    }
}

/// One place in the network: a kind of module and a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Site {
    /// The kind of the module.
    pub kind: Kind,
    /// Index of the block among those with this kind, from 0.
    pub layer: u32,
}

impl Site {
    /// The trunk (all blocks). Reusing it skips the step.
    pub const TRUNK: Self = Self::new(Kind::TRUNK, 0);
    /// The network's output after guidance. Reusing it runs no network at all.
    pub const OUTPUT: Self = Self::new(Kind::OUTPUT, 0);

    /// The site of this kind in block `layer`.
    pub const fn new(kind: Kind, layer: u32) -> Self {
        Self { kind, layer }
    }

    /// The self-attention of DiT block `layer`.
    pub const fn msa(layer: u32) -> Self {
        Self::new(Kind::MSA, layer)
    }

    /// The feed-forward of DiT block `layer`.
    pub const fn mlp(layer: u32) -> Self {
        Self::new(Kind::MLP, layer)
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.kind, self.layer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_compare_by_name_and_survive_serde() {
        let parsed = Kind::parse("msa").unwrap();
        assert_eq!(parsed, Kind::MSA);
        assert_eq!(parsed.as_str(), "msa");
        let json = serde_json::to_string(&Site::mlp(3)).unwrap();
        assert_eq!(json, r#"{"kind":"mlp","layer":3}"#);
        assert_eq!(serde_json::from_str::<Site>(&json).unwrap(), Site::mlp(3));
    }

    #[test]
    fn names_that_are_no_kinds_are_refused() {
        for name in ["", "two words", "ümlaut", &"x".repeat(32)] {
            assert!(Kind::parse(name).is_err(), "{name}");
        }
        assert_eq!(Kind::parse(&"x".repeat(31)).unwrap().as_str().len(), 31);
    }
}
