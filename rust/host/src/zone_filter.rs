//! Which zones the operator asked for.

use std::collections::BTreeSet;

use crate::error::Unsupported;

/// Zone classes, compared without regard to case; an empty filter admits all.
#[derive(Clone, Debug, Default)]
pub(crate) struct ZoneFilter(Vec<String>);

impl ZoneFilter {
    /// The filter of these words.
    pub(crate) fn new(words: &[String]) -> Self {
        Self(
            words
                .iter()
                .map(|word| word.trim().to_lowercase())
                .filter(|word| !word.is_empty())
                .collect(),
        )
    }

    /// Whether a zone of this class is wanted.
    pub(crate) fn admits(&self, class: &str) -> bool {
        self.0.is_empty() || self.names(class)
    }

    /// Whether this word was asked for: an empty filter names nothing.
    pub(crate) fn names(&self, word: &str) -> bool {
        self.0.iter().any(|wanted| *wanted == word.to_lowercase())
    }

    /// What to say when the filter left no zone of a meter that has `classes`.
    pub(crate) fn nothing_left<'a>(
        &self,
        meter: &'static str,
        classes: impl IntoIterator<Item = &'a str>,
    ) -> Unsupported {
        let classes: BTreeSet<&str> = classes.into_iter().collect();
        let classes: Vec<&str> = classes.into_iter().collect();
        let reason = format!(
            "no zone is called {}; this host has {}",
            self.0.join(" or "),
            classes.join(", ")
        );
        Unsupported { meter, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_filter_admits_all_and_names_nothing() {
        let filter = ZoneFilter::new(&[]);
        assert!(filter.admits("package"));
        assert!(!filter.names("package"));
    }

    #[test]
    fn case_does_not_matter_and_parts_of_words_do_not_match() {
        let filter = ZoneFilter::new(&["Package".into(), " DRAM".into()]);
        assert!(filter.admits("package") && filter.admits("dram"));
        assert!(!filter.admits("package-0") && !filter.admits("core"));
    }

    #[test]
    fn what_was_asked_and_what_exists_are_both_named() {
        let unsupported =
            ZoneFilter::new(&["gpu".into()]).nothing_left("rapl", ["package", "dram", "package"]);
        assert_eq!(
            unsupported.to_string(),
            "rapl: no zone is called gpu; this host has dram, package"
        );
    }
}
