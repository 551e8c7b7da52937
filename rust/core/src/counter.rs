//! One step of a hardware energy counter: wrap against reset against re-baseline.

use crate::units::{Joules, Nanos, Watts};

/// What happened to a counter between two readings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// There is nothing to compare with, or nothing that can be corrected: the newer reading is
    /// a baseline and the interval's energy is unknown.
    Baseline,
    /// The counter grew by this much.
    Grew(Joules),
    /// The counter passed the end of its range once; the growth is corrected for it.
    Wrapped(Joules),
    /// It jumped further than the zone can draw (driver reload, resume, a sensor's all ones): the
    /// interval is dropped, and counted.
    Reset,
}

impl Step {
    /// The step from `last` to `now` microjoules over `span`.
    ///
    /// `range` is the counter's largest value (`max_energy_range_uj`), `None` where it cannot be
    /// read: a backwards step then cannot be corrected. `ceiling` is more power than the zone
    /// could ever draw; a step that implies more is a reset, not energy.
    ///
    /// The counter runs from 0 to `range` inclusive, so a wrap is `range - last + now + 1`
    /// (`drivers/powercap/intel_rapl_common.c` scales a 32-bit register).
    pub fn between(last: u64, now: u64, range: Option<u64>, span: Nanos, ceiling: Watts) -> Self {
        let (microjoules, wrapped) = match range {
            _ if now >= last => (now - last, false),
            Some(range) if range >= last => {
                ((range - last).saturating_add(now).saturating_add(1), true)
            }
            Some(_) => return Self::Reset,
            None => return Self::Baseline,
        };
        let energy = Joules::from_microjoules(microjoules);
        if energy > ceiling.during(span) {
            Self::Reset
        } else if wrapped {
            Self::Wrapped(energy)
        } else {
            Self::Grew(energy)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Nanos = Nanos::from_secs(1);
    const CEILING: Watts = Watts(1000.0);

    fn step(last: u64, now: u64, range: Option<u64>) -> Step {
        Step::between(last, now, range, SECOND, CEILING)
    }

    #[test]
    fn grows_by_the_difference() {
        assert_eq!(step(1_000_000, 3_000_000, None), Step::Grew(Joules(2.0)));
        assert_eq!(step(7, 7, Some(10)), Step::Grew(Joules(0.0)));
    }

    #[test]
    fn a_wrap_counts_the_step_from_the_last_value_to_zero() {
        // 0..=262143328850 is a real Skylake range: 10 below the end, 5 above zero, one unit between.
        let range = 262_143_328_850;
        assert_eq!(
            step(range - 10, 5, Some(range)),
            Step::Wrapped(Joules(16e-6))
        );
    }

    #[test]
    fn a_wrap_without_a_readable_range_is_a_baseline_never_an_assumed_zero() {
        assert_eq!(step(9, 5, None), Step::Baseline);
    }

    #[test]
    fn a_step_that_no_hardware_could_draw_is_a_reset_in_both_directions() {
        // A driver reload: the counter starts again near zero in the middle of its range.
        assert_eq!(step(100_000_000_000, 5, Some(262_143_328_850)), Step::Reset);
        assert_eq!(step(5, 100_000_000_000, Some(262_143_328_850)), Step::Reset);
    }

    #[test]
    fn a_reading_beyond_its_own_range_is_a_reset() {
        assert_eq!(step(20, 5, Some(10)), Step::Reset);
    }
}
