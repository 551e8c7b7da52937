//! A load as the greedy sees it: a ladder of steps, each worth less per watt than the one before.

use std::cmp::Ordering;

use super::{Microwatts, Point};

/// A state of an item: what it draws there and what that is worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spot {
    pub(super) power: Microwatts,
    pub(super) value: f64,
    /// What is to be chosen for it: the place of a point, or how far along a circuit's curve.
    pub(super) place: usize,
}

/// How far below the chord of its neighbours a point may lie to be on the hull, as a part of its
/// value: what is there by rounding alone would make a change out of nothing.
const ON_THE_CHORD: f64 = 1e-12;

/// The place of the point of least power; of several, of the best of them.
pub(super) fn least(points: &[Point], weight: f64, current: Option<usize>, bonus: f64) -> usize {
    let spots = spots(points, weight, current, bonus);
    let first = spots.min_by(|a, b| before(a, b, current));
    first.map_or(0, |spot| spot.place)
}

/// The points that no other beats with less power, from the least power up. Where two draw the same
/// and are worth the same, the current one stays.
pub(super) fn unbeaten(
    points: &[Point],
    weight: f64,
    current: Option<usize>,
    bonus: f64,
) -> Vec<Spot> {
    let mut spots: Vec<Spot> = spots(points, weight, current, bonus).collect();
    let is_sorted = spots.is_sorted_by(|a, b| before(a, b, current).is_le());
    if !is_sorted {
        spots.sort_by(|a, b| before(a, b, current));
    }
    let mut most = f64::NEG_INFINITY;
    spots.retain(|spot| {
        let is_more = spot.value > most;
        most = most.max(spot.value);
        is_more
    });
    spots
}

fn spots(
    points: &[Point],
    weight: f64,
    current: Option<usize>,
    bonus: f64,
) -> impl Iterator<Item = Spot> {
    points.iter().enumerate().map(move |(place, point)| Spot {
        power: point.power,
        value: weight * point.work + if current == Some(place) { bonus } else { 0.0 },
        place,
    })
}

fn before(a: &Spot, b: &Spot, current: Option<usize>) -> Ordering {
    let by_value = || b.value.total_cmp(&a.value);
    let by_current = || (current != Some(a.place)).cmp(&(current != Some(b.place)));
    a.power
        .cmp(&b.power)
        .then_with(by_value)
        .then_with(by_current)
}

/// Those of them on the upper concave hull, the first and the last always.
pub(super) fn hull(spots: &[Spot]) -> Vec<Spot> {
    let mut hull: Vec<Spot> = Vec::with_capacity(spots.len());
    for &spot in spots {
        while let [.., before, last] = hull[..] {
            let run = (last.power - before.power) as f64 / (spot.power - before.power) as f64;
            let chord = before.value + (spot.value - before.value) * run;
            if last.value >= chord - ON_THE_CHORD * spot.value.abs() {
                break;
            }
            hull.pop();
        }
        hull.push(spot);
    }
    hull
}
