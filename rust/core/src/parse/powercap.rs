//! The names of powercap zones (`drivers/powercap/intel_rapl_common.c`): a zone is found by its
//! name, never by its number.

use super::name;

/// What a zone's `name` file says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ZoneName {
    /// `package`, `dram`, `core`, `uncore`, `psys`, or a name that is not known, whole.
    pub class: String,
    /// The package (`0`), or package and die (`0-1`), where the name holds it.
    pub index: Option<String>,
}

/// `package-0` and `package-0-die-1` are taken apart; every other name is a class by itself.
pub fn zone_name(text: &[u8]) -> ZoneName {
    let whole = name(text.trim_ascii());
    match whole.strip_prefix("package-").and_then(package_index) {
        Some(index) => ZoneName {
            class: "package".to_owned(),
            index: Some(index),
        },
        None => ZoneName {
            class: whole,
            index: None,
        },
    }
}

fn package_index(rest: &str) -> Option<String> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match rest.split_once("-die-") {
        None => is_number(rest).then(|| rest.to_owned()),
        Some((package, die)) => {
            (is_number(package) && is_number(die)).then(|| format!("{package}-{die}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::hostile;
    use proptest::prelude::*;

    fn zone(class: &str, index: Option<&str>) -> ZoneName {
        ZoneName {
            class: class.to_owned(),
            index: index.map(str::to_owned),
        }
    }

    #[test]
    fn names_of_the_kernel() {
        assert_eq!(zone_name(b"package-0\n"), zone("package", Some("0")));
        assert_eq!(zone_name(b"package-11\n"), zone("package", Some("11")));
        assert_eq!(
            zone_name(b"package-0-die-1\n"),
            zone("package", Some("0-1"))
        );
        for class in ["dram", "core", "uncore", "psys"] {
            assert_eq!(
                zone_name(format!("{class}\n").as_bytes()),
                zone(class, None)
            );
        }
    }

    #[test]
    fn an_unknown_name_is_kept() {
        for class in [
            "",
            "package",
            "package-",
            "package-x",
            "package-0-die-",
            "dtpm",
            "a b",
        ] {
            assert_eq!(zone_name(class.as_bytes()), zone(class, None));
        }
        assert_eq!(zone_name(b"\xffx\n"), zone("\u{fffd}x", None));
    }

    proptest! {
        #[test]
        fn any_bytes(text in hostile::text(&["package-", "-die-", "0", "\n", "dram"])) {
            let zone = zone_name(&text);
            prop_assert!(zone.index.is_none() || zone.class == "package");
        }
    }
}
