//! `/proc/cpuinfo` of any architecture.
#![no_main]

use jouled_core::parse::{
    NAME_BYTES,
    cpuinfo::{parse, processors},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let found = parse(text);
    assert!(found.vendor.len() <= NAME_BYTES && found.name.len() <= NAME_BYTES);
    // Each processor line is at least `processor:0`.
    assert!(found.cpus as usize <= text.len() / 11);
    assert!(processors(text).len() <= found.cpus as usize);
});
