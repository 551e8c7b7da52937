//! A cgroup and what its path says.

use std::sync::Arc;

use crate::container::{container_at, pod_at};
use crate::parse::name;
use crate::systemd;
use crate::workload::{Container, Owner, Pod, Unit};

/// A cgroup that holds or held processes, or an ancestor of one.
#[derive(Debug)]
pub struct Cgroup {
    /// Unique while the daemon lives and never used twice: a cgroup that is removed and made
    /// again under the same path has another inode and so is another cgroup.
    pub serial: u32,
    /// The path below its hierarchy's root, `/` for the root, made valid UTF-8.
    pub path: String,
    /// The cgroup around it; `None` for a root.
    pub parent: Option<Arc<Cgroup>>,
    /// Who runs there.
    pub owner: Owner,
}

/// Who runs in a cgroup, by its path alone.
///
/// The innermost container wins and names the one around it as its parent. Units and the user are
/// those of the host: a second systemd inside a container makes none. The virtual machine is not
/// told here, since a scope's name is no identity: see [`crate::vm`].
pub fn owner_of(path: &[u8]) -> Owner {
    let parts = components(path);
    let mut owner = Owner::default();
    let mut slices = Slices::default();
    let mut container_start = 0;
    for (at, part) in parts.iter().enumerate() {
        let inside = &parts[container_start..];
        let depth = at - container_start;
        if owner.container.is_none() {
            owner.uid = systemd::uid_of_slice(part).or(owner.uid);
            owner.unit = slices.unit(part).or(owner.unit);
        }
        if let Some(id) = pod_at(&inside[..depth], part) {
            owner.pod = Some(Pod { id });
        }
        if let Some(found) = container_at(inside, depth) {
            container_start = at + 1;
            owner.container = Some(Container {
                id: found.id,
                name: found.name,
                runtime: found.runtime,
                parent: owner.container.take().map(|around| around.id),
            });
        }
    }
    owner
}

/// The cgroup that the time of a process in `path` is billed to: without the parts into which
/// libvirt sorts the threads of a guest.
///
/// The main thread sits in `emulator`, and so `/proc/P/cgroup` says, but the guest's time is in the
/// `vcpuN` beside it; only the cgroup around them has all of it.
pub fn billing_path(path: &[u8]) -> &[u8] {
    let without = |path: &[u8], is_part: fn(&[u8]) -> bool| {
        let slash = path.iter().rposition(|byte| *byte == b'/');
        slash.filter(|at| *at > 0 && is_part(&path[at + 1..]))
    };
    let path = without(path, is_thread_part).map_or(path, |end| &path[..end]);
    without(path, |part| part == b"libvirt").map_or(path, |end| &path[..end])
}

fn is_thread_part(part: &[u8]) -> bool {
    let is_numbered = |prefix: &[u8]| {
        part.strip_prefix(prefix)
            .is_some_and(|rest| !rest.is_empty() && rest.iter().all(u8::is_ascii_digit))
    };
    part == b"emulator" || is_numbered(b"vcpu") || is_numbered(b"iothread")
}

/// The parts of a path. From within a private cgroup namespace a path may begin with `/..`, which
/// says nothing.
fn components(path: &[u8]) -> Vec<&[u8]> {
    path.split(|byte| *byte == b'/')
        .filter(|part| !part.is_empty())
        .skip_while(|part| *part == b"..")
        .collect()
}

/// The slices on the way down, to say in which one a unit is.
#[derive(Default)]
struct Slices<'a> {
    innermost: Option<&'a [u8]>,
    /// The user below whose manager the way leads; slices and units count from there.
    manager_uid: Option<u32>,
}

impl<'a> Slices<'a> {
    /// Takes the next part; the unit, if it is one.
    fn unit(&mut self, part: &'a [u8]) -> Option<Unit> {
        if systemd::is_slice(part) {
            self.innermost = Some(part);
            return None;
        }
        let unit = Unit {
            name: name(systemd::unit(part)?),
            slice: self.slice(),
        };
        if let Some(uid) = systemd::uid_of_manager(part) {
            self.manager_uid = Some(uid);
            self.innermost = None;
        }
        Some(unit)
    }

    fn slice(&self) -> String {
        let innermost = self.innermost.map(name);
        match (self.manager_uid, innermost) {
            (None, innermost) => innermost.unwrap_or_else(|| "-.slice".to_owned()),
            (Some(uid), None) => format!("user-{uid}.slice"),
            (Some(uid), Some(innermost)) => format!("user-{uid}.slice/{innermost}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::{NAME_BYTES, hostile};
    use proptest::prelude::*;

    const ID: &str = "ce82d94d69e1fbbc7feeb66930c69e9b96d9f151f594773e5d0e342741d15437";

    /// The unit as `slice name`.
    fn unit(path: &str) -> Option<String> {
        let unit = owner_of(path.as_bytes()).unit?;
        Some(format!("{} {}", unit.slice, unit.name))
    }

    #[test]
    fn units_of_the_host() {
        for (path, expected) in [
            ("/system.slice/nginx.service", "system.slice nginx.service"),
            (
                "/system.slice/nginx.service/worker",
                "system.slice nginx.service",
            ),
            ("/init.scope", "-.slice init.scope"),
            ("/odd.service", "-.slice odd.service"),
            (
                "/system.slice/dev-hugepages.mount",
                "system.slice dev-hugepages.mount",
            ),
            ("/system.slice/_cpu.service", "system.slice cpu.service"),
            (
                "/system.slice/system-getty.slice/getty@tty1.service",
                "system-getty.slice getty@tty1.service",
            ),
            (
                "/user.slice/user-1000.slice/session-3.scope",
                "user-1000.slice session-3.scope",
            ),
        ] {
            assert_eq!(unit(path).as_deref(), Some(expected), "{path}");
        }
        for path in [
            "",
            "/",
            "/system.slice",
            "/user.slice/user-1000.slice",
            "/custom",
        ] {
            assert_eq!(unit(path), None, "{path}");
        }
    }

    #[test]
    fn units_of_a_user() {
        let manager = "/user.slice/user-1000.slice/user@1000.service";
        for (below, expected) in [
            ("", "user-1000.slice user@1000.service"),
            ("/init.scope", "user-1000.slice init.scope"),
            (
                "/app.slice/dbus.service",
                "user-1000.slice/app.slice dbus.service",
            ),
            (
                "/app.slice/app-gnome.slice/app-1.scope",
                "user-1000.slice/app-gnome.slice app-1.scope",
            ),
            ("/old-layout.service", "user-1000.slice old-layout.service"),
        ] {
            let path = format!("{manager}{below}");
            assert_eq!(unit(&path).as_deref(), Some(expected), "{path}");
            assert_eq!(owner_of(path.as_bytes()).uid, Some(1000));
        }
        assert_eq!(owner_of(b"/user.slice/user-7.slice").uid, Some(7));
        assert_eq!(owner_of(b"/user.slice").uid, None);
    }

    #[test]
    fn a_second_systemd_makes_no_units() {
        let inside = "user.slice/user-7.slice/user@7.service/app.slice/x.service";
        for (outer, expected) in [
            ("/lxc.payload.c1".to_owned(), None),
            (
                "/machine.slice/systemd-nspawn@web.service/payload".to_owned(),
                Some("machine.slice systemd-nspawn@web.service".to_owned()),
            ),
            (
                format!("/system.slice/docker-{ID}.scope"),
                Some(format!("system.slice docker-{ID}.scope")),
            ),
        ] {
            let path = format!("{outer}/{inside}");
            assert_eq!(unit(&path), expected, "{path}");
            let owner = owner_of(path.as_bytes());
            assert_eq!(owner.uid, None);
            assert_eq!(owner.container, owner_of(outer.as_bytes()).container);
        }
    }

    #[test]
    fn the_scope_of_a_guest_is_a_unit_and_no_container() {
        for path in [
            r"/machine.slice/machine-qemu\x2d1\x2dvm1.scope",
            r"/machine.slice/machine-qemu\x2d12\x2dmy\x2dvm.scope/libvirt/emulator",
            r"/machine.slice/machine-ch\x2d1\x2dvm1.scope",
            "/machine/qemu-3-vm1.libvirt-qemu/vcpu0",
            "/qemu.slice/100.scope",
            "/firecracker/551e7604",
        ] {
            let owner = owner_of(path.as_bytes());
            assert_eq!(owner.container, None, "{path}");
            assert_eq!(owner.unit.is_some(), path.contains(".scope"), "{path}");
        }
    }

    #[test]
    fn a_guest_is_billed_whole() {
        let scope = r"/machine.slice/machine-qemu\x2d1\x2dvm1.scope";
        for part in [
            "/emulator",
            "/vcpu0",
            "/vcpu127",
            "/iothread1",
            "/libvirt",
            "/libvirt/emulator",
            "/libvirt/vcpu0",
            "",
        ] {
            let path = format!("{scope}{part}");
            assert_eq!(billing_path(path.as_bytes()), scope.as_bytes(), "{path}");
        }
        for path in [
            "/",
            "/emulator",
            "/libvirt",
            "/a/vcpu",
            "/a/vcpu0x",
            "/a/xlibvirt",
        ] {
            assert_eq!(billing_path(path.as_bytes()), path.as_bytes());
        }
    }

    #[test]
    fn names_are_short_and_valid() {
        let owner = owner_of(&[b"/", &[b'\xff'; 300][..], b".service"].concat());
        let name = owner.unit.unwrap().name;
        assert!(name.len() <= NAME_BYTES && name.starts_with('\u{fffd}'));
    }

    proptest! {
        #[test]
        fn any_bytes(
            path in hostile::text(&[
                "/", "/..", ".scope", ".slice", ".service", "machine-", "\\x2d", "qemu-1-", "docker",
                "libpod-payload-", "kubepods", "pod", ":", "cri-containerd", "lxc.payload.", "ecs",
                "slurm", "job_1", "nomad", "systemd-nspawn@", "user@", "user-", ID, "/libvirt/vcpu0", ".libvirt-qemu",
            ]),
        ) {
            let owner = owner_of(&path);
            if let Some(container) = owner.container {
                prop_assert!(!container.id.is_empty() && container.id.len() <= NAME_BYTES);
            }
            prop_assert!(path.starts_with(billing_path(&path)));
        }
    }
}
