//! The accounts of the zones: what each measured, divided into active and idle.

use std::sync::Arc;

use crate::account::ClassEnergy;
use crate::counter::Step;
use crate::idle::{IdleModel, IdlePolicy};
use crate::interval::{Interval, ZoneChange, ZoneGrowth};
use crate::snapshot::{self, ZonePower, ZoneSnapshot};
use crate::units::Joules;
use crate::zone::Zone;

/// All zones that were ever seen, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct ZoneAccounts {
    policy: IdlePolicy,
    accounts: Vec<ZoneAccount>,
    classes: Vec<Arc<str>>,
}

#[derive(Debug)]
struct ZoneAccount {
    zone: Arc<Zone>,
    class: usize,
    model: IdleModel,
    total: Joules,
    active: Joules,
    idle: Joules,
    power: Option<ZonePower>,
    created_s: f64,
    resets: u64,
    wraps: u64,
    read_errors: u64,
}

impl ZoneAccounts {
    pub(crate) fn new(policy: IdlePolicy) -> Self {
        Self {
            policy,
            ..Self::default()
        }
    }

    /// The zone classes, in the order of all class columns.
    pub(crate) fn classes(&self) -> &[Arc<str>] {
        &self.classes
    }

    /// The column that ranks workloads.
    pub(crate) fn primary(&self) -> Option<usize> {
        snapshot::primary(&self.classes)
    }

    /// Opens the accounts of zones that have none.
    pub(crate) fn welcome<'a>(&mut self, zones: impl Iterator<Item = &'a Arc<Zone>>, now_s: f64) {
        for zone in zones {
            if !self
                .accounts
                .iter()
                .any(|account| account.zone.is_same_series(zone))
            {
                let class = self.class(&zone.class);
                self.accounts
                    .push(ZoneAccount::open(zone, class, self.policy, now_s));
            }
        }
    }

    fn class(&mut self, name: &str) -> usize {
        self.classes
            .iter()
            .position(|class| **class == *name)
            .unwrap_or_else(|| {
                self.classes.push(name.into());
                self.classes.len() - 1
            })
    }

    /// Books what the zones measured; returns the active energy of each class.
    pub(crate) fn advance(&mut self, interval: &Interval, busy_ratio: f64) -> ClassEnergy {
        let mut energy = ClassEnergy {
            joules: vec![0.0; self.classes.len()],
            watts: vec![None; self.classes.len()],
        };
        for account in &mut self.accounts {
            account.power = None;
            let change = interval
                .zones
                .iter()
                .find(|change| change.zone.is_same_series(&account.zone));
            let Some(change) = change else { continue };
            account.zone = Arc::clone(&change.zone);
            if let Some(measured) = account.measure(change, busy_ratio) {
                let active = account.split(measured, change, busy_ratio);
                energy.joules[account.class] += active.0;
                let watts = energy.watts[account.class].get_or_insert(0.0);
                *watts += account.power.map_or(0.0, |power| power.active.0);
            }
        }
        energy
    }

    pub(crate) fn snapshot(&self) -> Vec<ZoneSnapshot> {
        self.accounts.iter().map(ZoneAccount::snapshot).collect()
    }
}

impl ZoneAccount {
    fn open(zone: &Arc<Zone>, class: usize, policy: IdlePolicy, created_s: f64) -> Self {
        Self {
            zone: Arc::clone(zone),
            class,
            model: IdleModel::new(policy),
            total: Joules(0.0),
            active: Joules(0.0),
            idle: Joules(0.0),
            power: None,
            created_s,
            resets: 0,
            wraps: 0,
            read_errors: 0,
        }
    }

    /// The energy of the interval; `None` where it is unknown, and the reason is counted.
    fn measure(&mut self, change: &ZoneChange, busy_ratio: f64) -> Option<Joules> {
        match change.growth {
            ZoneGrowth::Stepped(Step::Wrapped(_)) => self.wraps += 1,
            ZoneGrowth::Stepped(Step::Reset) => self.resets += 1,
            ZoneGrowth::Failed => self.read_errors += 1,
            _ => {}
        }
        change.energy(busy_ratio)
    }

    /// Divides energy into idle and active, books both and returns the active part.
    fn split(&mut self, energy: Joules, change: &ZoneChange, busy_ratio: f64) -> Joules {
        let idle = self.model.idle_energy(energy, change.span, busy_ratio);
        let active = energy - idle;
        self.total += energy;
        self.active += active;
        self.idle += idle;
        let power = |energy: Joules| energy.over(change.span).unwrap_or_default();
        self.power = Some(ZonePower {
            total: power(energy),
            active: power(active),
            idle: power(idle),
        });
        active
    }

    fn snapshot(&self) -> ZoneSnapshot {
        ZoneSnapshot {
            zone: Arc::clone(&self.zone),
            total: self.total,
            active: self.active,
            idle: self.idle,
            power: self.power,
            created_s: self.created_s,
            resets: self.resets,
            wraps: self.wraps,
            read_errors: self.read_errors,
        }
    }
}
