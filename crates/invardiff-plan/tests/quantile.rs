//! The quantile and the rate statistic against known answers, and what must hold for all inputs.

#[path = "support/fixture.rs"]
mod fixture;

use fixture::Fixture;
use invardiff_plan::two_phase::{Precision, change_rate, quantile};
use proptest::prelude::*;

#[test]
fn all_known_quantiles_agree_in_every_bit_and_every_mask() {
    let fixture = Fixture::open("quantile", "quantile.safetensors");
    let mut checked = 0;
    for case in fixture.manifest["cases"].as_array().unwrap() {
        let index = case["index"].as_u64().unwrap();
        let values = fixture.f32(&format!("v{index}")).into_raw_vec_and_offset().0;
        let expected = fixture.f32(&format!("r{index}"));
        let masks = fixture.bool(&format!("less{index}"));
        for (row, q) in case["q"].as_array().unwrap().iter().enumerate() {
            let q = q.as_f64().unwrap();
            let found = quantile(&values, q).unwrap();
            assert_eq!(found.to_bits(), expected[[row]].to_bits(), "q {q} of {} values", values.len());
            for (column, value) in values.iter().enumerate() {
                assert_eq!(*value < found, masks[[row, column]], "q {q}, value {column} of {}", values.len());
            }
            checked += 1;
        }
    }
    assert_eq!(checked, 140, "10 arrays at 14 quantiles");
}

#[test]
fn known_change_rates_agree_in_both_precisions() {
    let fixture = Fixture::open("quantile", "quantile.safetensors");
    for case in 0..3 {
        let features = fixture.f32(&format!("rate{case}.x"));
        let step = |step: usize| features.outer_iter().nth(step).unwrap().iter().copied().collect::<Vec<_>>();
        let rate = |precision| change_rate(&step(0), &step(1), &step(2), precision).unwrap();
        let expected = fixture.f32(&format!("rate{case}.r"))[[0]];
        // The reference sums in float32, in an order of its own: a few units in the last place.
        let error = (rate(Precision::F32) - expected).abs() / expected;
        assert!(error < 1e-6, "case {case}: {error}");
        assert_eq!(rate(Precision::Bf16), fixture.f32(&format!("rate{case}.r_bf16"))[[0]], "case {case}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn it_lies_between_the_least_and_the_greatest(
        values in prop::collection::vec(0.0_f32..1e6, 1..60), q in 0.0_f64..=1.0,
    ) {
        let found = quantile(&values, q).unwrap();
        let least = values.iter().copied().fold(f32::INFINITY, f32::min);
        let greatest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        prop_assert!((least..=greatest).contains(&found), "{least} {found} {greatest}");
    }

    /// Up to the last bit: where the two branches of the interpolation meet, both are rounded.
    #[test]
    fn it_rises_with_q(
        values in prop::collection::vec(-1e3_f32..1e6, 1..60), one in 0.0_f64..=1.0, other in 0.0_f64..=1.0,
    ) {
        let (low, high) = (one.min(other), one.max(other));
        let (low, high) = (quantile(&values, low).unwrap(), quantile(&values, high).unwrap());
        prop_assert!(low <= high.next_up(), "{low} {high}");
    }

    #[test]
    fn order_does_not_matter(values in prop::collection::vec(0.0_f32..10.0, 1..40), q in 0.0_f64..=1.0) {
        let reversed: Vec<f32> = values.iter().rev().copied().collect();
        prop_assert_eq!(quantile(&values, q).unwrap().to_bits(), quantile(&reversed, q).unwrap().to_bits());
    }

    #[test]
    fn nothing_is_reused_at_zero_and_a_higher_q_never_masks_less(
        values in prop::collection::vec(0.0_f32..10.0, 1..40), one in 0.0_f64..=1.0, other in 0.0_f64..=1.0,
    ) {
        let below = |q| {
            let threshold = quantile(&values, q).unwrap();
            values.iter().filter(|value| **value < threshold).count()
        };
        prop_assert_eq!(below(0.0), 0);
        prop_assert!(below(one.min(other)) <= below(one.max(other)));
    }
}
