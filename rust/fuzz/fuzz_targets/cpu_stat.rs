//! `cpu.stat` and `cpuacct.usage`.
#![no_main]

use jouled_core::parse::{cpu_stat, number};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    if let Ok(time) = cpu_stat::usage(text) {
        assert_eq!(time.0 % 1000, 0);
    }
    assert_eq!(
        cpu_stat::cpuacct(text).ok().map(|time| time.0),
        number(text)
    );
});
