//! Small linear systems: a few weights from sums of products.

/// The weights `w` that minimise `w' M w - 2 w' h + ridge * tr(M) / n * |w - prior|^2`, `M` being symmetric and positive
/// semidefinite, `[n, n]` by rows.
///
/// Returns the prior where the system is singular to rounding, as for values that are all 0.
pub fn ridge_weights(m: &[f64], h: &[f64], prior: &[f64], ridge: f64) -> Vec<f64> {
    let n = h.len();
    let scale = (0..n).map(|i| m[i * n + i]).sum::<f64>() / n.max(1) as f64 * ridge;
    let mut system = m.to_vec();
    for i in 0..n {
        system[i * n + i] += scale;
    }
    // For the distance to the prior, so that a strong ridge loses no digits.
    let apart: Vec<f64> =
        (0..n).map(|i| h[i] - (0..n).map(|j| m[i * n + j] * prior[j]).sum::<f64>()).collect();
    let change = cholesky(&mut system, n).map(|()| substitute(&system, &apart));
    match change {
        Some(change) if change.iter().all(|number| number.is_finite()) => {
            prior.iter().zip(change).map(|(prior, change)| prior + change).collect()
        }
        Some(_) | None => prior.to_vec(),
    }
}

/// The lower factor in place.
fn cholesky(a: &mut [f64], n: usize) -> Option<()> {
    for i in 0..n {
        for j in 0..=i {
            let sum: f64 = (0..j).map(|k| a[i * n + k] * a[j * n + k]).sum();
            let left = a[i * n + j] - sum;
            a[i * n + j] = if i != j {
                left / a[j * n + j]
            } else if left > 0.0 {
                left.sqrt()
            } else {
                return None;
            };
        }
    }
    Some(())
}

fn substitute(l: &[f64], h: &[f64]) -> Vec<f64> {
    let n = h.len();
    let mut x = h.to_vec();
    for i in 0..n {
        let sum: f64 = (0..i).map(|k| l[i * n + k] * x[k]).sum();
        x[i] = (x[i] - sum) / l[i * n + i];
    }
    for i in (0..n).rev() {
        let sum: f64 = (i + 1..n).map(|k| l[k * n + i] * x[k]).sum();
        x[i] = (x[i] - sum) / l[i * n + i];
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_ridge_it_is_the_solution_and_with_a_strong_one_the_prior() {
        let (m, truth) = ([4.0, 1.0, 0.5, 1.0, 3.0, 0.2, 0.5, 0.2, 2.0], [1.5, -0.5, 0.25]);
        let h: Vec<f64> = (0..3).map(|i| (0..3).map(|j| m[i * 3 + j] * truth[j]).sum()).collect();
        let found = ridge_weights(&m, &h, &[0.0; 3], 0.0);
        assert!(found.iter().zip(truth).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}");
        let held = ridge_weights(&m, &h, &[1.0, 0.0, 0.0], 1e12);
        assert!((held[0] - 1.0).abs() < 1e-9 && held[1].abs() < 1e-9, "{held:?}");
    }

    #[test]
    fn a_singular_system_gives_the_prior() {
        assert_eq!(ridge_weights(&[0.0; 4], &[0.0; 2], &[1.0, 0.0], 1e-4), [1.0, 0.0]);
        assert_eq!(ridge_weights(&[1.0, 1.0, 1.0, 1.0], &[1.0, 1.0], &[1.0, 0.0], 0.0), [1.0, 0.0]);
        assert_eq!(ridge_weights(&[f64::NAN], &[1.0], &[1.0], 0.0), [1.0]);
    }
}
