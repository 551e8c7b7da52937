//! Steps of all items of a circuit, the most work per watt first, as far as they fit.

use super::Microwatts;
use super::item::Spot;
use super::knapsack::{Fineness, Options, best_exchange};

/// How many items near the break may be exchanged, and how far each may go from where it is.
const CORE_ITEMS: usize = 12;
const CORE_REACH: usize = 6;
/// So few items are all looked at, and almost whole.
const FEW_ITEMS: usize = 16;
const FEW_REACH: usize = 24;
const QUICK: Fineness = Fineness {
    powers: 2048,
    states: 1 << 20,
};
const EXACT: Fineness = Fineness {
    powers: 1 << 16,
    states: 1 << 23,
};

/// How the steps of a circuit are chosen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    pub(super) is_exact_wanted: bool,
    /// A gain that is no larger is a rounding error: it changes nothing.
    pub(super) nothing: f64,
}

/// One that takes part: a load, or a circuit below whose loads are settled among themselves.
#[derive(Debug)]
pub(super) struct Item {
    /// Concave: each step is worth less per watt than the one before. The first is its least.
    pub(super) hull: Vec<Spot>,
    /// All that it can be set to, by power; the hull is among them.
    pub(super) spots: Vec<Spot>,
    /// Steps up to this power only keep what the load has now.
    pub(super) held: Option<Microwatts>,
}

/// One step up of one item.
#[derive(Clone, Copy, Debug)]
struct Step {
    slope: f64,
    power: Microwatts,
    value: f64,
    item: usize,
    /// The place on its hull that the step leads to.
    rung: usize,
    is_held: bool,
}

/// What a circuit's loads make of each power that it is given.
#[derive(Debug)]
pub(super) struct Curve {
    pub(super) items: Vec<Item>,
    steps: Vec<Step>,
    /// How many of the steps fit.
    fitting: usize,
    /// Where items go beyond the steps that fit.
    fill: Vec<(usize, Spot)>,
    pub(super) is_exact: bool,
}

impl Curve {
    /// The best of `items` with `room` above the least of all.
    pub(super) fn new(items: Vec<Item>, room: Microwatts, manner: Manner) -> Self {
        let mut steps = steps_of(&items);
        steps.sort_unstable_by(|a, b| {
            let by_slope = b.slope.total_cmp(&a.slope);
            let by_change = b.is_held.cmp(&a.is_held);
            by_slope
                .then(by_change)
                .then((a.item, a.rung).cmp(&(b.item, b.rung)))
        });
        let mut left = room;
        let mut fitting = 0;
        for step in &steps {
            if step.power > left {
                break;
            }
            left -= step.power;
            fitting += 1;
        }
        let mut curve = Self {
            items,
            steps,
            fitting,
            fill: Vec::new(),
            is_exact: true,
        };
        if curve.fitting < curve.steps.len() {
            curve.fill(left, manner);
        }
        curve
    }

    /// The states that the circuit can be in, each the best for its power or very near.
    pub(super) fn spots(&self) -> Vec<Spot> {
        let mut spot = Spot {
            power: self.items.iter().map(|item| item.hull[0].power).sum(),
            value: self.items.iter().map(|item| item.hull[0].value).sum(),
            place: 0,
        };
        let mut spots = vec![spot];
        for step in &self.steps[..self.fitting] {
            spot.power += step.power;
            spot.value += step.value;
            spot.place += 1;
            spots.push(spot);
        }
        if !self.fill.is_empty() {
            let states = self.states(self.fitting);
            for (item, to) in &self.fill {
                spot.power += to.power - states[*item].power;
                spot.value += to.value - states[*item].value;
            }
            spot.place += 1;
            spots.push(spot);
        }
        spots
    }

    /// Where each item is, so far along the curve: steps, and behind the last one the fill.
    pub(super) fn at(&self, place: usize) -> Vec<Spot> {
        let mut states = self.states(place.min(self.fitting));
        if place > self.fitting {
            for (item, to) in &self.fill {
                states[*item] = *to;
            }
        }
        states
    }

    /// The end of the curve.
    pub(super) fn end(&self) -> usize {
        self.fitting + 1
    }

    fn states(&self, steps: usize) -> Vec<Spot> {
        let mut states: Vec<Spot> = self.items.iter().map(|item| item.hull[0]).collect();
        for step in &self.steps[..steps] {
            states[step.item] = self.items[step.item].hull[step.rung];
        }
        states
    }

    /// Uses what is left before the first step that does not fit. All that is tried depends on that
    /// step alone, and how much is left only decides which of it fits: so more never gives less.
    fn fill(&mut self, left: Microwatts, manner: Manner) {
        let states = self.states(self.fitting);
        let reach = self.steps[self.fitting].power;
        let (mut gain, mut fill) = (manner.nothing, Vec::new());
        if let Some((more, item, spot)) = self.best_single(&states, left)
            && more > gain
        {
            (gain, fill) = (more, vec![(item, spot)]);
        }
        let mut core: Vec<usize> = Vec::new();
        let mut options: Vec<Options> = Vec::new();
        let mut exchange = None;
        if manner.is_exact_wanted {
            core = (0..self.items.len()).collect();
            options = self.options(&core, &states, usize::MAX);
            exchange = best_exchange(&options, left, reach, EXACT);
        }
        self.is_exact = exchange.as_ref().is_some_and(|best| best.is_exact);
        if exchange.is_none() {
            core = self.core();
            let is_all = core.len() == self.items.len();
            options = self.options(&core, &states, if is_all { FEW_REACH } else { CORE_REACH });
            exchange = best_exchange(&options, left, reach, QUICK);
        }
        // Ahead by more than the rounding of two sums.
        if let Some(best) = exchange
            && best.gain > gain + manner.nothing
        {
            fill = core
                .iter()
                .zip(&options)
                .zip(best.picks)
                .filter(|&(_, pick)| pick != 0)
                .map(|((&item, options), pick)| (item, options[pick]))
                .collect();
        }
        self.fill = fill;
    }

    /// The one item that gains most where it goes up alone.
    fn best_single(&self, states: &[Spot], left: Microwatts) -> Option<(f64, usize, Spot)> {
        let mut best: Option<(f64, usize, Spot)> = None;
        for (index, (item, state)) in self.items.iter().zip(states).enumerate() {
            let fits = |spot: &&Spot| spot.power <= state.power + left;
            // Values rise with power: the last that fits is the best of them.
            let Some(spot) = item.spots.iter().take_while(fits).last() else {
                continue;
            };
            let gain = spot.value - state.value;
            if best.is_none_or(|(most, ..)| gain > most) {
                best = Some((gain, index, *spot));
            }
        }
        best
    }

    /// The items of the steps on both sides of the break.
    fn core(&self) -> Vec<usize> {
        if self.items.len() <= FEW_ITEMS {
            return (0..self.items.len()).collect();
        }
        let mut core: Vec<usize> = Vec::with_capacity(CORE_ITEMS);
        let (mut above, mut below) = (self.fitting, self.fitting);
        while core.len() < CORE_ITEMS && (above < self.steps.len() || below > 0) {
            let mut add = |at: usize| {
                let item = self.steps[at].item;
                if core.len() < CORE_ITEMS && !core.contains(&item) {
                    core.push(item);
                }
            };
            if above < self.steps.len() {
                add(above);
                above += 1;
            }
            if below > 0 {
                below -= 1;
                add(below);
            }
        }
        core.sort_unstable();
        core
    }

    /// What may become of each item of the core: it stays, or goes at most `reach` places on.
    fn options(&self, core: &[usize], states: &[Spot], reach: usize) -> Vec<Options> {
        let of_item = |&item: &usize| {
            let (spots, state) = (&self.items[item].spots, states[item]);
            let here = spots.partition_point(|spot| spot.power < state.power);
            let near = here.saturating_sub(reach)
                ..spots
                    .len()
                    .min(here.saturating_add(reach).saturating_add(1));
            let others = near.filter(|&at| at != here).map(|at| spots[at]);
            std::iter::once(state).chain(others).collect()
        };
        core.iter().map(of_item).collect()
    }
}

fn steps_of(items: &[Item]) -> Vec<Step> {
    let mut steps = Vec::with_capacity(items.iter().map(|item| item.hull.len() - 1).sum());
    for (item, each) in items.iter().enumerate() {
        let mut slope = f64::INFINITY;
        for (rung, pair) in each.hull.windows(2).enumerate() {
            let power = pair[1].power - pair[0].power;
            let value = pair[1].value - pair[0].value;
            // Never above the step before it, by rounding either: steps come in their order.
            slope = slope.min(value / power as f64);
            steps.push(Step {
                slope,
                power,
                value,
                item,
                rung: rung + 1,
                is_held: each.held.is_some_and(|held| pair[1].power <= held),
            });
        }
    }
    steps
}
