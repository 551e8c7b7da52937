//! `/proc/P/stat`: the name is whatever the process chose.
#![no_main]

use jouled_core::parse::pid_stat::parse;
use libfuzzer_sys::fuzz_target;

const REST: &[u8] = b") S 1 1 1 0 -1 4194560 1 1 1 0 73 41 0 0 20 0 9 0 3214 1 1\n";

fuzz_target!(|text: &[u8]| {
    let _ = parse(text);
    let line = [b"800 (", text, REST].concat();
    let stat = parse(&line).expect("any name can be read");
    assert_eq!(stat.comm, text);
    assert_eq!((stat.pid, stat.ppid, stat.start_ticks), (800, 1, 3214));
});
