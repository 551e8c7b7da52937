//! The page: a snapshot as Prometheus text (version 0.0.4) or OpenMetrics (1.0).
//!
//! A row's labels are escaped once, when the row is opened; rendering copies bytes and prints
//! numbers. Values have six decimals: microjoules, microwatts and microseconds, finer than any
//! sensor, and short enough to keep the page small.

mod kepler;
mod number;
mod page;

use self::page::{Kind, Page};
use crate::level::Level;
use crate::snapshot::{
    ClassSnapshot, LevelSnapshot, RowSnapshot, Snapshot, ZonePower, ZoneSnapshot,
};
use crate::units::{Joules, Watts};

/// The two text formats that scrapers ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `text/plain; version=0.0.4`
    Prometheus,
    /// `application/openmetrics-text; version=1.0.0`, without the final `# EOF`.
    OpenMetrics,
}

/// Renders a page. For OpenMetrics the caller ends it with `# EOF`.
pub fn render(snapshot: &Snapshot, format: Format) -> Vec<u8> {
    let mut page = Page::new(size_hint(snapshot), format);
    page.zones(&snapshot.zones);
    if let Some(ratio) = snapshot.busy_ratio {
        page.head(
            Kind::Gauge,
            "jouled_cpu_busy_ratio",
            "ratio",
            "Part of the CPUs' time that was busy, 0 to 1.",
        );
        page.series("jouled_cpu_busy_ratio", &[], ratio);
    }
    for level in &snapshot.levels {
        page.level(level, snapshot);
    }
    page.residuals(snapshot);
    if let Some(kepler) = &snapshot.kepler {
        page.kepler(kepler, snapshot);
    }
    page.into_text()
}

/// About what a page needs, so that it grows without copying.
fn size_hint(snapshot: &Snapshot) -> usize {
    let lines_per_row = 2 * snapshot.classes.len() + 1;
    let rows: usize = snapshot.levels.iter().map(|level| level.rows.len()).sum();
    let kepler = snapshot.kepler.iter().flat_map(|kepler| &kepler.levels);
    let kepler_rows: usize = kepler.map(|(_, rows)| rows.len()).sum();
    16_384 + (rows + kepler_rows) * lines_per_row * 192
}

impl Page {
    fn zones(&mut self, zones: &[ZoneSnapshot]) {
        type Part = (
            &'static str,
            &'static str,
            fn(&ZoneSnapshot) -> Joules,
            fn(&ZonePower) -> Watts,
        );
        let parts: [Part; 3] = [
            (
                "jouled_zone",
                "all of the zone",
                |zone| zone.total,
                |power| power.total,
            ),
            (
                "jouled_zone_active",
                "the part that work caused",
                |zone| zone.active,
                |power| power.active,
            ),
            (
                "jouled_zone_idle",
                "the part spent in any case",
                |zone| zone.idle,
                |power| power.idle,
            ),
        ];
        for (prefix, what, energy, power) in parts {
            let watts = format!("{prefix}_watts");
            self.head(
                Kind::Gauge,
                &watts,
                "watts",
                &format!("Mean power of a zone in the last interval: {what}."),
            );
            for zone in zones {
                if let Some(now) = &zone.power {
                    self.series(&watts, &[&zone_labels(zone)], power(now).0);
                }
            }
            let joules = format!("{prefix}_joules");
            let help = format!("Energy of a zone since the daemon started: {what}.");
            self.head(Kind::Counter, &joules, "joules", &help);
            for zone in zones {
                self.counter(
                    &joules,
                    &[&zone_labels(zone)],
                    energy(zone).0,
                    zone.created_s,
                );
            }
        }
    }

    fn level(&mut self, level: &LevelSnapshot, snapshot: &Snapshot) {
        let (name, noun) = (
            format!("jouled_{}", level.level.as_str()),
            noun(level.level),
        );
        let help = [
            format!("Mean active power of {noun} in the last interval."),
            format!("Active energy of {noun} since it was first exported."),
            format!("CPU time that was billed to {noun}."),
        ];
        self.rows(&name, &help, level.rows.iter(), &snapshot.classes);
    }

    fn residuals(&mut self, snapshot: &Snapshot) {
        let help = [
            "Mean active power that no row of a level owns, by reason.".into(),
            "Active energy that no row of a level owned when it was spent, by reason.".into(),
            "CPU time that no row of a level owned when it was spent, by reason.".into(),
        ];
        let rows = snapshot.levels.iter().flat_map(|level| &level.residuals);
        self.rows("jouled_residual", &help, rows, &snapshot.classes);
    }

    /// The three families of a kind of rows: watts, joules and CPU seconds; none without rows.
    fn rows<'a>(
        &mut self,
        name: &str,
        help: &[String; 3],
        rows: impl Iterator<Item = &'a RowSnapshot> + Clone,
        classes: &[ClassSnapshot],
    ) {
        if rows.clone().next().is_none() {
            return;
        }
        let watts = format!("{name}_watts");
        self.head(Kind::Gauge, &watts, "watts", &help[0]);
        for row in rows.clone() {
            let Some(weight) = row.weight else { continue };
            for class in classes {
                if let Some(active) = class.active {
                    self.series(&watts, &[&row.labels, &class.labels], weight * active.0);
                }
            }
        }
        let joules = format!("{name}_joules");
        self.head(Kind::Counter, &joules, "joules", &help[1]);
        for row in rows.clone() {
            for (class, energy) in classes.iter().zip(&row.joules) {
                self.counter(
                    &joules,
                    &[&row.labels, &class.labels],
                    *energy,
                    row.created_s,
                );
            }
        }
        let seconds = format!("{name}_cpu_seconds");
        self.head(Kind::Counter, &seconds, "seconds", &help[2]);
        for row in rows {
            self.counter(&seconds, &[&row.labels], row.cpu_s, row.created_s);
        }
    }
}

fn zone_labels(zone: &ZoneSnapshot) -> String {
    crate::labels::Labels::default()
        .with("zone", &zone.zone.class)
        .with("index", &zone.zone.index)
        .with("source", zone.zone.source.as_str())
        .into_text()
}

fn noun(level: Level) -> &'static str {
    match level {
        Level::Process => "a process",
        Level::Unit => "a systemd unit",
        Level::Container => "a container",
        Level::Pod => "a pod",
        Level::Vm => "a virtual machine",
        Level::User => "a user",
    }
}
