//! `/proc/P/status`: of its sixty lines only the user is wanted (fs/proc/array.c, `task_state`).

use super::{digits_u32, lines};

/// The real user id: the first number of the `Uid:` line, `None` where the text ends before it.
///
/// The first line is the name, which a user chooses; it is not looked at. The kernel writes its
/// newlines as `\n`, so no name makes a second line.
pub fn uid(text: &[u8]) -> Option<u32> {
    let line = lines(text)
        .skip(1)
        .find_map(|line| line.strip_prefix(b"Uid:"))?
        .trim_ascii_start();
    // Four numbers follow; one that does not end here may have been cut.
    let end = line.iter().position(u8::is_ascii_whitespace)?;
    digits_u32(&line[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::hostile;
    use proptest::prelude::*;

    const TEXT: &str = "Name:\tsshd\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t910\nNgid:\t0\n\
        Pid:\t910\nPPid:\t1\nTracerPid:\t0\nUid:\t1000\t0\t0\t0\nGid:\t33\t33\t33\t33\n\
        FDSize:\t64\nGroups:\t33 \n";

    #[test]
    fn the_real_user() {
        assert_eq!(uid(TEXT.as_bytes()), Some(1000));
        assert_eq!(uid(b"Name:\tx\nUid:\t0\t1\t2\t3\n"), Some(0));
        let largest = b"Name:\tx\nUid:\t4294967295\t1\t2\t3\n";
        assert_eq!(uid(largest), Some(u32::MAX));
    }

    #[test]
    fn a_name_is_no_user() {
        let text = TEXT.replace("sshd", "Uid:\t0\t0");
        assert_eq!(uid(text.as_bytes()), Some(1000));
        let text = TEXT.replace("sshd", "x\\nUid:\t0\t0\t0\t0");
        assert_eq!(uid(text.as_bytes()), Some(1000));
        assert_eq!(uid(b"Uid:\t0\t0\t0\t0\n"), None);
    }

    #[test]
    fn a_truncated_text_has_none() {
        let end = TEXT.find("Uid:\t1000\t").unwrap() + "Uid:\t1000".len();
        for end in 0..=end {
            assert_eq!(uid(&TEXT.as_bytes()[..end]), None);
        }
    }

    proptest! {
        #[test]
        fn any_bytes(text in hostile::text(&["Name:\t", "Uid:", "\t", "\n", "7", "Uid:\t1\t"])) {
            let _ = uid(&text);
        }
    }
}
