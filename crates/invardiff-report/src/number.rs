//! Numbers as text.

/// An SVG coordinate: at most two decimals, no trailing zeros.
pub(super) fn coordinate(value: f64) -> String {
    let text = format!("{value:.2}");
    match text.trim_end_matches('0').trim_end_matches('.') {
        "-0" | "" => "0".to_owned(),
        short => short.to_owned(),
    }
}

/// A value with at most three significant digits: `0.25`, `12`, `1.5e-5`.
pub(super) fn compact(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    if !value.is_finite() {
        return value.to_string();
    }
    let exponent = value.abs().log10().floor() as i32;
    if !(-3..5).contains(&exponent) {
        let text = format!("{value:.1e}");
        return text.replace(".0e", "e");
    }
    let decimals = (2 - exponent).max(0) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A number of bytes with a binary unit: `1.5 MiB`.
pub(super) fn bytes(value: u64) -> String {
    let (unit, size) = byte_unit(value as f64);
    if size == 1.0 { format!("{value} B") } else { format!("{:.1} {unit}", value as f64 / size) }
}

/// The largest binary unit not above `value`, and its size in bytes.
pub(super) fn byte_unit(value: f64) -> (&'static str, f64) {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let steps = ((value.max(1.0).log2() / 10.0) as usize).min(units.len() - 1);
    (units[steps], (1_u64 << (10 * steps)) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!([1.0, 0.126, -0.001, 20.0].map(coordinate), ["1", "0.13", "0", "20"]);
        assert_eq!([0.0, 0.25, 12.0, 1.234, 0.00123].map(compact), ["0", "0.25", "12", "1.23", "0.00123"]);
        assert_eq!([1e-5, 1.5e-7, 250_000.0, 12_345.0].map(compact), ["1e-5", "1.5e-7", "2.5e5", "12345"]);
        assert_eq!([0, 1023, 1024, 1_572_864].map(bytes), ["0 B", "1023 B", "1.0 KiB", "1.5 MiB"]);
    }
}
