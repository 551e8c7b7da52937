//! What no whole step fills: the best exchange among some items, by dynamic programming over power.

use super::Microwatts;
use super::item::Spot;

/// What may become of one item. The first option is that it stays where it is.
pub(super) type Options = Vec<Spot>;

/// How many values of power are told apart, and how many in all stages together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fineness {
    pub(super) powers: Microwatts,
    pub(super) states: usize,
}

/// What an exchange gains, and the option of each item.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) gain: f64,
    pub(super) picks: Vec<usize>,
    /// Whether nothing was rounded, so that there is no better one.
    pub(super) is_exact: bool,
}

/// A quantum of power, the capacity in such, and each option's need of them above the lightest's.
struct Grid {
    capacity: usize,
    needs: Vec<Vec<usize>>,
    is_exact: bool,
}

/// The best exchange that draws at most `room` more than if all stayed. `reach` is the most that
/// `room` can be for these same items: the quantum depends on it and not on `room`, so that more
/// room never makes the exchange worse. `None` where it would take more than `fineness` allows.
pub(super) fn best_exchange(
    items: &[Options],
    room: Microwatts,
    reach: Microwatts,
    fineness: Fineness,
) -> Option<Exchange> {
    let grid = Grid::of(items, room, reach, fineness)?;
    let width = grid.capacity + 1;
    let mut stages = vec![0.0_f64; width];
    stages.reserve(items.len() * width);
    for (options, needs) in items.iter().zip(&grid.needs) {
        let start = stages.len();
        stages.resize(start + width, f64::NEG_INFINITY);
        let (before, now) = stages.split_at_mut(start);
        let before = &before[start - width..];
        for (option, &need) in options.iter().zip(needs) {
            if need > grid.capacity {
                continue;
            }
            let gain = option.value - options[0].value;
            for (best, base) in now[need..].iter_mut().zip(before) {
                let value = base + gain;
                *best = if value > *best { value } else { *best };
            }
        }
    }
    let last = &stages[items.len() * width..];
    let gain = last[grid.capacity];
    // Of what is worth as much, the one that draws least.
    let mut at = last.partition_point(|&value| value < gain);
    let mut picks = vec![0; items.len()];
    for (index, (options, needs)) in items.iter().zip(&grid.needs).enumerate().rev() {
        let value = stages[(index + 1) * width + at];
        let before = &stages[index * width..];
        let is_it = |&option: &usize| {
            let need = needs[option];
            need <= at
                && (before[at - need] + (options[option].value - options[0].value)).to_bits()
                    == value.to_bits()
        };
        let pick = (0..options.len()).find(is_it)?;
        picks[index] = pick;
        at -= needs[pick];
    }
    Some(Exchange {
        gain,
        picks,
        is_exact: grid.is_exact,
    })
}

impl Grid {
    fn of(
        items: &[Options],
        room: Microwatts,
        reach: Microwatts,
        fineness: Fineness,
    ) -> Option<Self> {
        let deltas = |options: &Options| {
            let here = options[0].power;
            let deltas: Vec<Microwatts> = options.iter().map(|spot| spot.power - here).collect();
            deltas
        };
        let deltas: Vec<Vec<Microwatts>> = items.iter().map(deltas).collect();
        let lightest = |deltas: &Vec<Microwatts>| deltas.iter().copied().min().unwrap_or(0);
        let span = reach - deltas.iter().map(lightest).sum::<Microwatts>();
        let common = deltas.iter().flatten().fold(0, |a, &b| divisor(a, b));
        let is_exact = common > 0 && span / common <= fineness.powers;
        let quantum = if is_exact {
            common
        } else {
            (span / fineness.powers + 1).max(1)
        };
        // Rounded up, so that what is counted is never less than what is drawn.
        let quanta = |power: Microwatts| -(-power).div_euclid(quantum);
        let lowest: Vec<Microwatts> = deltas.iter().map(|each| quanta(lightest(each))).collect();
        let capacity = room.div_euclid(quantum) - lowest.iter().sum::<Microwatts>();
        let capacity = usize::try_from(capacity).ok()?;
        if (capacity + 1).checked_mul(items.len() + 1)? > fineness.states {
            return None;
        }
        let needs = deltas.iter().zip(&lowest).map(|(each, lowest)| {
            let above = |&power| usize::try_from(quanta(power) - lowest).unwrap_or(usize::MAX);
            each.iter().map(above).collect()
        });
        Some(Self {
            capacity,
            needs: needs.collect(),
            is_exact,
        })
    }
}

/// The greatest common divisor.
fn divisor(a: Microwatts, b: Microwatts) -> Microwatts {
    let (mut a, mut b) = (a.abs(), b.abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
