//! The kernel's text formats, one file each. Every parser takes bytes and returns a struct or a
//! [`ParseError`] that names the field; none allocates more than its result and none panics.

pub mod cmdline;
pub mod cpu_stat;
pub mod cpuinfo;
pub mod environ;
pub mod options;
pub mod passwd;
pub mod pid_cgroup;
pub mod pid_stat;
pub mod pid_status;
pub mod powercap;
pub mod stat;

/// What a kernel file held instead of what was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {problem}")]
pub struct ParseError {
    /// The kind of file, as proc(5) names it: `/proc/stat`, `cpu.stat`.
    pub file: &'static str,
    /// What is missing or wrong.
    pub problem: &'static str,
}

/// The longest name that is kept, in bytes: cgroup names end at 255, arguments nowhere.
pub const NAME_BYTES: usize = 256;

/// A file that holds one decimal number: `energy_uj`, `cpuacct.usage`. White space around it is
/// ignored; anything else, also a number beyond 64 bits, is `None`.
pub fn number(text: &[u8]) -> Option<u64> {
    digits(text.trim_ascii())
}

/// Bytes as a name: invalid UTF-8 is replaced, and at most [`NAME_BYTES`] are kept.
pub fn name(bytes: &[u8]) -> String {
    // Replacement never shortens, so four bytes beyond the limit decide its last character.
    let near = &bytes[..bytes.len().min(NAME_BYTES + 4)];
    let mut name = String::from_utf8_lossy(near).into_owned();
    if name.len() > NAME_BYTES {
        let end = (0..=NAME_BYTES).rev().find(|&at| name.is_char_boundary(at));
        name.truncate(end.unwrap_or(0));
    }
    name
}

/// A decimal number and nothing around it.
pub(crate) fn digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |sum, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit <= 9)?;
        sum.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// The same for fields of 32 bits.
pub(crate) fn digits_u32(text: &[u8]) -> Option<u32> {
    digits(text).and_then(|number| u32::try_from(number).ok())
}

/// The lines of a text without their newlines; the empty piece after the last newline is none.
pub(crate) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let is_empty = text.is_empty();
    text.split(|byte| *byte == b'\n').filter(move |_| !is_empty)
}

/// The pieces between white space.
pub(crate) fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
}

/// A line cut at the first `separator`, which is in neither half.
pub(crate) fn cut(line: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = line.iter().position(|byte| *byte == separator)?;
    Some((&line[..at], &line[at + 1..]))
}

/// Texts for the tests: bytes that come near to what a parser looks for, and any others.
#[cfg(test)]
pub(crate) mod hostile {
    use proptest::prelude::*;

    /// Up to 24 pieces, each one of `words` or some random bytes.
    pub(crate) fn text(words: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
        let word = prop::sample::select(words).prop_map(|word| word.as_bytes().to_vec());
        let piece = prop_oneof![
            3 => word,
            1 => prop::collection::vec(any::<u8>(), 0..12),
            1 => any::<u64>().prop_map(|number| number.to_string().into_bytes()),
        ];
        prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers() {
        assert_eq!(number(b"0\n"), Some(0));
        assert_eq!(number(b" 262143328850 \n"), Some(262_143_328_850));
        assert_eq!(number(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(number(b"18446744073709551616"), None);
        for text in [
            &b""[..],
            b"\n",
            b"-1",
            b"+1",
            b"1 2",
            b"0x10",
            b"max",
            b"1\0",
        ] {
            assert_eq!(number(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_name_is_cut_at_a_character() {
        let text = "ä".repeat(200);
        assert_eq!(name(text.as_bytes()), "ä".repeat(128));
        assert_eq!(name(format!("x{text}").as_bytes()).len(), 255);
        assert_eq!(name(b"evil\xff\xfe"), "evil\u{fffd}\u{fffd}");
    }

    #[test]
    fn no_line_in_an_empty_text() {
        assert_eq!(lines(b"").count(), 0);
        assert_eq!(lines(b"\n").count(), 0);
        assert_eq!(lines(b"a\n\nb").collect::<Vec<_>>(), [&b"a"[..], b"", b"b"]);
    }

    proptest! {
        #[test]
        fn any_number_comes_back(value: u64) {
            prop_assert_eq!(number(format!("{value}\n").as_bytes()), Some(value));
        }

        #[test]
        fn any_bytes_are_a_number_or_none(text in hostile::text(&["0", "9", " ", "\n"])) {
            let _ = number(&text);
        }

        #[test]
        fn any_bytes_make_a_short_name(text in prop::collection::vec(any::<u8>(), 0..600)) {
            prop_assert!(name(&text).len() <= NAME_BYTES);
        }

        #[test]
        fn a_cut_name_is_the_whole_name_cut(text in "\\PC{0,300}") {
            prop_assert!(text.starts_with(&name(text.as_bytes())));
        }
    }
}
