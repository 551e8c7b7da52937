//! `/proc/P/status`: no name makes another user.
#![no_main]

use jouled_core::parse::pid_status::uid;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let _ = uid(text);
    // The kernel writes the newlines of a name as `\n`.
    let name = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let text = [b"Name:\t", name, b"\nPid:\t1\nUid:\t1000\t0\t0\t0\n"].concat();
    assert_eq!(uid(&text), Some(1000));
});
