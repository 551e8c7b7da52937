//! Power that can be divided at will, as water in vessels: all stand at one level.

use super::Microwatts;

/// One that shares, between what it has at least and at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Vessel {
    pub(super) bottom: Microwatts,
    pub(super) top: Microwatts,
}

impl Vessel {
    /// What stands in it above its bottom.
    pub(super) fn at(self, level: Microwatts) -> Microwatts {
        level.clamp(self.bottom, self.top) - self.bottom
    }
}

/// The highest level that needs no more than `room` above the bottoms.
pub(super) fn level(room: Microwatts, vessels: &[Vessel]) -> Microwatts {
    let poured =
        |level: Microwatts| -> Microwatts { vessels.iter().map(|each| each.at(level)).sum() };
    let (mut low, mut high) = (0, vessels.iter().map(|each| each.top).max().unwrap_or(0));
    while low < high {
        let middle = low + (high - low + 1) / 2;
        if poured(middle) <= room {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    low
}
