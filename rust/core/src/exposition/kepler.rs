//! Kepler's families: its names, types, helps and labels, with the ledger's values.

use super::page::{Kind, Page};
use crate::kepler;
use crate::labels::Labels;
use crate::level::Level;
use crate::snapshot::{ClassSnapshot, Snapshot, ZonePower};
use crate::units::{Joules, Watts};

/// One zone class as Kepler sees it: the zones of all sockets together.
struct NodeZone {
    /// `zone="…",path="…"`
    labels: String,
    total: Joules,
    active: Joules,
    idle: Joules,
    power: Option<ZonePower>,
}

impl NodeZone {
    fn of(class: &ClassSnapshot, snapshot: &Snapshot) -> Self {
        let zones = || {
            let zones = snapshot.zones.iter();
            zones.filter(|zone| *zone.zone.class == *class.name)
        };
        let path = match (zones().next(), zones().nth(1)) {
            (Some(only), None) => only.zone.path.clone(),
            _ => format!("aggregated-{}", class.name),
        };
        let powers = || zones().filter_map(|zone| zone.power);
        let power = powers().next().map(|_| ZonePower {
            total: powers().map(|power| power.total).sum(),
            active: powers().map(|power| power.active).sum(),
            idle: powers().map(|power| power.idle).sum(),
        });
        let labels = Labels::default()
            .with("zone", &class.name)
            .with("path", &path);
        let mut node_zone = Self {
            labels: labels.into_text(),
            total: Joules(0.0),
            active: Joules(0.0),
            idle: Joules(0.0),
            power,
        };
        for zone in zones() {
            node_zone.total += zone.total;
            node_zone.active += zone.active;
            node_zone.idle += zone.idle;
        }
        node_zone
    }
}

impl Page {
    /// All families, of the levels that are computed.
    pub(super) fn kepler(&mut self, kepler: &kepler::Snapshot, snapshot: &Snapshot) {
        let node = &kepler.node;
        self.ones(
            "kepler_build_info",
            "A metric with a constant '1' value labeled with version information",
            std::slice::from_ref(&node.build),
        );
        self.ones(
            "kepler_node_cpu_info",
            "CPU information from procfs",
            &node.processors,
        );
        if let Some(ratio) = snapshot.busy_ratio {
            let name = "kepler_node_cpu_usage_ratio";
            let help = "CPU usage ratio of a node (value between 0.0 and 1.0)";
            self.head(Kind::Gauge, name, "ratio", help);
            self.series(name, &[&node.name], ratio);
        }
        self.kepler_node(&node.name, snapshot);
        for (level, rows) in &kepler.levels {
            if !rows.is_empty() {
                self.kepler_level(*level, rows, &snapshot.classes, &node.name);
            }
        }
    }

    /// A family that says all by its labels.
    fn ones(&mut self, name: &str, help: &str, label_sets: &[String]) {
        if label_sets.is_empty() {
            return;
        }
        self.head(Kind::Gauge, name, "", help);
        for labels in label_sets {
            self.series(name, &[labels], 1.0);
        }
    }

    fn kepler_node(&mut self, node_name: &str, snapshot: &Snapshot) {
        type Part = (
            &'static str,
            &'static str,
            fn(&NodeZone) -> Joules,
            fn(&ZonePower) -> Watts,
        );
        let parts: [Part; 3] = [
            ("", "", |zone| zone.total, |power| power.total),
            (
                "_active",
                " in active state",
                |zone| zone.active,
                |power| power.active,
            ),
            (
                "_idle",
                " in idle state",
                |zone| zone.idle,
                |power| power.idle,
            ),
        ];
        let classes = snapshot.classes.iter();
        let zones: Vec<_> = classes.map(|class| NodeZone::of(class, snapshot)).collect();
        for (state, words, energy, power) in parts {
            let joules = format!("kepler_node_cpu{state}_joules");
            let help = format!("Energy consumption of cpu{words} at node level in joules");
            self.head(Kind::Counter, &joules, "joules", &help);
            for zone in &zones {
                self.total(&joules, &[&zone.labels, node_name], energy(zone).0);
            }
            let watts = format!("kepler_node_cpu{state}_watts");
            let help = format!("Power consumption of cpu{words} at node level in watts");
            self.head(Kind::Gauge, &watts, "watts", &help);
            for zone in &zones {
                if let Some(now) = &zone.power {
                    self.series(&watts, &[&zone.labels, node_name], power(now).0);
                }
            }
        }
    }

    fn kepler_level(
        &mut self,
        level: Level,
        rows: &[kepler::Row],
        classes: &[ClassSnapshot],
        node_name: &str,
    ) {
        let name = level.as_str();
        let joules = format!("kepler_{name}_cpu_joules");
        let help = format!("Energy consumption of cpu at {name} level in joules");
        self.head(Kind::Counter, &joules, "joules", &help);
        for row in rows {
            for (class, energy) in classes.iter().zip(&row.joules) {
                let labels = [&row.labels, state(row), &class.labels, node_name];
                self.total(&joules, &labels, *energy);
            }
        }
        let watts = format!("kepler_{name}_cpu_watts");
        let help = format!("Power consumption of cpu at {name} level in watts");
        self.head(Kind::Gauge, &watts, "watts", &help);
        for row in rows {
            let Some(weight) = row.weight else { continue };
            for class in classes {
                if let Some(active) = class.active {
                    let labels = [&row.labels, state(row), &class.labels, node_name];
                    self.series(&watts, &labels, weight * active.0);
                }
            }
        }
        match level {
            Level::Process => self.kepler_seconds(name, rows, |_| "", node_name),
            Level::Container => self.kepler_seconds(name, rows, state, node_name),
            _ => {}
        }
    }

    fn kepler_seconds(
        &mut self,
        level: &str,
        rows: &[kepler::Row],
        state: fn(&kepler::Row) -> &'static str,
        node_name: &str,
    ) {
        let seconds = format!("kepler_{level}_cpu_seconds");
        let help = format!("Total user and system time of cpu at {level} level in seconds");
        self.head(Kind::Counter, &seconds, "seconds", &help);
        for row in rows {
            self.total(&seconds, &[&row.labels, state(row), node_name], row.cpu_s);
        }
    }
}

/// Who draws nothing any more is terminated.
fn state(row: &kepler::Row) -> &'static str {
    if row.weight.is_some() {
        "state=\"running\""
    } else {
        "state=\"terminated\""
    }
}
