//! Containers of every runtime, told from cgroup paths.

use jouled_core::workload::Owner;

use crate::{A, UUID, check, container, owner};

const B: &str = "1234567890abcdef1234567890abcdef1234567890abcdef1234567890abcdef";

#[test]
fn one_component() {
    check(&[
        (&format!("/docker-{A}"), &format!("docker {A}"), None),
        (&format!("/docker/{A}"), &format!("docker {A}"), None),
        (&format!("/crio-{B}"), &format!("crio {B}"), None),
        (&format!("/libpod-{B}"), &format!("podman {B}"), None),
        (
            &format!("/containerd/{B}"),
            &format!("containerd {B}"),
            None,
        ),
        (
            &format!("/containerd-{B}.scope"),
            &format!("containerd {B}"),
            None,
        ),
    ]);
    assert_eq!(owner("/system.slice/ssh.service").container, None);
}

#[test]
fn the_most_specific_of_several_lines() {
    let texts = [
        "/system.slice/user.slice".to_owned(),
        format!("/docker-{A}"),
    ];
    let owners = texts.map(|text| owner(&text));
    let best = owners.into_iter().max_by_key(Owner::specificity);
    let found = best.and_then(|owner| owner.container);
    assert_eq!(found.map(|container| container.id).as_deref(), Some(A));
}

#[test]
fn docker_and_podman() {
    check(&[
        (
            "13:hugetlb:/system.slice/docker-2fa3e04b676df750842faf017052dd37ea0cc5bc7259a3487a1718c7fe100c94.scope",
            "docker 2fa3e04b676df750842faf017052dd37ea0cc5bc7259a3487a1718c7fe100c94",
            None,
        ),
        (
            "0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-3f05ee050f82c0145f1d88c94269c39dff0f07dbf8bba20aafd54b3a75dcaecc.scope/container",
            "podman 3f05ee050f82c0145f1d88c94269c39dff0f07dbf8bba20aafd54b3a75dcaecc",
            None,
        ),
        (
            "0::/machine.slice/libpod-06dc5f321aad8726aa26559f16ec203bc099245bc44894b14a89fc02b022d1d5.scope/container",
            "podman 06dc5f321aad8726aa26559f16ec203bc099245bc44894b14a89fc02b022d1d5",
            None,
        ),
        (
            "0::/machine.slice/libpod-8e363eb2287da4ccc9f52ffc5de11252ac5fe707e3ddb917a3c0bdf9bb64165b.scope",
            "podman 8e363eb2287da4ccc9f52ffc5de11252ac5fe707e3ddb917a3c0bdf9bb64165b",
            None,
        ),
        (
            "0::/system.slice/kepler.service/libpod-payload-8e363eb2287da4ccc9f52ffc5de11252ac5fe707e3ddb917a3c0bdf9bb64165b",
            "podman 8e363eb2287da4ccc9f52ffc5de11252ac5fe707e3ddb917a3c0bdf9bb64165b",
            None,
        ),
        (
            &format!("0::/../docker-{A}.scope"),
            &format!("docker {A}"),
            None,
        ),
        (
            &format!("/system.slice:docker:{A}"),
            &format!("docker {A}"),
            None,
        ),
    ]);
    let quadlet = owner(&format!("/system.slice/web.service/libpod-payload-{A}"));
    assert_eq!(
        quadlet.unit.map(|unit| unit.name).as_deref(),
        Some("web.service")
    );
}

#[test]
fn containerd_and_its_clients() {
    check(&[
        (
            &format!("/system.slice/nerdctl-{A}.scope"),
            &format!("nerdctl {A}"),
            None,
        ),
        (&format!("/default/{A}"), &format!("containerd {A}"), None),
        (&format!("/k8s.io/{A}"), &format!("containerd {A}"), None),
        (&format!("/{A}"), &format!("containerd {A}"), None),
        (
            "/docker/buildkit/k1mbz8a4gjvh",
            "buildkit k1mbz8a4gjvh",
            None,
        ),
        ("/docker/buildx/buildkit/abc", "buildkit abc", None),
        (
            "/system.slice/docker-k1mbz8a4gjvhnjdkx7tt0yc6v.scope",
            "buildkit k1mbz8a4gjvhnjdkx7tt0yc6v",
            None,
        ),
    ]);
}

#[test]
fn system_containers() {
    check(&[
        ("/lxc/web1", "lxc web1", None),
        ("/lxc/100/ns/init.scope", "lxc 100", None),
        ("/lxc.payload/c1", "lxc c1", None),
        ("/lxc.payload.c1/system.slice/nginx.service", "lxc c1", None),
        ("/lxc.payload.p_c1/.lxc", "lxc p_c1", None),
        (
            r"/machine.slice/machine-lxc\x2d7\x2dc1.scope",
            "lxc c1",
            None,
        ),
        ("/machine/lxc-7-c1.libvirt-lxc", "lxc c1", None),
        (
            r"/machine.slice/systemd-nspawn@my\x2dweb.service/payload/init.scope",
            "nspawn my-web",
            None,
        ),
        (
            r"/machine.slice/machine-my\x2dweb.scope",
            "nspawn my-web",
            None,
        ),
        (
            "/machine.slice/machine-web.scope/payload/init.scope",
            "nspawn web",
            None,
        ),
    ]);
    let name = owner("/lxc/web1")
        .container
        .and_then(|container| container.name);
    assert_eq!(name.as_deref(), Some("web1"));
}

#[test]
fn schedulers() {
    let task = "0a1b2c3d4e5f60718293a4b5c6d7e8f9";
    let nomad = format!("{UUID}.web");
    check(&[
        (&format!("/ecs/{task}/{A}"), &format!("ecs {A}"), None),
        (&format!("/ecs/prod/{task}/{A}"), &format!("ecs {A}"), None),
        (
            &format!("/ecs/{task}/{task}-1234567890"),
            &format!("ecs {task}-1234567890"),
            None,
        ),
        ("/slurm/uid_1000/job_42/step_0/task_0", "slurm job_42", None),
        ("/slurm_node1/uid_1000/job_42", "slurm job_42", None),
        (
            "/system.slice/slurmstepd.scope/job_42/step_0/user/task_0",
            "slurm job_42",
            None,
        ),
        (
            "/system.slice/node1_slurmstepd.scope/job_42",
            "slurm job_42",
            None,
        ),
        (
            &format!("/nomad.slice/share.slice/{nomad}.scope"),
            &format!("nomad {nomad}"),
            None,
        ),
        (
            &format!("/nomad.slice/{nomad}.scope"),
            &format!("nomad {nomad}"),
            None,
        ),
        (&format!("/nomad/{UUID}"), &format!("nomad {UUID}"), None),
        (
            "/user.slice/apptainer-123.scope",
            "apptainer apptainer-123",
            None,
        ),
        (
            "/user.slice/singularity-123.scope",
            "apptainer singularity-123",
            None,
        ),
        ("/apptainer/123", "apptainer apptainer-123", None),
    ]);
    let name = owner(&format!("/nomad.slice/{nomad}.scope")).container;
    assert_eq!(name.and_then(|it| it.name).as_deref(), Some("web"));
    let unit = owner("/system.slice/slurmstepd.scope/job_42").unit;
    assert_eq!(
        unit.map(|unit| unit.name).as_deref(),
        Some("slurmstepd.scope")
    );
}

#[test]
fn the_innermost_wins() {
    for (path, expected, parent) in [
        (format!("/docker/{A}/docker/{B}"), format!("docker {B}"), A),
        (
            format!("/lxc.payload.c1/docker/{A}"),
            format!("docker {A}"),
            "c1",
        ),
        (
            "/lxc.payload.c1/lxc.payload.c2".to_owned(),
            "lxc c2".to_owned(),
            "c1",
        ),
        ("/lxc/lxc/lxc/c2".to_owned(), "lxc c2".to_owned(), "lxc"),
        (
            format!("/slurm/uid_1/job_42/step_0/libpod-{A}.scope"),
            format!("podman {A}"),
            "job_42",
        ),
    ] {
        assert_eq!(container(&path), Some(expected), "{path}");
        let found = owner(&path)
            .container
            .and_then(|container| container.parent);
        assert_eq!(found.as_deref(), Some(parent), "{path}");
    }
    // A container's own name says nothing of what is below it.
    assert_eq!(container("/lxc/lxc/init"), Some("lxc lxc".to_owned()));
    // The pod around pays for the container that a pod's container made.
    let path = format!("/kubepods/pod{UUID}/{A}/docker/{B}");
    check(&[(&path, &format!("docker {B}"), Some(UUID))]);
}

#[test]
fn what_is_no_container() {
    for path in [
        "",
        "/",
        "/user.slice/user-1000.slice/session-1.scope",
        &format!("/machine.slice/libpod-conmon-{A}.scope"),
        &format!("/kubepods.slice/crio-conmon-{A}.scope"),
        "/lxc.monitor.c1",
        "/lxc.monitor/c1",
        "/lxc/lxc.monitor.c1",
        "/machine.slice/systemd-nspawn@web.service",
        "/machine.slice/systemd-nspawn@web.service/supervisor",
        "/machine.slice/machine-web.scope/supervisor",
        r"/machine.slice/machine-qemu\x2d1\x2dvm1.scope/libvirt/emulator",
        "/qemu.slice/100.scope",
        "/system.slice/docker.service",
        "/docker/buildkit/init",
        &format!("/docker-{}", &A[1..]),
        &format!("/docker-{A}0"),
        &format!("/docker-{}.scope", A.to_uppercase()),
        "/system.slice/slurmd.service",
        "/batch/job_42",
        "/slurm/uid_1000/job_x",
        "/apptainer-x.scope",
        "/nomad.slice/share.slice",
        &format!("/other.slice/{UUID}.web.scope"),
        "/system.slice/libpod-payload-.scope",
    ] {
        assert_eq!(owner(path).container, None, "{path}");
    }
}
