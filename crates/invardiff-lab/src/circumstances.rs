//! What every report says of how it was made.

use burn::tensor::Device;

/// The program's version, with the commit where it was built in a clone.
pub const VERSION: &str = env!("INVARDIFF_VERSION");

/// Date, command line, program, device and processor of this run, as (name, value).
pub fn circumstances(device: &Device) -> Vec<(String, String)> {
    let words: Vec<String> = std::env::args().skip(1).map(|word| quoted(&word)).collect();
    let facts = [
        ("date", now()),
        ("command", format!("invardiff {}", words.join(" "))),
        ("program", format!("invardiff {VERSION}")),
        ("device", format!("{device:?}")),
        ("processor", processor()),
    ];
    facts.map(|(name, value)| (name.to_owned(), value)).into()
}

/// The time of day by UTC, to the minute.
fn now() -> String {
    let now = time::OffsetDateTime::now_utc();
    format!("{} {:02}:{:02} UTC", now.date(), now.hour(), now.minute())
}

/// The word as a shell reads it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./,:@+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// The processor's name where the system tells it, and the number of threads that this process may use.
fn processor() -> String {
    let known = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = known
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':').map(|(_, name)| name.trim()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{}, {threads} threads", name.unwrap_or(std::env::consts::ARCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_part_them() {
        let words = ["--out=a/b", "a red panda", "it's", ""];
        assert_eq!(words.map(quoted), ["--out=a/b", "'a red panda'", r"'it'\''s'", "''"]);
    }

    #[test]
    fn circumstances_name_the_date_and_the_command() {
        let facts = circumstances(&Device::flex());
        assert_eq!(facts[0].1.len(), "2026-11-28 12:00 UTC".len());
        assert!(facts[1].1.starts_with("invardiff "), "{facts:?}");
        assert!(facts[2].1.contains(env!("CARGO_PKG_VERSION")), "{facts:?}");
    }
}
