//! Ways out of the sandbox and into the kernel: namespaces, mounts, handles, kernel interfaces that
//! ordinary programs leave alone. All of it is refused; that it was tried is the evidence.

mod surface;

use std::collections::BTreeMap;

use types::{Endpoint, Event, Kind};

use crate::attack::{
    DEPLOY_CONTAINER, DIRECT_VOLUME_ACCESS, DISK_WIPE, ESCAPE, EXPLOITATION, KERNEL_MODULES,
};
use crate::detector::{Detector, Finding, Hits, Info, TierC, list};
use crate::paths;
use crate::timeline::{How, Image, Timeline};

pub(crate) const ALL: &[Detector] = &[
    Detector {
        info: Info {
            id: "namespace-escape",
            title: "Namespace, mount or handle calls",
            attack: ESCAPE,
            looks_for: "calls that change namespaces, mounts or the root, open files by handle, or \
                        type into the terminal outside",
            needs: &["syscall"],
            tier_c: TierC::Sees,
        },
        find: escape_calls,
    },
    Detector {
        info: Info {
            id: "host-interface",
            title: "Kernel's control files touched",
            attack: ESCAPE,
            looks_for: "control files through which a container reaches its host: core_pattern, \
                        sysrq-trigger, release_agent, modprobe, kcore and others",
            needs: &["open", "write"],
            tier_c: TierC::Sees,
        },
        find: control_files,
    },
    Detector {
        info: Info {
            id: "device-node",
            title: "Device node made",
            attack: ESCAPE,
            looks_for: "mknod of a block or character device",
            needs: &["mknod"],
            tier_c: TierC::Sees,
        },
        find: device_node,
    },
    Detector {
        info: Info {
            id: "container-engine",
            title: "Container engine's socket contacted",
            attack: DEPLOY_CONTAINER,
            looks_for: "connections to the control sockets of container engines, not by their clients",
            needs: &["connect"],
            tier_c: TierC::Sees,
        },
        find: container_engine,
    },
    Detector {
        info: Info {
            id: "kernel-surface",
            title: "Rarely used kernel calls tried",
            attack: EXPLOITATION,
            looks_for: "bpf, perf events, io_uring, userfaultfd, keys, kexec and similar calls by the \
                        sample itself",
            needs: &["syscall"],
            tier_c: TierC::Sees,
        },
        find: surface::calls,
    },
    Detector {
        info: Info {
            id: "exotic-socket",
            title: "Socket of an unusual family",
            attack: EXPLOITATION,
            looks_for: "sockets of protocol families through which kernels were attacked",
            needs: &["socket"],
            tier_c: TierC::Sees,
        },
        find: surface::sockets,
    },
    Detector {
        info: Info {
            id: "module-load",
            title: "Kernel module load tried",
            attack: KERNEL_MODULES,
            looks_for: "the calls and programs that load or remove kernel modules",
            needs: &["syscall", "exec"],
            tier_c: TierC::Sees,
        },
        find: module_load,
    },
    Detector {
        info: Info {
            id: "raw-disk-read",
            title: "Disk read past the file system",
            attack: DIRECT_VOLUME_ACCESS,
            looks_for: "block devices or physical memory opened for reading, not by a disk tool",
            needs: &["open"],
            tier_c: TierC::Sees,
        },
        find: disk_read,
    },
    Detector {
        info: Info {
            id: "disk-wipe",
            title: "Disk written past the file system",
            attack: DISK_WIPE,
            looks_for: "block devices opened for writing, or a file system made on one",
            needs: &["open", "exec"],
            tier_c: TierC::Sees,
        },
        find: disk_write,
    },
];

/// Calls that lead out, and what one of them weighs.
const WAYS_OUT: &[(&str, u32)] = &[
    ("open_by_handle_at", 26),
    ("pivot_root", 24),
    ("setns", 22),
    ("move_mount", 20),
    ("open_tree", 18),
    ("fsopen", 18),
    ("fsmount", 18),
    ("fsconfig", 18),
    ("fspick", 18),
    ("mount_setattr", 18),
    ("mount", 20),
    ("umount2", 15),
    ("umount", 15),
    ("unshare", 15),
    ("clone", 15),
    ("clone3", 15),
    ("chroot", 15),
    ("pidfd_getfd", 18),
    ("open_tree_attr", 18),
];

/// `CLONE_NEWNS`, `NEWCGROUP`, `NEWUTS`, `NEWIPC`, `NEWUSER`, `NEWPID`, `NEWNET`, `NEWTIME`.
const NEW_NAMESPACES: u64 = 0x7e02_0080;

/// `TIOCSTI`, `TIOCLINUX`, `TIOCSETD`: typing into the terminal that the command came from.
const TERMINAL_REQUESTS: &[u64] = &[0x5412, 0x541c, 0x5423];

fn escape_calls(timeline: &Timeline<'_>) -> Option<Finding> {
    const OWNERS: &[&str] = &["systemd", "systemd-nspawn", "snap-confine"];
    let mut calls: BTreeMap<&str, u32> = BTreeMap::new();
    let mut events = Vec::new();
    for (index, event) in timeline.events.iter().enumerate() {
        let Some((call, weight)) = way_out(event) else { continue };
        if !timeline.image(index).is_trusted(OWNERS) {
            calls.insert(call, weight);
            events.push(index);
        }
    }
    for image in timeline.attempted().filter(|image| image.is(&["nsenter"]) && !image.only_asks()) {
        calls.insert("nsenter", 16);
        events.push(image.event);
    }
    let strongest = calls.values().copied().max()?;
    // Each further kind of call makes an accident less likely.
    let further = u32::try_from(calls.len() - 1).unwrap_or(u32::MAX).min(4) * 4;
    let names: Vec<&str> = calls.keys().copied().collect();
    events.sort_unstable();
    Some(Finding::new(strongest + further, format!("tried: {}", list(&names)), events))
}

fn way_out(event: &Event) -> Option<(&'static str, u32)> {
    let Kind::Syscall { call, args, .. } = &event.kind else { return None };
    if call == "ioctl" {
        let request = args.get(1).map(|arg| arg & 0xffff_ffff)?;
        return TERMINAL_REQUESTS.contains(&request).then_some(("ioctl on the terminal", 22));
    }
    // Without a namespace flag these are how every process and thread starts. (The flags of clone3
    // lie in memory; monitors put them in the place of the pointer.)
    let asks = args.first().is_none_or(|flags| flags & NEW_NAMESPACES != 0);
    if matches!(call.as_str(), "clone" | "clone3" | "unshare") && !asks {
        return None;
    }
    WAYS_OUT.iter().find(|(name, _)| name == call).copied()
}

/// Whether a path is a control file of the kernel, and whether reading it tells as well.
fn control_file(path: &str) -> Option<(u32, bool)> {
    const WRITES: &[&str] = &[
        "/proc/sys/kernel/core_pattern",
        "/proc/sysrq-trigger",
        "/proc/sys/kernel/modprobe",
        "/proc/sys/kernel/hotplug",
        "/sys/kernel/uevent_helper",
        "/proc/sys/kernel/sysrq",
        "/proc/sys/fs/binfmt_misc/register",
        "/proc/sys/kernel/poweroff_cmd",
        "/sys/power/state",
        "/proc/sys/kernel/core_pipe_limit",
        "/proc/sys/kernel/ns_last_pid",
        "/proc/sys/vm/panic_on_oom",
    ];
    const READS: &[&str] =
        &["/proc/kcore", "/dev/mem", "/dev/kmem", "/dev/port", "/proc/kpageflags"];
    let file = paths::name(path);
    let own_program =
        path == "/proc/self/exe" || (path.starts_with("/proc/") && path.ends_with("/exe"));
    if WRITES.contains(&path) || matches!(file, "release_agent" | "notify_on_release") {
        return Some((24, false));
    }
    if READS.contains(&path) {
        return Some((24, true));
    }
    if path.starts_with("/proc/1/root/")
        || path.starts_with("/proc/1/ns/")
        || path.starts_with("/proc/1/cwd/")
    {
        return Some((18, true));
    }
    let cgroup = paths::under(path, "/sys/fs/cgroup") && path != "/sys/fs/cgroup";
    let efi = paths::under(path, "/sys/firmware/efi/efivars");
    if own_program || efi {
        return Some((22, false));
    }
    if cgroup
        || paths::under(path, "/sys/kernel/debug")
        || paths::under(path, "/sys/kernel/security")
    {
        return Some((14, false));
    }
    (paths::under(path, "/proc/sys") || path == "/proc/sys/kernel").then_some((13, false))
}

fn control_files(timeline: &Timeline<'_>) -> Option<Finding> {
    const OWNERS: &[&str] = &[
        "systemd",
        "systemd-sysctl",
        "procps",
        "lsns",
        "ps",
        "runc",
        "crun",
        "dockerd",
        "containerd",
        "podman",
        "makedumpfile",
        "crash",
        "Xorg",
        "dmidecode",
        "flashrom",
        "apport",
        "systemd-coredump",
    ];
    let mut hits = Hits::default();
    for touch in timeline.touches.iter().filter(|touch| touch.how != How::Changed) {
        let image = timeline.image(touch.event);
        if let Some((weight, _)) = control_file(&touch.path)
            && !image.is_trusted(OWNERS)
        {
            hits.add(touch.event, weight, &touch.path);
        }
    }
    for read in &timeline.reads {
        let image = timeline.image(read.event);
        if let Some((weight, true)) = control_file(&read.path)
            && !image.is_trusted(OWNERS)
            && !image.is_trusted(&["find", "grep", "tar", "ls", "du", "file"])
        {
            hits.add(read.event, weight, &read.path);
        }
    }
    hits.finding("opened or tried: ")
}

fn device_node(timeline: &Timeline<'_>) -> Option<Finding> {
    const TYPE: u32 = 0o170_000;
    const BLOCK: u32 = 0o060_000;
    const CHARACTER: u32 = 0o020_000;
    const OWNERS: &[&str] = &[
        "tar",
        "bsdtar",
        "cpio",
        "dpkg",
        "debootstrap",
        "mmdebstrap",
        "unsquashfs",
        "systemd-udevd",
        "rsync",
        "cp",
    ];
    let mut hits = Hits::default();
    for (index, event) in timeline.events.iter().enumerate() {
        let Kind::Mknod { path, mode } = &event.kind else { continue };
        let weight = match mode & TYPE {
            BLOCK => 20,
            CHARACTER => 14,
            _ => continue,
        };
        if !timeline.image(index).is_trusted(OWNERS) {
            hits.add(index, weight, &paths::clean(path));
        }
    }
    hits.finding("made or tried: ")
}

fn container_engine(timeline: &Timeline<'_>) -> Option<Finding> {
    const SOCKETS: &[&str] = &[
        "docker.sock",
        "containerd.sock",
        "crio.sock",
        "podman.sock",
        "dockershim.sock",
        "lxd.socket",
        "unix.socket",
        "buildkitd.sock",
    ];
    const CLIENTS: &[&str] = &[
        "docker",
        "docker-compose",
        "dockerd",
        "containerd",
        "ctr",
        "crictl",
        "nerdctl",
        "podman",
        "kubelet",
        "buildctl",
        "docker-buildx",
        "lxc",
        "lxd",
        "incus",
        "minikube",
        "kind",
        "k3d",
        "act",
    ];
    let mut hits = Hits::default();
    for &index in &timeline.connections {
        if let Kind::Connect { peer: Endpoint::Unix { path, .. } } = &timeline.events[index].kind
            && SOCKETS.contains(&paths::name(&paths::clean(path)))
            && !timeline.image(index).is_trusted(CLIENTS)
        {
            hits.add(index, 18, &paths::clean(path));
        }
    }
    for image in timeline.attempted().filter(|image| image.is(&["curl", "socat", "nc", "ncat"])) {
        if image.mentions("docker.sock") || image.mentions("containerd.sock") {
            hits.add(image.event, 18, image.exact_name());
        }
    }
    for image in timeline.attempted().filter(|image| image.is(&["docker", "podman", "nerdctl"])) {
        let host = image.has_arg(&["--privileged", "--pid=host"])
            || image.args().any(|arg| arg == "/:/host" || arg.starts_with("/:/"));
        if host {
            hits.add(image.event, 20, image.exact_name());
        }
    }
    hits.finding("contacted or tried: ")
}

fn module_load(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    for (index, event) in timeline.events.iter().enumerate() {
        if let Kind::Syscall { call, .. } = &event.kind
            && matches!(call.as_str(), "init_module" | "finit_module" | "delete_module")
        {
            hits.add(index, 24, call);
        }
    }
    for image in
        timeline.attempted().filter(|image| image.is(&["insmod", "modprobe", "rmmod", "kmod"]))
    {
        let asks = image.only_asks()
            || image.has_arg(&[
                "-n",
                "--dry-run",
                "-c",
                "--showconfig",
                "-D",
                "--show-depends",
                "list",
            ]);
        // The C library and tools start modprobe by themselves for missing protocols.
        let started = timeline.images.get(image.before).is_some_and(|before| before.is_own_will());
        if !asks && image.operands().count() > 0 && started {
            hits.add(image.event, 20, image.operands().next().unwrap_or("modprobe"));
        }
    }
    hits.finding("tried: ")
}

fn is_disk(path: &str) -> bool {
    const STARTS: &[&str] =
        &["sd", "hd", "vd", "xvd", "nvme", "mmcblk", "dm-", "md", "loop", "mapper/", "disk/", "sr"];
    path.strip_prefix("/dev/").is_some_and(|device| {
        STARTS.iter().any(|start| {
            device.strip_prefix(start).is_some_and(|rest| {
                start.ends_with('/') || rest.starts_with(|c: char| c.is_ascii_alphanumeric())
            })
        })
    }) && path != "/dev/mapper/control"
        && !path.starts_with("/dev/loop-control")
}

const DISK_TOOLS: &[&str] = &[
    "blkid",
    "fdisk",
    "sfdisk",
    "cfdisk",
    "parted",
    "lsblk",
    "mount",
    "umount",
    "smartctl",
    "hdparm",
    "udevadm",
    "systemd-udevd",
    "grub-probe",
    "lvm",
    "mdadm",
    "cryptsetup",
    "losetup",
    "dumpe2fs",
    "tune2fs",
    "e2fsck",
    "fsck",
    "xfs_repair",
    "btrfs",
    "swapon",
    "file",
    "findfs",
    "nvme",
    "sgdisk",
    "gdisk",
    "partprobe",
    "df",
    "eject",
    "wodim",
    "mkswap",
];

fn disk_read(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    for read in timeline.reads.iter().filter(|read| is_disk(&read.path)) {
        if !timeline.image(read.event).is_trusted(DISK_TOOLS) {
            hits.add(read.event, 15, &read.path);
        }
    }
    // A file of its own as the disk is somebody's image.
    let disk = |image: &Image<'_>| image.operands().any(|arg| arg.starts_with("/dev/"));
    let opens = |image: &&Image<'_>| image.is(&["debugfs"]) && disk(image);
    for image in timeline.attempted().filter(opens) {
        hits.add(image.event, 16, "debugfs");
    }
    hits.finding("opened or tried: ")
}

fn disk_write(timeline: &Timeline<'_>) -> Option<Finding> {
    let mut hits = Hits::default();
    for touch in timeline.touches.iter().filter(|touch| is_disk(&touch.path)) {
        let placed = matches!(touch.how, How::Placed | How::Changed);
        if !placed && !timeline.image(touch.event).is_trusted(DISK_TOOLS) {
            hits.add(touch.event, 28, &touch.path);
        }
    }
    for image in timeline.attempted() {
        let makes = image.exact_name().starts_with("mkfs")
            || image.is(&["mke2fs", "wipefs", "blkdiscard", "mkswap"]);
        if makes && image.operands().any(is_disk) {
            hits.add(image.event, 20, image.exact_name());
        }
    }
    hits.finding("opened or tried: ")
}
