//! Maps values to positions: linear and logarithmic axes.

use serde::Serialize;

/// How an axis or a colour bar maps values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// Linear. An axis of a chart starts at 0.
    #[default]
    Linear,
    /// Logarithmic. Values that are not positive are placed at the low end.
    Log,
}

/// A range of values on a scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Axis {
    pub(super) scale: Scale,
    pub(super) low: f64,
    pub(super) high: f64,
}

/// The most decades that a logarithmic axis shows.
const DECADES: i32 = 6;

impl Axis {
    /// The axis that holds all finite `values`: from 0 where it is linear and nothing is negative, at most six decades
    /// where it is logarithmic.
    pub(super) fn holding(scale: Scale, values: impl Iterator<Item = f64>) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter(|value| value.is_finite() && (scale == Scale::Linear || *value > 0.0)) {
            (low, high) = (low.min(value), high.max(value));
        }
        if low > high {
            (low, high) = match scale {
                Scale::Linear => (0.0, 1.0),
                Scale::Log => (0.1, 1.0),
            };
        }
        match scale {
            Scale::Linear => {
                let low = low.min(0.0);
                Self { scale, low, high: if high > low { high } else { low + 1.0 } }
            }
            Scale::Log => {
                let low = low.max(high * 10_f64.powi(-DECADES));
                let (low, high) = if high > low { (low, high) } else { (low / 2.0, high * 2.0) };
                Self { scale, low, high }
            }
        }
    }

    /// The axis widened to the next ticks, for a range that need not start at 0.
    pub(super) fn rounded(low: f64, high: f64) -> Self {
        let (low, high) = if high > low { (low, high) } else { (low - 0.5, high + 0.5) };
        let step = nice_step(high - low);
        Self { scale: Scale::Linear, low: (low / step).floor() * step, high: (high / step).ceil() * step }
    }

    /// The position of a value, 0 at the low end and 1 at the high end; values outside are clamped.
    pub(super) fn fraction(&self, value: f64) -> f64 {
        let place = match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            Scale::Log if value <= 0.0 => 0.0,
            Scale::Log => (value / self.low).ln() / (self.high / self.low).ln(),
        };
        place.clamp(0.0, 1.0)
    }

    /// Round values inside the range, about five.
    pub(super) fn ticks(&self) -> Vec<f64> {
        let inside =
            |value: &f64| *value >= self.low * (1.0 - 1e-9) - 1e-12 && *value <= self.high * (1.0 + 1e-9);
        match self.scale {
            Scale::Linear => {
                let step = nice_step(self.high - self.low);
                let (first, last) = ((self.low / step).ceil() as i64, (self.high / step).floor() as i64);
                (first..=last).map(|i| i as f64 * step).collect()
            }
            Scale::Log => {
                let decades = (self.high / self.low).log10();
                let digits: &[f64] = match decades {
                    d if d < 0.7 => &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0],
                    d if d < 2.5 => &[1.0, 2.0, 5.0],
                    _ => &[1.0],
                };
                let (first, last) = (self.low.log10().floor() as i32, self.high.log10().ceil() as i32);
                let values = (first..=last).flat_map(|e| digits.iter().map(move |digit| decimal(*digit, e)));
                values.filter(inside).collect()
            }
        }
    }
}

/// `digit * 10^exponent`, exact for the shown digits.
fn decimal(digit: f64, exponent: i32) -> f64 {
    if exponent < 0 { digit / 10_f64.powi(-exponent) } else { digit * 10_f64.powi(exponent) }
}

/// The tick distance, 1, 2 or 5 times a power of ten, that divides `span` into four to eight parts.
fn nice_step(span: f64) -> f64 {
    let raw = span / 5.0;
    let power = 10_f64.powf(raw.log10().floor());
    let digit = match raw / power {
        d if d < 1.5 => 1.0,
        d if d < 3.5 => 2.0,
        d if d < 7.5 => 5.0,
        _ => 10.0,
    };
    digit * power
}

/// Steps to label on an axis of `steps` steps: every 1, 2, 5, 10, .. so that there are at most twelve.
pub(super) fn step_ticks(steps: usize) -> Vec<usize> {
    let intervals = (0..).flat_map(|power| [1, 2, 5].map(|digit| digit * 10_usize.pow(power)));
    let every = intervals.take(30).find(|every| steps.div_ceil(*every) <= 12).unwrap_or(steps.max(1));
    (0..steps).step_by(every).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linear_axes_start_at_zero_and_log_axes_where_values_do() {
        let axis = Axis::holding(Scale::Linear, [3.0, 8.0, f64::NAN].into_iter());
        assert_eq!((axis.low, axis.high), (0.0, 8.0));
        assert_eq!(axis.ticks(), [0.0, 2.0, 4.0, 6.0, 8.0]);
        let axis = Axis::holding(Scale::Log, [0.0, 1e-3, 10.0].into_iter());
        assert_eq!((axis.low, axis.high), (1e-3, 10.0));
        assert_eq!(axis.ticks(), [1e-3, 1e-2, 0.1, 1.0, 10.0]);
        assert_eq!([0.0, 1e-3, 0.1, 100.0].map(|value| axis.fraction(value)), [0.0, 0.0, 0.5, 1.0]);
    }

    #[test]
    fn a_log_axis_has_ticks_however_narrow_and_spans_six_decades_at_most() {
        for (low, high) in [(0.8, 1.3), (0.5, 2.0), (1e-4, 3e-4), (0.2, 30.0)] {
            let ticks = Axis::holding(Scale::Log, [low, high].into_iter()).ticks();
            assert!((1..=8).contains(&ticks.len()), "{low} {high}: {ticks:?}");
        }
        let axis = Axis::holding(Scale::Log, [1e-20, 1.0].into_iter());
        assert!((axis.low - 1e-6).abs() < 1e-12);
    }

    #[test]
    fn axes_of_nothing_or_of_one_value_have_width() {
        for scale in [Scale::Linear, Scale::Log] {
            for values in [vec![], vec![0.0], vec![2.0], vec![f64::NAN]] {
                let axis = Axis::holding(scale, values.clone().into_iter());
                assert!(axis.high > axis.low, "{scale:?} {values:?}");
            }
        }
        let axis = Axis::rounded(17.3, 31.9);
        assert_eq!((axis.low, axis.high), (16.0, 32.0));
    }

    #[test]
    fn steps_get_at_most_twelve_labels() {
        assert_eq!(step_ticks(5), [0, 1, 2, 3, 4]);
        assert_eq!(step_ticks(50), (0..50).step_by(5).collect::<Vec<_>>());
        for steps in 1..300 {
            assert!(step_ticks(steps).len() <= 12, "{steps}");
        }
    }
}
