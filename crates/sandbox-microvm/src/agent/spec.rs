//! From a job to the process runner's spec, inside the guest.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sandbox::{
    Artifacts, Copied, Decoy, Memory, MonitorChoice, Mount, Net, Observer, Root, Spec, Stdin, Wasm,
};
use types::Text;
use types::ports::Scanner;

use super::world::{BESIDE, redirect};
use crate::root::{COPIES, LAYERS, MOUNTS, OCI, STDIN, TAR};
use crate::wire::{self, Job, Monitor};

/// Where the agent keeps what the host asked for; the command's own /run covers it.
pub(super) const KEEP: &str = "/run/keep";
const SNAPSHOT: &str = "/run/snapshot.tar";
const PACKETS: &str = "/run/packets.pcapng";

pub(super) fn spec(
    job: &Job,
    observer: Observer,
    scanner: Option<Arc<dyn Scanner>>,
) -> io::Result<Spec> {
    let beside = Path::new(BESIDE);
    let copies = job.copies.iter().enumerate().map(|(index, target)| Copied {
        source: beside.join(COPIES).join(index.to_string()),
        target: wire::path(target),
    });
    let mounts = job.mounts.iter().enumerate().map(|(index, target)| Mount {
        source: beside.join(MOUNTS).join(index.to_string()),
        target: wire::path(target),
        writable: false,
    });
    if job.stdin {
        redirect(&File::open(beside.join(STDIN))?, 0)?;
    }
    if job.keep {
        fs::create_dir(KEEP)?;
    }
    let net = match job.net {
        wire::Net::None => Net::None,
        wire::Net::Loopback => Net::Loopback,
        wire::Net::Sink => Net::Sink,
    };
    Ok(Spec {
        id: job.id.clone(),
        started_at: job.started_at.clone(),
        program: wire::path(&job.program),
        command: job.command.iter().map(word).collect(),
        env: job.env.iter().map(|(name, value)| (word(name), word(value))).collect(),
        cwd: wire::path(&job.cwd),
        cwd_is_new: job.cwd_is_new,
        copies: copies.collect(),
        hidden: job.hidden.iter().map(wire::path).collect(),
        tools: job.tools.iter().map(wire::path).collect(),
        mounts: mounts.collect(),
        net,
        allow: Vec::new(),
        root: match &job.root {
            wire::Root::Image => Root::Host,
            wire::Root::Tar => Root::Tar(beside.join(TAR)),
            wire::Root::Oci(name) => Root::Oci(beside.join(OCI), name.clone()),
        },
        layers: (0..job.layers).map(|n| beside.join(LAYERS).join(n.to_string())).collect(),
        pause: None,
        decoys: job.decoys.iter().map(decoy).collect(),
        scanner,
        memory: Memory {
            scan: job.memory_scan,
            hold_ms: job.memory_hold_ms,
            read_bytes: job.memory_read_bytes,
        },
        demand: None,
        artifacts: Artifacts {
            snapshot: job.snapshot.then(|| PathBuf::from(SNAPSHOT)),
            packets: job.packets.then(|| PathBuf::from(PACKETS)),
            cores: None,
        },
        wasm: Wasm::default(),
        limits: job.limits.clone(),
        stdin: if job.stdin { Stdin::Inherit } else { Stdin::Null },
        keep: job.keep.then(|| PathBuf::from(KEEP)),
        monitor: match job.monitor {
            Monitor::Auto => MonitorChoice::Auto,
            Monitor::Ebpf => MonitorChoice::Ebpf,
            Monitor::Notify => MonitorChoice::Notify,
            Monitor::Off => MonitorChoice::Off,
        },
        pass_output: true,
        events_max: job.events_max,
        observer: Some(observer),
    })
}

fn decoy(decoy: &wire::Decoy) -> Decoy {
    Decoy {
        path: wire::path(&decoy.path),
        content: decoy.content.as_bytes().to_vec(),
        mode: decoy.mode,
        modified: decoy.modified,
    }
}

fn word(text: &Text) -> OsString {
    OsString::from_vec(text.as_bytes().to_vec())
}
