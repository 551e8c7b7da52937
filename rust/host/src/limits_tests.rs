use std::collections::HashMap;

use super::*;
use crate::testing::{FakeSys, as_nobody};

/// A written tree of which some files answer with an error, as only the kernel's do.
struct Faulty<'s> {
    sys: &'s FakeSys,
    reads: HashMap<PathBuf, Errno>,
}

impl<'s> Faulty<'s> {
    fn new(sys: &'s FakeSys) -> Self {
        Self {
            sys,
            reads: HashMap::new(),
        }
    }

    fn refuse(mut self, relative: &str, errno: Errno) -> Self {
        self.reads.insert(self.sys.at(relative), errno);
        self
    }

    fn read(&self) -> Vec<LimitZone> {
        read_from(self, &self.sys.at("class/powercap"))
    }
}

impl Attributes for Faulty<'_> {
    fn names(&self, directory: &Path) -> Result<Vec<String>, Errno> {
        Kernel.names(directory)
    }

    fn word(&self, path: &Path) -> Result<String, Errno> {
        match self.reads.get(path) {
            Some(errno) => Err(*errno),
            None => Kernel.word(path),
        }
    }

    fn put(&self, path: &Path, _text: &str) -> Result<(), Errno> {
        panic!("reading limits wrote {}", path.display());
    }
}

const XEON: &[&str] = &["long_term=205/205", "short_term=246/436"];

/// Two sockets whose zones are not in the order of the sockets.
fn xeon() -> FakeSys {
    FakeSys::new()
        .zone("intel-rapl:0", "package-1", 1, None)
        .limits("intel-rapl:0", true, XEON)
        .zone("intel-rapl:0:0", "dram", 1, None)
        .limits("intel-rapl:0:0", false, &["long_term=0/41"])
        .zone("intel-rapl:1", "package-0", 1, None)
        .limits("intel-rapl:1", true, XEON)
        .write("class/powercap/intel-rapl/enabled", "1\n")
        .write("class/powercap/dtpm/name", "dtpm\n")
}

fn read(sys: &FakeSys) -> Vec<LimitZone> {
    read_limits(sys.path())
}

/// `id name package die` of every zone, in order.
fn shape(zones: &[LimitZone]) -> Vec<String> {
    let number = |number: Option<u32>| number.map_or("-".to_owned(), |number| number.to_string());
    zones
        .iter()
        .map(|zone| {
            let (package, die) = (number(zone.package), number(zone.die));
            format!("{} {} {package} {die}", zone.id, zone.name)
        })
        .collect()
}

#[test]
fn two_sockets_are_known_by_their_names() {
    let sys = xeon();
    let zones = read(&sys);
    assert_eq!(
        shape(&zones),
        [
            "intel-rapl:0 package-1 1 -",
            "intel-rapl:0:0 dram 1 -",
            "intel-rapl:1 package-0 0 -"
        ]
    );
    let package = &zones[0];
    assert_eq!(package.directory, sys.at("class/powercap/intel-rapl:0"));
    assert_eq!(package.interface, Interface::Msr);
    assert_eq!((package.enabled, &package.parent), (Some(true), &None));
    assert_eq!(
        package.constraints[1],
        Constraint {
            number: 1,
            name: "short_term".into(),
            power: Some(246_000_000),
            window: Some(27_983_872),
            max_power: Some(436_000_000),
            ..Constraint::default()
        }
    );
    assert_eq!(package.problems, Vec::<String>::new());
    assert_eq!(zones[1].parent.as_deref(), Some("intel-rapl:0"));
    assert_eq!(zones[1].enabled, Some(false));
    assert_eq!(zones[1].constraints[0].power, Some(0));
}

#[test]
fn dies_have_limits_of_their_own_and_ids_are_hexadecimal() {
    let mut sys = FakeSys::new();
    for die in 0..11 {
        let id = format!("intel-rapl:{die:x}");
        sys = sys
            .zone(
                &id,
                &format!("package-{}-die-{}", die / 2, die % 2),
                1,
                None,
            )
            .limits(&id, true, &["long_term=400/400"]);
    }
    let zones = read(&sys);
    assert_eq!(zones.len(), 11);
    assert_eq!(
        shape(&zones)[9..],
        [
            "intel-rapl:9 package-4-die-1 4 1",
            "intel-rapl:a package-5-die-0 5 0"
        ]
    );
}

#[test]
fn a_laptop_has_limits_through_both_interfaces_and_for_the_platform() {
    let package: &[&str] = &["long_term=28/28", "short_term=64/0", "peak_power=120/0"];
    let sys = FakeSys::new()
        .zone("intel-rapl:0", "package-0", 1, None)
        .limits("intel-rapl:0", true, package)
        .zone("intel-rapl:0:0", "core", 1, None)
        .zone("intel-rapl:1", "psys", 1, None)
        .limits("intel-rapl:1", false, &["long_term=0/0", "short_term=0/0"])
        .zone("intel-rapl-mmio:0", "package-0", 1, None)
        .limits(
            "intel-rapl-mmio:0",
            true,
            &["long_term=15/28", "short_term=44/0"],
        );
    let zones = read(&sys);
    assert_eq!(
        shape(&zones),
        [
            "intel-rapl:0 package-0 0 -",
            "intel-rapl:0:0 core 0 -",
            "intel-rapl:1 psys - -",
            "intel-rapl-mmio:0 package-0 0 -"
        ]
    );
    assert_eq!(zones[3].interface, Interface::Mmio);
    assert_eq!(zones[3].constraints[0].power, Some(15_000_000));
    // A peak has no window: the kernel shows 0 for that.
    let peak = &zones[0].constraints[2];
    assert_eq!((peak.name.as_str(), peak.window), ("peak_power", None));
    assert_eq!(peak.power, Some(120_000_000));
    // Subzones without limits are the rule.
    assert!(zones[1].constraints.is_empty() && zones[1].problems.is_empty());
}

#[test]
fn a_package_that_only_counts_says_how_it_could_be_capped() {
    let sys = FakeSys::new()
        .zone("intel-rapl:0", "package-0", 1, None)
        .zone("intel-rapl:0:0", "core", 1, None);
    let zones = read(&sys);
    assert_eq!(zones.len(), 2);
    let path = sys.at("class/powercap/intel-rapl:0/constraint_0_name");
    assert_eq!(
        zones[0].problems,
        [format!(
            "read {}: package-0 has a counter and no power limit; AMD's powercap only counts: its servers are capped \
             through HSMP (modprobe amd_hsmp)",
            path.display()
        )]
    );
    assert!(zones[1].problems.is_empty());
    assert_eq!(zones[0].enabled, None);
}

#[test]
fn a_limit_that_the_firmware_hides_is_none_and_says_so_and_hides_no_other() {
    let sys = xeon();
    let hidden = "class/powercap/intel-rapl:0/constraint_0_power_limit_uw";
    let window = "class/powercap/intel-rapl:0/constraint_1_time_window_us";
    let zones = Faulty::new(&sys)
        .refuse(hidden, Errno::NODATA)
        .refuse(window, Errno::NODATA)
        .read();
    let [long, short] = zones[0].constraints.as_slice() else {
        panic!("{:?}", zones[0].constraints);
    };
    assert_eq!((long.power, long.max_power), (None, Some(205_000_000)));
    assert_eq!(
        long.problem,
        Some(format!(
            "read {}: No data available (os error 61); the firmware has locked this limit, or the zone has none of \
             this name: unlock power limits in the firmware, or cap through the BMC",
            sys.at(hidden).display()
        ))
    );
    // That a limit has no window is nothing wrong with it.
    assert_eq!((short.power, short.window), (Some(246_000_000), None));
    assert_eq!(short.problem, None);
    assert_eq!(zones[2].constraints[0].power, Some(205_000_000));
}

#[test]
fn what_one_zone_refuses_is_said_there_and_only_there() {
    let sys = xeon();
    let zones = Faulty::new(&sys)
        .refuse("class/powercap/intel-rapl:0/enabled", Errno::ACCESS)
        .refuse("class/powercap/intel-rapl:0/constraint_0_name", Errno::IO)
        .refuse("class/powercap/intel-rapl:1/name", Errno::NODEV)
        .read();
    // The one that went away between listing and reading is none.
    assert_eq!(zones.len(), 2);
    assert_eq!(zones[0].enabled, None);
    assert!(
        zones[0].problems[0].contains("run as root"),
        "{:?}",
        zones[0].problems
    );
    let [first, second] = zones[0].constraints.as_slice() else {
        panic!("{:?}", zones[0].constraints);
    };
    assert!(
        first.name.is_empty()
            && first
                .problem
                .as_ref()
                .unwrap()
                .contains("constraint_0_name")
    );
    assert_eq!(second.name, "short_term");
    assert!(zones[1].problems.is_empty());
}

#[test]
fn a_limit_is_no_number_until_it_is() {
    let sys = xeon();
    sys.put(
        "class/powercap/intel-rapl:0/constraint_0_power_limit_uw",
        "-1\n",
    );
    let zones = read(&sys);
    let problem = zones[0].constraints[0].problem.as_ref().unwrap();
    assert!(problem.contains("\"-1\" is no number"), "{problem}");
    assert_eq!(zones[0].constraints[0].power, None);
}

#[test]
fn an_unknown_limit_keeps_its_name_and_an_unknown_state_is_none() {
    let sys = xeon();
    sys.put("class/powercap/intel-rapl:0/constraint_1_name", "evening\n");
    sys.put("class/powercap/intel-rapl:0/enabled", "maybe\n");
    let zones = read(&sys);
    assert_eq!(zones[0].constraints[1].name, "evening");
    assert_eq!(zones[0].enabled, None);
}

#[test]
fn limits_that_only_root_may_read_name_the_fix() {
    let sys = xeon();
    let path = sys.at("class/powercap/intel-rapl:0/constraint_0_power_limit_uw");
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
    std::fs::set_permissions(
        sys.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    let zones = as_nobody(|| read(&sys));
    let problem = zones[0].constraints[0].problem.as_ref().unwrap();
    assert!(
        problem.ends_with("run as root, or let group jouled read it"),
        "{problem}"
    );
}

#[test]
fn a_host_without_powercap_has_no_limits() {
    let sys = FakeSys::new();
    assert_eq!(read(&sys), []);
    let sys = sys.write("class/powercap/intel-rapl/enabled", "1\n");
    assert_eq!(read(&sys), []);
}
