//! `/proc/stat`.
#![no_main]

use jouled_core::parse::stat::parse;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    if let Ok(times) = parse(text, 100) {
        // Each cpu line is at least `cpu0`.
        assert!(times.cpus as usize <= text.len() / 4);
        assert!(times.user.0 % 10_000_000 == 0);
        assert!(parse(text, 1024).is_ok());
    }
});
