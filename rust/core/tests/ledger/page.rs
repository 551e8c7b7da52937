//! Reads a page the way a strict scraper does, and says what should be on it.

use std::collections::{BTreeMap, BTreeSet};

use jouled_core::exposition::{Format, render};
use jouled_core::snapshot::{RowSnapshot, Snapshot};

/// Every series of a page: `name{label="value",…}` with the labels sorted, values unescaped.
pub(crate) type Page = BTreeMap<String, f64>;

/// One line of a page.
struct Series<'a> {
    name: &'a str,
    labels: Vec<(&'a str, String)>,
    value: f64,
}

/// Reads a page and fails on whatever a scraper could stumble over.
pub(crate) fn read(text: &str, format: Format) -> Page {
    assert!(
        text.is_empty() || text.ends_with('\n'),
        "the last line has no end"
    );
    let mut page = Page::new();
    let mut families = BTreeSet::new();
    let mut family = ("", "");
    let mut helped = "";
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            helped = help.split_once(' ').expect("a help has words").0;
        } else if let Some(head) = line.strip_prefix("# TYPE ") {
            family = head.split_once(' ').expect("a type has a kind");
            assert_eq!(family.0, helped, "the help stands before the type");
            assert!(families.insert(family.0), "family {} comes twice", family.0);
        } else if let Some(unit) = line.strip_prefix("# UNIT ") {
            assert_eq!(format, Format::OpenMetrics, "{line}");
            let (name, unit) = unit.split_once(' ').expect("a unit has a word");
            assert!(name == family.0 && name.ends_with(unit), "{line}");
        } else {
            let series = series(line);
            check_name(series.name, family, format);
            assert!(series.value >= 0.0 && series.value.is_finite(), "{line}");
            let key = key(series.name, series.labels);
            assert!(!page.contains_key(&key), "{key} comes twice");
            page.insert(key, series.value);
        }
    }
    page
}

fn check_name(name: &str, (family, kind): (&str, &str), format: Format) {
    let suffix = name.strip_prefix(family);
    let allowed: &[&str] = match (kind, format) {
        ("gauge", _) => &[""],
        ("counter", Format::Prometheus) => {
            assert!(family.ends_with("_total"), "{family}");
            &[""]
        }
        ("counter", Format::OpenMetrics) => &["_total", "_created"],
        _ => panic!("{family} is of kind {kind}"),
    };
    assert!(
        suffix.is_some_and(|suffix| allowed.contains(&suffix)),
        "{name} is no series of {family}"
    );
}

fn series(line: &str) -> Series<'_> {
    let end = line
        .find(['{', ' '])
        .unwrap_or_else(|| panic!("no series: {line}"));
    let (name, rest) = line.split_at(end);
    let is_name = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    assert!(is_name(name), "{line}");
    let mut labels = Vec::new();
    let mut rest = rest;
    if let Some(mut inside) = rest.strip_prefix('{') {
        loop {
            let (label, after) = inside.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
            assert!(is_name(label), "{line}");
            let (value, after) = unescape(after);
            labels.push((label, value));
            let Some(next) = after.strip_prefix(',') else {
                rest = after.strip_prefix('}').unwrap_or_else(|| panic!("{line}"));
                break;
            };
            inside = next;
        }
    }
    let value = rest.strip_prefix(' ').unwrap_or_else(|| panic!("{line}"));
    Series {
        name,
        labels,
        value: value.parse().unwrap_or_else(|_| panic!("{line}")),
    }
}

/// The value up to its closing quote, and what follows the quote.
fn unescape(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return (value, &text[at + 1..]),
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, escaped @ ('\\' | '"'))) => value.push(escaped),
                _ => panic!("a wrong escape in {text}"),
            },
            char => {
                assert!(!char.is_control(), "a control character in {text:?}");
                value.push(char);
            }
        }
    }
    panic!("a value without an end: {text}");
}

fn key(name: &str, mut labels: Vec<(&str, String)>) -> String {
    labels.sort();
    let names: BTreeSet<_> = labels.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), labels.len(), "a label comes twice: {labels:?}");
    format!("{name}{labels:?}")
}

/// What a snapshot says, as a page must say it.
pub(crate) fn expected(snapshot: &Snapshot, format: Format) -> Page {
    let mut sheet = Sheet {
        page: Page::new(),
        format,
    };
    for zone in &snapshot.zones {
        let labels = [
            ("zone", zone.zone.class.clone()),
            ("index", zone.zone.index.clone()),
            ("source", zone.zone.source.as_str().to_owned()),
        ];
        let energies = [
            ("", zone.total),
            ("_active", zone.active),
            ("_idle", zone.idle),
        ];
        for (part, energy) in energies {
            let name = format!("jouled_zone{part}_joules");
            sheet.counter(&name, &labels, energy.0, zone.created_s);
        }
        if let Some(power) = zone.power {
            let powers = [
                ("", power.total),
                ("_active", power.active),
                ("_idle", power.idle),
            ];
            for (part, power) in powers {
                sheet.put(&format!("jouled_zone{part}_watts"), &labels, power.0);
            }
        }
    }
    if let Some(ratio) = snapshot.busy_ratio {
        sheet.put("jouled_cpu_busy_ratio", &[], ratio);
    }
    for level in &snapshot.levels {
        let name = format!("jouled_{}", level.level.as_str());
        level
            .rows
            .iter()
            .for_each(|row| sheet.row(&name, row, snapshot));
        let residuals = level.residuals.iter();
        residuals.for_each(|row| sheet.row("jouled_residual", row, snapshot));
    }
    sheet.page
}

struct Sheet {
    page: Page,
    format: Format,
}

impl Sheet {
    fn put(&mut self, name: &str, labels: &[(&str, String)], value: f64) {
        let before = self.page.insert(key(name, labels.to_vec()), value);
        assert_eq!(before, None, "two rows are one series: {name}{labels:?}");
    }

    fn counter(&mut self, name: &str, labels: &[(&str, String)], value: f64, created_s: f64) {
        self.put(&format!("{name}_total"), labels, value);
        if self.format == Format::OpenMetrics {
            self.put(&format!("{name}_created"), labels, created_s);
        }
    }

    fn row(&mut self, name: &str, row: &RowSnapshot, snapshot: &Snapshot) {
        let text = format!("x{{{}}} 0", row.labels);
        let labels = series(&text).labels;
        self.counter(
            &format!("{name}_cpu_seconds"),
            &labels,
            row.cpu_s,
            row.created_s,
        );
        for (at, class) in snapshot.classes.iter().enumerate() {
            let mut labels = labels.clone();
            labels.push(("zone", class.name.to_string()));
            if let Some(joules) = row.joules.get(at) {
                self.counter(&format!("{name}_joules"), &labels, *joules, row.created_s);
            }
            if let (Some(weight), Some(active)) = (row.weight, class.active) {
                self.put(&format!("{name}_watts"), &labels, weight * active.0);
            }
        }
    }
}

/// Checks a snapshot's pages, in both formats, against the snapshot.
pub(crate) fn check(snapshot: &Snapshot) {
    for format in [Format::Prometheus, Format::OpenMetrics] {
        let text = String::from_utf8(render(snapshot, format)).expect("a page is UTF-8");
        let (mut page, expected) = (read(&text, format), expected(snapshot, format));
        // What Kepler's families say is another matter; that each series comes once is not.
        page.retain(|key, _| !key.starts_with("kepler_"));
        assert!(
            page.keys().eq(expected.keys()),
            "the page and the snapshot have other series:\n{:?}",
            page.keys()
                .collect::<BTreeSet<_>>()
                .symmetric_difference(&expected.keys().collect())
        );
        for ((key, shown), value) in page.iter().zip(expected.values()) {
            // Six decimals are written.
            let is_shown = (shown - value).abs() <= 0.6e-6 + value.abs() * 1e-15;
            assert!(
                is_shown,
                "{key}: {shown} on the page is {value} in the snapshot"
            );
        }
    }
}
