//! The quantile that turns change rates into a threshold.

use crate::core::PlanError;

/// The `q`-quantile of `values` (in any order) with linear interpolation, equal to `torch.quantile` on float32 in every bit.
///
/// Rates are compared with a threshold strictly, so the published plans depend on its last bit: `q` is rounded to float32,
/// the rank `q * (n - 1)` is *not*, and the interpolation starts from the nearer neighbour with a fused multiply-add.
/// Thresholds by quantile are the paper's (arXiv 2512.05134), the interpolation is that of the authors' published code.
///
/// # Errors
/// [`PlanError::Range`] when `q` lies outside of `[0, 1]`, `values` is empty, or a value is NaN or infinite (the message has
/// its index). A variant that leaves NaN out does so before it takes the quantile
/// ([`Variant::skips_nan`](crate::two_phase::variant::Variant::skips_nan)).
pub fn quantile(values: &[f32], q: f64) -> Result<f32, PlanError> {
    if !(0.0..=1.0).contains(&q) {
        return Err(refuse("a quantile".into(), q.to_string(), "a number from 0 to 1"));
    }
    if let Some(index) = values.iter().position(|value| !value.is_finite()) {
        let what = format!("value {index} of {} under a quantile", values.len());
        return Err(refuse(what, values[index].to_string(), "a finite number"));
    }
    let Some(last) = values.len().checked_sub(1) else {
        return Err(refuse("the population of a quantile".into(), "empty".into(), "at least one value"));
    };
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f32::total_cmp);
    let rank = f64::from(q as f32) * last as f64;
    let below = sorted[rank.floor() as usize];
    let above = sorted[rank.ceil() as usize];
    let weight = (rank - rank.floor()) as f32;
    let gap = above - below;
    Ok(if weight < 0.5 { weight.mul_add(gap, below) } else { (weight - 1.0).mul_add(gap, above) })
}

fn refuse(what: String, value: String, expected: &str) -> PlanError {
    PlanError::Range { what, value, expected: expected.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_are_the_least_and_the_greatest() {
        let values = [3.0, -1.0, 2.0];
        assert_eq!(quantile(&values, 0.0).unwrap(), -1.0);
        assert_eq!(quantile(&values, 0.5).unwrap(), 2.0);
        assert_eq!(quantile(&values, 1.0).unwrap(), 3.0);
        assert_eq!(quantile(&[7.0], 0.3).unwrap(), 7.0);
    }

    #[test]
    fn the_rank_is_not_rounded_to_single_precision() {
        // 0.3 in float32 is slightly more than 0.3, so rank 10 * 0.3 lies just above 3 and the threshold above value 3.
        let values: Vec<f32> = (0..11).map(|value| if value < 4 { 0.0 } else { 1024.0 }).collect();
        let threshold = quantile(&values, 0.3).unwrap();
        assert!(threshold > 0.0 && threshold < 0.001, "{threshold}");
    }

    #[test]
    fn it_starts_from_the_nearer_neighbour() {
        // The gap 2^24 + 1 has no float32 and becomes 2^24, so the two ends do not lead to the same value.
        let (below, above) = (1.0, 16_777_218.0);
        assert_eq!(quantile(&[below, above], 0.5).unwrap(), 8_388_610.0);
        assert_eq!(quantile(&[below, above], 0.25).unwrap(), 4_194_305.0);
    }

    #[test]
    fn what_has_no_quantile_is_refused_with_its_reason() {
        let cases: [(&[f32], f64, &str); 5] = [
            (&[], 0.5, "population of a quantile is empty"),
            (&[1.0, f32::NAN], 0.5, "value 1 of 2 under a quantile is NaN"),
            (&[f32::INFINITY], 0.5, "value 0 of 1 under a quantile is inf"),
            (&[1.0], 1.01, "a quantile is 1.01"),
            (&[1.0], f64::NAN, "a quantile is NaN"),
        ];
        for (values, q, message) in cases {
            let error = quantile(values, q).unwrap_err();
            assert!(matches!(error, PlanError::Range { .. }));
            assert!(error.to_string().contains(message), "{error}");
        }
    }
}
