//! What is said when a limit cannot be read or written: the file, the kernel's answer, and the fix.
//!
//! Powercap answers ENODATA to every failure of a limit, and ENOSYS to every failure of `enabled`
//! (`drivers/powercap/powercap_sys.c`): the cause is told by the state around it, not by the error.

use std::path::Path;

use rustix::io::Errno;

const RIGHT: &str = "run as root, or let the daemon write limits: systemd/control-power.conf";

/// The line for an attribute that could not be read.
pub(crate) fn unreadable(path: &Path, errno: Errno) -> String {
    let fix = match errno {
        Errno::NODATA => {
            "the firmware has locked this limit, or the zone has none of this name: unlock power limits in \
             the firmware, or cap through the BMC"
        }
        Errno::ACCESS | Errno::PERM => "run as root, or let group jouled read it",
        Errno::NODEV | Errno::NOENT | Errno::NXIO => {
            "the zone went away: it is looked for again at the next reading"
        }
        _ => "see the kernel log for its driver",
    };
    line("read", path, &reason(errno), fix)
}

/// The line for an attribute that holds something else.
pub(crate) fn no_number(path: &Path, text: &str) -> String {
    line(
        "read",
        path,
        &format!("{text:?} is no number"),
        "see the kernel log for its driver",
    )
}

/// The line for a package that only counts.
pub(crate) fn no_limits(directory: &Path, name: &str) -> String {
    line(
        "read",
        &directory.join("constraint_0_name"),
        &format!("{name} has a counter and no power limit"),
        "AMD's powercap only counts: its servers are capped through HSMP (modprobe amd_hsmp)",
    )
}

/// The line for a limit that could not be written. `enabled` is what the zone's `enabled` reads
/// after the failure, `is_readable` whether the limit itself reads.
pub(crate) fn unwritable(
    path: &Path,
    value: u64,
    errno: Errno,
    enabled: Option<bool>,
    is_readable: bool,
) -> String {
    let fix = match errno {
        Errno::ACCESS | Errno::PERM => RIGHT.to_owned(),
        Errno::ROFS => format!("the unit protects /sys (ProtectKernelTunables=): {RIGHT}"),
        Errno::NODEV | Errno::NOENT | Errno::NXIO => {
            "the zone went away: it is looked for again at the next reading".to_owned()
        }
        Errno::LOOP => {
            "an attribute of the kernel is no link: name a sysfs with --sysfs".to_owned()
        }
        Errno::NODATA | Errno::NOSYS => refusal(enabled, is_readable).to_owned(),
        Errno::INVAL => format!("the kernel takes no {value} here"),
        _ => "see the kernel log for its driver".to_owned(),
    };
    line("write", path, &reason(errno), &fix)
}

/// What is behind an answer that never tells.
const fn refusal(enabled: Option<bool>, is_readable: bool) -> &'static str {
    match (enabled, is_readable) {
        (_, false) => {
            "the limit does not read either: the zone has none of this name, or the firmware hides it"
        }
        (Some(false), true) => {
            "enabled reads 0, as it does where the firmware has locked the limits: unlock power limits in the \
             firmware, or cap through the BMC"
        }
        (_, true) => {
            "the limit reads and its zone is enabled: the processor has refused this value; see the kernel log"
        }
    }
}

fn reason(errno: Errno) -> String {
    std::io::Error::from(errno).to_string()
}

pub(crate) fn line(verb: &str, path: &Path, reason: &str, fix: &str) -> String {
    format!("{verb} {}: {reason}; {fix}", path.display())
}
