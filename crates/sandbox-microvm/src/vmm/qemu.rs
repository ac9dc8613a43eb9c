//! QEMU's command line: a machine with two disks, three wires and nothing else.
//!
//! Under KVM that is `microvm`, the smallest there is. Without it `pc`: the clock of a translated
//! processor is only right when the kernel can measure it against a timer, and `microvm` has none
//! that holds still on a busy host.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::jail::{Jail, Walls};
use super::{Acceleration, Vmm, Wires};
use crate::wire::{STDERR, STDOUT, TALK};

/// Where the jail shows the guest's files.
const KERNEL: &str = "/guest/vmlinuz";
const INITRAMFS: &str = "/guest/initramfs";
/// The guest's kernel: quiet, no second try after a panic, randomness from the processor, and BPF
/// among its security modules, so that its programs may refuse.
const APPEND: &str = "console=ttyS0 loglevel=4 panic=-1 reboot=t random.trust_cpu=on \
    lsm=landlock,lockdown,yama,integrity,bpf";
/// What QEMU takes for itself beside the guest's memory.
pub(crate) const OWN_BYTES: u64 = 512 << 20;

/// What to start.
#[derive(Debug)]
pub struct Qemu<'a> {
    pub program: &'a Path,
    pub acceleration: Acceleration,
    pub kernel: PathBuf,
    pub initramfs: PathBuf,
    pub memory_mib: u64,
    /// Read-only disks, in any order.
    pub disks: Vec<File>,
    /// One more word for the kernel's command line.
    pub word: Option<&'a str>,
}

impl Qemu<'_> {
    /// Starts it in its jail; how far the jail could be built is told beside it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(self) -> io::Result<(Vmm, Wires, Walls)> {
        let (console, console_theirs) = UnixStream::pair()?;
        let (talk, talk_theirs) = UnixStream::pair()?;
        let (stdout, stdout_theirs) = UnixStream::pair()?;
        let (stderr, stderr_theirs) = UnixStream::pair()?;
        let jail = Jail::new(self.program, &[(&self.kernel, KERNEL), (&self.initramfs, INITRAMFS)]);
        let names = jail.names();
        let (kernel, initramfs) = if names {
            (PathBuf::from(KERNEL), PathBuf::from(INITRAMFS))
        } else {
            (self.kernel.clone(), self.initramfs.clone())
        };
        let mut command = Command::new(self.program);
        command.env_clear().stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(OwnedFd::from(console_theirs.try_clone()?));
        command.args(machine(self.acceleration, self.memory_mib));
        let append = self.word.map_or_else(|| APPEND.to_owned(), |word| format!("{APPEND} {word}"));
        command.arg("-kernel").arg(kernel).arg("-initrd").arg(initramfs);
        command.args(["-append", &append]);
        let mut inherited: Vec<OwnedFd> = Vec::new();
        let mut hand = |fd: OwnedFd| {
            inherited.push(fd);
            Jail::number(inherited.len() - 1)
        };
        let number = hand(console_theirs.into());
        command.args(["-chardev", &format!("socket,id=console,fd={number}")]);
        command.args(["-serial", "chardev:console"]);
        let bus = bus(self.acceleration);
        command.args(["-device", &format!("virtio-serial-{bus},max_ports=4")]);
        for (name, stream) in
            [(TALK, talk_theirs), (STDOUT, stdout_theirs), (STDERR, stderr_theirs)]
        {
            let number = hand(stream.into());
            command.args(["-chardev", &format!("socket,id={name},fd={number}")]);
            command.args(["-device", &format!("virtserialport,chardev={name},name={name}")]);
        }
        for (index, disk) in self.disks.into_iter().enumerate() {
            let number = hand(disk.into());
            let set = index + 1;
            command.args(["-add-fd", &format!("fd={number},set={set}")]);
            let drive =
                format!("id=disk{set},if=none,format=raw,readonly=on,file=/dev/fdset/{set}");
            command.args(["-drive", &drive]);
            command.args(["-device", &format!("virtio-blk-{bus},drive=disk{set}")]);
        }
        let limit = (self.memory_mib << 20) + 4 * OWN_BYTES;
        let kvm = self.acceleration == Acceleration::Kvm;
        let (child, walls) = jail.start(command, &inherited, limit, kvm)?;
        drop(inherited);
        Ok((Vmm::new(child, console)?, Wires { talk, stdout, stderr }, walls))
    }
}

/// The machine's name, for reports.
pub(crate) fn machine_name(acceleration: Acceleration) -> &'static str {
    match acceleration {
        Acceleration::Kvm => "microvm",
        Acceleration::Tcg => "pc",
    }
}

/// How virtio devices are attached.
fn bus(acceleration: Acceleration) -> &'static str {
    match acceleration {
        Acceleration::Kvm => "device",
        Acceleration::Tcg => "pci",
    }
}

fn machine(acceleration: Acceleration, memory_mib: u64) -> Vec<String> {
    let (machine, cpu) = match acceleration {
        Acceleration::Kvm => ("microvm,pit=on,pic=on,rtc=on,usb=off", "host"),
        Acceleration::Tcg => ("pc,usb=off,vmport=off", "max"),
    };
    let memory = memory_mib.to_string();
    let words = [
        "-machine",
        machine,
        "-accel",
        acceleration.as_str(),
        "-cpu",
        cpu,
        "-smp",
        "1",
        "-m",
        &memory,
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-no-reboot",
        "-nic",
        "none",
        "-sandbox",
        "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
        "-global",
        "virtio-mmio.force-legacy=false",
    ];
    words.map(str::to_owned).to_vec()
}

/// The first line of `--version`, without its name.
pub(crate) fn version(program: &Path) -> io::Result<String> {
    let output = Command::new(program).arg("--version").env_clear().output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().next().unwrap_or_default();
    let version = line.split_whitespace().skip_while(|word| *word != "version").nth(1);
    Ok(version.unwrap_or("of unknown version").to_owned())
}

/// Opens a disk's file again, for reading only: QEMU takes no descriptor that could write.
pub(crate) fn reopened(file: &File) -> io::Result<File> {
    use std::os::fd::AsRawFd as _;
    File::open(format!("/proc/self/fd/{}", file.as_fd().as_raw_fd()))
}
