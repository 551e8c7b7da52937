//! `/proc/P/cmdline`: the arguments, each ended by a NUL.

/// The arguments. Empty ones at the end are dropped: a process that writes a title over its
/// arguments pads it with NULs.
pub fn arguments(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let end = text.iter().rposition(|byte| *byte != 0);
    let text = &text[..end.map_or(0, |last| last + 1)];
    let is_empty = text.is_empty();
    text.split(|byte| *byte == 0).filter(move |_| !is_empty)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::hostile;
    use proptest::prelude::*;

    fn all(text: &[u8]) -> Vec<&[u8]> {
        arguments(text).collect()
    }

    #[test]
    fn arguments_end_in_nul() {
        assert_eq!(
            all(b"/bin/sh\0-c\0echo a b\0"),
            [&b"/bin/sh"[..], b"-c", b"echo a b"]
        );
        assert_eq!(all(b"a\0\0b\0"), [&b"a"[..], b"", b"b"]);
        assert_eq!(all(b"cut"), [&b"cut"[..]]);
    }

    #[test]
    fn a_title_is_one_argument() {
        assert_eq!(
            all(b"nginx: worker process\0\0\0\0"),
            [&b"nginx: worker process"[..]]
        );
    }

    #[test]
    fn a_kernel_thread_has_none() {
        assert_eq!(all(b""), [&b""[..]; 0]);
        assert_eq!(all(b"\0\0"), [&b""[..]; 0]);
    }

    proptest! {
        #[test]
        fn any_bytes(text in hostile::text(&["\0", "a", " "])) {
            for argument in arguments(&text) {
                prop_assert!(!argument.contains(&0));
            }
        }
    }
}
