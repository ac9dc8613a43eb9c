//! Which import needs which capability. Closed lists: what is not named here exists for no module.

use crate::analysis::Import;

/// What it takes for a module to get an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Everybody gets it: without a grant it works on nothing, or answers with nothing.
    Free,
    /// A capability of this name.
    Capability(&'static str),
    /// No capability gives it.
    Unknown,
}

/// The only core module's imports there are.
pub(crate) const PREVIEW1: &str = "wasi_snapshot_preview1";

/// What an import needs.
#[must_use]
pub fn need(import: &Import) -> Need {
    let item = import.item.as_deref().unwrap_or("");
    if import.interface == PREVIEW1 {
        return if import.kind == "function" { preview1(item) } else { Need::Unknown };
    }
    match import.interface.strip_prefix("wasi:").and_then(|rest| rest.split_once('@')) {
        Some((interface, version)) if version.starts_with("0.2.") => {
            if import.item.is_some() && !matches!(import.kind, "function" | "type") {
                return Need::Unknown;
            }
            preview2(interface, item)
        }
        _ => Need::Unknown,
    }
}

fn preview1(function: &str) -> Need {
    match function {
        // Empty without `args` and `env`; the start of every compiled program asks.
        "args_get" | "args_sizes_get" | "environ_get" | "environ_sizes_get" => Need::Free,
        "proc_exit" | "proc_raise" | "sched_yield" | "poll_oneoff" => Need::Free,
        // They need an open file, which only a grant gives; standard input is empty without `stdin`.
        "fd_advise"
        | "fd_allocate"
        | "fd_close"
        | "fd_datasync"
        | "fd_fdstat_get"
        | "fd_fdstat_set_flags"
        | "fd_fdstat_set_rights"
        | "fd_filestat_get"
        | "fd_filestat_set_size"
        | "fd_filestat_set_times"
        | "fd_pread"
        | "fd_prestat_get"
        | "fd_prestat_dir_name"
        | "fd_pwrite"
        | "fd_read"
        | "fd_readdir"
        | "fd_renumber"
        | "fd_seek"
        | "fd_sync"
        | "fd_tell"
        | "fd_write" => Need::Free,
        "clock_res_get" | "clock_time_get" => Need::Capability("clock"),
        "random_get" => Need::Capability("random"),
        "path_create_directory"
        | "path_filestat_get"
        | "path_filestat_set_times"
        | "path_link"
        | "path_open"
        | "path_readlink"
        | "path_remove_directory"
        | "path_rename"
        | "path_symlink"
        | "path_unlink_file" => Need::Capability("filesystem"),
        // Preview 1 can only use sockets that its host opened, and this host opens none.
        _ => Need::Unknown,
    }
}

fn preview2(interface: &str, item: &str) -> Need {
    match interface {
        "cli/environment"
        | "cli/exit"
        | "cli/stdin"
        | "cli/stdout"
        | "cli/stderr"
        | "cli/terminal-input"
        | "cli/terminal-output"
        | "cli/terminal-stdin"
        | "cli/terminal-stdout"
        | "cli/terminal-stderr"
        | "io/error"
        | "io/poll"
        | "io/streams"
        | "filesystem/preopens" => Need::Free,
        "clocks/wall-clock" | "clocks/monotonic-clock" => match item {
            "now" | "resolution" | "subscribe-instant" => Need::Capability("clock"),
            _ => Need::Free,
        },
        "random/random" | "random/insecure" | "random/insecure-seed" => Need::Capability("random"),
        "filesystem/types" => {
            if item.starts_with("[method]descriptor.") && item.ends_with("-at") {
                Need::Capability("filesystem")
            } else {
                Need::Free
            }
        }
        // The type of a network handle, and error codes; a handle comes from `instance-network`.
        "sockets/network" => Need::Free,
        "sockets/instance-network"
        | "sockets/ip-name-lookup"
        | "sockets/tcp"
        | "sockets/tcp-create-socket"
        | "sockets/udp"
        | "sockets/udp-create-socket" => Need::Capability("network"),
        _ => Need::Unknown,
    }
}
