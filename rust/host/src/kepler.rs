//! What Kepler's families say of the host itself, read once at the start.

use jouled_core::kepler::Node;
use jouled_core::parse::{self, cpuinfo};

use crate::file;
use crate::root::Root;

/// The host by the name `node_name`, or by the one that its kernel has; without it where neither
/// is known, and without processors where `/proc/cpuinfo` cannot be read.
pub fn node(root: &Root, node_name: Option<&str>) -> Node {
    let mut buffer = Vec::new();
    let name = match node_name {
        Some(name) => name.to_owned(),
        None => file::read(&root.proc.join("sys/kernel/hostname"), &mut buffer)
            .map(|text| parse::name(text.trim_ascii()))
            .unwrap_or_default(),
    };
    let processors = file::read(&root.proc.join("cpuinfo"), &mut buffer)
        .map(cpuinfo::processors)
        .unwrap_or_default();
    Node::new(&name, &processors)
}
