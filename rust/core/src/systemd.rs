//! The names that systemd gives to cgroups (systemd.unit(5), "String escaping").

/// The kinds of unit that have a cgroup, beside slices.
const KINDS: [&[u8]; 5] = [b".service", b".scope", b".socket", b".mount", b".swap"];

/// The unit that a cgroup is, `None` for every other cgroup.
///
/// systemd puts `_` before a name that the kernel could take for one of its own files (`cpu.stat`).
pub fn unit(component: &[u8]) -> Option<&[u8]> {
    let name = component.strip_prefix(b"_").unwrap_or(component);
    KINDS
        .iter()
        .any(|kind| name.len() > kind.len() && name.ends_with(kind))
        .then_some(name)
}

/// Whether a cgroup is a slice.
pub fn is_slice(component: &[u8]) -> bool {
    component.len() > b".slice".len() && component.ends_with(b".slice")
}

/// The user of `user-1000.slice` or `user@1000.service`, between `prefix` and `suffix`.
fn uid_between(component: &[u8], prefix: &[u8], suffix: &[u8]) -> Option<u32> {
    let uid = component.strip_prefix(prefix)?.strip_suffix(suffix)?;
    crate::parse::digits_u32(uid)
}

/// The user whose slice a cgroup is: `user-1000.slice`.
pub fn uid_of_slice(component: &[u8]) -> Option<u32> {
    uid_between(component, b"user-", b".slice")
}

/// The user whose manager a cgroup is: `user@1000.service`.
pub fn uid_of_manager(component: &[u8]) -> Option<u32> {
    uid_between(component, b"user@", b".service")
}

/// A name with its `\x2d` made bytes again; what is no escape stays as it is.
pub fn unescape(name: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((first, after)) = rest.split_first() {
        if let Some(byte) = escaped_byte(rest) {
            plain.push(byte);
            rest = &rest[4..];
        } else {
            plain.push(*first);
            rest = after;
        }
    }
    plain
}

fn escaped_byte(text: &[u8]) -> Option<u8> {
    let [b'\\', b'x', high, low, ..] = text else {
        return None;
    };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn units_and_slices() {
        for name in [
            "nginx.service",
            "session-3.scope",
            "dbus.socket",
            "-.mount",
            "a b.swap",
        ] {
            assert_eq!(unit(name.as_bytes()), Some(name.as_bytes()));
        }
        for name in [
            ".service",
            "nginx",
            "app.slice",
            "nginx.services",
            "x.timer",
            "",
        ] {
            assert_eq!(unit(name.as_bytes()), None);
        }
        assert!(is_slice(b"system.slice") && is_slice(b"-.slice"));
        assert!(!is_slice(b".slice") && !is_slice(b"nginx.service"));
    }

    #[test]
    fn an_underscore_before_a_name_of_the_kernel() {
        assert_eq!(unit(b"_cpu.service"), Some(&b"cpu.service"[..]));
        assert_eq!(unit(b"__x.service"), Some(&b"_x.service"[..]));
    }

    #[test]
    fn users() {
        assert_eq!(uid_of_slice(b"user-1000.slice"), Some(1000));
        assert_eq!(uid_of_manager(b"user@0.service"), Some(0));
        for name in [
            "user.slice",
            "user-.slice",
            "user-x.slice",
            "user-1-2.slice",
        ] {
            assert_eq!(uid_of_slice(name.as_bytes()), None);
        }
        assert_eq!(uid_of_slice(b"user-99999999999.slice"), None);
    }

    #[test]
    fn escapes() {
        assert_eq!(unescape(br"qemu\x2d1\x2dvm1"), b"qemu-1-vm1");
        assert_eq!(unescape(br"\xff\x"), b"\xff\\x");
        assert_eq!(unescape(br"a\x2"), br"a\x2");
        assert_eq!(unescape(br"\xzz\\x2d"), br"\xzz\-");
    }

    proptest! {
        #[test]
        fn any_bytes(name in crate::parse::hostile::text(&["\\x", "2d", "\\", "user-", ".slice"])) {
            prop_assert!(unescape(&name).len() <= name.len());
            let _ = (unit(&name), is_slice(&name), uid_of_slice(&name));
        }
    }
}
