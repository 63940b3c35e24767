//! The best times for every number of evaluations, by exact dynamic programming over the last two.

use serde::{Deserialize, Serialize};

use crate::core::PlanError;
use crate::fitted::gram::GramAtlas;
use crate::fitted::least_squares::ridge_weights;

/// How segments between evaluations are priced.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pricing {
    /// The power of a segment's error that is added up: 1 as if all errors pointed one way, 2 as if they were unrelated,
    /// more to avoid single bad segments.
    pub power: f64,
    /// Whether each condition is priced by itself, so that hard ones count by the power too, or all are pooled.
    pub each_condition: bool,
    /// Whether the current sample is fitted as well.
    pub sample: bool,
    /// Variance of clean samples in the directions in which errors live: how an error travels to the end.
    pub variance: f64,
    /// The most evaluations of interest.
    pub most: usize,
}

impl Default for Pricing {
    /// Pooled errors added up, no weight of the sample, variance 10, up to 64 evaluations.
    fn default() -> Self {
        Self { power: 1.0, each_condition: false, sample: false, variance: 10.0, most: 64 }
    }
}

/// The best times for one number of evaluations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimeChoice {
    /// The candidate points that are evaluated, the first always among them.
    pub points: Vec<usize>,
    /// The sum of the prices of its segments.
    pub price: f64,
}

/// The last two evaluated points; the same point twice where there is only one.
type Pair = (usize, usize);

/// For every number of evaluations from 1 to [`Pricing::most`], the times with the least sum of prices: the whole front at
/// once. The first candidate is always evaluated; after the last evaluation comes the finished sample.
///
/// A segment from `b` to `c` with the evaluation `a` before is priced by what the best two weights on the target trajectory
/// leave: `|B| g e`, with `x_c = r x_b + B (w_b D_b + w_a D_a)`, `e` the root mean square of the rest over `B`, and `g` how an
/// error at `c` travels to the end. Exact for this price: it depends on the last two evaluations alone.
///
/// # Errors
/// [`PlanError`] when the parts of the atlas do not fit together, or for a power or variance that is not above 0.
pub fn time_front(atlas: &GramAtlas, pricing: &Pricing) -> Result<Vec<TimeChoice>, PlanError> {
    atlas.check()?;
    for (what, value) in [("power", pricing.power), ("variance", pricing.variance)] {
        if !(value > 0.0 && value.is_finite()) {
            return Err(PlanError::Range {
                what: format!("the {what} of prices"),
                value: value.to_string(),
                expected: "a finite number above 0".into(),
            });
        }
    }
    let points = atlas.points();
    let most = pricing.most.min(points);
    let prices = Prices::of(atlas, pricing);
    // best[n - 1]: the least price of each pair of last evaluations after n of them, and the one before the pair.
    let mut best: Vec<Vec<Option<(f64, usize)>>> = vec![vec![None; points * points]; most];
    let at = |(a, b): Pair| a * points + b;
    if let Some(first) = best.first_mut() {
        first[at((0, 0))] = Some((0.0, 0));
    }
    for n in 1..most {
        let (before, after) = best.split_at_mut(n);
        for (state, way) in before[n - 1].iter().enumerate() {
            let Some((so_far, _)) = way else { continue };
            let (a, b) = (state / points, state % points);
            for c in b + 1..points {
                let price = so_far + prices.get(a, b, c);
                let slot = &mut after[0][at((b, c))];
                if slot.is_none_or(|(known, _)| price < known) {
                    *slot = Some((price, a));
                }
            }
        }
    }
    Ok((1..=most).filter_map(|n| finish(&best[..n], &prices, points)).collect())
}

/// The best end of as many evaluations as there are levels, followed back to the first.
fn finish(best: &[Vec<Option<(f64, usize)>>], prices: &Prices, points: usize) -> Option<TimeChoice> {
    let last = best.last()?;
    let ended = last.iter().enumerate().filter_map(|(state, way)| {
        let (a, b) = (state / points, state % points);
        way.map(|(so_far, _)| (so_far + prices.get(a, b, points), (a, b)))
    });
    let (price, mut pair) =
        ended.min_by(|(one, left), (other, right)| one.total_cmp(other).then(left.cmp(right)))?;
    let mut chosen = Vec::with_capacity(best.len());
    for level in best.iter().rev() {
        chosen.push(pair.1);
        let (_, before) = level[pair.0 * points + pair.1]?;
        pair = (before, pair.0);
    }
    chosen.reverse();
    Some(TimeChoice { points: chosen, price })
}

/// The price of every segment.
struct Prices {
    points: usize,
    /// By `(a, b, c)`, `a <= b < c <= points`.
    all: Vec<f32>,
}

impl Prices {
    fn of(atlas: &GramAtlas, pricing: &Pricing) -> Self {
        let points = atlas.points();
        let mut all = vec![f32::INFINITY; points * points * (points + 1)];
        for b in 0..points {
            for c in b + 1..=points {
                // Only the first evaluation has none before it.
                let earlier = if b == 0 { 0..1 } else { 0..b };
                for a in earlier {
                    all[(a * points + b) * (points + 1) + c] = price(atlas, pricing, (a, b), c) as f32;
                }
            }
        }
        Self { points, all }
    }

    fn get(&self, a: usize, b: usize, c: usize) -> f64 {
        f64::from(self.all[(a * self.points + b) * (self.points + 1) + c])
    }
}

/// The price of the segment from `b` to `c`, `a` having been evaluated before (`a == b`: nothing was).
fn price(atlas: &GramAtlas, pricing: &Pricing, (a, b): Pair, c: usize) -> f64 {
    let anchors: &[usize] = if a == b { &[b] } else { &[b, a] };
    let mut prior = vec![0.0; anchors.len() + usize::from(pricing.sample)];
    prior[0] = 1.0;
    let (here, next) = (atlas.level(b), atlas.level(c));
    let ratio = next.1 / here.1;
    let weight = next.0 - here.0 * ratio;
    let travel = (pricing.variance / (pricing.variance * next.0 * next.0 + next.1 * next.1)).sqrt();
    let sets: Vec<Products> = (0..atlas.conditions.len())
        .map(|condition| Products::of(atlas, condition, anchors, pricing.sample, (b, c), (ratio, weight)))
        .collect();
    let pooled = Products::sum(&sets);
    let weights = ridge_weights(&pooled.m, &pooled.h, &prior, RIDGE);
    let error = |products: &Products| (products.left(&weights) / atlas.elements as f64).max(0.0).sqrt();
    let scale = weight.abs() * travel;
    if pricing.each_condition {
        let sum: f64 = sets.iter().map(|products| (scale * error(products)).powf(pricing.power)).sum();
        sum / sets.len() as f64
    } else {
        (scale * error(&pooled) / (sets.len() as f64).sqrt()).powf(pricing.power)
    }
}

/// Against systems that are singular to rounding.
const RIDGE: f64 = 1e-9;

/// The normal equations of one segment on one condition.
struct Products {
    /// Of the values that are weighted, by rows.
    m: Vec<f64>,
    /// With what they should sum to.
    h: Vec<f64>,
    /// Of that with itself.
    y: f64,
}

impl Products {
    fn of(
        atlas: &GramAtlas,
        condition: usize,
        anchors: &[usize],
        sample: bool,
        (b, c): Pair,
        (ratio, weight): (f64, f64),
    ) -> Self {
        let gram = &atlas.conditions[condition];
        let n = anchors.len() + usize::from(sample);
        let cross = |i: usize, j: usize| atlas.cross(condition, i, j);
        let product = |i: usize, j: usize| match (anchors.get(i), anchors.get(j)) {
            (Some(i), Some(j)) => gram.output(*i, *j),
            (Some(i), None) | (None, Some(i)) => cross(*i, b),
            (None, None) => gram.state(b, b),
        };
        let m = (0..n * n).map(|entry| product(entry / n, entry % n)).collect();
        let target = |i: usize| match anchors.get(i) {
            Some(i) => (cross(*i, c) - ratio * cross(*i, b)) / weight,
            None => (gram.state(b, c) - ratio * gram.state(b, b)) / weight,
        };
        let squares = gram.state(c, c) - 2.0 * ratio * gram.state(c, b) + ratio * ratio * gram.state(b, b);
        Self { m, h: (0..n).map(target).collect(), y: squares / (weight * weight) }
    }

    fn sum(sets: &[Self]) -> Self {
        let mut sum = Self { m: vec![0.0; sets[0].m.len()], h: vec![0.0; sets[0].h.len()], y: 0.0 };
        for set in sets {
            sum.m.iter_mut().zip(&set.m).for_each(|(sum, one)| *sum += one);
            sum.h.iter_mut().zip(&set.h).for_each(|(sum, one)| *sum += one);
            sum.y += set.y;
        }
        sum
    }

    /// What the weights leave: the sum of squares.
    fn left(&self, weights: &[f64]) -> f64 {
        let n = weights.len();
        let quadratic: f64 =
            (0..n * n).map(|entry| weights[entry / n] * self.m[entry] * weights[entry % n]).sum();
        let linear: f64 = weights.iter().zip(&self.h).map(|(weight, h)| weight * h).sum();
        self.y - 2.0 * linear + quadratic
    }
}
