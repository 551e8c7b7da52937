//! Containers and pods, told from the names that runtimes give to their cgroups.
//!
//! A path is looked at one component after the other, with what precedes it inside the innermost
//! container so far: a container's own name never decides what is below it.

use crate::parse::{cut, digits_u32, name};
use crate::systemd::unescape;
use crate::workload::Runtime;

/// A container that a component begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) runtime: Runtime,
    pub(crate) id: String,
    /// The name, where the path tells it.
    pub(crate) name: Option<String>,
}

impl Found {
    fn new(runtime: Runtime, id: &[u8]) -> Self {
        Self {
            runtime,
            id: name(id),
            name: None,
        }
    }

    /// Of a runtime that has names and no ids.
    fn named(runtime: Runtime, id: &[u8]) -> Option<Self> {
        (!id.is_empty()).then(|| Self {
            name: Some(name(id)),
            ..Self::new(runtime, id)
        })
    }
}

/// A runtime's prefix of a 64-digit id, as in `docker-<id>.scope` and `x.slice:docker:<id>`.
const PREFIXES: [(&[u8], Runtime); 6] = [
    (b"docker", Runtime::Docker),
    (b"containerd", Runtime::Containerd),
    (b"cri-containerd", Runtime::Containerd),
    (b"crio", Runtime::Crio),
    (b"libpod", Runtime::Podman),
    (b"nerdctl", Runtime::Nerdctl),
];

/// The container that `path[at]` is, with everything in `path` outside of any other container.
pub(crate) fn container_at(path: &[&[u8]], at: usize) -> Option<Found> {
    let component = *path.get(at)?;
    let above = &path[..at];
    by_prefix(component)
        .or_else(|| by_parent(above, component))
        .or_else(|| lxc(above, component))
        .or_else(|| machine(above, component, path.get(at + 1).copied()))
        .or_else(|| ecs(path, at))
        .or_else(|| batch(above, component))
        .or_else(|| bare_id(above, component))
}

/// The pod that a component is: `kubepods-burstable-pod<uid>.slice` (also with `:cri-containerd:`
/// after it), or `pod<uid>` somewhere below `kubepods`.
pub(crate) fn pod_at(above: &[&[u8]], component: &[u8]) -> Option<String> {
    let first = component.split(|byte| *byte == b':').next()?;
    let uid = if let Some(slice) = first.strip_suffix(b".slice") {
        let start = slice.windows(4).rposition(|four| four == b"-pod")?;
        let (parents, uid) = (&slice[..start], &slice[start + 4..]);
        let has_root = parents.windows(8).any(|eight| eight == b"kubepods");
        has_root.then_some(uid)?
    } else {
        let uid = component.strip_prefix(b"pod")?;
        // From within a private cgroup namespace the root is not to be seen, but a UUID is enough.
        let has_root = above.iter().any(|part| *part == b"kubepods");
        let is_uuid = starts_with_uuid(uid) && uid.len() == UUID_BYTES;
        (has_root || is_uuid).then_some(uid)?
    };
    // systemd's own separator is the dash, so a slice writes the uid with underscores.
    let is_uid = |byte: &u8| is_hex(*byte) || matches!(byte, b'-' | b'_');
    (!uid.is_empty() && uid.iter().all(is_uid)).then(|| name(uid).replace('_', "-"))
}

/// A runtime's prefix and an id: `docker-<id>.scope`, `crio-<id>`, `x.slice:cri-containerd:<id>`.
/// The prefix is whole, so `crio-conmon-<id>`, which is the monitor, is none.
fn by_prefix(component: &[u8]) -> Option<Found> {
    let after_colon = component
        .rsplitn(3, |byte| *byte == b':')
        .collect::<Vec<_>>();
    if let [id, prefix, ..] = after_colon[..] {
        let runtime = PREFIXES.iter().find(|known| known.0 == prefix)?.1;
        return is_id(id).then(|| Found::new(runtime, id));
    }
    if let Some(rest) = component.strip_prefix(b"libpod-payload-") {
        let id = without_kind(rest);
        let is_payload = !id.is_empty() && id.iter().all(|byte| is_hex(*byte));
        return is_payload.then(|| Found::new(Runtime::Podman, id));
    }
    let dash = b"-";
    let (runtime, rest) = PREFIXES.iter().find_map(|(prefix, runtime)| {
        let rest = component.strip_prefix(*prefix)?.strip_prefix(dash)?;
        Some((*runtime, rest))
    })?;
    let id = without_kind(rest);
    if is_id(id) {
        return Some(Found::new(runtime, id));
    }
    // A build step of Docker has an id of 25 letters and digits.
    let is_step = runtime == Runtime::Docker && id.len() == 25 && is_alphanumeric(id);
    is_step.then(|| Found::new(Runtime::Buildkit, id))
}

/// A cgroup directly below one that a runtime keeps for its containers.
fn by_parent(above: &[&[u8]], component: &[u8]) -> Option<Found> {
    match *above.last()? {
        b"docker" if is_id(component) => Some(Found::new(Runtime::Docker, component)),
        // `/docker/buildkit/<step>`; the daemon's own processes would be in `init`.
        b"buildkit" if is_alphanumeric(component) && component != b"init" => {
            Some(Found::new(Runtime::Buildkit, component))
        }
        runtime @ (b"apptainer" | b"singularity") => {
            digits_u32(component)?;
            let id = [runtime, b"-", component].concat();
            Some(Found::new(Runtime::Apptainer, &id))
        }
        _ => None,
    }
}

/// `/lxc/NAME`, `/lxc.payload/NAME` and `/lxc.payload.NAME`; `lxc.monitor` is outside.
fn lxc(above: &[&[u8]], component: &[u8]) -> Option<Found> {
    if let Some(name) = component.strip_prefix(b"lxc.payload.") {
        return Found::named(Runtime::Lxc, name);
    }
    if let Some(name) = component.strip_suffix(b".libvirt-lxc") {
        return Found::named(Runtime::Lxc, name_of_libvirt(name, b"lxc-").unwrap_or(name));
    }
    match *above.last()? {
        b"lxc" | b"lxc.payload" if !component.starts_with(b"lxc.monitor") => {
            Found::named(Runtime::Lxc, component)
        }
        _ => None,
    }
}

/// What systemd-machined knows: `systemd-nspawn@NAME.service/payload` and `machine-NAME.scope`.
/// Virtual machines are registered there too and are no containers, nor is nspawn's `supervisor`.
fn machine(above: &[&[u8]], component: &[u8], below: Option<&[u8]>) -> Option<Found> {
    if let Some(machine) = machine_of_scope(component) {
        if below == Some(b"supervisor") || vm_of_machine(&machine).is_some() {
            return None;
        }
        return match name_of_libvirt(&machine, b"lxc-") {
            Some(name) => Found::named(Runtime::Lxc, name),
            None => Found::named(Runtime::Nspawn, &machine),
        };
    }
    let machine = above
        .last()?
        .strip_prefix(b"systemd-nspawn@")?
        .strip_suffix(b".service")?;
    (component != b"supervisor").then_some(())?;
    Found::named(Runtime::Nspawn, &unescape(machine))
}

/// The machine's name in `machine-NAME.scope`.
pub(crate) fn machine_of_scope(component: &[u8]) -> Option<Vec<u8>> {
    let machine = component
        .strip_prefix(b"machine-")?
        .strip_suffix(b".scope")?;
    (!machine.is_empty()).then(|| unescape(machine))
}

/// The guest's name in a machine's name that libvirt made: `qemu-1-vm1`, `ch-1-vm1`.
pub(crate) fn vm_of_machine(machine: &[u8]) -> Option<&[u8]> {
    name_of_libvirt(machine, b"qemu-").or_else(|| name_of_libvirt(machine, b"ch-"))
}

/// What follows the driver and a number that libvirt puts before a name: `vm1` in `qemu-1-vm1`.
fn name_of_libvirt<'a>(machine: &'a [u8], driver: &[u8]) -> Option<&'a [u8]> {
    let (number, name) = cut(machine.strip_prefix(driver)?, b'-')?;
    digits_u32(number)?;
    (!name.is_empty()).then_some(name)
}

/// `/ecs/<task>/<id>`, or with the cluster `/ecs/<cluster>/<task>/<id>`.
fn ecs(path: &[&[u8]], at: usize) -> Option<Found> {
    let root = path.iter().position(|part| *part == b"ecs")?;
    let depth = at.checked_sub(root)?;
    let is_container = |at: usize| path.get(at).is_some_and(|part| is_ecs_id(part));
    let is_here = match depth {
        2 => is_container(at) || !is_container(at + 1),
        3 => is_container(at),
        _ => false,
    };
    is_here.then(|| Found::new(Runtime::Ecs, path[at]))
}

/// 64 digits, or on Fargate the task's 32 digits and a number.
fn is_ecs_id(component: &[u8]) -> bool {
    let (task, number) = component.split_at(component.len().min(32));
    is_id(component)
        || task.iter().all(|byte| is_hex(*byte))
            && matches!(number, [b'-', rest @ ..] if digits_u32(rest).is_some())
}

/// Schedulers: Slurm's jobs, Nomad's tasks, Apptainer's scopes.
fn batch(above: &[&[u8]], component: &[u8]) -> Option<Found> {
    if let Some(number) = component.strip_prefix(b"job_") {
        digits_u32(number)?;
        // `slurm`, `slurm_<node>`, `slurmstepd.scope`, `<node>_slurmstepd.scope`.
        let is_slurm =
            |part: &&[u8]| part.starts_with(b"slurm") || part.ends_with(b"_slurmstepd.scope");
        return above
            .iter()
            .any(is_slurm)
            .then(|| Found::new(Runtime::Slurm, component));
    }
    let stem = without_kind(component);
    for runtime in [&b"apptainer-"[..], b"singularity-"] {
        let pid = stem.strip_prefix(runtime).and_then(digits_u32);
        if pid.is_some() && stem.len() < component.len() {
            return Some(Found::new(Runtime::Apptainer, stem));
        }
    }
    let is_nomad = |part: &&[u8]| *part == b"nomad" || *part == b"nomad.slice";
    if !above.iter().any(is_nomad) || !starts_with_uuid(stem) {
        return None;
    }
    // The allocation is like a pod: the container in it is the task.
    match &stem[UUID_BYTES..] {
        [] => Some(Found::new(Runtime::Nomad, stem)),
        [b'.', task @ ..] if !task.is_empty() => Some(Found {
            name: Some(name(task)),
            ..Found::new(Runtime::Nomad, stem)
        }),
        _ => None,
    }
}

/// An id alone: a pod's container, or one below containerd's namespace (`/default/<id>`,
/// `/k8s.io/<id>`), or below a parent that the user chose.
fn bare_id(above: &[&[u8]], component: &[u8]) -> Option<Found> {
    is_id(component).then(|| {
        let parent = above.split_last();
        let runtime = match parent.and_then(|(parent, before)| pod_at(before, parent)) {
            Some(_) => Runtime::Kubernetes,
            None => Runtime::Containerd,
        };
        Found::new(runtime, component)
    })
}

/// A component without the `.scope` or `.service` that systemd's driver put after it.
fn without_kind(component: &[u8]) -> &[u8] {
    [&b".scope"[..], b".service"]
        .iter()
        .find_map(|kind| component.strip_suffix(*kind))
        .unwrap_or(component)
}

fn is_id(text: &[u8]) -> bool {
    text.len() == 64 && text.iter().all(|byte| is_hex(*byte))
}

const fn is_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

fn is_alphanumeric(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_alphanumeric)
}

const UUID_BYTES: usize = 36;

fn starts_with_uuid(text: &[u8]) -> bool {
    text.len() >= UUID_BYTES
        && text[..UUID_BYTES].iter().enumerate().all(|(at, byte)| {
            let is_dash = matches!(at, 8 | 13 | 18 | 23);
            if is_dash {
                *byte == b'-'
            } else {
                is_hex(*byte)
            }
        })
}
