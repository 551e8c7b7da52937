//! Whose a process of a written host is: its name, user, container and guest.

#![allow(clippy::unwrap_used)] // a host that cannot be written is a failed test

mod common;

use common::{FakeHost, Layout, Timed, as_nobody, busy, is_root, process_s, quiet_host, skip};

const ID: &str = "ce82d94d69e1fbbc7feeb66930c69e9b96d9f151f594773e5d0e342741d15437";

#[test]
fn any_bytes_in_a_name_are_one_row() {
    let host = FakeHost::new(Layout::V2);
    let names: [&[u8]; 6] = [
        b"evil\xff\xfe",
        b"a\"b\\c",
        b"two\nlines 7",
        b") R 1 2 3",
        b"",
        b"\x1b[31m\0x",
    ];
    for (pid, name) in (42..).zip(names) {
        host.process(pid).comm(name);
    }
    let mut timed = Timed::steady(&host);
    timed.page();
    for pid in 42..48 {
        host.process(pid).ticks(100);
    }
    busy(&host, 600);
    let page = timed.page();
    for (pid, comm) in [
        (42, "comm=\"evil\u{fffd}\u{fffd}\""),
        (43, r#"comm="a\"b\\c""#),
        (44, r#"comm="two\nlines 7""#),
        (45, "comm=\") R 1 2 3\""),
        (46, "comm=\"\""),
        (47, "comm=\"\u{fffd}[31m\u{fffd}x\""),
    ] {
        let seconds = process_s(&page, &[&format!("pid=\"{pid}\""), comm]);
        assert!((seconds - 1.0).abs() < 1e-9, "{comm}");
    }
    assert_eq!(timed.scanner.stats().troubles.unreadable, 0);
}

#[test]
fn users_have_the_names_of_the_passwd_beside_the_tree() {
    let host = quiet_host();
    host.put(
        "etc/passwd",
        b"root:x:0:0::/:\nm\xfcller:x:1000:1000::/:\nalias:x:1000:1000::/:\n",
    );
    host.process(43)
        .uid(1000)
        .cgroup("0::/user.slice/user-1000.slice/session-1.scope");
    host.process(44).uid(4321);
    let mut timed = Timed::steady(&host);
    timed.page();
    for pid in [42, 43, 44] {
        host.process(pid).ticks(100);
    }
    host.cgroup_v2("/a.service", 1_000_000);
    busy(&host, 300);
    let page = timed.page();
    for labels in [
        "uid=\"0\",user=\"root\"",
        "uid=\"1000\",user=\"m\u{fffd}ller\"",
        "uid=\"4321\",user=\"4321\"",
    ] {
        let seconds = page.value("jouled_user_cpu_seconds_total", &[labels]);
        assert!((seconds - 1.0).abs() < 1e-9, "{labels}");
    }
}

#[test]
fn a_container_has_the_name_that_its_environment_tells() {
    let host = FakeHost::new(Layout::V2);
    let other = ID.replace('c', "d");
    for (pid, id, environ) in [
        (42, ID, "PATH=/bin HOSTNAME=web-1"),
        (
            43,
            other.as_str(),
            "HOSTNAME=0123456789ab CONTAINER_NAME=db",
        ),
    ] {
        let path = format!("/system.slice/docker-{id}.scope");
        host.cgroup_v2(&path, 0);
        host.process(pid)
            .environ(environ)
            .cgroup(&format!("0::{path}"));
    }
    let mut timed = Timed::steady(&host);
    timed.page();
    for (pid, id) in [(42, ID), (43, other.as_str())] {
        host.process(pid).ticks(100);
        host.cgroup_v2(&format!("/system.slice/docker-{id}.scope"), 1_000_000);
    }
    busy(&host, 200);
    let page = timed.page();
    for (id, name) in [(ID, "web-1"), (other.as_str(), "db")] {
        let labels = [
            format!("container_id=\"{id}\""),
            format!("container_name=\"{name}\""),
        ];
        assert!(page.has("jouled_container_watts", &[&labels[0], &labels[1]]));
    }
}

#[test]
fn guests_are_told_by_their_command_lines_and_readers_of_notes_are_none() {
    let host = FakeHost::new(Layout::V2);
    host.process(42)
        .comm("qemu-system-x86")
        .exe("/usr/bin/qemu-system-x86_64")
        .cmdline("/usr/bin/qemu-system-x86_64 -name guest=web,debug-threads=on -uuid U1");
    host.process(43)
        .comm("qemu-system-x86")
        .exe("/usr/bin/qemu-system-x86_64")
        .cmdline("/usr/bin/qemu-system-x86_64 -m 512");
    host.process(44)
        .comm("vim")
        .exe("/usr/bin/vim")
        .cmdline("vim /usr/bin/kvm");
    let mut timed = Timed::steady(&host);
    timed.page();
    for pid in [42, 43, 44] {
        host.process(pid).ticks(100);
    }
    busy(&host, 300);
    let page = timed.page();
    let vm = |labels: &str| page.value("jouled_vm_cpu_seconds_total", &[labels]);
    assert!((vm("vm_id=\"U1\",vm_name=\"web\",hypervisor=\"kvm\"") - 1.0).abs() < 1e-9);
    assert!((vm("vm_id=\"kvm-43-143\"") - 1.0).abs() < 1e-9);
    assert_eq!(page.values("jouled_vm_watts", &[]).len(), 2);
}

#[test]
fn who_may_read_little_scans_what_it_may() {
    if !is_root() {
        skip("only root can lose its rights; run the tests as root");
        return;
    }
    let host = FakeHost::new(Layout::V2);
    let scope = format!("/system.slice/docker-{ID}.scope");
    for (pid, path) in [(42, scope.as_str()), (43, "/a.service"), (44, "/b.service")] {
        host.cgroup_v2(path, 0);
        host.process(pid)
            .environ("HOSTNAME=web-1")
            .cgroup(&format!("0::{path}"));
    }
    host.forbid("proc/42/environ");
    host.forbid("proc/43/stat");
    host.forbid("sys/fs/cgroup/b.service/cpu.stat");
    let secret = host.at("proc/42/environ");
    assert!(as_nobody(|| std::fs::read(&secret)).is_err());
    let mut timed = Timed::steady(&host);
    as_nobody(|| timed.page());
    assert_eq!(timed.scanner.stats().troubles.unreadable, 1);
    host.process(42).ticks(100);
    host.process(44).ticks(100);
    host.cgroup_v2(&scope, 1_000_000);
    busy(&host, 200);
    let page = as_nobody(|| timed.page());
    assert_eq!(timed.scanner.stats().troubles.unreadable, 2);
    let id = format!("container_id=\"{ID}\"");
    assert!(page.has(
        "jouled_container_cpu_seconds_total",
        &[&id, "container_name=\"\""]
    ));
    // A counter that may not be read leaves the clocks of the living.
    assert!(page.has("jouled_unit_cpu_seconds_total", &["unit=\"b.service\""]));
    assert!(!page.has("jouled_process_cpu_seconds_total", &["pid=\"43\""]));
}
