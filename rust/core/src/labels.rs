//! The label sets of workload rows, as text: the label set is the row's identity on the page.

use crate::cgroup::Cgroup;
use crate::level::Level;
use crate::process::Process;
use crate::sample::UserNames;
use crate::workload::{Owner, Vm};

/// Longest value of a label in bytes: paths may have 4096, and a page must stay readable.
const VALUE_LIMIT: usize = 256;

/// A label set under way: `name="value",…` without braces, values escaped.
#[derive(Default)]
pub(crate) struct Labels(String);

impl Labels {
    /// Adds one label. Backslash, quote and newline are escaped as the text format asks; other
    /// control bytes would be legal but break terminals, so they become U+FFFD.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        if !self.0.is_empty() {
            self.0.push(',');
        }
        self.0.push_str(name);
        self.0.push_str("=\"");
        let end = self.0.len() + VALUE_LIMIT;
        for char in value.chars() {
            if self.0.len() >= end {
                break;
            }
            match char {
                '\\' => self.0.push_str("\\\\"),
                '"' => self.0.push_str("\\\""),
                '\n' => self.0.push_str("\\n"),
                char if char.is_control() => self.0.push(char::REPLACEMENT_CHARACTER),
                char => self.0.push(char),
            }
        }
        self.0.push('"');
        self
    }

    pub(crate) fn into_text(self) -> String {
        self.0
    }
}

/// A label set read back into names and values: what [`Labels`] wrote, without its escapes.
pub fn pairs(labels: &str) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let mut chars = labels.chars();
    loop {
        let name: String = chars.by_ref().take_while(|char| *char != '=').collect();
        if name.is_empty() {
            return pairs;
        }
        // The opening quote.
        chars.next();
        let mut value = String::new();
        loop {
            match chars.next() {
                None | Some('"') => break,
                Some('\\') => match chars.next() {
                    Some('n') => value.push('\n'),
                    Some(char) => value.push(char),
                    None => break,
                },
                Some(char) => value.push(char),
            }
        }
        pairs.push((name, value));
        // The comma before the next one.
        chars.next();
    }
}

/// The row of a process at a level; `None` where it belongs to none.
pub(crate) fn of_process(level: Level, process: &Process, users: &UserNames) -> Option<Labels> {
    match level {
        Level::Process => Some(process_labels(process)),
        Level::Vm => process.vm.as_ref().map(vm_labels),
        Level::User => process.uid.map(|uid| of_user(uid, users)),
        Level::Unit | Level::Container | Level::Pod => of_cgroup(level, &process.cgroup, users),
    }
}

/// The row of a cgroup's ended processes at a level; `None` where it belongs to none.
pub(crate) fn of_cgroup(level: Level, cgroup: &Cgroup, users: &UserNames) -> Option<Labels> {
    let owner = &cgroup.owner;
    match level {
        Level::Process | Level::Vm => None,
        Level::Unit => owner.unit.as_ref().map(|unit| {
            Labels::default()
                .with("unit", &unit.name)
                .with("slice", &unit.slice)
        }),
        Level::Container => container_labels(owner),
        Level::Pod => owner
            .pod
            .as_ref()
            .map(|pod| Labels::default().with("pod_id", &pod.id)),
        Level::User => owner.uid.map(|uid| of_user(uid, users)),
    }
}

fn process_labels(process: &Process) -> Labels {
    let owner = &process.cgroup.owner;
    Labels::default()
        .with("pid", &process.key.pid.to_string())
        .with("comm", &process.comm)
        .with("exe", process.exe.as_deref().unwrap_or_default())
        .with(
            "uid",
            &process.uid.map(|uid| uid.to_string()).unwrap_or_default(),
        )
        .with("unit", owner.unit.as_ref().map_or("", |unit| &unit.name))
        .with(
            "container_id",
            owner
                .container
                .as_ref()
                .map_or("", |container| &container.id),
        )
        .with("vm_id", process.vm.as_ref().map_or("", |vm| &vm.id))
}

fn container_labels(owner: &Owner) -> Option<Labels> {
    let container = owner.container.as_ref()?;
    Some(
        Labels::default()
            .with("container_id", &container.id)
            .with(
                "container_name",
                container.name.as_deref().unwrap_or_default(),
            )
            .with("runtime", container.runtime.as_str())
            .with("pod_id", owner.pod.as_ref().map_or("", |pod| &pod.id))
            .with("unit", owner.unit.as_ref().map_or("", |unit| &unit.name)),
    )
}

/// The row of a virtual machine.
pub(crate) fn vm_labels(vm: &Vm) -> Labels {
    Labels::default()
        .with("vm_id", &vm.id)
        .with("vm_name", &vm.name)
        .with("hypervisor", vm.hypervisor.as_str())
}

/// The row of a user.
pub(crate) fn of_user(uid: u32, users: &UserNames) -> Labels {
    let uid_text = uid.to_string();
    let user = users.get(&uid).unwrap_or(&uid_text);
    Labels::default().with("uid", &uid_text).with("user", user)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_in_a_name_are_safe() {
        let labels = Labels::default()
            .with("comm", "a\"b\\c\nd\u{7}\u{fffd}")
            .with("pid", "1");
        assert_eq!(
            labels.into_text(),
            "comm=\"a\\\"b\\\\c\\nd\u{fffd}\u{fffd}\",pid=\"1\""
        );
    }

    #[test]
    fn a_label_set_is_read_back_as_it_was_given() {
        assert_eq!(pairs(""), []);
        let given = [("comm", "a\"b\\c\nd,e=\"f\""), ("pid", ""), ("exe", "\\n")];
        let labels = given
            .into_iter()
            .fold(Labels::default(), |labels, (name, value)| {
                labels.with(name, value)
            });
        let expected = given.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(pairs(&labels.into_text()), expected);
    }

    #[test]
    fn a_long_value_is_cut_between_characters() {
        let labels = Labels::default().with("exe", &"é".repeat(VALUE_LIMIT));
        assert_eq!(
            labels.into_text(),
            format!("exe=\"{}\"", "é".repeat(VALUE_LIMIT / 2))
        );
    }
}
