//! The CPU time of a cgroup: `cpu.stat` of v2 (kernel/cgroup/rstat.c) and `cpuacct.usage` of v1
//! (kernel/sched/cpuacct.c). Both hold the time of the dead and of the cgroups below.

use super::{ParseError, lines, number};
use crate::units::Nanos;

/// The `usage_usec` of `cpu.stat`, which every v2 cgroup has, also where the cpu controller is off.
pub fn usage(text: &[u8]) -> Result<Nanos, ParseError> {
    let wrong = |problem| ParseError {
        file: "cpu.stat",
        problem,
    };
    let micros = lines(text)
        .find_map(|line| line.strip_prefix(b"usage_usec "))
        .ok_or(wrong("no usage_usec"))?;
    number(micros)
        .and_then(|micros| micros.checked_mul(1000))
        .map(Nanos)
        .ok_or(wrong("usage_usec is no number of microseconds"))
}

/// The one number of `cpuacct.usage`.
pub fn cpuacct(text: &[u8]) -> Result<Nanos, ParseError> {
    number(text).map(Nanos).ok_or(ParseError {
        file: "cpuacct.usage",
        problem: "no number of nanoseconds",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::hostile;
    use proptest::prelude::*;

    #[test]
    fn microseconds_of_v2() {
        let text = b"usage_usec 442017\nuser_usec 200000\nsystem_usec 242017\n\
            nice_usec 0\ncore_sched.force_idle_usec 0\nnr_periods 0\n";
        assert_eq!(usage(text), Ok(Nanos(442_017_000)));
        assert_eq!(usage(b"user_usec 1\nusage_usec 0\n"), Ok(Nanos(0)));
    }

    #[test]
    fn nanoseconds_of_v1() {
        assert_eq!(cpuacct(b"442017123\n"), Ok(Nanos(442_017_123)));
        let error = cpuacct(b"\n").unwrap_err();
        assert_eq!(error.to_string(), "cpuacct.usage: no number of nanoseconds");
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, message) in [
            (&b""[..], "cpu.stat: no usage_usec"),
            (b"usage_usec_x 1\n", "cpu.stat: no usage_usec"),
            (
                b"usage_usec -1\n",
                "cpu.stat: usage_usec is no number of microseconds",
            ),
            (
                b"usage_usec 18446744073709552\n",
                "cpu.stat: usage_usec is no number of microseconds",
            ),
        ] {
            assert_eq!(usage(text).unwrap_err().to_string(), message);
        }
    }

    proptest! {
        #[test]
        fn any_bytes(text in hostile::text(&["usage_usec ", "\n", "7", " "])) {
            let _ = (usage(&text), cpuacct(&text));
        }
    }
}
