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
}
