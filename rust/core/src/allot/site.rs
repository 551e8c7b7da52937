//! The tree of circuits: what is left in each, while one class after another is served.

use super::greedy::{Curve, Item, Manner};
use super::item::{Spot, hull, least, unbeaten};
use super::water::{Vessel, level};
use super::{Answer, Choices, Chosen, Crowded, Effort, Load, Microwatts, Question, Span};

/// The site is the root of the tree, its circuits come behind it.
const ROOT: usize = 0;

/// A gain smaller than this part of all work is a rounding error: it changes nothing.
const NOTHING: f64 = 1e-9;

/// A question being answered.
pub(super) struct Site<'a> {
    question: &'a Question,
    effort: Effort,
    /// Of each node; the root's is itself.
    parents: Vec<usize>,
    /// Children before parents.
    upward: Vec<usize>,
    /// What may still be added below each node.
    rooms: Vec<Microwatts>,
    /// The node at which each load hangs.
    nodes: Vec<usize>,
    chosen: Vec<Chosen>,
    crowded: Vec<Crowded>,
    is_exact: bool,
    /// All the weighted work of the class that is served, were each load at its best. No change can gain
    /// more, so a cost above it is the same as one without end, and would only eat the digits.
    most_work: f64,
}

/// Items of a node, and what each stands for.
#[derive(Default)]
struct Gathered {
    items: Vec<Item>,
    kinds: Vec<Kind>,
}

enum Kind {
    Load(usize),
    Circuit(Curve, Vec<Kind>),
}

impl<'a> Site<'a> {
    /// Each load has its least, and the rooms are what that leaves.
    pub(super) fn new(question: &'a Question, effort: Effort) -> Self {
        let place = |circuit: Option<usize>| circuit.map_or(ROOT, |at| at + 1);
        let circuits = question.circuits.iter();
        let parents: Vec<usize> = std::iter::once(ROOT)
            .chain(circuits.map(|circuit| place(circuit.parent)))
            .collect();
        let limits = std::iter::once(Some(question.budget))
            .chain(question.circuits.iter().map(|circuit| circuit.limit));
        let mut site = Self {
            question,
            effort,
            upward: upward(&parents),
            rooms: Vec::new(),
            nodes: question
                .loads
                .iter()
                .map(|load| place(load.circuit))
                .collect(),
            chosen: Vec::with_capacity(question.loads.len()),
            crowded: Vec::new(),
            is_exact: effort == Effort::Exact,
            parents,
            most_work: 0.0,
        };
        let mut least = vec![0; site.parents.len()];
        for (index, load) in question.loads.iter().enumerate() {
            let (chosen, power) = least_of(question, index, load);
            site.chosen.push(chosen);
            least[site.nodes[index]] += power;
        }
        for &node in &site.upward {
            if node != ROOT {
                least[site.parents[node]] += least[node];
            }
        }
        for (node, limit) in limits.enumerate() {
            let room = limit.map_or(Microwatts::MAX, |limit| limit - least[node]);
            if let Some(limit) = limit
                && room < 0
            {
                site.crowded.push(Crowded {
                    circuit: node.checked_sub(1),
                    least: least[node],
                    limit,
                });
            }
            site.rooms.push(room.max(0));
        }
        site
    }

    /// Gives the loads of one class what they can have.
    pub(super) fn serve(&mut self, priority: i64) {
        let loads = &self.question.loads;
        let (mut spans, mut others) = (Vec::new(), Vec::new());
        for (index, load) in loads
            .iter()
            .enumerate()
            .filter(|(_, load)| load.priority == priority)
        {
            match load.choices {
                Choices::Span(span) => spans.push((index, span)),
                Choices::Points { .. } => others.push(index),
            }
        }
        self.pour(&spans, |span, _| Vessel {
            bottom: span.floor,
            top: span.need,
        });
        self.choose(&others);
        // What nobody needs is headroom: spread evenly, whatever each has.
        self.pour(&spans, |span, has| Vessel {
            bottom: 0,
            top: span.ceiling - has,
        });
    }

    /// What became of it.
    pub(super) fn into_answer(self) -> Answer {
        Answer {
            chosen: self.chosen,
            is_exact: self.is_exact && self.crowded.is_empty(),
            crowded: self.crowded,
        }
    }

    /// Fills spans as vessels. A circuit that is full holds its own at a level below the others'.
    fn pour(&mut self, spans: &[(usize, Span)], vessel: impl Fn(Span, Microwatts) -> Vessel) {
        if spans.is_empty() {
            return;
        }
        let mut vessels: Vec<Vessel> = Vec::with_capacity(spans.len());
        let mut below: Vec<Vec<usize>> = vec![Vec::new(); self.parents.len()];
        for (at, &(load, span)) in spans.iter().enumerate() {
            vessels.push(vessel(span, self.power_of(load)));
            below[self.nodes[load]].push(at);
        }
        for &node in &self.upward {
            let members = std::mem::take(&mut below[node]);
            let most: Vec<Vessel> = members.iter().map(|&at| vessels[at]).collect();
            let level = level(self.rooms[node], &most);
            for &at in &members {
                let each = &mut vessels[at];
                each.top = each.top.min(level.max(each.bottom));
            }
            if node != ROOT {
                below[self.parents[node]].extend(members);
            }
        }
        for (&(load, _), vessel) in spans.iter().zip(&vessels) {
            self.give(load, vessel.top - vessel.bottom);
        }
    }

    fn power_of(&self, load: usize) -> Microwatts {
        match self.chosen[load] {
            Chosen::Point(place) => self.question.points_of(load)[place].power,
            Chosen::Power(power) => power,
        }
    }

    fn give(&mut self, load: usize, more: Microwatts) {
        if let Chosen::Power(power) = &mut self.chosen[load] {
            *power += more;
        }
        self.draw(load, more);
    }

    /// Takes it from the rooms of all circuits around a load.
    fn draw(&mut self, load: usize, more: Microwatts) {
        let mut node = self.nodes[load];
        loop {
            if self.rooms[node] != Microwatts::MAX {
                self.rooms[node] -= more;
            }
            if node == ROOT {
                return;
            }
            node = self.parents[node];
        }
    }

    /// Chooses a point for each of `loads`, which have points.
    fn choose(&mut self, loads: &[usize]) {
        if loads.is_empty() {
            return;
        }
        self.most_work = loads.iter().map(|&load| self.most_work_of(load)).sum();
        let nothing = NOTHING * self.most_work;
        let mut gathered: Vec<Gathered> = Vec::new();
        gathered.resize_with(self.parents.len(), Gathered::default);
        for &load in loads {
            let of_node = &mut gathered[self.nodes[load]];
            of_node.items.push(self.item(load));
            of_node.kinds.push(Kind::Load(load));
        }
        for &node in &self.upward {
            let mut below = std::mem::take(&mut gathered[node]);
            if node == ROOT {
                let has_loads_only = below.kinds.iter().all(|kind| matches!(kind, Kind::Load(_)));
                let is_exact_wanted = self.effort == Effort::Exact && has_loads_only;
                let manner = Manner {
                    is_exact_wanted,
                    nothing,
                };
                let curve = Curve::new(below.items, self.rooms[ROOT], manner);
                self.is_exact &= curve.is_exact;
                self.settle(loads, &curve, &below.kinds);
                return;
            }
            let most: Microwatts = below.items.iter().map(most_more).sum();
            let parent = &mut gathered[self.parents[node]];
            if most <= self.rooms[node] {
                // It cannot be too much for this circuit: its loads are as its parent's.
                parent.items.append(&mut below.items);
                parent.kinds.append(&mut below.kinds);
            } else {
                self.is_exact = false;
                let manner = Manner {
                    is_exact_wanted: false,
                    nothing,
                };
                let curve = Curve::new(below.items, self.rooms[node], manner);
                let spots = curve.spots();
                parent.items.push(Item {
                    hull: spots.clone(),
                    spots,
                    held: None,
                });
                parent.kinds.push(Kind::Circuit(curve, below.kinds));
            }
        }
    }

    fn item(&self, load: usize) -> Item {
        let points = self.question.points_of(load);
        let current = self.current_of(load);
        let weight = self.question.loads[load].weight;
        let spots = unbeaten(points, weight, current, self.bonus_of(load));
        Item {
            hull: hull(&spots),
            spots,
            held: current.map(|place| points[place].power),
        }
    }

    /// Sets the loads to the end of the curve; or leaves them as they are where that is as good.
    fn settle(&mut self, loads: &[usize], curve: &Curve, kinds: &[Kind]) {
        let mut picks: Vec<(usize, usize)> = Vec::with_capacity(loads.len());
        expand(kinds, &curve.at(curve.end()), &mut picks);
        if let Some(kept) = self.kept(loads, &picks) {
            picks = kept;
        }
        for (load, place) in picks {
            let before = self.power_of(load);
            self.chosen[load] = Chosen::Point(place);
            self.draw(load, self.power_of(load) - before);
        }
    }

    /// Where each load is now, if that fits and is worth no less than `picks`.
    fn kept(&self, loads: &[usize], picks: &[(usize, usize)]) -> Option<Vec<(usize, usize)>> {
        let place = |load: usize| match (&self.question.loads[load].choices, self.chosen[load]) {
            (
                Choices::Points {
                    current: Some(place),
                    ..
                },
                _,
            ) => *place,
            // Where nobody knows, its least.
            (_, Chosen::Point(least)) => least,
            (_, Chosen::Power(_)) => 0,
        };
        let kept: Vec<(usize, usize)> = loads.iter().map(|&load| (load, place(load))).collect();
        let (mut now, mut then) = (0.0, 0.0);
        for (sum, picks) in [(&mut now, &kept[..]), (&mut then, picks)] {
            for &(load, place) in picks {
                *sum += self.value_of(load, place);
            }
        }
        let is_better = then > now + NOTHING * self.most_work;
        (!is_better && self.fits(&kept)).then_some(kept)
    }

    fn value_of(&self, load: usize, place: usize) -> f64 {
        let is_kept = self.current_of(load) == Some(place);
        let work = self.question.loads[load].weight * self.question.points_of(load)[place].work;
        work + if is_kept { self.bonus_of(load) } else { 0.0 }
    }

    /// What it is worth that a load stays where it is.
    fn bonus_of(&self, load: usize) -> f64 {
        self.question.loads[load].change_cost.min(self.most_work)
    }

    fn current_of(&self, load: usize) -> Option<usize> {
        match self.question.loads[load].choices {
            Choices::Points { current, .. } => current,
            Choices::Span(_) => None,
        }
    }

    fn most_work_of(&self, load: usize) -> f64 {
        let works = self.question.points_of(load).iter().map(|point| point.work);
        self.question.loads[load].weight * works.fold(0.0, f64::max)
    }

    fn fits(&self, picks: &[(usize, usize)]) -> bool {
        let mut more = vec![0; self.parents.len()];
        for &(load, place) in picks {
            let power = self.question.points_of(load)[place].power;
            more[self.nodes[load]] += power - self.power_of(load);
        }
        for &node in &self.upward {
            if more[node] > self.rooms[node] {
                return false;
            }
            if node != ROOT {
                more[self.parents[node]] += more[node];
            }
        }
        true
    }
}

/// The points that the states of items stand for.
fn expand(kinds: &[Kind], states: &[Spot], picks: &mut Vec<(usize, usize)>) {
    for (kind, state) in kinds.iter().zip(states) {
        match kind {
            Kind::Load(load) => picks.push((*load, state.place)),
            Kind::Circuit(curve, below) => expand(below, &curve.at(state.place), picks),
        }
    }
}

fn most_more(item: &Item) -> Microwatts {
    item.hull[item.hull.len() - 1].power - item.hull[0].power
}

fn least_of(question: &Question, index: usize, load: &Load) -> (Chosen, Microwatts) {
    match &load.choices {
        Choices::Span(span) => (Chosen::Power(span.floor), span.floor),
        Choices::Points { current, .. } => {
            let points = question.points_of(index);
            let place = least(points, load.weight, *current, load.change_cost);
            (Chosen::Point(place), points[place].power)
        }
    }
}

/// The nodes of a tree, children before parents.
fn upward(parents: &[usize]) -> Vec<usize> {
    let depth = |node: usize| {
        let (mut at, mut depth) = (node, 0_usize);
        while at != ROOT && depth <= parents.len() {
            at = parents[at];
            depth += 1;
        }
        depth
    };
    let depths: Vec<usize> = (0..parents.len()).map(depth).collect();
    let mut nodes: Vec<usize> = (0..parents.len()).collect();
    nodes.sort_by_key(|&node| (std::cmp::Reverse(depths[node]), node));
    nodes
}
