//! Written hosts as text, one file each: `tests/hosts/README.md` says how.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::fake_host::{FakeHost, Layout};

/// A line `watts SOURCE CLASS INDEX VALUE`: what a meter must find.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ExpectedWatts {
    pub(crate) source: String,
    pub(crate) zone: String,
    pub(crate) watts: f64,
}

/// A host's text: its first state, and what is different five seconds later.
pub(crate) struct HostFile {
    name: String,
    before: Vec<String>,
    after: Vec<String>,
    pub(crate) watts: Vec<ExpectedWatts>,
}

impl HostFile {
    /// The directory of all of them.
    pub(crate) fn directory() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/hosts")
    }

    /// The names of all of them.
    pub(crate) fn names() -> Vec<String> {
        let files = std::fs::read_dir(Self::directory()).unwrap();
        let name = |file: std::fs::DirEntry| {
            let file = file.file_name().into_string().unwrap();
            file.strip_suffix(".host").map(str::to_owned)
        };
        let mut names: Vec<String> = files.filter_map(|file| name(file.unwrap())).collect();
        names.sort();
        names
    }

    pub(crate) fn read(name: &str) -> Self {
        let path = Self::directory().join(format!("{name}.host"));
        let text = std::fs::read_to_string(path).unwrap();
        let lines = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        let (watts, lines): (Vec<&str>, Vec<&str>) =
            lines.partition(|line| line.starts_with("watts "));
        let middle = lines.iter().position(|line| *line == "after 5 s");
        let (before, after) = lines.split_at(middle.expect("every host has a line `after 5 s`"));
        let own = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
        Self {
            name: name.into(),
            before: own(before),
            after: own(&after[1..]),
            watts: watts.into_iter().map(expected).collect(),
        }
    }

    /// Writes the host as it is first.
    pub(crate) fn write(&self) -> FakeHost {
        let layout = match self.before.first().map(String::as_str) {
            Some("cgroups v2") => Layout::V2,
            Some("cgroups hybrid") => Layout::Hybrid,
            Some("cgroups v1") => Layout::V1,
            line => panic!(
                "{}: begins with {line:?} and not with cgroups v1, hybrid or v2",
                self.name
            ),
        };
        let host = FakeHost::new(layout);
        self.apply(&host, &self.before[1..]);
        host
    }

    /// Makes it the host of five seconds later.
    pub(crate) fn pass(&self, host: &FakeHost) {
        self.apply(host, &self.after);
    }

    /// Changes it by further lines of the same form.
    pub(crate) fn change(&self, host: &FakeHost, lines: &str) {
        let lines: Vec<String> = lines.lines().map(|line| line.trim().to_owned()).collect();
        self.apply(host, &lines);
    }

    fn apply(&self, host: &FakeHost, lines: &[String]) {
        for line in lines {
            apply(host, line).unwrap_or_else(|| panic!("{}: what is {line:?}?", self.name));
        }
    }
}

fn expected(line: &str) -> ExpectedWatts {
    match words(line)
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .as_slice()
    {
        ["watts", source, class, index, watts] => ExpectedWatts {
            source: (*source).into(),
            zone: format!("{class}/{index}"),
            watts: watts.parse().unwrap(),
        },
        _ => panic!("what is {line:?}?"),
    }
}

/// Does what one line says; `None` where that cannot be told.
fn apply(host: &FakeHost, line: &str) -> Option<()> {
    if let Some((path, text)) = line.split_once(" += ") {
        let before = std::fs::read_to_string(host.at(path)).ok()?;
        host.put(path, format!("{before}{text}\n"));
        return Some(());
    }
    if let Some((path, text)) = line.split_once(" = ") {
        host.put(path, format!("{text}\n"));
        return Some(());
    }
    if let Some((path, target)) = line.split_once(" -> ") {
        host.link(path, target);
        return Some(());
    }
    let words = words(line);
    let (word, rest) = words.split_first()?;
    match word.as_str() {
        "cpu" => cpu(host, rest),
        "process" | "kernel" => process(host, word == "kernel", rest),
        "exit" => {
            host.exit(rest.first()?.parse().ok()?);
            Some(())
        }
        "cgroup" => cgroup(host, rest),
        "zone" => zone(host, rest),
        _ => None,
    }
}

/// `cpu cpus=4 user=1 nice=2 system=3 idle=4 iowait=5 irq=6 softirq=7 steal=8`, in ticks.
fn cpu(host: &FakeHost, words: &[String]) -> Option<()> {
    let values = pairs(words)?;
    let ticks = [
        "user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal",
    ];
    let ticks = ticks.map(|column| values.get(column).and_then(|ticks| ticks.parse().ok()));
    host.cpu(
        values.get("cpus")?.parse().ok()?,
        ticks.map(|ticks| ticks.unwrap_or(0)),
    );
    Some(())
}

/// `process 42 comm=nginx uid=33 start=100 ticks=7 exe=/x cgroup=0::/a cmdline="a b" environ="A=b"`:
/// what is not named stays as it was.
fn process(host: &FakeHost, is_kernel: bool, words: &[String]) -> Option<()> {
    let (pid, words) = words.split_first()?;
    let mut process = host.process(pid.parse().ok()?);
    if is_kernel {
        process = process.kernel();
    }
    let mut cgroups = String::new();
    for word in words {
        let (key, value) = word.split_once('=')?;
        process = match key {
            "comm" => process.comm(value),
            "uid" => process.uid(value.parse().ok()?),
            "start" => process.started(value.parse().ok()?),
            "ticks" => process.ticks(value.parse().ok()?),
            "exe" => process.exe(value),
            "cmdline" => process.cmdline(value),
            "environ" => process.environ(value),
            "cgroup" => {
                cgroups = cgroups + value + "\n";
                process.cgroup(&cgroups)
            }
            _ => return None,
        };
    }
    Some(())
}

/// `cgroup v2 /a.service usec=7`, `cgroup cpuacct /docker ns=7`.
fn cgroup(host: &FakeHost, words: &[String]) -> Option<()> {
    let [tree, path, usage] = words else {
        return None;
    };
    match (tree.as_str(), usage.split_once('=')?) {
        ("v2", ("usec", usage)) => host.cgroup_v2(path, usage.parse().ok()?),
        ("cpuacct", ("ns", usage)) => host.cpuacct(path, usage.parse().ok()?),
        _ => return None,
    }
    Some(())
}

/// `zone intel-rapl:0 name=package-0 uj=7 range=100`; later `zone intel-rapl:0 uj=8`.
fn zone(host: &FakeHost, words: &[String]) -> Option<()> {
    let (id, words) = words.split_first()?;
    for (key, value) in pairs(words)? {
        let file = match key {
            "name" => "name",
            "uj" => "energy_uj",
            "range" => "max_energy_range_uj",
            _ => return None,
        };
        host.put(
            &format!("sys/class/powercap/{id}/{file}"),
            format!("{value}\n"),
        );
    }
    Some(())
}

fn pairs(words: &[String]) -> Option<BTreeMap<&str, &str>> {
    words.iter().map(|word| word.split_once('=')).collect()
}

/// The words of a line; spaces between double quotes are none between words.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut is_quoted = false;
    for character in line.chars() {
        match character {
            '"' => is_quoted = !is_quoted,
            ' ' if !is_quoted => words.push(String::new()),
            _ => words.last_mut().unwrap().push(character),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}
