//! `/proc/P/cgroup`, and what its paths say.
#![no_main]

use jouled_core::cgroup::{billing_path, owner_of};
use jouled_core::parse::{NAME_BYTES, pid_cgroup::lines};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    for line in lines(text) {
        assert!(!line.path.contains(&b'\n'));
        assert!(!(line.is_unified() && line.is_named_systemd()));
        assert!(line.path.starts_with(billing_path(line.path)));
        let owner = owner_of(line.path);
        let container = owner.container.as_ref().map(|container| &container.id);
        let unit = owner.unit.as_ref().map(|unit| &unit.name);
        for name in [container, unit].into_iter().flatten() {
            assert!(!name.is_empty() && name.len() <= NAME_BYTES);
        }
    }
});
