//! Dies that show one register under several names.
//!
//! AMD counts energy per package, but kernels 6.10 and 6.11 made one powercap zone per die, and
//! the first Threadrippers have several dies that all show the package's register: summing them
//! multiplies the host's power. Intel's Cascade Lake-AP has dies with counters of their own, under
//! the same names. Only the numbers tell the two apart.
//!
//! The rule: read the dies back to back, the first one again at the end, and once more some
//! milliseconds later. Mirrors lie between the two readings of the first die, give or take
//! [`TOLERANCE`], both times, and move in between. Where nothing moves (a captured tree, a
//! suspended package) only equality to the microjoule counts. Counters of their own run since
//! power-on and wrap each at its own time: they are kilojoules apart. Just after power-on they are
//! not, so nothing is judged below [`SETTLED`]; and were two of them to cross while we look, the
//! next look (at every rediscovery) finds them drifted.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::sensor_file::SensorFile;

/// A die may show a copy that is one update (a millisecond) old: 1 J covers 1 kW.
const TOLERANCE: u64 = 1_000_000;
/// From here on dies with counters of their own have drifted apart. Until then they are two.
const SETTLED: u64 = 100 * TOLERANCE;
/// Between two looks: several updates of a moving counter.
const PAUSE: Duration = Duration::from_millis(5);
/// So long is waited for a counter to move before it is taken to stand still.
const LOOKS: usize = 6;

/// The counters of all dies and of the first one again, read back to back.
type Look = Vec<u64>;

/// What is known of the dies that were compared.
#[derive(Debug, Default)]
pub(crate) struct Mirrors {
    verdicts: HashMap<Vec<PathBuf>, bool>,
}

impl Mirrors {
    /// Whether these dies of one package show one register. Dies that have counters of their own
    /// are compared once; mirrors are looked at again each time.
    pub(crate) fn are(&mut self, dies: &[PathBuf]) -> bool {
        let mut counters: Vec<SensorFile> = dies
            .iter()
            .map(|die| SensorFile::at(die.join("energy_uj")))
            .collect();
        let range = SensorFile::at(dies[0].join("max_energy_range_uj"))
            .unsigned()
            .ok();
        let mut look = || -> Option<Look> {
            let mut values: Look = counters
                .iter_mut()
                .map(|counter| counter.unsigned().ok())
                .collect::<Option<_>>()?;
            values.push(counters.first_mut()?.unsigned().ok()?);
            Some(values)
        };
        let verdict = match self.verdicts.get(dies) {
            Some(false) => Some(false),
            // One that cannot be read now is no second register.
            Some(true) => Some(look().is_none_or(|values| is_near(&values, range))),
            None => compare(range, &mut look, &mut || std::thread::sleep(PAUSE)),
        };
        // What cannot be read now is compared again at the next look.
        if let Some(verdict) = verdict {
            self.verdicts.insert(dies.to_vec(), verdict);
        }
        verdict.unwrap_or(false)
    }
}

/// `Some(true)` for mirrors, `None` where that cannot be told yet.
fn compare(
    range: Option<u64>,
    look: &mut dyn FnMut() -> Option<Look>,
    pause: &mut dyn FnMut(),
) -> Option<bool> {
    let first = look()?;
    if !is_near(&first, range) {
        return Some(false);
    }
    if first[0] < SETTLED {
        return None;
    }
    for _ in 0..LOOKS {
        pause();
        let next = look()?;
        if !is_near(&next, range) {
            return Some(false);
        }
        let has_moved = first
            .iter()
            .zip(&next)
            .all(|(before, after)| before != after);
        if has_moved {
            return Some(true);
        }
    }
    let last = look()?;
    let is_still = first == last && last.windows(2).all(|pair| pair[0] == pair[1]);
    Some(is_still)
}

/// Whether every die lies between the first die's first and second reading, around the range.
fn is_near(look: &[u64], range: Option<u64>) -> bool {
    let [first, others @ .., first_again] = look else {
        return false;
    };
    let range = range.unwrap_or(u64::MAX);
    // In a range that small everything is near everything.
    let Some(furthest_behind) = range
        .checked_sub(TOLERANCE)
        .filter(|behind| *behind > 10 * TOLERANCE)
    else {
        return false;
    };
    let ahead_of_first = |value: u64| {
        let ahead = value.wrapping_sub(*first);
        if value < *first {
            ahead.wrapping_add(range).wrapping_add(1)
        } else {
            ahead
        }
    };
    let window = ahead_of_first(*first_again);
    others.iter().all(|value| {
        let ahead = ahead_of_first(*value);
        ahead <= window.saturating_add(TOLERANCE) || ahead >= furthest_behind
    })
}

/// `0` of `package-0-die-3`, with the index that the name's parser made of it (`0-3`).
pub(crate) fn package_of_die(index: &str) -> Option<&str> {
    index.split_once('-').map(|(package, _)| package)
}

/// The line that tells what was found.
pub(crate) fn finding(package: &str, kept: &Path, dies: usize) -> String {
    format!(
        "the {dies} dies of package {package} show one counter under {dies} names \
         (AMD counts per package): counted once, from {}",
        kept.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakeSys;

    const RANGE: Option<u64> = Some(65_532_610_987);

    fn judge(looks: &[&[u64]], range: Option<u64>) -> Option<bool> {
        let mut looks = looks.iter().cycle();
        compare(
            range,
            &mut || looks.next().map(|look| look.to_vec()),
            &mut || (),
        )
    }

    #[test]
    fn one_register_that_moves_between_the_reads_is_one_package() {
        let first: &[u64] = &[5_000_000_000, 5_000_000_000, 5_000_003_000, 5_000_003_000];
        let second: &[u64] = &[5_000_700_000, 5_000_701_000, 5_000_701_000, 5_000_702_000];
        assert_eq!(judge(&[first, second], RANGE), Some(true));
    }

    #[test]
    fn a_reader_that_was_held_up_in_the_middle_still_sees_one_register() {
        // 40 ms at 300 W between the first die and the second.
        let first: &[u64] = &[5_000_000_000, 5_012_000_000, 5_012_000_100];
        let second: &[u64] = &[5_020_000_000, 5_020_000_000, 5_020_000_000];
        assert_eq!(judge(&[first, second], RANGE), Some(true));
    }

    #[test]
    fn one_register_may_wrap_between_the_reads() {
        let end = RANGE.unwrap();
        let first: &[u64] = &[end - 10, 5, 9];
        let second: &[u64] = &[700_000, 700_010, 700_010];
        assert_eq!(judge(&[first, second], RANGE), Some(true));
        let copy_is_older: &[u64] = &[5, end - 10, 5];
        assert!(is_near(copy_is_older, RANGE));
    }

    #[test]
    fn dies_with_counters_of_their_own_are_far_apart() {
        let first: &[u64] = &[5_000_000_000, 9_100_000_000, 5_000_000_100];
        assert_eq!(judge(&[first], RANGE), Some(false));
        assert_eq!(judge(&[first], None), Some(false));
    }

    #[test]
    fn counters_that_only_cross_are_found_at_the_second_look() {
        let first: &[u64] = &[5_000_000_000, 5_000_400_000, 5_000_000_100];
        let second: &[u64] = &[5_000_200_000, 5_001_700_000, 5_000_200_100];
        assert_eq!(judge(&[first, second], RANGE), Some(false));
    }

    #[test]
    fn freshly_booted_dies_are_not_judged_yet() {
        let first: &[u64] = &[2_900_000, 3_100_000, 2_900_100];
        let second: &[u64] = &[3_600_000, 3_700_000, 3_600_100];
        assert_eq!(judge(&[first, second], RANGE), None);
    }

    #[test]
    fn counters_that_stand_still_must_be_equal_to_the_microjoule() {
        let equal: &[u64] = &[5_000_000_000, 5_000_000_000, 5_000_000_000];
        assert_eq!(judge(&[equal], RANGE), Some(true));
        let near: &[u64] = &[5_000_000_000, 5_000_000_061, 5_000_000_000];
        assert_eq!(judge(&[near], RANGE), Some(false));
    }

    #[test]
    fn what_cannot_be_read_is_not_judged() {
        assert_eq!(compare(RANGE, &mut || None, &mut || ()), None);
    }

    #[test]
    fn mirrors_that_drift_apart_are_taken_for_two_from_then_on() {
        let sys = FakeSys::new()
            .zone("intel-rapl:0", "package-0-die-0", 7_000_000_000, RANGE)
            .zone("intel-rapl:1", "package-0-die-1", 7_000_000_000, RANGE);
        let dies = [
            sys.at("class/powercap/intel-rapl:0"),
            sys.at("class/powercap/intel-rapl:1"),
        ];
        let mut mirrors = Mirrors::default();
        assert!(mirrors.are(&dies));
        sys.set_energy("intel-rapl:1", 7_005_000_000);
        assert!(!mirrors.are(&dies));
        sys.set_energy("intel-rapl:1", 7_000_000_000);
        assert!(!mirrors.are(&dies));
    }

    #[test]
    fn mirrors_of_which_one_cannot_be_read_for_once_are_still_one() {
        let sys = FakeSys::new()
            .zone("intel-rapl:0", "package-0-die-0", 7_000_000_000, RANGE)
            .zone("intel-rapl:1", "package-0-die-1", 7_000_000_000, RANGE);
        let dies = [
            sys.at("class/powercap/intel-rapl:0"),
            sys.at("class/powercap/intel-rapl:1"),
        ];
        let mut mirrors = Mirrors::default();
        assert!(mirrors.are(&dies));
        sys.put("class/powercap/intel-rapl:1/energy_uj", "\n");
        assert!(mirrors.are(&dies));
    }
}
