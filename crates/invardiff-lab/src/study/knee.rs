//! The knee of a speed-quality curve.

/// The index of the knee, after which more compute gains little: with both axes scaled to `0 ..= 1`, the point
/// farthest above the straight line between the cheapest and the most expensive one (Satopää et al. 2011, without smoothing). `None`
/// where no point is above it.
///
/// `points` are (compute, quality) in any order.
pub(super) fn knee(points: &[(f64, f64)]) -> Option<usize> {
    let by_compute = |a: &&(f64, f64), b: &&(f64, f64)| a.0.total_cmp(&b.0);
    let (low, high) = (points.iter().min_by(by_compute)?, points.iter().max_by(by_compute)?);
    let (width, height) = (high.0 - low.0, high.1 - low.1);
    if width <= 0.0 || height <= 0.0 {
        return None;
    }
    let above = |(x, y): &(f64, f64)| (y - low.1) / height - (x - low.0) / width;
    let best = points.iter().map(above).enumerate().max_by(|a, b| a.1.total_cmp(&b.1))?;
    (best.1 > 0.0).then_some(best.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_knee_is_the_point_farthest_above_the_line() {
        assert_eq!(knee(&[(1.0, 40.0), (0.5, 36.0), (0.2, 20.0), (0.35, 33.0)]), Some(3));
        assert_eq!(knee(&[(0.2, 20.0), (0.6, 25.0), (1.0, 40.0)]), None, "a curve that bends the other way");
        assert_eq!(knee(&[(0.2, 20.0), (0.6, 20.0)]), None, "nothing is bought");
        assert_eq!(knee(&[(0.2, 20.0)]), None);
        assert_eq!(knee(&[]), None);
    }
}
