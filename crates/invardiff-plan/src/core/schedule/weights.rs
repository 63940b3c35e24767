//! The weights by which a reused value is summed from kept ones.

use crate::core::rule::ReuseRule;

/// The weight of each of `nodes` (times of the last computed steps, the oldest first, at least one) in the value that `rule`
/// makes at time `at`. [`ReuseRule::Hold`] has one node; The weights of [`ReuseRule::Weights`] are
/// listed in the plan and not made here.
pub(super) fn weights(rule: ReuseRule, nodes: &[f64], at: f64) -> Vec<f64> {
    match rule {
        ReuseRule::Hold | ReuseRule::Extrapolate(_) | ReuseRule::Weights => lagrange(nodes, at),
        ReuseRule::Taylor(_) => taylor(nodes, at),
    }
}

/// The weights of the polynomial through all nodes.
fn lagrange(nodes: &[f64], at: f64) -> Vec<f64> {
    let weight = |(own, node): (usize, &f64)| {
        let others = nodes.iter().enumerate().filter(|(other, _)| *other != own);
        others.map(|(_, other)| (at - other) / (node - other)).product()
    };
    nodes.iter().enumerate().map(weight).collect()
}

/// The weights of TaylorSeer's series (arXiv 2503.06923): with `D[0]` the value and
/// `D[i + 1] = (D[i] - D[i] one node before) / (distance of the last two nodes)`, the sum of `D[i] x^i / i!` at the distance
/// `x` from the last node. The differences are kept as the weights of the nodes in them.
fn taylor(nodes: &[f64], at: f64) -> Vec<f64> {
    let count = nodes.len();
    let unit = |node: usize| (0..count).map(|other| f64::from(u8::from(other == node))).collect::<Vec<_>>();
    // The differences of the current order, one per node that has one; the last one belongs to the last node.
    let mut differences: Vec<Vec<f64>> = (0..count).map(unit).collect();
    let mut sum = vec![0.0; count];
    let mut factor = 1.0;
    for order in 0..count {
        if let Some(last) = differences.last() {
            sum.iter_mut().zip(last).for_each(|(sum, weight)| *sum += factor * weight);
        }
        factor *= (at - nodes[count - 1]) / (order + 1) as f64;
        differences = differences
            .windows(2)
            .enumerate()
            .map(|(pair, two)| {
                let width = nodes[order + pair + 1] - nodes[order + pair];
                two[0].iter().zip(&two[1]).map(|(before, after)| (after - before) / width).collect()
            })
            .collect();
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        let near = found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12);
        assert!(near, "{found:?}, expected {expected:?}");
    }

    #[test]
    fn order_one_is_the_line_for_both_rules() {
        for nodes in [[2.0, 5.0], [0.7, 0.4]] {
            let line = weights(ReuseRule::Extrapolate(1), &nodes, 6.0);
            close(&weights(ReuseRule::Taylor(1), &nodes, 6.0), &line);
        }
        close(&weights(ReuseRule::Taylor(4), &[3.0], 9.0), &[1.0]);
        close(&weights(ReuseRule::Hold, &[3.0], 9.0), &[1.0]);
    }

    /// By hand, at steps 0, 4, 8 and x = 3: O8 + (3/4)(O8 - O4) + (9/32)(O8 - 2 O4 + O0). The parabola through the three
    /// values has s (s + 1) / 2 in place of s^2 / 2, s = 3/4.
    #[test]
    fn order_two_lacks_the_parabolas_cross_term() {
        let nodes = [0.0, 4.0, 8.0];
        let (s, half) = (0.75, 0.5 * 0.75 * 0.75);
        close(&weights(ReuseRule::Taylor(2), &nodes, 11.0), &[half, -s - 2.0 * half, 1.0 + s + half]);
        let cross = 0.5 * s * (s + 1.0);
        close(&weights(ReuseRule::Extrapolate(2), &nodes, 11.0), &[cross, -s - 2.0 * cross, 1.0 + s + cross]);
    }

    /// By hand, at uneven steps 0, 1, 5: each difference is divided by the distance of its own last two nodes.
    #[test]
    fn uneven_nodes_divide_by_their_last_distance() {
        let x = 2.0;
        // D1 = (O5 - O1) / 4, D1 before = O1 - O0, D2 = (D1 - D1 before) / 4.
        let (d1, d2) = ([0.0, -0.25, 0.25], [0.25, -0.25 - 0.0625, 0.0625]);
        let expected: Vec<f64> =
            (0..3).map(|i| f64::from(u8::from(i == 2)) + x * d1[i] + 0.5 * x * x * d2[i]).collect();
        close(&weights(ReuseRule::Taylor(2), &[0.0, 1.0, 5.0], 7.0), &expected);
    }

    /// Weights sum to one: a feature that does not change is predicted unchanged.
    #[test]
    fn a_constant_stays() {
        for order in 0..=4_u8 {
            let nodes: Vec<f64> = (0..=order).map(|i| f64::from(i * i) + 1.0).collect();
            let sum: f64 = weights(ReuseRule::Taylor(order), &nodes, 20.0).iter().sum();
            assert!((sum - 1.0).abs() < 1e-9, "order {order}: {sum}");
        }
    }
}
