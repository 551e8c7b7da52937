//! `/etc/passwd`.
#![no_main]

use jouled_core::parse::passwd::users;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    for (_, name) in users(text) {
        assert!(!name.is_empty() && !name.contains(&b':') && !name.contains(&b'\n'));
    }
});
