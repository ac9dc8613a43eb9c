//! What is free, what a grant covers, and what nothing does.

use super::{Capability, Need, need};
use crate::analysis::Import;

#[test]
fn capabilities_are_read_as_they_are_written() {
    for text in [
        "args",
        "env",
        "stdin",
        "clock",
        "random",
        "filesystem:/a/b",
        "filesystem:/:rw",
        "network:a.b:1",
        "network:[::1]:80",
    ] {
        assert_eq!(Capability::parse(text).unwrap().to_string(), text);
    }
    for (text, words) in [
        ("files", "unknown capability `files`; there are: args"),
        ("args:x", "takes nothing after `args`"),
        ("filesystem:data", "absolute folder"),
        ("filesystem:/a/../b", "without `..`"),
        ("network:host", "a host and a port"),
        ("network:host:0", "a host and a port"),
        ("network::80", "a host and a port"),
    ] {
        let error = Capability::parse(text).unwrap_err();
        assert!(error.contains(words), "{text}: {error}");
    }
}

#[test]
fn a_writable_folder_covers_a_readable_one_and_not_its_neighbour() {
    let parse = |text| Capability::parse(text).unwrap();
    assert!(parse("filesystem:/a:rw").covers(&parse("filesystem:/a")));
    assert!(!parse("filesystem:/a").covers(&parse("filesystem:/a:rw")));
    assert!(!parse("filesystem:/a").covers(&parse("filesystem:/a/b")));
    assert!(!parse("network:a:1").covers(&parse("network:a:2")));
}

#[test]
fn imports_need_what_they_reach_for() {
    let check = |interface: &str, item: Option<&str>, kind: &'static str, expect: Need| {
        let import = Import { interface: interface.into(), item: item.map(str::to_owned), kind };
        assert_eq!(need(&import), expect, "{}", import.full_name());
    };
    let p1 = "wasi_snapshot_preview1";
    check(p1, Some("fd_write"), "function", Need::Free);
    check(p1, Some("fd_write"), "memory", Need::Unknown);
    check(p1, Some("path_open"), "function", Need::Capability("filesystem"));
    check(p1, Some("sock_accept"), "function", Need::Unknown);
    check(p1, Some("sock_connect"), "function", Need::Unknown);
    check("wasi_unstable", Some("fd_write"), "function", Need::Unknown);
    check("env", Some("memory"), "memory", Need::Unknown);
    let at = Some("[method]descriptor.open-at");
    check("wasi:filesystem/types@0.2.3", at, "function", Need::Capability("filesystem"));
    let read = Some("[method]descriptor.read");
    check("wasi:filesystem/types@0.2.3", read, "function", Need::Free);
    check("wasi:sockets/tcp@0.2.0", None, "instance", Need::Capability("network"));
    check("wasi:sockets/tcp@0.3.0", None, "instance", Need::Unknown);
    check("wasi:http/outgoing-handler@0.2.0", Some("handle"), "function", Need::Unknown);
    check("wasi:cli/stdout", Some("get-stdout"), "function", Need::Unknown);
}
