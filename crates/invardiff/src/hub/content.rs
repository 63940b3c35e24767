//! What a file holds, as its hash says.

use sha1::Sha1;
use sha2::{Digest, Sha256};

/// The hash that a hub's listing has of a file, in lower-case hexadecimal; it names the content in the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// SHA-256 of the bytes, 64 digits: of large files.
    Sha256(String),
    /// SHA-1 of git's blob, 40 digits: of small files.
    Git(String),
}

impl Content {
    /// A hash that has the form of one; `None` otherwise.
    pub(super) fn sha256(hex: &str) -> Option<Self> {
        is_hex(hex, 64).then(|| Self::Sha256(hex.to_owned()))
    }

    /// A hash that has the form of one; `None` otherwise.
    pub(super) fn git(hex: &str) -> Option<Self> {
        is_hex(hex, 40).then(|| Self::Git(hex.to_owned()))
    }

    /// The hash's digits.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Sha256(hex) | Self::Git(hex) => hex,
        }
    }

    /// What the hash is called.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Sha256(_) => "its SHA-256",
            Self::Git(_) => "its SHA-1 (of git's blob)",
        }
    }

    /// Begins to hash a file of `size` bytes.
    pub(super) fn hasher(&self, size: u64) -> Hasher {
        match self {
            Self::Sha256(_) => Hasher::Sha256(Sha256::new()),
            Self::Git(_) => Hasher::Git(Sha1::new_with_prefix(format!("blob {size}\0"))),
        }
    }
}

/// Whether a text is a commit's name, as git gives it: 40 digits of lower-case hexadecimal.
pub(super) fn is_commit(text: &str) -> bool {
    is_hex(text, 40)
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// A hash under way.
#[derive(Clone, Debug)]
pub(super) enum Hasher {
    Sha256(Sha256),
    Git(Sha1),
}

impl Hasher {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Git(hasher) => hasher.update(bytes),
        }
    }

    /// The digits of what was given.
    pub(super) fn finish(self) -> String {
        let hex = |bytes: &[u8]| bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        match self {
            Self::Sha256(hasher) => hex(&hasher.finalize()),
            Self::Git(hasher) => hex(&hasher.finalize()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf 'hello\n' | git hash-object --stdin`, and `sha256sum` of the same.
    #[test]
    fn hashes_are_those_of_git_and_sha256() {
        let hash = |content: Content| {
            let mut hasher = content.hasher(6);
            hasher.update(b"hel");
            hasher.update(b"lo\n");
            hasher.finish() == content.name()
        };
        assert!(hash(Content::git("ce013625030ba8dba906f756967f9e9ca394464a").unwrap()));
        let sha256 = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
        assert!(hash(Content::sha256(sha256).unwrap()));
    }

    #[test]
    fn a_hash_is_digits_alone() {
        let forty = "c0ffee0".repeat(5) + "c0ffe";
        assert!(Content::git(&forty).is_some() && is_commit(&forty));
        for other in [
            "",
            "../../victim",
            "/etc/passwd",
            &forty.to_ascii_uppercase(),
            &forty[1..],
            &format!("{forty}/"),
            &"g".repeat(40),
        ] {
            assert!(
                Content::git(other).is_none() && Content::sha256(other).is_none() && !is_commit(other),
                "{other}"
            );
        }
    }
}
