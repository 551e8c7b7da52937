use std::cell::RefCell;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::*;
use crate::testing::{FakeSys, as_nobody};

const ZONE: &str = "class/powercap/intel-rapl:0";
const LIMIT: &str = "constraint_0_power_limit_uw";

fn package() -> FakeSys {
    FakeSys::new()
        .zone("intel-rapl:0", "package-0", 1, None)
        .limits(
            "intel-rapl:0",
            true,
            &["long_term=125/125", "short_term=150/0"],
        )
}

fn write(sys: &FakeSys, attribute: &str, value: u64) -> Result<u64, LimitError> {
    write_limit(&sys.at(ZONE), attribute, value)
}

#[track_caller]
fn refused(result: Result<u64, LimitError>, refusal: Refusal, words: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.refusal, refusal, "{error}");
    assert!(error.to_string().contains(words), "{error}");
    assert!(error.to_string().starts_with("write "), "{error}");
}

/// The kernel as it answers to writes: what it refuses, and what it makes of a value.
struct Answering<'s> {
    sys: &'s FakeSys,
    errno: Option<Errno>,
    rounded: fn(u64) -> u64,
    written: RefCell<Vec<PathBuf>>,
}

impl<'s> Answering<'s> {
    fn new(sys: &'s FakeSys, errno: Option<Errno>, rounded: fn(u64) -> u64) -> Self {
        let written = RefCell::default();
        Self {
            sys,
            errno,
            rounded,
            written,
        }
    }

    fn write(&self, attribute: &str, value: u64) -> Result<u64, LimitError> {
        write_to(self, &self.sys.at(ZONE), attribute, value)
    }
}

impl Attributes for Answering<'_> {
    fn names(&self, directory: &Path) -> Result<Vec<String>, Errno> {
        Kernel.names(directory)
    }

    fn word(&self, path: &Path) -> Result<String, Errno> {
        Kernel.word(path)
    }

    fn put(&self, path: &Path, text: &str) -> Result<(), Errno> {
        self.written.borrow_mut().push(path.to_owned());
        if let Some(errno) = self.errno {
            return Err(errno);
        }
        let value = (self.rounded)(text.parse().unwrap());
        Kernel.put(path, &value.to_string())
    }
}

#[test]
fn a_limit_is_written_in_place_and_read_back() {
    let sys = package();
    let inode = |sys: &FakeSys| {
        std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(sys.at(ZONE).join(LIMIT)).unwrap())
    };
    let before = inode(&sys);
    assert_eq!(write(&sys, LIMIT, 62_500_000), Ok(62_500_000));
    assert_eq!(sys.text(&format!("{ZONE}/{LIMIT}")), "62500000\n");
    assert_eq!(inode(&sys), before);
    assert_eq!(write(&sys, "constraint_1_time_window_us", 2440), Ok(2440));
    assert_eq!(write(&sys, "enabled", 0), Ok(0));
    assert_eq!(write(&sys, LIMIT, 0), Ok(0));
}

#[test]
fn what_was_read_back_is_returned_and_not_what_was_asked_for() {
    let sys = package();
    let rounding = Answering::new(&sys, None, |value| value / 1_000_000 * 1_000_000);
    assert_eq!(rounding.write(LIMIT, 62_500_000), Ok(62_000_000));
    let locked = Answering::new(&sys, None, |_| 0);
    assert_eq!(locked.write("enabled", 1), Ok(0));
}

#[test]
fn only_limits_are_ever_written() {
    let sys = package();
    let kernel = Answering::new(&sys, None, |value| value);
    for attribute in [
        "energy_uj",
        "name",
        "constraint_0_name",
        "constraint_0_max_power_uw",
        "constraint__power_limit_uw",
        "constraint_000_power_limit_uw",
        "constraint_+1_power_limit_uw",
        "constraint_0_power_limit_uw/../../x",
        "../intel-rapl:1/enabled",
        "",
    ] {
        refused(kernel.write(attribute, 1), Refusal::Wrong, "no power limit");
    }
    refused(kernel.write("enabled", 2), Refusal::Wrong, "write 0 or 1");
    assert_eq!(*kernel.written.borrow(), Vec::<PathBuf>::new());
}

#[test]
fn only_zones_are_ever_written() {
    let sys = package();
    let kernel = Answering::new(&sys, None, |value| value);
    for directory in [
        sys.at("class/powercap"),
        sys.at("class/powercap/intel-rapl"),
        sys.at("class/powercap/dtpm:0"),
        sys.at("class/powercap/intel-rapl:x"),
        sys.at("class/powercap/intel-rapl:0/device"),
        sys.at("class/hwmon/intel-rapl:0"),
        sys.at("../class/powercap/intel-rapl:0"),
        sys.at("class/powercap/../powercap/intel-rapl:0"),
        PathBuf::from("intel-rapl:0"),
        PathBuf::new(),
    ] {
        let result = write_to(&kernel, &directory, "enabled", 1);
        refused(
            result,
            Refusal::Wrong,
            "not in a zone of the powercap class",
        );
    }
    assert_eq!(*kernel.written.borrow(), Vec::<PathBuf>::new());
}

#[test]
fn no_file_is_made_and_no_link_followed() {
    let sys = package().link(
        &format!("{ZONE}/constraint_7_power_limit_uw"),
        "../../../elsewhere",
    );
    sys.put("elsewhere", "1\n");
    let result = write(&sys, "constraint_7_power_limit_uw", 2);
    refused(result, Refusal::Failed, "no link");
    assert_eq!(sys.text("elsewhere"), "1\n");
    let result = write(&sys, "constraint_9_power_limit_uw", 2);
    refused(result, Refusal::Gone, "the zone went away");
    assert!(
        !sys.at(&format!("{ZONE}/constraint_9_power_limit_uw"))
            .exists()
    );
}

#[test]
fn the_cause_of_no_data_is_told_by_the_state() {
    let sys = package();
    let kernel = Answering::new(&sys, Some(Errno::NODATA), |value| value);
    refused(
        kernel.write(LIMIT, 1),
        Refusal::Locked,
        "the processor has refused this value",
    );
    sys.put(&format!("{ZONE}/enabled"), "0\n");
    refused(
        kernel.write(LIMIT, 1),
        Refusal::Locked,
        "the firmware has locked the limits",
    );
    let result = kernel.write("constraint_5_power_limit_uw", 1);
    refused(result, Refusal::Locked, "the zone has none of this name");
    let kernel = Answering::new(&sys, Some(Errno::NOSYS), |value| value);
    refused(
        kernel.write("enabled", 1),
        Refusal::Locked,
        "the firmware has locked the limits",
    );
}

#[test]
fn every_other_answer_has_its_fix() {
    let sys = package();
    for (errno, refusal, words) in [
        (
            Errno::ACCESS,
            Refusal::Denied,
            "run as root, or let the daemon write limits",
        ),
        (Errno::ROFS, Refusal::Denied, "ProtectKernelTunables="),
        (Errno::NODEV, Refusal::Gone, "it is looked for again"),
        (Errno::INVAL, Refusal::Failed, "the kernel takes no 7 here"),
        (Errno::IO, Refusal::Failed, "see the kernel log"),
    ] {
        let kernel = Answering::new(&sys, Some(errno), |value| value);
        refused(kernel.write(LIMIT, 7), refusal, words);
    }
    assert_eq!(sys.text(&format!("{ZONE}/{LIMIT}")), "125000000\n");
}

#[test]
fn whoever_may_not_write_is_told_how_to() {
    let sys = package();
    // Also where the tests do not run as root, and own the file.
    let limit = sys.at(ZONE).join(LIMIT);
    std::fs::set_permissions(limit, PermissionsExt::from_mode(0o444)).unwrap();
    std::fs::set_permissions(sys.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let result = as_nobody(|| write(&sys, LIMIT, 1));
    refused(result, Refusal::Denied, "systemd/control-power.conf");
}
