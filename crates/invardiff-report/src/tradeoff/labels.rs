//! Places the names of points.

use crate::legend::text_width;
use crate::svg::{Anchor, Plot};

/// Smallest distance between two lines of text.
const LINE: f64 = 15.0;
/// Points that are nearer than this, in the horizontal, share a column of names.
const NEAR: f64 = 60.0;
/// From a column of names to its outermost point.
const SPACE: f64 = 18.0;

/// A point with a name.
pub(super) struct Named<'a> {
    pub(super) name: &'a str,
    pub(super) x: f64,
    pub(super) y: f64,
}

/// The place of a name: its anchor and baseline.
#[derive(Clone, Copy, Debug)]
pub(super) struct Label {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) anchor: Anchor,
}

/// A place for each name. Points near each other in the horizontal get one column of names beside them, in the order of
/// the points and as near to them as the line height allows.
pub(super) fn places(points: &[Named<'_>], plot: &Plot) -> Vec<Label> {
    let mut order: Vec<usize> = (0..points.len()).collect();
    order.sort_by(|a, b| points[*a].x.total_cmp(&points[*b].x));
    let mut labels = vec![Label { x: 0.0, y: 0.0, anchor: Anchor::Start }; points.len()];
    for cluster in order.chunk_by(|a, b| points[*b].x - points[*a].x < NEAR) {
        let mut cluster = cluster.to_vec();
        let xs = || cluster.iter().map(|number| points[*number].x);
        let (left, right) = (xs().fold(f64::INFINITY, f64::min), xs().fold(0.0, f64::max));
        let width = cluster.iter().map(|number| text_width(points[*number].name)).fold(0.0, f64::max);
        let (x, anchor) = if right + SPACE + width <= plot.right() + SPACE {
            (right + SPACE, Anchor::Start)
        } else {
            (left - SPACE, Anchor::End)
        };
        cluster.sort_by(|a, b| points[*a].y.total_cmp(&points[*b].y));
        let heights: Vec<f64> = cluster.iter().map(|number| points[*number].y).collect();
        for (number, y) in cluster.into_iter().zip(spread(&heights, plot)) {
            labels[number] = Label { x, y: y + 4.5, anchor };
        }
    }
    labels
}

/// The heights nearest to `heights` (ascending), by least squares, that are at least a line apart and inside the plot.
fn spread(heights: &[f64], plot: &Plot) -> Vec<f64> {
    // With the lines taken out the heights need only ascend: pool neighbours that do not.
    let mut blocks: Vec<(f64, usize)> = Vec::new();
    for (line, height) in heights.iter().enumerate() {
        blocks.push((height - line as f64 * LINE, 1));
        while let [.., (above, many), (below, more)] = blocks[..]
            && above > below
        {
            let count = many + more;
            blocks.pop();
            blocks.pop();
            blocks.push(((above * many as f64 + below * more as f64) / count as f64, count));
        }
    }
    let last = plot.bottom() - LINE * heights.len() as f64;
    let clamped = |height: f64| height.min(last + LINE / 2.0).max(plot.top);
    let pooled = blocks.into_iter().flat_map(|(height, count)| std::iter::repeat_n(clamped(height), count));
    pooled.enumerate().map(|(line, height)| height + line as f64 * LINE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLOT: Plot = Plot { left: 0.0, top: 0.0, width: 600.0, height: 300.0 };

    #[test]
    fn lone_names_stay_at_their_points_and_crowds_spread_evenly() {
        assert_eq!(spread(&[50.0, 120.0, 200.0], &PLOT), [50.0, 120.0, 200.0]);
        assert_eq!(spread(&[100.0, 100.0, 100.0], &PLOT), [85.0, 100.0, 115.0]);
        let at_the_edge = spread(&[299.0, 300.0, 300.0], &PLOT);
        assert!(at_the_edge[2] <= 300.0 && at_the_edge[0] >= 250.0, "{at_the_edge:?}");
    }

    #[test]
    fn names_that_would_leave_the_plot_go_to_the_left() {
        let point = |name, x, y| Named { name, x, y };
        let points =
            [point("uniform", 200.0, 50.0), point("random", 205.0, 52.0), point("modules alone", 590.0, 9.0)];
        let labels = places(&points, &PLOT);
        assert_eq!(labels[0].x, labels[1].x);
        assert!(labels[1].y - labels[0].y >= LINE - 1e-9);
        assert!(matches!(labels[2].anchor, Anchor::End) && labels[2].x < 590.0);
    }
}
