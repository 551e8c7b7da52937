//! Kubernetes pods and their containers, told from cgroup paths.

use crate::{A, UUID, check, owner, pod};

#[test]
fn a_pod_nested_in_docker() {
    let text = "0::/system.slice/docker-fd9d0ea06257a9780827cbc7fd92e3812a54fca26d63e191b73610d5d48b9cbd.scope/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-podeab5a334_93fe_48a8_b139_9e8079c1f163.slice/cri-containerd-99f3a16ea25b7724cb56a4f0c0df1113ad9474fbf5545bead97fd5c7f61c13f4.scope";
    check(&[(
        text,
        "containerd 99f3a16ea25b7724cb56a4f0c0df1113ad9474fbf5545bead97fd5c7f61c13f4",
        Some("eab5a334-93fe-48a8-b139-9e8079c1f163"),
    )]);
    let outer = "fd9d0ea06257a9780827cbc7fd92e3812a54fca26d63e191b73610d5d48b9cbd";
    let owner = owner(text);
    let parent = owner.container.and_then(|container| container.parent);
    assert_eq!(parent.as_deref(), Some(outer));
    let unit = owner.unit.map(|unit| (unit.slice, unit.name));
    let expected = ("system.slice".to_owned(), format!("docker-{outer}.scope"));
    assert_eq!(unit, Some(expected));
}

#[test]
fn pods_of_systemd() {
    check(&[
        (
            "1:name=systemd:/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podd0511cd2_29d2_4215_be0f_f77bc0609d99.slice/crio-f93ee491b8ed2680d5a909eb098b14a9430173b57ca1c4efedd8768566d67e8e.scope",
            "crio f93ee491b8ed2680d5a909eb098b14a9430173b57ca1c4efedd8768566d67e8e",
            Some(UUID),
        ),
        (
            "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod2c9f8a79_5391_454b_88cb_86190881cb96.slice/crio-a09343ca97901516c25036e2b954421254f8c68b384b536064e8999f0c4ed18d.scope",
            "crio a09343ca97901516c25036e2b954421254f8c68b384b536064e8999f0c4ed18d",
            Some("2c9f8a79-5391-454b-88cb-86190881cb96"),
        ),
        (
            "/sys/fs/cgroup/systemd/system.slice/containerd.service/kubepods-burstable-poda3b200c9_db51_40b4_9d2d_53f8fdf80d7f.slice:cri-containerd:286b15051ec43375190802e1f40562536980a8fd97e75bb89c7f2eec6f995f17",
            "containerd 286b15051ec43375190802e1f40562536980a8fd97e75bb89c7f2eec6f995f17",
            Some("a3b200c9-db51-40b4-9d2d-53f8fdf80d7f"),
        ),
        (
            "13:memory:/system.slice/containerd.service/kubepods-besteffort-pod0043435f_1854_4327_b76b_730f681a781d.slice:cri-containerd:01fd96f7ad292b02a8317cde4ecb8c7ef3cc06ffdd113f13410e0837eb2b2a20",
            "containerd 01fd96f7ad292b02a8317cde4ecb8c7ef3cc06ffdd113f13410e0837eb2b2a20",
            Some("0043435f-1854-4327-b76b-730f681a781d"),
        ),
        (
            "0::/kubepods.slice/kubepods-pod7922aa99_d4aa_4885_a953_82976860b23a.slice/crio-1c33afbc9e5aa6c69150d1af05254b562a4b17c313fc6153e3625cf456922bfe.scope",
            "crio 1c33afbc9e5aa6c69150d1af05254b562a4b17c313fc6153e3625cf456922bfe",
            Some("7922aa99-d4aa-4885-a953-82976860b23a"),
        ),
        (
            "0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-poddbdd9718_6f63_40ef_987e_34776599d7d6.slice/crio-bdf2eeede4551b27acbbb05fb1b4f61925786681734bf128e68d39e17d115098.scope",
            "crio bdf2eeede4551b27acbbb05fb1b4f61925786681734bf128e68d39e17d115098",
            Some("dbdd9718-6f63-40ef-987e-34776599d7d6"),
        ),
        (
            "0::/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod3cae2e45_052c_4b11_80d3_4d7b2d2d3464.slice/cri-containerd-2b180104511194aab36fd295d3e217439f3ddb5bc88277f37b4952abee85c40e.scope",
            "containerd 2b180104511194aab36fd295d3e217439f3ddb5bc88277f37b4952abee85c40e",
            Some("3cae2e45-052c-4b11-80d3-4d7b2d2d3464"),
        ),
        (
            &format!("/kubepods.slice/kubepods-pod1.slice/docker-{A}.scope"),
            &format!("docker {A}"),
            Some("1"),
        ),
    ]);
}

#[test]
fn pods_of_cgroupfs() {
    check(&[
        (
            "kubelet/kubepods/besteffort/podbdd4097d-6795-404e-9bd8-6a1383386198/c79788e0da15a6597263eb2b9c51d05dd1a9a1d08c53c1161dc8c45d2dac6b38",
            "kubernetes c79788e0da15a6597263eb2b9c51d05dd1a9a1d08c53c1161dc8c45d2dac6b38",
            Some("bdd4097d-6795-404e-9bd8-6a1383386198"),
        ),
        (
            "11:blkio:/kubepods/burstable/podf6adb0af-0855-4bab-b25b-c853f18d0ce2/35b97177dada20362ab90d90ac63cd54e8a41cf87bea34f270631b6da17f4a93",
            "kubernetes 35b97177dada20362ab90d90ac63cd54e8a41cf87bea34f270631b6da17f4a93",
            Some("f6adb0af-0855-4bab-b25b-c853f18d0ce2"),
        ),
        (
            "0::/kubepods/pod51b64565-2b17-4d46-83ac-22e398f2f7fb/65d752a38e1db784d521f48c3f1956f4f9a74ebb923377144f253f3aca9fa028",
            "kubernetes 65d752a38e1db784d521f48c3f1956f4f9a74ebb923377144f253f3aca9fa028",
            Some("51b64565-2b17-4d46-83ac-22e398f2f7fb"),
        ),
        (
            "0::/kubepods/burstable/pod5a89bcaa-3509-4375-83e1-b9e7a5712123/a069581483b00a498b3ba172612ffed06b3275a043bf3895c1b19e783e2793ee",
            "kubernetes a069581483b00a498b3ba172612ffed06b3275a043bf3895c1b19e783e2793ee",
            Some("5a89bcaa-3509-4375-83e1-b9e7a5712123"),
        ),
        (
            &format!("/kubepods/burstable/pod8d4f6e0b6dd24e6e8e1a2f4e3b2c1d0e/{A}"),
            &format!("kubernetes {A}"),
            Some("8d4f6e0b6dd24e6e8e1a2f4e3b2c1d0e"),
        ),
        (
            &format!("/../../pod{UUID}/{A}"),
            &format!("kubernetes {A}"),
            Some(UUID),
        ),
        (
            &format!("/kubepods/pod{UUID}/crio-{A}"),
            &format!("crio {A}"),
            Some(UUID),
        ),
    ]);
}

#[test]
fn a_pod_without_a_container() {
    let systemd = format!(
        "/kubepods.slice/kubepods-pod{}.slice",
        UUID.replace('-', "_")
    );
    for path in [format!("/kubepods/pod{UUID}"), systemd] {
        let owner = owner(&path);
        assert_eq!(owner.container, None);
        assert_eq!(owner.pod.map(|pod| pod.id).as_deref(), Some(UUID));
    }
    for path in [
        "/pod1/x",
        "/kubepods/podium",
        "/kubepods/pod",
        "/x-pod1.slice",
    ] {
        assert_eq!(pod(path), None, "{path}");
    }
}
