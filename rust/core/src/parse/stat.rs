//! `/proc/stat`: the machine's CPU times (fs/proc/stat.c).

use super::{ParseError, cut, digits, words};
use crate::units::Nanos;

/// CPU times summed over all CPUs, those that were unplugged included. Guest time is inside user and nice, as in the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // each is the column of that name in proc(5)
pub struct CpuTimes {
    pub user: Nanos,
    pub nice: Nanos,
    pub system: Nanos,
    pub idle: Nanos,
    pub iowait: Nanos,
    pub irq: Nanos,
    pub softirq: Nanos,
    pub steal: Nanos,
    /// How many CPUs are online (the `cpuN` lines).
    pub cpus: u32,
}

/// The columns before guest time, and how many of them every kernel has had.
const COLUMNS: usize = 8;
const OLDEST_COLUMNS: usize = 4;

const fn wrong(problem: &'static str) -> ParseError {
    ParseError {
        file: "/proc/stat",
        problem,
    }
}

/// Reads the `cpu` lines, which come first, and nothing after them: the interrupt line of a large
/// machine is longer than all the rest.
pub fn parse(text: &[u8], ticks_per_second: u64) -> Result<CpuTimes, ParseError> {
    if ticks_per_second == 0 {
        return Err(wrong("a second cannot have 0 clock ticks"));
    }
    let sum = text
        .strip_prefix(b"cpu ")
        .ok_or(wrong("does not begin with the cpu line"))?;
    let (sum, mut rest) = first_line(sum);
    let times = columns(sum, ticks_per_second)?;
    let mut cpus = 0_u32;
    while is_one_cpu(rest) {
        cpus = cpus.saturating_add(1);
        rest = first_line(rest).1;
    }
    Ok(CpuTimes {
        user: times[0],
        nice: times[1],
        system: times[2],
        idle: times[3],
        iowait: times[4],
        irq: times[5],
        softirq: times[6],
        steal: times[7],
        cpus,
    })
}

/// Columns that an old kernel does not have stay 0.
fn columns(line: &[u8], ticks_per_second: u64) -> Result<[Nanos; COLUMNS], ParseError> {
    let mut times = [Nanos::default(); COLUMNS];
    let mut found = 0;
    for (time, word) in times.iter_mut().zip(words(line)) {
        let ticks = digits(word).ok_or(wrong("a column of the cpu line is no number"))?;
        let nanos = u128::from(ticks) * 1_000_000_000 / u128::from(ticks_per_second);
        let nanos = u64::try_from(nanos);
        *time = Nanos(nanos.map_err(|_| wrong("a column of the cpu line is out of range"))?);
        found += 1;
    }
    if found < OLDEST_COLUMNS {
        return Err(wrong("the cpu line has fewer than 4 columns"));
    }
    Ok(times)
}

/// The first line and all after it, so that a line which is not wanted is never looked through.
fn first_line(text: &[u8]) -> (&[u8], &[u8]) {
    cut(text, b'\n').unwrap_or((text, b""))
}

fn is_one_cpu(line: &[u8]) -> bool {
    line.strip_prefix(b"cpu")
        .and_then(<[u8]>::first)
        .is_some_and(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::hostile;
    use proptest::prelude::*;

    const TICK: u64 = 10_000_000;

    fn times(ticks: [u64; COLUMNS], cpus: u32) -> CpuTimes {
        let [user, nice, system, idle, iowait, irq, softirq, steal] =
            ticks.map(|ticks| Nanos(ticks * TICK));
        CpuTimes {
            user,
            nice,
            system,
            idle,
            iowait,
            irq,
            softirq,
            steal,
            cpus,
        }
    }

    #[test]
    fn a_kernel_of_today() {
        let text = b"cpu  10132153 290696 3084719 46828483 16683 0 25195 7 175628 12\n\
            cpu0 1393280 32966 572056 13343292 6130 0 17875 7 23933 12\n\
            cpu1 1335648 40282 492063 33485191 10553 0 7320 0 151695 0\n\
            intr 1462898 0 0 0\nctxt 115315\nbtime 769041601\n";
        let expected = [
            10_132_153, 290_696, 3_084_719, 46_828_483, 16_683, 0, 25_195, 7,
        ];
        assert_eq!(parse(text, 100), Ok(times(expected, 2)));
    }

    #[test]
    fn an_old_kernel_has_fewer_columns() {
        let expected = times([1, 2, 3, 4, 0, 0, 0, 0], 1);
        assert_eq!(parse(b"cpu  1 2 3 4\ncpu0 1 2 3 4\n", 100), Ok(expected));
    }

    #[test]
    fn nothing_after_the_cpu_lines_is_read() {
        let text = b"cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 1\nintr 1\ncpu1 1\n";
        assert_eq!(parse(text, 100).map(|times| times.cpus), Ok(1));
        let text = b"cpu  1 2 3 4 5 6 7 8 9 10\ncpufreq 1\n";
        assert_eq!(parse(text, 100).map(|times| times.cpus), Ok(0));
    }

    #[test]
    fn a_tick_of_any_length() {
        let user =
            |ticks_per_second| parse(b"cpu  3 0 0 0\n", ticks_per_second).map(|times| times.user.0);
        assert_eq!(user(100), Ok(30_000_000));
        assert_eq!(user(1024), Ok(2_929_687));
        assert_eq!(user(0), Err(wrong("a second cannot have 0 clock ticks")));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, problem) in [
            (&b""[..], "does not begin with the cpu line"),
            (
                b"intr 1\ncpu  1 2 3 4\n",
                "does not begin with the cpu line",
            ),
            (b"cpu  1 2 3\n", "the cpu line has fewer than 4 columns"),
            (b"cpu  1 2 -3 4\n", "a column of the cpu line is no number"),
            (
                b"cpu  18446744073709551615 2 3 4\n",
                "a column of the cpu line is out of range",
            ),
        ] {
            assert_eq!(parse(text, 100), Err(wrong(problem)));
        }
    }

    proptest! {
        #[test]
        fn any_bytes(text in hostile::text(&["cpu ", "cpu0", " ", "\n", "7"]), ticks: u64) {
            let _ = parse(&text, ticks);
        }
    }
}
