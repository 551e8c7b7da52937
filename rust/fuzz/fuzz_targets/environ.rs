//! `/proc/P/environ`.
#![no_main]

use jouled_core::parse::environ::variable;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    if let Some(value) = variable(text, b"HOSTNAME") {
        assert!(!value.contains(&0));
        let entry = [b"HOSTNAME=", value].concat();
        assert!(text.windows(entry.len()).any(|part| part == entry));
    }
    let _ = variable(text, text);
});
