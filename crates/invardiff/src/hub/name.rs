//! Which names a file of a repository may have.

/// What keeps a path in a repository from being the name of a file in its folder, on any system; `None` when nothing does.
pub(super) fn fault(name: &str) -> Option<&'static str> {
    if name.chars().any(|c| c.is_control() || is_hidden(c)) {
        return Some("it has control characters");
    }
    if name.contains('\\') || name.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Some("it leads out of its folder");
    }
    None
}

/// What keeps a path from being the name of a file on some systems; `None` when nothing does.
pub(super) fn fault_elsewhere(name: &str) -> Option<&'static str> {
    name.split('/').find_map(|part| {
        if part.contains(['<', '>', ':', '"', '|', '?', '*']) {
            Some("it has characters that Windows keeps for other ends")
        } else if part.ends_with(['.', ' ']) || is_device(part) {
            Some("Windows reads it as another name")
        } else if part.len() > 255 {
            Some("it is longer than 255 bytes")
        } else {
            None
        }
    })
}

/// Characters that change how others are shown and are not seen themselves.
fn is_hidden(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Names that stand for devices on Windows, whatever follows their first dot.
fn is_device(part: &str) -> bool {
    let stem = part.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let numbered = |prefix| {
        stem.strip_prefix(prefix).is_some_and(|rest: &str| {
            let mut rest = rest.chars();
            matches!((rest.next(), rest.next()), (Some('0'..='9' | '¹' | '²' | '³'), None))
        })
    };
    matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$")
        || numbered("COM")
        || numbered("LPT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_models_are_names() {
        for name in [
            "config.json",
            "transformer/diffusion_pytorch_model-00001-of-00003.safetensors",
            "DiT-XL-2-256x256.pt",
            "contexts/com10.json",
        ] {
            assert_eq!((fault(name), fault_elsewhere(name)), (None, None), "{name}");
        }
    }

    #[test]
    fn names_that_lead_elsewhere_are_none() {
        for name in [
            "",
            "/etc/passwd",
            "../a.json",
            "a/../b.json",
            "a//b.json",
            "a/./b",
            "a/",
            "..\\a.json",
            "a\u{1b}[2J.json",
            "a\0",
            "a\u{202e}nosj.json",
            "a\nb",
        ] {
            assert!(fault(name).is_some(), "{name:?}");
        }
        for name in [
            "C:x.json",
            "a.json:stream",
            "nul.json",
            "NUL",
            "vae/Com1.json",
            "LPT¹.txt",
            "a.json.",
            "a.json ",
            "x?.json",
        ] {
            assert!(fault(name).is_none() && fault_elsewhere(name).is_some(), "{name:?}");
        }
    }
}
