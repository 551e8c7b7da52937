//! `/proc/P/environ`: the variables that a process was started with, each ended by a NUL.

/// The value of the first variable of that name.
pub fn variable<'a>(text: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    if name.is_empty() {
        return None;
    }
    text.split(|byte| *byte == 0)
        .find_map(|entry| entry.strip_prefix(name)?.strip_prefix(b"="))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::hostile;
    use proptest::prelude::*;

    const TEXT: &[u8] = b"PATH=/bin\0HOSTNAME=web-1\0XHOSTNAME=no\0EMPTY=\0HOSTNAME=later\0A=b=c\0";

    #[test]
    fn the_first_of_that_name() {
        assert_eq!(variable(TEXT, b"HOSTNAME"), Some(&b"web-1"[..]));
        assert_eq!(variable(TEXT, b"EMPTY"), Some(&b""[..]));
        assert_eq!(variable(TEXT, b"A"), Some(&b"b=c"[..]));
    }

    #[test]
    fn none_of_that_name() {
        for name in [&b"HOST"[..], b"", b"hostname", b"PATH="] {
            assert_eq!(variable(TEXT, name), None);
        }
        assert_eq!(variable(b"", b"HOSTNAME"), None);
    }

    proptest! {
        #[test]
        fn any_bytes(text in hostile::text(&["HOSTNAME", "=", "\0"]), name: Vec<u8>) {
            let _ = (variable(&text, b"HOSTNAME"), variable(&text, &name));
        }
    }
}
