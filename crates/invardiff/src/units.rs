//! Numbers in words.

/// Bytes in words.
pub fn bytes(bytes: usize) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}

/// Reads a number of bytes, perhaps with a unit: `24GB`, `24 GiB`, `512k`, `25769803776`. Units without an `i` are decimal.
///
/// # Errors
/// Says what is expected.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "t" | "tb" => 1e12,
        "kib" => 1024.0,
        "mib" => 1_048_576.0,
        "gib" => 1_073_741_824.0,
        "tib" => 1_099_511_627_776.0,
        _ => return Err(format!("'{text}' has no unit that is known; write 24GB, 24GiB, 512kB or bytes")),
    };
    let wrong = |_| format!("'{text}' is no number of bytes; write 24GB, 24GiB, 512kB or bytes");
    Ok((number.parse::<f64>().map_err(wrong)? * factor) as u64)
}

/// Rounded to two decimals, for numbers in JSON.
pub fn two_decimals(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    #[test]
    fn bytes_are_rounded_to_what_matters() {
        let found = [0, 999, 1_000, 73_984, 5_242_880, 1_610_612_736].map(super::bytes);
        assert_eq!(found, ["0 B", "999 B", "1.0 kB", "74.0 kB", "5.2 MB", "1.61 GB"]);
    }

    #[test]
    fn bytes_are_read_with_and_without_a_unit() {
        let cases = [
            ("24GB", 24_000_000_000),
            ("1.5 GiB", 1_610_612_736),
            ("500mb", 500_000_000),
            ("512 kB", 512_000),
            ("2KiB", 2048),
            ("1024", 1024),
        ];
        for (text, expected) in cases {
            assert_eq!(super::parse_bytes(text), Ok(expected), "{text}");
        }
        for text in ["", "GB", "24 apples", "-1", "1.2.3GB"] {
            assert!(super::parse_bytes(text).is_err(), "{text}");
        }
    }
}
