//! `/proc/P/cmdline`, and the guest that it tells of.
#![no_main]

use jouled_core::parse::{NAME_BYTES, cmdline::arguments};
use jouled_core::process::ProcessKey;
use jouled_core::vm::{may_be_vm, vm_of};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let first = arguments(text).next().unwrap_or_default();
    let _ = may_be_vm(first, None);
    let key = ProcessKey {
        pid: 42,
        start_ticks: 3214,
    };
    if let Some(vm) = vm_of(None, text, key) {
        // What is a guest by its first argument is one by its executable, too.
        assert!(may_be_vm(b"", Some(first)));
        assert!(!vm.id.is_empty() && vm.id.len() <= NAME_BYTES);
        assert!(!vm.name.is_empty() && vm.name.len() <= NAME_BYTES);
    }
    assert!(vm_of(Some(b"/usr/bin/kvm"), text, key).is_some());
});
