//! The consumers that energy is attributed to, beside the process itself.

/// What a cgroup path says about who runs there. Every field is independent: a container has a
/// unit, a pod has containers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The innermost systemd unit outside any container.
    pub unit: Option<Unit>,
    /// The innermost container.
    pub container: Option<Container>,
    /// The Kubernetes pod.
    pub pod: Option<Pod>,
    /// The user whose slice this is (`user-1000.slice`).
    pub uid: Option<u32>,
}

impl Owner {
    /// How much this owner says, for choosing among a process's cgroup lines on v1 and hybrid
    /// hosts: a container says more than a unit, a unit more than nothing.
    pub fn specificity(&self) -> u8 {
        if self.container.is_some() {
            4
        } else if self.pod.is_some() {
            3
        } else if self.unit.is_some() {
            2
        } else {
            u8::from(self.uid.is_some())
        }
    }
}

/// A systemd unit. `(slice, name)` is unique on a host: the units of a user's manager carry that
/// user's slice in front (`user-1000.slice/app.slice`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Unit {
    /// `nginx.service`, `session-3.scope`.
    pub name: String,
    /// The slice it is in, `-.slice` for the root.
    pub slice: String,
}

/// A container.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Container {
    /// The runtime's id: 64 hexadecimal digits, or the name where the runtime has no other.
    pub id: String,
    /// The name, where the path tells it.
    pub name: Option<String>,
    /// What runs it.
    pub runtime: Runtime,
    /// The id of the container around this one.
    pub parent: Option<String>,
}

/// A Kubernetes pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pod {
    /// Its uid with dashes, or without where a static pod has none.
    pub id: String,
}

/// What runs a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // each is the runtime of that name
pub enum Runtime {
    Docker,
    Containerd,
    Crio,
    Podman,
    Kubernetes,
    Nerdctl,
    Lxc,
    Nspawn,
    Ecs,
    Slurm,
    Nomad,
    Apptainer,
    Buildkit,
}

impl Runtime {
    /// The label value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Containerd => "containerd",
            Self::Crio => "crio",
            Self::Podman => "podman",
            Self::Kubernetes => "kubernetes",
            Self::Nerdctl => "nerdctl",
            Self::Lxc => "lxc",
            Self::Nspawn => "nspawn",
            Self::Ecs => "ecs",
            Self::Slurm => "slurm",
            Self::Nomad => "nomad",
            Self::Apptainer => "apptainer",
            Self::Buildkit => "buildkit",
        }
    }
}

/// A virtual machine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Vm {
    /// Its UUID or domain id, else a name, else the process itself.
    pub id: String,
    /// Its name; the id where it has none.
    pub name: String,
    /// What runs it.
    pub hypervisor: Hypervisor,
}

/// What runs a virtual machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // each is the hypervisor of that name
pub enum Hypervisor {
    Kvm,
    Xen,
    VirtualBox,
    Vmware,
    CloudHypervisor,
    Firecracker,
    Crosvm,
}

impl Hypervisor {
    /// The label value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Xen => "xen",
            Self::VirtualBox => "virtualbox",
            Self::Vmware => "vmware",
            Self::CloudHypervisor => "cloud-hypervisor",
            Self::Firecracker => "firecracker",
            Self::Crosvm => "crosvm",
        }
    }
}
