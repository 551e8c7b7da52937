//! Other exporters whose families can stand on the page beside ours.

use std::str::FromStr;

/// Whose dashboards shall work unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compat {
    /// [Kepler](https://github.com/sustainable-computing-io/kepler): see [`crate::kepler`].
    Kepler,
}

impl FromStr for Compat {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "kepler" => Ok(Self::Kepler),
            _ => Err(format!("compat {word:?} is not known; use kepler")),
        }
    }
}
