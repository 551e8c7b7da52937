//! The names of powercap zones.
#![no_main]

use jouled_core::parse::{NAME_BYTES, powercap::zone_name};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let zone = zone_name(text);
    assert!(zone.class.len() <= NAME_BYTES);
    if let Some(index) = zone.index {
        assert_eq!(zone.class, "package");
        assert!(
            index
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'-')
        );
    }
});
