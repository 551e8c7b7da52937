//! The kernel's text formats, one file each. Every parser takes bytes and returns a struct or a
//! [`ParseError`] that names the field; none allocates more than its result and none panics.

pub mod stat;

/// What a kernel file held instead of what was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {problem}")]
pub struct ParseError {
    /// The kind of file, as proc(5) names it: `/proc/stat`, `cpu.stat`.
    pub file: &'static str,
    /// What is missing or wrong.
    pub problem: &'static str,
}
