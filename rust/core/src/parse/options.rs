//! The options in a command line, as hypervisors write them.

use super::cmdline::arguments;
use super::cut;

/// A path's last part without its extension.
pub fn stem(path: &[u8]) -> &[u8] {
    let file = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
    match file.iter().rposition(|byte| *byte == b'.') {
        Some(dot) if dot > 0 => &file[..dot],
        _ => file,
    }
}

/// The value of `key` in `key=value,key=value`.
pub fn property<'a>(list: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    list.split(|byte| *byte == b',')
        .find_map(|entry| entry.strip_prefix(key)?.strip_prefix(b"="))
        .filter(|value| !value.is_empty())
}

/// A command line, asked for its options by name; they may have one dash or two.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// The text of `/proc/P/cmdline`.
    pub cmdline: &'a [u8],
}

impl<'a> Options<'a> {
    /// Whether an option is given, with a value or without.
    pub fn has(&self, option: &str) -> bool {
        arguments(self.cmdline)
            .skip(1)
            .any(|argument| option_of(argument).is_some_and(|it| it.0 == option.as_bytes()))
    }

    /// The first value of an option.
    pub fn value(&self, option: &str) -> Option<&'a [u8]> {
        self.values(option).next()
    }

    /// The values of an option in all its places: `-name X` or `-name=X`.
    pub fn values(&self, option: &str) -> impl Iterator<Item = &'a [u8]> {
        let mut all = arguments(self.cmdline).skip(1).peekable();
        std::iter::from_fn(move || {
            loop {
                let Some((name, value)) = option_of(all.next()?) else {
                    continue;
                };
                if name != option.as_bytes() {
                    continue;
                }
                // An option that comes next is not this one's value.
                let value = value.or_else(|| all.next_if(|next| !next.starts_with(b"-")));
                if let Some(value) = value.filter(|value| !value.is_empty()) {
                    return Some(value);
                }
            }
        })
    }
}

/// `-name=X` as `name` and `X`, `--name` as `name` alone.
fn option_of(argument: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let option = argument.strip_prefix(b"-")?;
    let option = option.strip_prefix(b"-").unwrap_or(option);
    match cut(option, b'=') {
        Some((name, value)) => Some((name, Some(value))),
        None => Some((option, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::hostile;
    use proptest::prelude::*;

    const LINE: Options<'_> = Options {
        cmdline: b"-x\0-a\0x1\0--b=2\0-a=3\0-c\0-d\0--\0-e=\0plain\0-a\0",
    };

    #[test]
    fn one_dash_or_two() {
        assert_eq!(LINE.values("a").collect::<Vec<_>>(), [&b"x1"[..], b"3"]);
        assert_eq!(LINE.value("b"), Some(&b"2"[..]));
    }

    #[test]
    fn an_option_is_no_value() {
        assert!(LINE.has("c") && LINE.has("e"));
        assert_eq!((LINE.value("c"), LINE.value("e")), (None, None));
        // The first argument is the program.
        assert!(!LINE.has("x") && !LINE.has("plain"));
    }

    #[test]
    fn properties() {
        let list = b"type=1,uuid=U,x=,uuid=V";
        assert_eq!(property(list, b"uuid"), Some(&b"U"[..]));
        assert_eq!(property(list, b"x"), None);
        assert_eq!(property(list, b"id"), None);
    }

    #[test]
    fn stems() {
        for (path, expected) in [
            ("/vms/web.vmx", "web"),
            ("web.tar.gz", "web.tar"),
            ("/run/.hidden", ".hidden"),
            ("/run/", ""),
            ("", ""),
        ] {
            assert_eq!(stem(path.as_bytes()), expected.as_bytes());
        }
    }

    proptest! {
        #[test]
        fn any_bytes(line in hostile::text(&["\0", "-", "a", "=", ",", ".", "/"])) {
            let options = Options { cmdline: &line };
            let _ = options.has("a");
            for value in options.values("a") {
                prop_assert!(!value.is_empty());
                let _ = (property(value, b"a"), stem(value));
            }
        }
    }
}
