//! The policies that say which part of a zone's energy is idle: spent whether or not anybody works.

use std::str::FromStr;

use crate::units::{Joules, Nanos, Watts};

/// Which policy to follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IdlePolicy {
    /// Active energy is energy × busy ratio.
    #[default]
    Ratio,
    /// Idle energy is a floor of power, learned from power against load.
    Learned,
}

impl FromStr for IdlePolicy {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "ratio" => Ok(Self::Ratio),
            "learned" => Ok(Self::Learned),
            _ => Err(format!("unknown idle policy {word:?}: ratio or learned")),
        }
    }
}

/// How much of the past a learned floor forgets with each interval: about 350 intervals, half
/// an hour of 5 s, are remembered, so that a change of frequency or temperature is followed.
const MEMORY: f64 = 0.998;
/// A line through load and power says nothing while the load has hardly varied: the least
/// standard deviation of the busy ratio for which its floor is believed.
const SPREAD: f64 = 0.05;

/// One zone's idle policy with what it has learned: sums for a line of power on load.
#[derive(Clone, Debug, Default)]
pub struct IdleModel {
    policy: IdlePolicy,
    weight: f64,
    load: f64,
    power: f64,
    load_squared: f64,
    load_power: f64,
    lowest: Option<f64>,
}

impl IdleModel {
    /// A model that has seen nothing.
    pub fn new(policy: IdlePolicy) -> Self {
        Self {
            policy,
            ..Self::default()
        }
    }

    /// The idle part of an interval's energy, between zero and all of it.
    pub fn idle_energy(&mut self, energy: Joules, span: Nanos, busy_ratio: f64) -> Joules {
        let by_ratio = energy * (1.0 - busy_ratio.clamp(0.0, 1.0));
        if self.policy == IdlePolicy::Ratio {
            return by_ratio;
        }
        if let Some(power) = energy.over(span) {
            self.learn(busy_ratio, power.0);
        }
        let idle = self.floor().map_or(by_ratio, |floor| floor.during(span));
        Joules(idle.0.clamp(0.0, energy.0.max(0.0)))
    }

    /// The learned floor; `None` until the load has varied enough to tell.
    pub fn floor(&self) -> Option<Watts> {
        let (load, power) = (self.load / self.weight, self.power / self.weight);
        let variance = self.load_squared / self.weight - load * load;
        if self.weight < 10.0 || variance < SPREAD * SPREAD {
            return None;
        }
        let slope = (self.load_power / self.weight - load * power) / variance;
        // No floor stands above the lowest power seen, nor below zero; a machine whose power
        // falls with load has some other consumer behind it.
        let floor = (power - slope.max(0.0) * load).clamp(0.0, self.lowest?);
        Some(Watts(floor))
    }

    fn learn(&mut self, load: f64, power: f64) {
        for sum in [
            &mut self.weight,
            &mut self.load,
            &mut self.power,
            &mut self.load_squared,
            &mut self.load_power,
        ] {
            *sum *= MEMORY;
        }
        self.weight += 1.0;
        self.load += load;
        self.power += power;
        self.load_squared += load * load;
        self.load_power += load * power;
        // The lowest power is forgotten too, towards the mean, or one glitch would hold for ever.
        let mean = self.power / self.weight;
        let lowest = self
            .lowest
            .map_or(power, |lowest| lowest + (mean - lowest) * (1.0 - MEMORY));
        self.lowest = Some(lowest.min(power));
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp)] // these numbers are exact
mod tests {
    use super::*;

    const SPAN: Nanos = Nanos::from_secs(5);

    fn idle(model: &mut IdleModel, watts: f64, load: f64) -> f64 {
        model.idle_energy(Watts(watts).during(SPAN), SPAN, load).0 / SPAN.seconds()
    }

    #[test]
    fn by_ratio_a_fully_busy_machine_has_no_idle_energy() {
        let mut model = IdleModel::new(IdlePolicy::Ratio);
        assert_eq!(idle(&mut model, 80.0, 1.0), 0.0);
        assert_eq!(idle(&mut model, 80.0, 0.25), 60.0);
        assert_eq!(
            idle(&mut model, 80.0, 7.0),
            0.0,
            "a ratio beyond one is clamped"
        );
    }

    #[test]
    fn learned_finds_the_floor_of_a_line_and_keeps_it_under_load() {
        let mut model = IdleModel::new(IdlePolicy::Learned);
        assert_eq!(
            idle(&mut model, 20.0 + 60.0 * 0.5, 0.5),
            25.0,
            "until it knows, by ratio"
        );
        for step in 0..200 {
            let load = f64::from(step % 11) / 10.0;
            idle(&mut model, 20.0 + 60.0 * load, load);
        }
        let floor = idle(&mut model, 80.0, 1.0);
        assert!((floor - 20.0).abs() < 0.1, "{floor}");
        assert!((idle(&mut model, 20.0, 0.0) - 20.0).abs() < 0.1);
    }

    #[test]
    fn learned_never_gives_more_than_the_interval_had() {
        let mut model = IdleModel::new(IdlePolicy::Learned);
        for step in 0..100 {
            idle(&mut model, 50.0, f64::from(step % 2));
        }
        assert!(idle(&mut model, 10.0, 0.5) <= 10.0);
        assert_eq!(idle(&mut model, 0.0, 0.0), 0.0);
    }

    #[test]
    fn a_steady_load_teaches_nothing() {
        let mut model = IdleModel::new(IdlePolicy::Learned);
        for _ in 0..100 {
            idle(&mut model, 50.0, 0.5);
        }
        assert_eq!(model.floor(), None);
    }
}
