//! `/proc/P/stat`: what the kernel says of one process (fs/proc/array.c, `do_task_stat`).

use super::{ParseError, digits, digits_u32};

/// Set in the flags of a kernel thread (include/linux/sched.h).
const PF_KTHREAD: u32 = 0x0020_0000;

/// The fields that are used of the 52; the name borrows from the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PidStat<'a> {
    /// The process id in the namespace of the proc root.
    pub pid: u32,
    /// The name: any bytes, also spaces, parentheses and newlines, 15 of them for a user's
    /// process and up to 63 for a kernel worker.
    pub comm: &'a [u8],
    /// `R`, `S`, `D`, `Z`, ...
    pub state: u8,
    /// The parent's process id; 0 for the first process and for kernel threads' parent.
    pub ppid: u32,
    /// The `PF_` flags.
    pub flags: u32,
    /// Time in user mode, of all threads, in clock ticks.
    pub utime_ticks: u64,
    /// Time in kernel mode, of all threads, in clock ticks.
    pub stime_ticks: u64,
    /// When it started, in clock ticks since boot.
    pub start_ticks: u64,
}

impl PidStat<'_> {
    /// Whether it is a kernel thread.
    pub const fn is_kernel(&self) -> bool {
        self.flags & PF_KTHREAD != 0
    }
}

const fn wrong(problem: &'static str) -> ParseError {
    ParseError {
        file: "/proc/P/stat",
        problem,
    }
}

/// Reads up to the start time. A text that ends earlier, even inside that number, is an error:
/// a start time that lost digits would be another process.
pub fn parse(text: &[u8]) -> Result<PidStat<'_>, ParseError> {
    // The name may hold `) `, but after it come only a letter and numbers: the last one is its end.
    let end = text
        .windows(2)
        .rposition(|pair| pair == b") ")
        .ok_or(wrong("no name in parentheses"))?;
    let start = text[..end]
        .windows(2)
        .position(|pair| pair == b" (")
        .ok_or(wrong("no name in parentheses"))?;
    let mut fields = Fields(&text[end + 2..]);
    let &[state] = fields.skip(0, "no state")? else {
        return Err(wrong("state is not one letter"));
    };
    let parent = fields.skip(0, "no ppid")?;
    let flags = fields.skip(4, "no flags")?;
    let utime = fields.skip(4, "no utime")?;
    let stime = fields.skip(0, "no stime")?;
    let started = fields.skip(6, "no start time")?;
    Ok(PidStat {
        pid: digits_u32(&text[..start]).ok_or(wrong("pid is no number"))?,
        comm: &text[start + 2..end],
        state,
        ppid: digits_u32(parent).ok_or(wrong("ppid is no number"))?,
        flags: digits_u32(flags).ok_or(wrong("flags is no number"))?,
        utime_ticks: digits(utime).ok_or(wrong("utime is no number"))?,
        stime_ticks: digits(stime).ok_or(wrong("stime is no number"))?,
        start_ticks: digits(started).ok_or(wrong("start time is no number"))?,
    })
}

/// The rest of the line; each field ends in one space or newline.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// The field after the next `count`.
    fn skip(&mut self, count: usize, problem: &'static str) -> Result<&'a [u8], ParseError> {
        for _ in 0..count {
            self.next(problem)?;
        }
        self.next(problem)
    }

    fn next(&mut self, problem: &'static str) -> Result<&'a [u8], ParseError> {
        let rest = self.0;
        let end = rest.iter().position(|byte| matches!(byte, b' ' | b'\n'));
        let end = end.ok_or(wrong(problem))?;
        self.0 = &rest[end + 1..];
        Ok(&rest[..end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::hostile;
    use proptest::prelude::*;

    const REST: &str = "S 1 800 800 0 -1 4194560 2719 196 10 0 73 41 0 0 20 0 9 0 3214 2512547840 \
        5120 18446744073709551615 1 1 0 0 0 0 0 4096 81923 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n";

    fn expected(comm: &[u8]) -> PidStat<'_> {
        PidStat {
            pid: 800,
            comm,
            state: b'S',
            ppid: 1,
            flags: 4_194_560,
            utime_ticks: 73,
            stime_ticks: 41,
            start_ticks: 3214,
        }
    }

    fn line(comm: &[u8]) -> Vec<u8> {
        [b"800 (", comm, b") ", REST.as_bytes()].concat()
    }

    #[test]
    fn a_process() {
        assert_eq!(parse(&line(b"nginx")), Ok(expected(b"nginx")));
        assert!(!expected(b"nginx").is_kernel());
    }

    #[test]
    fn a_name_may_hold_anything() {
        for comm in [
            &b""[..],
            b"tmux: server",
            b"(sd-pam)",
            b"a) R 1 2 3 4 5",
            b") S 0 0\n(",
            b"evil\xff\xfe\0",
            b" (",
        ] {
            assert_eq!(parse(&line(comm)), Ok(expected(comm)));
        }
    }

    #[test]
    fn a_kernel_thread() {
        let text = b"77 (kworker/0:1H-kblockd) I 2 0 0 0 -1 69238880 0 0 0 0 0 55 0 0 0 -20 1 0 \
            125 0 0 18446744073709551615 0 0\n";
        let stat = parse(text).unwrap();
        assert!(stat.is_kernel());
        assert_eq!(stat.comm, b"kworker/0:1H-kblockd");
        assert_eq!((stat.stime_ticks, stat.start_ticks), (55, 125));
    }

    #[test]
    fn a_truncated_text_is_an_error() {
        let text = line(b"nginx");
        let started = text.windows(5).position(|five| five == b"3214 ").unwrap() + 5;
        for end in 0..started {
            assert!(parse(&text[..end]).is_err(), "{end}");
        }
        for end in started..text.len() {
            assert_eq!(parse(&text[..end]), Ok(expected(b"nginx")));
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, problem) in [
            (&b"800 nginx S 1"[..], "no name in parentheses"),
            (
                b"x (nginx) S 1 800 800 0 -1 0 0 0 0 0 1 1 0 0 0 0 0 0 9 ",
                "pid is no number",
            ),
            (b"800 (nginx)  1 ", "state is not one letter"),
            (b"800 (nginx) S 1 2 3 4 5 ", "no flags"),
            (
                b"800 (nginx) S 1 800 800 0 -1 4194560 1 1 1 0 73 4",
                "no stime",
            ),
        ] {
            assert_eq!(parse(text), Err(wrong(problem)));
        }
    }

    proptest! {
        #[test]
        fn any_bytes(text in hostile::text(&["1 (", ") ", "S ", " ", "7 ", "\n", "-1 "])) {
            let _ = parse(&text);
        }

        #[test]
        fn any_name(comm in prop::collection::vec(any::<u8>(), 0..64)) {
            let text = line(&comm);
            prop_assert_eq!(parse(&text), Ok(expected(&comm)));
        }
    }
}
