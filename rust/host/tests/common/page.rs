//! A page taken apart again, and the sums that must hold on every one.

use jouled_core::exposition::{Format, render};
use jouled_core::level::Level;
use jouled_core::snapshot::Snapshot;

/// The lines of a page.
pub(crate) struct Page {
    pub(crate) text: String,
    series: Vec<(String, String, f64)>,
}

impl Page {
    /// The page of a snapshot, which must be UTF-8 and every line of it `name{labels} number`.
    #[track_caller]
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        let text = String::from_utf8(render(snapshot, Format::Prometheus)).unwrap();
        let series = text.lines().filter(|line| !line.starts_with('#'));
        let series = series.map(split).collect();
        Self { text, series }
    }

    /// The values of all series of this name whose labels hold all of these fragments.
    pub(crate) fn values(&self, name: &str, labels: &[&str]) -> Vec<f64> {
        let is_it = |(series, text, _): &&(String, String, f64)| {
            series == name && labels.iter().all(|label| text.contains(label))
        };
        self.series
            .iter()
            .filter(is_it)
            .map(|(_, _, value)| *value)
            .collect()
    }

    pub(crate) fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        self.values(name, labels).into_iter().sum()
    }

    /// The value of the one series of this name with these fragments of labels.
    #[track_caller]
    pub(crate) fn value(&self, name: &str, labels: &[&str]) -> f64 {
        match self.values(name, labels)[..] {
            [value] => value,
            ref values => panic!("{} series {name} {labels:?}", values.len()),
        }
    }

    /// Whether there is a series of this name with these fragments of labels.
    pub(crate) fn has(&self, name: &str, labels: &[&str]) -> bool {
        !self.values(name, labels).is_empty()
    }

    /// `zone/index` of every zone that has power.
    pub(crate) fn zones(&self) -> Vec<String> {
        let watts = self
            .series
            .iter()
            .filter(|(name, ..)| name == "jouled_zone_watts");
        let label = |text: &str, name: &str| -> String {
            let rest = text.split_once(&format!("{name}=\"")).unwrap().1;
            rest.split_once('"').unwrap().0.into()
        };
        let mut zones: Vec<String> = watts
            .map(|(_, labels, _)| format!("{}/{}", label(labels, "zone"), label(labels, "index")))
            .collect();
        zones.sort();
        zones
    }

    /// Fails unless, at every level and for every zone class, the watts of rows, residuals and
    /// idle are those of the zones, to 0.1 %.
    #[track_caller]
    pub(crate) fn assert_adds_up(&self) {
        let mut classes: Vec<String> = self
            .zones()
            .iter()
            .map(|zone| zone.split('/').next().unwrap().into())
            .collect();
        classes.dedup();
        for class in &classes {
            let zone = format!("zone=\"{class}\"");
            let measured = self.sum("jouled_zone_watts", &[&zone]);
            let idle = self.sum("jouled_zone_idle_watts", &[&zone]);
            for level in Level::ALL {
                let level = level.as_str();
                // A comm may hold anything, but the zone is the last label.
                let ending = format!(",{zone}}}");
                let rows = self.sum(&format!("jouled_{level}_watts"), &[&ending]);
                let of_level = format!("{{level=\"{level}\"");
                let residual = self.sum("jouled_residual_watts", &[&of_level, &ending]);
                let found = rows + residual + idle;
                assert!(
                    (found - measured).abs() <= measured * 1e-3,
                    "{level} {class}: {rows} + {residual} + {idle} is not {measured} W"
                );
            }
        }
    }
}

#[track_caller]
fn split(line: &str) -> (String, String, f64) {
    let (series, value) = line
        .rsplit_once(' ')
        .unwrap_or_else(|| panic!("{line:?} has no value"));
    let value: f64 = value
        .parse()
        .unwrap_or_else(|_| panic!("{line:?} ends in no number"));
    assert!(value >= 0.0, "{line:?} is negative");
    let (name, labels) = series
        .find('{')
        .map_or((series, ""), |at| series.split_at(at));
    assert!(labels.is_empty() || labels.ends_with('}'), "{line:?}");
    (name.into(), labels.into(), value)
}
