//! The page: a snapshot as Prometheus text (version 0.0.4) or OpenMetrics (1.0).
//!
//! A row's labels are escaped once, when the row is opened; rendering copies bytes and prints
//! numbers. Values have six decimals: microjoules, microwatts and microseconds, finer than any
//! sensor, and short enough to keep the page small.

use std::io::Write;

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
    let mut page = Page {
        text: Vec::with_capacity(size_hint(snapshot)),
        format,
    };
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
    page.text
}

/// About what a page needs, so that it grows without copying.
fn size_hint(snapshot: &Snapshot) -> usize {
    let lines_per_row = 2 * snapshot.classes.len() + 1;
    let rows: usize = snapshot.levels.iter().map(|level| level.rows.len()).sum();
    16_384 + rows * lines_per_row * 192
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Gauge,
    Counter,
}

struct Page {
    text: Vec<u8>,
    format: Format,
}

impl Page {
    /// The lines before a family. `name` is without `_total`, which only text 0.0.4 has there.
    fn head(&mut self, kind: Kind, name: &str, unit: &str, help: &str) {
        let is_text = self.format == Format::Prometheus;
        let suffix = if is_text && kind == Kind::Counter {
            "_total"
        } else {
            ""
        };
        for part in [
            "# HELP ",
            name,
            suffix,
            " ",
            help,
            "\n# TYPE ",
            name,
            suffix,
        ] {
            self.push(part);
        }
        self.push(if kind == Kind::Counter {
            " counter\n"
        } else {
            " gauge\n"
        });
        if !is_text {
            for part in ["# UNIT ", name, " ", unit, "\n"] {
                self.push(part);
            }
        }
    }

    fn push(&mut self, text: &str) {
        self.text.extend_from_slice(text.as_bytes());
    }

    /// One line. `labels` are fragments of escaped text, each `name="value",…` or empty.
    fn series(&mut self, name: &str, labels: &[&str], value: f64) {
        self.push(name);
        let mut opening = b'{';
        for fragment in labels.iter().filter(|fragment| !fragment.is_empty()) {
            self.text.push(opening);
            self.push(fragment);
            opening = b',';
        }
        if opening == b',' {
            self.text.push(b'}');
        }
        self.text.push(b' ');
        number(&mut self.text, value);
        self.text.push(b'\n');
    }

    /// A counter's line, and in OpenMetrics the one that says when it started.
    fn counter(&mut self, base: &str, labels: &[&str], value: f64, created_s: f64) {
        self.push(base);
        self.series("_total", labels, value);
        if self.format == Format::OpenMetrics {
            self.push(base);
            self.series("_created", labels, created_s);
        }
    }

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

/// Writes a value with at most six decimals. Values are never negative; where one cannot be
/// written that way (beyond 1.8e13) all its digits are.
fn number(text: &mut Vec<u8>, value: f64) {
    let micro = (value * 1e6).round();
    if !(0.0..1.8e19).contains(&micro) {
        // Writing to a vector cannot fail.
        let _ = write!(text, "{value}");
        return;
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    // the range was checked above
    let micro = micro as u64;
    whole(text, micro / 1_000_000);
    let mut fraction = micro % 1_000_000;
    if fraction == 0 {
        return;
    }
    let mut digits = [b'0'; 7];
    digits[0] = b'.';
    for digit in digits[1..].iter_mut().rev() {
        *digit = decimal(fraction);
        fraction /= 10;
    }
    let used = digits
        .iter()
        .rposition(|digit| *digit != b'0')
        .map_or(0, |last| last + 1);
    text.extend_from_slice(&digits[..used]);
}

fn whole(text: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = decimal(value);
        value /= 10;
        if value == 0 {
            break;
        }
    }
    text.extend_from_slice(&digits[start..]);
}

#[allow(clippy::cast_possible_truncation)] // a remainder of ten fits
fn decimal(value: u64) -> u8 {
    b'0' + (value % 10) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_exact_to_six_decimals() {
        let cases = [
            (0.0, "0"),
            (1.0, "1"),
            (1.5, "1.5"),
            (0.000_001, "0.000001"),
            (0.000_000_4, "0"),
            (12_345.678_901_2, "12345.678901"),
            (9.999_999_9, "10"),
            (1e13, "10000000000000"),
            (2e20, "200000000000000000000"),
        ];
        for (value, expected) in cases {
            let mut text = Vec::new();
            number(&mut text, value);
            assert_eq!(String::from_utf8_lossy(&text), expected);
        }
    }
}
