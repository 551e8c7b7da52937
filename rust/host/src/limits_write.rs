//! One write of one limit, read back.

use std::path::{Component, Path};

use jouled_core::parse;
use rustix::io::Errno;

use crate::limits::interface_of;
use crate::limits_attributes::{Attributes, Kernel};
use crate::limits_words as words;

/// Why a limit was not written, by what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No attribute of a power limit, or a value that it cannot hold: nothing was tried.
    Wrong,
    /// The right is missing, or the file system is read-only.
    Denied,
    /// The zone went away.
    Gone,
    /// The kernel or the firmware does not let the limit be set.
    Locked,
    /// Anything else.
    Failed,
}

impl Refusal {
    /// Its word in Python.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Wrong => "wrong",
            Self::Denied => "denied",
            Self::Gone => "gone",
            Self::Locked => "locked",
            Self::Failed => "failed",
        }
    }

    fn of(errno: Errno) -> Self {
        match errno {
            Errno::ACCESS | Errno::PERM | Errno::ROFS => Self::Denied,
            Errno::NODEV | Errno::NOENT | Errno::NXIO => Self::Gone,
            Errno::NODATA | Errno::NOSYS => Self::Locked,
            _ => Self::Failed,
        }
    }
}

/// A limit that was not written, or of which nobody knows what it holds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}")]
pub struct LimitError {
    /// What to do about it.
    pub refusal: Refusal,
    /// The file, the kernel's answer and the fix.
    pub line: String,
}

/// Writes one attribute of a zone below a `class/powercap` and returns what it holds then, which
/// may be another value: limits are rounded, and clamped or locked ones keep what they held.
///
/// Only `constraint_N_power_limit_uw`, `constraint_N_time_window_us` and `enabled` are written, no
/// file is made and no value is changed before it is written.
pub fn write_limit(directory: &Path, attribute: &str, value: u64) -> Result<u64, LimitError> {
    write_to(&Kernel, directory, attribute, value)
}

pub(crate) fn write_to(
    files: &dyn Attributes,
    directory: &Path,
    attribute: &str,
    value: u64,
) -> Result<u64, LimitError> {
    let path = directory.join(attribute);
    check(directory, attribute, value).map_err(|(reason, fix)| LimitError {
        refusal: Refusal::Wrong,
        line: words::line("write", &path, reason, fix),
    })?;
    let read = |path: &Path| files.word(path);
    if let Err(errno) = files.put(&path, &value.to_string()) {
        let enabled = read(&directory.join("enabled")).ok();
        let enabled = enabled.and_then(|text| parse::number(text.as_bytes()));
        return Err(LimitError {
            refusal: Refusal::of(errno),
            line: words::unwritable(
                &path,
                value,
                errno,
                enabled.map(|enabled| enabled != 0),
                read(&path).is_ok(),
            ),
        });
    }
    let text = read(&path).map_err(|errno| LimitError {
        refusal: Refusal::of(errno),
        line: words::unreadable(&path, errno),
    })?;
    parse::number(text.as_bytes()).ok_or_else(|| LimitError {
        refusal: Refusal::Failed,
        line: words::no_number(&path, &text),
    })
}

/// Nothing but a limit is ever written, whatever a journal or a caller says.
fn check(
    directory: &Path,
    attribute: &str,
    value: u64,
) -> Result<(), (&'static str, &'static str)> {
    let fix = "name a zone's directory: SYS/class/powercap/intel-rapl:0";
    let names: Vec<&str> = directory
        .components()
        .filter_map(|part| match part {
            Component::Normal(name) => name.to_str(),
            // `..` may lead anywhere.
            Component::ParentDir => Some(".."),
            _ => None,
        })
        .collect();
    let is_zone =
        matches!(names.as_slice(), [.., "class", "powercap", id] if interface_of(id).is_some());
    if !is_zone || names.contains(&"..") {
        return Err(("not in a zone of the powercap class", fix));
    }
    if attribute == "enabled" {
        return match value {
            0 | 1 => Ok(()),
            _ => Err(("neither 0 nor 1", "write 0 or 1")),
        };
    }
    if !is_limit(attribute) {
        return Err((
            "no power limit",
            "write constraint_N_power_limit_uw, constraint_N_time_window_us or enabled",
        ));
    }
    Ok(())
}

fn is_limit(attribute: &str) -> bool {
    let Some((number, what)) = attribute
        .strip_prefix("constraint_")
        .and_then(|rest| rest.split_once('_'))
    else {
        return false;
    };
    let is_number =
        !number.is_empty() && number.len() <= 2 && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number && matches!(what, "power_limit_uw" | "time_window_us")
}

#[cfg(test)]
#[path = "limits_write_tests.rs"]
mod tests;
