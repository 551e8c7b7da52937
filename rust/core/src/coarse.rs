//! A snapshot for those who may not read finely: energy tells of secrets that a processor works
//! with (PLATYPUS, CVE-2020-8694).
//!
//! Joules become whole steps, by a rounding under which no counter falls; powers are what whole
//! steps of energy give over the interval. What adds up as watts still does, exactly: rows are
//! parts of their class's power, and only that is rounded.
//!
//! Zones are rounded down. Rows are rounded up or down by a threshold that each row keeps for its
//! life: rounded down, a thousand processes that end after half a step each would be nothing in
//! the sum. So a row is less than a step off, and sums of many rows are right on average.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::snapshot::{Snapshot, ZonePower, ZoneSnapshot};
use crate::units::{Joules, Watts};

impl Snapshot {
    /// The same snapshot in steps of `resolution`; as it is where that is not above zero.
    #[must_use]
    pub fn coarse(&self, resolution: Joules) -> Self {
        let mut coarse = self.clone();
        let resolution_j = resolution.0;
        if !resolution_j.is_finite() || resolution_j <= 0.0 {
            return coarse;
        }
        for zone in &mut coarse.zones {
            for energy in [&mut zone.total, &mut zone.active, &mut zone.idle] {
                energy.0 = rounded_down(energy.0, resolution_j);
            }
        }
        for (labels, joules) in coarse.row_joules_mut() {
            for (class, energy_j) in joules.iter_mut().enumerate() {
                let ahead_j = threshold(labels, class) * resolution_j;
                *energy_j = rounded_down(*energy_j + ahead_j, resolution_j);
            }
        }
        if let Some(span) = self.span.filter(|span| span.0 > 0) {
            coarse.round_powers(Watts(resolution_j / span.seconds()));
        }
        coarse
    }

    fn round_powers(&mut self, step: Watts) {
        for zone in &mut self.zones {
            zone.power = zone.power.map(|power| rounded_power(power, step));
        }
        for class in &mut self.classes {
            let of_class = |zone: &&ZoneSnapshot| *zone.zone.class == *class.name;
            let active = self.zones.iter().filter(of_class);
            let active = active.filter_map(|zone| Some(zone.power?.active)).sum();
            class.active = class.active.map(|_| active);
        }
    }
}

fn rounded_power(power: ZonePower, step: Watts) -> ZonePower {
    let nearest = |watts: Watts| Watts((watts.0 / step.0).round() * step.0);
    let (active, idle) = (nearest(power.active), nearest(power.idle));
    ZonePower {
        total: active + idle,
        active,
        idle,
    }
}

/// From 0 to below 1, always the same for a series.
fn threshold(labels: &str, class: usize) -> f64 {
    let mut hasher = DefaultHasher::new();
    (labels, class).hash(&mut hasher);
    // As many bits as a float holds exactly.
    (hasher.finish() >> 11) as f64 / (1u64 << 53) as f64
}

/// Multiplied and divided by whole steps a joule where that can be: 0.3 and not 0.30000000000000004.
fn rounded_down(energy_j: f64, step_j: f64) -> f64 {
    let per_joule = (1.0 / step_j).round();
    if (per_joule * step_j - 1.0).abs() < 1e-9 {
        (energy_j * per_joule).floor() / per_joule
    } else {
        (energy_j / step_j).floor() * step_j
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::level::Level;
    use crate::snapshot::{ClassSnapshot, LevelSnapshot, RowSnapshot};
    use crate::units::Nanos;
    use crate::zone::{Source, Zone};

    fn row(weight: f64, energy_j: f64) -> RowSnapshot {
        RowSnapshot {
            labels: "pid=\"1\"".into(),
            weight: Some(weight),
            joules: vec![energy_j],
            cpu_s: 0.0,
            is_live: true,
            created_s: 0.0,
        }
    }

    fn snapshot(total_j: f64, active_w: f64, idle_w: f64) -> Snapshot {
        let zone = Zone {
            class: "package".into(),
            index: "0".into(),
            path: "fake".into(),
            source: Source::Fake,
            ceiling: Watts(1000.0),
        };
        Snapshot {
            span: Some(Nanos::from_secs(2)),
            zones: vec![ZoneSnapshot {
                zone: Arc::new(zone),
                total: Joules(total_j),
                active: Joules(total_j / 3.0),
                idle: Joules(total_j / 1.5),
                power: Some(ZonePower {
                    total: Watts(active_w + idle_w),
                    active: Watts(active_w),
                    idle: Watts(idle_w),
                }),
                created_s: 0.0,
                resets: 0,
                wraps: 0,
                read_errors: 0,
            }],
            classes: vec![ClassSnapshot {
                name: "package".into(),
                labels: "zone=\"package\"".into(),
                active: Some(Watts(active_w)),
            }],
            levels: vec![LevelSnapshot {
                level: Level::Process,
                rows: vec![row(0.25, 1.234_567), row(0.5, 0.000_999)],
                residuals: vec![row(0.25, 0.3)],
            }],
            ..Snapshot::default()
        }
    }

    #[test]
    fn joules_are_whole_steps_below_and_watts_whole_steps_over_the_interval() {
        let coarse = snapshot(10.000_9, 1.000_2, 2.000_8).coarse(Joules(0.001));
        let zone = &coarse.zones[0];
        assert_eq!(
            (zone.total, zone.active, zone.idle),
            (Joules(10.0), Joules(3.333), Joules(6.667))
        );
        let power = zone.power.expect("it was measured");
        assert!((power.active.0 - 1.0).abs() < 1e-12, "{power:?}");
        assert!((power.idle.0 - 2.001).abs() < 1e-12, "{power:?}");
        let level = &coarse.levels[0];
        for (row, fine_j) in [(&level.rows[0], 1.234_567), (&level.residuals[0], 0.3)] {
            let coarse_j = row.joules[0];
            assert!(
                (coarse_j - fine_j).abs() < 0.001,
                "{fine_j} became {coarse_j}"
            );
            assert!((coarse_j * 1000.0 - (coarse_j * 1000.0).round()).abs() < 1e-9);
        }
    }

    #[test]
    fn many_rows_of_less_than_a_step_add_up_on_average() {
        let mut fine = snapshot(1.0, 1.0, 1.0);
        fine.levels[0].rows = (0..10_000)
            .map(|pid| RowSnapshot {
                labels: format!("pid=\"{pid}\"").into(),
                ..row(0.0, 0.000_3)
            })
            .collect();
        let rows = &fine.coarse(Joules(0.001)).levels[0].rows;
        let sum: f64 = rows.iter().map(|row| row.joules[0]).sum();
        assert!((sum - 3.0).abs() < 0.15, "{sum}"); // three times the deviation of such a sum
    }

    #[test]
    fn a_row_begins_at_nothing_and_never_falls() {
        for pid in 0..100 {
            let mut before = 0.0;
            for tick in 0..100 {
                let mut fine = snapshot(1.0, 1.0, 1.0);
                fine.levels[0].rows = vec![RowSnapshot {
                    labels: format!("pid=\"{pid}\"").into(),
                    ..row(0.0, f64::from(tick) * 0.000_37)
                }];
                let now = fine.coarse(Joules(0.001)).levels[0].rows[0].joules[0];
                assert!(if tick == 0 { now == 0.0 } else { now >= before });
                before = now;
            }
        }
    }

    #[test]
    fn watts_add_up_as_before() {
        for active_w in [0.0, 0.000_4, 1.234_567, 99.999_9] {
            let coarse = snapshot(1.0, active_w, 5.4321).coarse(Joules(0.01));
            let power = coarse.zones[0].power.expect("it was measured");
            assert_eq!(power.total, power.active + power.idle);
            assert_eq!(coarse.classes[0].active, Some(power.active));
        }
    }

    #[test]
    fn counters_that_grow_never_fall_and_never_run_ahead() {
        for step_j in [0.001, 0.3, 7.0] {
            let mut before = 0.0;
            for tick in 0..10_000 {
                let fine = f64::from(tick) * 0.000_37;
                let now = rounded_down(fine, step_j);
                assert!(before <= now && now <= fine + 1e-12, "{fine} became {now}");
                before = now;
            }
        }
    }

    #[test]
    fn a_resolution_of_nothing_changes_nothing() {
        let fine = snapshot(1.234_567, 3.3, 4.4);
        for resolution_j in [0.0, -1.0, f64::NAN] {
            assert_eq!(
                format!("{:?}", fine.coarse(Joules(resolution_j))),
                format!("{fine:?}")
            );
        }
    }
}
