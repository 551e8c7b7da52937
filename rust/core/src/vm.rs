//! Virtual machines, told from the process that runs them.
//!
//! Decided by the executable, or by what the process was started as, and never by the rest of its
//! arguments: whoever edits `/usr/bin/kvm-notes.txt` runs no guest.

use crate::parse::cmdline::arguments;
use crate::parse::name;
use crate::parse::options::{Options, property, stem};
use crate::process::ProcessKey;
use crate::workload::{Hypervisor, Vm};

/// Programs that run one guest each, by the whole name of the file. QEMU has many names, see
/// [`hypervisor_of`].
const PROGRAMS: [(&[u8], Hypervisor); 9] = [
    (b"qemu-kvm", Hypervisor::Kvm),
    (b"kvm", Hypervisor::Kvm),
    (b"VBoxHeadless", Hypervisor::VirtualBox),
    (b"VirtualBoxVM", Hypervisor::VirtualBox),
    (b"VBoxSDL", Hypervisor::VirtualBox),
    (b"vmware-vmx", Hypervisor::Vmware),
    (b"cloud-hypervisor", Hypervisor::CloudHypervisor),
    (b"firecracker", Hypervisor::Firecracker),
    (b"crosvm", Hypervisor::Crosvm),
];

const QEMU_PREFIX: &[u8] = b"qemu-system-";

/// The kernel keeps this much of a name in `comm`.
const COMM_BYTES: usize = 15;

/// Whether it is worth to read the command line: `comm` or `exe` is that of a hypervisor. A guest's
/// name may be written over `comm`, so either is enough.
pub fn may_be_vm(comm: &[u8], exe: Option<&[u8]>) -> bool {
    let is_program =
        |(program, _): &(&[u8], Hypervisor)| comm == &program[..program.len().min(COMM_BYTES)];
    exe.and_then(hypervisor_of).is_some()
        || comm.starts_with(QEMU_PREFIX)
        || PROGRAMS.iter().any(is_program)
}

/// The guest that a process runs, if it runs one. One that tells neither an id nor a name is known
/// by its process, so that two of them are two.
pub fn vm_of(exe: Option<&[u8]>, cmdline: &[u8], key: ProcessKey) -> Option<Vm> {
    let started_as = arguments(cmdline).next().and_then(hypervisor_of);
    let hypervisor = exe.and_then(hypervisor_of).or(started_as)?;
    let options = Options { cmdline };
    let (hypervisor, id, label) = match hypervisor {
        Hypervisor::Kvm | Hypervisor::Xen => qemu(&options),
        Hypervisor::VirtualBox => (
            hypervisor,
            options.value("startvm"),
            options.value("comment"),
        ),
        Hypervisor::Vmware => vmware(&options),
        Hypervisor::CloudHypervisor => cloud_hypervisor(&options),
        Hypervisor::Firecracker => (hypervisor, options.value("id"), None),
        Hypervisor::Crosvm => crosvm(&options)?,
    };
    let id = match (id, label) {
        (Some(id), _) | (None, Some(id)) => name(id),
        (None, None) => format!("{}-{}-{}", hypervisor.as_str(), key.pid, key.start_ticks),
    };
    let name = label.map_or_else(|| id.clone(), name);
    Some(Vm {
        id,
        name,
        hypervisor,
    })
}

/// The hypervisor that a program's path names.
fn hypervisor_of(path: &[u8]) -> Option<Hypervisor> {
    let path = path.strip_suffix(b" (deleted)").unwrap_or(path);
    let file = path.rsplit(|byte| *byte == b'/').next()?;
    // NixOS starts `.qemu-system-x86_64-wrapped`.
    let file = match file.strip_prefix(b".") {
        Some(wrapped) => wrapped.strip_suffix(b"-wrapped").unwrap_or(file),
        None => file,
    };
    if let Some(machine) = file.strip_prefix(QEMU_PREFIX) {
        let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        let is_qemu = !machine.is_empty() && machine.iter().all(is_word);
        return is_qemu.then_some(Hypervisor::Kvm);
    }
    let program = PROGRAMS.iter().find(|(program, _)| *program == file)?;
    Some(program.1)
}

/// What is known of a guest: what runs it, its id, its name.
type Told<'a> = (Hypervisor, Option<&'a [u8]>, Option<&'a [u8]>);

/// `-uuid` is the guest's; Proxmox gives it in the SMBIOS table instead; Xen has domain numbers.
fn qemu<'a>(options: &Options<'a>) -> Told<'a> {
    let label = options.value("name").and_then(qemu_name);
    if options.has("xen-domid") {
        return (Hypervisor::Xen, options.value("xen-domid"), label);
    }
    let id = options.value("uuid").or_else(|| {
        options
            .values("smbios")
            .filter(|value| property(value, b"type") == Some(b"1"))
            .find_map(|value| property(value, b"uuid"))
    });
    (Hypervisor::Kvm, id, label)
}

/// The guest's name in `-name guest=X,…` or `-name X,…`.
fn qemu_name(value: &[u8]) -> Option<&[u8]> {
    let first = value.split(|byte| *byte == b',').next()?;
    let implied = Some(first).filter(|first| !first.is_empty() && !first.contains(&b'='));
    property(value, b"guest").or(implied)
}

/// The path of a guest's file is its identity: copies keep the file's name.
fn vmware<'a>(options: &Options<'a>) -> Told<'a> {
    let file = arguments(options.cmdline)
        .skip(1)
        .find(|value| value.ends_with(b".vmx"));
    (Hypervisor::Vmware, file, file.map(stem))
}

/// The guest's UUID, or else the socket's name. Kata calls each guest's socket `clh-api.sock` and
/// its directory by the sandbox.
fn cloud_hypervisor<'a>(options: &Options<'a>) -> Told<'a> {
    let uuid = options
        .value("platform")
        .and_then(|value| property(value, b"uuid"));
    let socket = options.value("api-socket").and_then(|value| {
        let is_path = |value: &&[u8]| !value.contains(&b'=');
        property(value, b"path").or(Some(value).filter(is_path))
    });
    let directory = |path: &'a [u8]| path.rsplit(|byte| *byte == b'/').nth(1);
    let label = socket.and_then(|path| match stem(path) {
        b"clh-api" => directory(path),
        file => Some(file),
    });
    let label = label.filter(|label| !label.is_empty());
    (Hypervisor::CloudHypervisor, uuid, label)
}

/// `crosvm run`; its other commands run no guest. `--cid` is the guest's address on the host.
fn crosvm<'a>(options: &Options<'a>) -> Option<Told<'a>> {
    arguments(options.cmdline)
        .skip(1)
        .find(|value| *value == b"run")?;
    let address = options.value("cid").or_else(|| {
        options
            .value("vsock")
            .map(|value| property(value, b"cid").unwrap_or(value))
    });
    let label = options.value("name");
    Some((Hypervisor::Crosvm, address, label))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::hostile;
    use proptest::prelude::*;

    const KEY: ProcessKey = ProcessKey {
        pid: 42,
        start_ticks: 3214,
    };
    const UUID: &str = "df12672f-fedb-4f6f-9d51-0166868835fb";

    /// The guest of a command line with spaces between its arguments, as `hypervisor id name`.
    fn guest(line: &str) -> Option<String> {
        let cmdline = format!("{}\0", line.replace(' ', "\0"));
        let vm = vm_of(None, cmdline.as_bytes(), KEY)?;
        Some(format!("{} {} {}", vm.hypervisor.as_str(), vm.id, vm.name))
    }

    fn check(cases: &[(&str, &str)]) {
        for (line, expected) in cases {
            assert_eq!(guest(line).as_deref(), Some(*expected), "{line}");
        }
    }

    #[test]
    fn qemu_of_libvirt() {
        let line = "/usr/bin/qemu-system-x86_64 -name guest=test-vm,debug-threads=on";
        let with_uuid = format!("{line} -machine pc -uuid {UUID}");
        let kvm = "/usr/libexec/qemu-kvm -name guest=vm,debug-threads=on -S";
        let kvm_uuid = format!("{kvm} -uuid {UUID}");
        check(&[
            (&with_uuid, &format!("kvm {UUID} test-vm")),
            (line, "kvm test-vm test-vm"),
            (&kvm_uuid, &format!("kvm {UUID} vm")),
            (kvm, "kvm vm vm"),
        ]);
    }

    #[test]
    fn qemu_by_hand() {
        check(&[
            (
                "qemu-system-x86_64 -name simple-vm -m 1024",
                "kvm simple-vm simple-vm",
            ),
            ("qemu-system-x86_64 -name=test-vm", "kvm test-vm test-vm"),
            ("/usr/bin/qemu-system-aarch64 --name arm", "kvm arm arm"),
            (
                "qemu-system-x86_64-headless -name X,debug-threads=on",
                "kvm X X",
            ),
            (
                "qemu-system-x86_64 -name debug-threads=on,guest=X",
                "kvm X X",
            ),
            ("/usr/bin/kvm -name test-vm", "kvm test-vm test-vm"),
            ("qemu-system-x86_64 -uuid U", "kvm U U"),
        ]);
    }

    #[test]
    fn nameless_guests_are_two() {
        let nameless = "/usr/bin/qemu-system-x86_64 -machine pc -m 1024";
        check(&[
            (nameless, "kvm kvm-42-3214 kvm-42-3214"),
            ("kvm -name debug-threads=on", "kvm kvm-42-3214 kvm-42-3214"),
            ("kvm -name", "kvm kvm-42-3214 kvm-42-3214"),
            (
                "firecracker",
                "firecracker firecracker-42-3214 firecracker-42-3214",
            ),
        ]);
        let other = ProcessKey { pid: 43, ..KEY };
        let cmdline = nameless.replace(' ', "\0");
        assert_ne!(
            vm_of(None, cmdline.as_bytes(), KEY),
            vm_of(None, cmdline.as_bytes(), other)
        );
    }

    #[test]
    fn qemu_of_proxmox() {
        let line = format!(
            "/usr/bin/kvm -id 100 -name testvm,debug-threads=on -smbios type=0,uuid=no \
             -smbios type=1,manufacturer=x,uuid={UUID}"
        );
        check(&[(&line, &format!("kvm {UUID} testvm"))]);
        let both = format!("{line} -uuid U");
        check(&[(&both, "kvm U testvm")]);
    }

    #[test]
    fn qemu_of_xen() {
        let qemu = "/usr/lib/xen/bin/qemu-system-i386";
        check(&[
            (&format!("{qemu} -xen-domid 5 -name guest1"), "xen 5 guest1"),
            (
                &format!("{qemu} -name guest1 -xen-domid"),
                "xen guest1 guest1",
            ),
            (
                &format!("{qemu} -xen-domid -name guest1"),
                "xen guest1 guest1",
            ),
            (&format!("{qemu} -xen-domid"), "xen xen-42-3214 xen-42-3214"),
        ]);
    }

    #[test]
    fn virtualbox_and_vmware() {
        check(&[
            (
                "/usr/lib/virtualbox/VBoxHeadless --comment web --startvm U --vrde config",
                "virtualbox U web",
            ),
            (
                "/usr/lib/virtualbox/VirtualBoxVM -startvm U",
                "virtualbox U U",
            ),
            ("/opt/VBoxSDL --comment desk", "virtualbox desk desk"),
            (
                "/usr/lib/vmware/bin/vmware-vmx -s vmx.noUIBuildNumberCheck=TRUE -# /vms/a/web.vmx",
                "vmware /vms/a/web.vmx web",
            ),
        ]);
    }

    #[test]
    fn small_hypervisors() {
        check(&[
            (
                "cloud-hypervisor --api-socket path=/run/ch/vm1.sock --cpus boot=4",
                "cloud-hypervisor vm1 vm1",
            ),
            (
                "cloud-hypervisor --api-socket=/run/vm2.sock",
                "cloud-hypervisor vm2 vm2",
            ),
            (
                "cloud-hypervisor --api-socket /run/vc/vm/abc/clh-api.sock",
                "cloud-hypervisor abc abc",
            ),
            (
                "cloud-hypervisor --api-socket fd=3 --platform num_pci_segments=1,uuid=U",
                "cloud-hypervisor U U",
            ),
            (
                "cloud-hypervisor --api-socket /run/",
                "cloud-hypervisor cloud-hypervisor-42-3214 cloud-hypervisor-42-3214",
            ),
            (
                "cloud-hypervisor --api-socket fd=3",
                "cloud-hypervisor cloud-hypervisor-42-3214 cloud-hypervisor-42-3214",
            ),
            (
                "/firecracker --id 551e7604 --api-sock /s",
                "firecracker 551e7604 551e7604",
            ),
            ("crosvm run --name web --cid 5 vmlinux", "crosvm 5 web"),
            (
                "crosvm --log-level=info run --vsock cid=6 vmlinux",
                "crosvm 6 6",
            ),
        ]);
        assert_eq!(guest("crosvm balloon 100 /run/s"), None);
    }

    #[test]
    fn arguments_make_no_guest() {
        for line in [
            "",
            "/usr/bin/firefox",
            "/usr/bin/vim /usr/bin/kvm-notes.txt",
            "/usr/bin/kvm-notes.txt",
            "/usr/bin/tail -f /xbin/qemu-system-x86_64.log",
            "/usr/bin/qemu-system-x86_64.log",
            "/usr/bin/qemu-system-",
            "/bin/sh -c /usr/bin/kvm",
            "/usr/bin/qemu-img create -name x",
        ] {
            assert_eq!(guest(line), None, "{line}");
        }
    }

    #[test]
    fn the_executable_decides_before_the_title() {
        let of = |exe: &str, line: &[u8]| {
            vm_of(Some(exe.as_bytes()), line, KEY).map(|vm| (vm.hypervisor, vm.id))
        };
        let kvm = |id: &str| Some((Hypervisor::Kvm, id.to_owned()));
        let nix = "/nix/store/x/bin/.qemu-system-x86_64-wrapped";
        assert_eq!(
            of("/usr/bin/qemu-system-x86_64 (deleted)", b"x\0-uuid\0U\0"),
            kvm("U")
        );
        assert_eq!(of(nix, b"qemu\0"), kvm("kvm-42-3214"));
        assert_eq!(of("/usr/bin/qemu-kvm", b""), kvm("kvm-42-3214"));
        assert_eq!(of("/usr/bin/vim", b"vim\0/usr/bin/kvm\0"), None);
    }

    #[test]
    fn few_processes_may_be_a_guest() {
        for comm in [
            "qemu-system-x86",
            "qemu-kvm",
            "kvm",
            "cloud-hyperviso",
            "VBoxHeadless",
        ] {
            assert!(may_be_vm(comm.as_bytes(), None), "{comm}");
        }
        for comm in [
            "",
            "kvm-nx-lpage-re",
            "vim",
            "qemu-img",
            "crosvm-x",
            "VBoxSVC",
        ] {
            assert!(!may_be_vm(comm.as_bytes(), Some(b"/usr/bin/vim")), "{comm}");
        }
        assert!(may_be_vm(b"renamed", Some(b"/usr/bin/qemu-system-x86_64")));
    }

    proptest! {
        #[test]
        fn any_bytes(
            comm: Vec<u8>,
            line in hostile::text(&[
                "kvm", "/", "\0", "-name", "-uuid", "-smbios", "type=1,uuid=", ",", "=", "crosvm",
                "run", "--cid", "cloud-hypervisor", "--api-socket", "vmware-vmx", ".vmx", "-",
            ]),
        ) {
            let _ = may_be_vm(&comm, Some(&line));
            if let Some(vm) = vm_of(None, &line, KEY) {
                prop_assert!(!vm.id.is_empty() && !vm.name.is_empty());
            }
            let _ = vm_of(Some(b"/usr/bin/kvm"), &line, KEY);
        }
    }
}
