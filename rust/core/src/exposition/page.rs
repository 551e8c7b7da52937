//! The lines of a page.

use super::Format;
use super::number::number;

/// What a family's values are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Gauge,
    Counter,
}

/// A page under way.
pub(super) struct Page {
    text: Vec<u8>,
    format: Format,
}

impl Page {
    pub(super) fn new(capacity: usize, format: Format) -> Self {
        Self {
            text: Vec::with_capacity(capacity),
            format,
        }
    }

    pub(super) fn into_text(self) -> Vec<u8> {
        self.text
    }

    /// The lines before a family. `name` is without `_total`, which only text 0.0.4 has there;
    /// `unit` may be empty.
    pub(super) fn head(&mut self, kind: Kind, name: &str, unit: &str, help: &str) {
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
        if !is_text && !unit.is_empty() {
            for part in ["# UNIT ", name, " ", unit, "\n"] {
                self.push(part);
            }
        }
    }

    fn push(&mut self, text: &str) {
        self.text.extend_from_slice(text.as_bytes());
    }

    /// One line. `labels` are fragments of escaped text, each `name="value",…` or empty.
    pub(super) fn series(&mut self, name: &str, labels: &[&str], value: f64) {
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
    pub(super) fn counter(&mut self, base: &str, labels: &[&str], value: f64, created_s: f64) {
        self.total(base, labels, value);
        if self.format == Format::OpenMetrics {
            self.push(base);
            self.series("_created", labels, created_s);
        }
    }

    /// A counter's line alone.
    pub(super) fn total(&mut self, base: &str, labels: &[&str], value: f64) {
        self.push(base);
        self.series("_total", labels, value);
    }
}
