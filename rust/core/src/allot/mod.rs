//! Which load gets how much of a budget: the most work, less what changes cost, within every circuit.
//!
//! Classes of priority are served one after another, highest first, once the least of all loads is
//! set aside. Inside a class, loads that take any power ([`Span`]) are filled like vessels up to
//! their need ([`water`]); then the points of the others are chosen by marginal work per watt on
//! their upper concave hulls ([`greedy`]), and what no whole step fills goes to the best exchange
//! among the loads near the break ([`knapsack`]); then spans get what is left.
//!
//! Powers are whole microwatts, so that sums are exact and in no order.

mod greedy;
mod item;
mod knapsack;
mod site;
mod water;

use site::Site;

/// Power in whole microwatts.
pub type Microwatts = i64;

/// No load draws more: sums of [`LOADS_MAX`] of them fit in 64 bits.
pub const LOAD_MAX_W: f64 = 1e8;
/// No question has more loads.
pub const LOADS_MAX: usize = 50_000;
/// A budget above this is as good as none.
const BUDGET_MAX_W: f64 = 4e12;

/// One way in which a load can run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// What it draws there.
    pub power: Microwatts,
    /// What it does there, in any unit.
    pub work: f64,
}

/// What one that takes any power can have: `floor <= need <= ceiling`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Never less.
    pub floor: Microwatts,
    /// What it would draw if nobody held it.
    pub need: Microwatts,
    /// Never more.
    pub ceiling: Microwatts,
}

/// What a load can be set to.
#[derive(Clone, Debug, PartialEq)]
pub enum Choices {
    /// `points[first..last]` of the question; at least one.
    Points {
        /// The first of its points.
        first: usize,
        /// Behind the last of its points.
        last: usize,
        /// The place of the point at which it is, counted from `first`.
        current: Option<usize>,
    },
    /// Any power of a range.
    Span(Span),
}

/// One that can be set. Where two are alike, the earlier one is served first.
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    /// What it can be set to.
    pub choices: Choices,
    /// The place of its circuit in the question's; `None` is the site.
    pub circuit: Option<usize>,
    /// Higher is served first.
    pub priority: i64,
    /// What a unit of its work counts.
    pub weight: f64,
    /// Weighted work that a change away from its current point costs.
    pub change_cost: f64,
}

/// A part of the distribution. Parents may come in any order, but not in a circle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Circuit {
    /// The place of the circuit around it; `None` is the site.
    pub parent: Option<usize>,
    /// What may flow through it.
    pub limit: Option<Microwatts>,
}

/// What is asked.
#[derive(Clone, Debug, Default)]
pub struct Question {
    /// Of all loads, one load's behind the other's.
    pub points: Vec<Point>,
    /// In the order in which equals are served.
    pub loads: Vec<Load>,
    /// A forest below the site.
    pub circuits: Vec<Circuit>,
    /// What the site may draw; less than nothing is a budget that nobody can keep.
    pub budget: Microwatts,
}

/// What one load is to be set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chosen {
    /// The place of the point, counted from the load's first.
    Point(usize),
    /// The power.
    Power(Microwatts),
}

/// A circuit that not even the least of its loads keeps within.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crowded {
    /// The place of the circuit; `None` is the site.
    pub circuit: Option<usize>,
    /// What its loads draw at least.
    pub least: Microwatts,
    /// What it may carry.
    pub limit: Microwatts,
}

/// What each load gets.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// By load.
    pub chosen: Vec<Chosen>,
    /// Where the least is too much: the loads below have just that. Empty where all is well.
    pub crowded: Vec<Crowded>,
    /// Whether it is the best there is, as far as the powers have a common step.
    pub is_exact: bool,
}

/// How hard the best exchange is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// Among the loads near the break.
    Quick,
    /// Among all loads, where that takes no more than some 64 MiB and no circuit binds.
    Exact,
}

impl Question {
    /// The best allotment.
    ///
    /// The same for the same question; more budget never gives less weighted work to the highest
    /// class, nor to all of them where there is one class.
    pub fn answer(&self, effort: Effort) -> Answer {
        let mut site = Site::new(self, effort);
        let mut priorities: Vec<i64> = self.loads.iter().map(|load| load.priority).collect();
        priorities.sort_unstable_by(|a, b| b.cmp(a));
        priorities.dedup();
        for priority in priorities {
            site.serve(priority);
        }
        site.into_answer()
    }

    fn points_of(&self, load: usize) -> &[Point] {
        match self.loads[load].choices {
            Choices::Points { first, last, .. } => &self.points[first..last],
            Choices::Span(_) => &[],
        }
    }
}

/// What a load takes, in whole microwatts, and never less than it says; what is a rounding error of
/// the watts is none.
pub fn taken(watts: f64) -> Microwatts {
    let scaled = watts.min(BUDGET_MAX_W) * 1e6;
    let near = scaled.round();
    whole(if near + 1e-3 >= scaled {
        near
    } else {
        scaled.ceil()
    })
}

/// What may be taken, in whole microwatts, and never more than it says.
pub fn given(watts: f64) -> Microwatts {
    whole((watts.clamp(-BUDGET_MAX_W, BUDGET_MAX_W) * 1e6).floor())
}

#[allow(clippy::cast_possible_truncation)] // at most 4e18, below the 9.2e18 of 64 bits
fn whole(microwatts: f64) -> Microwatts {
    microwatts as Microwatts
}
