//! Firecracker's driver against what its API is published to take. No Firecracker runs here: a
//! stand-in checks every call against a table made from the definition, and then plays the guest.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use sandbox_microvm::firecracker::api::{Call, Description, exchange, put};
use sandbox_microvm::firecracker::machine::{Machine, Programs};
use serde_json::Value;

/// A type of the definition: its fields, and those that must be there.
struct Body {
    path: &'static str,
    fields: &'static [(&'static str, Kind)],
    required: &'static [&'static str],
}

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Flag,
    /// Least and greatest.
    Number(u64, u64),
    OneOf(&'static [&'static str]),
}

/// `PUT` bodies of `firecracker.yaml` 1.17: MachineConfiguration, BootSource, Drive, Vsock,
/// InstanceActionInfo. A drive's id stands for `{drive_id}` in its path.
const BODIES: &[Body] = &[
    Body {
        path: "/machine-config",
        fields: &[
            ("vcpu_count", Kind::Number(1, 32)),
            ("mem_size_mib", Kind::Number(1, u64::MAX)),
            ("smt", Kind::Flag),
            ("track_dirty_pages", Kind::Flag),
            ("huge_pages", Kind::OneOf(&["None", "Transparent", "2M"])),
            ("cpu_template", Kind::OneOf(&["C3", "T2", "T2S", "T2CL", "T2A", "V1N1", "None"])),
        ],
        required: &["mem_size_mib", "vcpu_count"],
    },
    Body {
        path: "/boot-source",
        fields: &[
            ("kernel_image_path", Kind::Text),
            ("initrd_path", Kind::Text),
            ("boot_args", Kind::Text),
        ],
        required: &["kernel_image_path"],
    },
    Body {
        path: "/drives/",
        fields: &[
            ("drive_id", Kind::Text),
            ("partuuid", Kind::Text),
            ("is_root_device", Kind::Flag),
            ("cache_type", Kind::OneOf(&["Unsafe", "Writeback"])),
            ("is_read_only", Kind::Flag),
            ("path_on_host", Kind::Text),
            ("io_engine", Kind::OneOf(&["Sync", "Async"])),
            ("socket", Kind::Text),
        ],
        required: &["drive_id", "is_root_device"],
    },
    Body {
        path: "/vsock",
        fields: &[
            ("guest_cid", Kind::Number(3, u64::MAX)),
            ("uds_path", Kind::Text),
            ("vsock_id", Kind::Text),
        ],
        required: &["guest_cid", "uds_path"],
    },
    Body {
        path: "/actions",
        fields: &[(
            "action_type",
            Kind::OneOf(&["FlushMetrics", "InstanceStart", "SendCtrlAltDel"]),
        )],
        required: &["action_type"],
    },
];

fn check(call: &Call) -> Result<(), String> {
    let body = BODIES
        .iter()
        .find(|body| {
            body.path == call.path || body.path == "/drives/" && call.path.starts_with(body.path)
        })
        .ok_or_else(|| format!("no such path: {}", call.path))?;
    let fields = call.body.as_object().ok_or("the body is no object")?;
    for name in body.required {
        fields.get(*name).ok_or_else(|| format!("{name} is missing"))?;
    }
    for (name, value) in fields {
        let (_, kind) = body
            .fields
            .iter()
            .find(|(known, _)| known == name)
            .ok_or_else(|| format!("{name} is not a field"))?;
        let fits = match kind {
            Kind::Text => value.is_string(),
            Kind::Flag => value.is_boolean(),
            Kind::Number(least, most) => {
                value.as_u64().is_some_and(|number| (*least..=*most).contains(&number))
            }
            Kind::OneOf(words) => value.as_str().is_some_and(|word| words.contains(&word)),
        };
        if !fits {
            return Err(format!("{name} does not take {value}"));
        }
    }
    if let Some(id) = call.path.strip_prefix("/drives/")
        && fields.get("drive_id").and_then(Value::as_str) != Some(id)
    {
        return Err("the drive's id is not the path's".to_owned());
    }
    Ok(())
}

fn description() -> Description {
    Description {
        kernel: "/vm/vmlinux".to_owned(),
        initramfs: "/vm/initramfs".to_owned(),
        boot_args: "console=ttyS0".to_owned(),
        memory_mib: 512,
        disks: vec!["/vm/disk1".to_owned(), "/vm/disk2".to_owned()],
        vsock: Some("/vm/vsock".to_owned()),
    }
}

/// Answers one connection after the other as Firecracker would; the calls it took.
fn serve(listener: &UnixListener, connections: usize) -> Vec<Call> {
    let mut taken = Vec::new();
    for _ in 0..connections {
        let (stream, _) = listener.accept().expect("a call");
        let mut input = BufReader::new(stream.try_clone().expect("a call"));
        let (mut line, mut head) = (String::new(), Vec::new());
        while input.read_line(&mut line).expect("a call") > 2 {
            head.push(std::mem::take(&mut line));
        }
        let length = head
            .iter()
            .find_map(|line| line.strip_prefix("Content-Length: "))
            .map_or(0, |length| length.trim().parse().expect("a call"));
        let mut body = Vec::new();
        input.take(length).read_to_end(&mut body).expect("a call");
        let words: Vec<&str> = head[0].split_whitespace().collect();
        assert_eq!((words[0], words[2]), ("PUT", "HTTP/1.1"));
        let call = Call {
            path: words[1].to_owned(),
            body: serde_json::from_slice(&body).expect("a call"),
        };
        let mut out: UnixStream = stream;
        match check(&call) {
            Ok(()) => {
                out.write_all(b"HTTP/1.1 204 \r\nServer: Firecracker API\r\n\r\n").expect("a call")
            }
            Err(reason) => {
                let told = serde_json::json!({ "fault_message": reason }).to_string();
                let length = told.len();
                write!(out, "HTTP/1.1 400 \r\nContent-Length: {length}\r\n\r\n{told}")
                    .expect("a call");
            }
        }
        taken.push(call);
    }
    taken
}

#[test]
fn every_call_is_one_the_definition_takes_and_the_start_comes_last() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("api.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let calls = exchange(&description());
    let count = calls.len();
    let server = std::thread::spawn(move || serve(&listener, count));
    for call in &calls {
        put(&socket, call).unwrap();
    }
    let taken = server.join().unwrap();
    assert_eq!(taken, calls);
    let paths: Vec<&str> = taken.iter().map(|call| call.path.as_str()).collect();
    assert_eq!(
        paths,
        ["/machine-config", "/boot-source", "/drives/disk1", "/drives/disk2", "/vsock", "/actions"]
    );
    assert!(taken[2].body["is_read_only"].as_bool().unwrap());
    assert!(!paths.iter().any(|path| path.contains("network")), "a guest has no network");
}

#[test]
fn the_stand_in_refuses_what_the_definition_does_and_the_reason_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("api.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let bad = [
        (
            "/machine-config",
            serde_json::json!({ "vcpu_count": 33, "mem_size_mib": 1 }),
            "vcpu_count",
        ),
        ("/drives/a", serde_json::json!({ "drive_id": "b", "is_root_device": true }), "id"),
        ("/vsock", serde_json::json!({ "guest_cid": 2, "uds_path": "x" }), "guest_cid"),
        ("/boot-source", serde_json::json!({ "boot_args": "x" }), "kernel_image_path"),
        ("/network", serde_json::json!({}), "path"),
    ];
    let count = bad.len();
    let server = std::thread::spawn(move || serve(&listener, count));
    for (path, body, word) in bad {
        let error = put(&socket, &Call { path: path.to_owned(), body }).unwrap_err().to_string();
        assert!(error.contains("400") && error.contains(word), "{path}: {error}");
    }
    server.join().unwrap();
}

/// Takes the calls, and at `InstanceStart` dials the three ports and talks like an agent.
const STAND_IN: &str = r#"#!/usr/bin/python3
import json, os, socket, sys
arguments = sys.argv[1:]
api = arguments[arguments.index("--api-sock") + 1]
server = socket.socket(socket.AF_UNIX)
server.bind(api)
server.listen(8)
vsock = None
print("stand-in is up", flush=True)
wires = []
while True:
    connection, _ = server.accept()
    data = connection.makefile("rb")
    line = data.readline().split()
    if not line:
        continue
    length = 0
    while True:
        header = data.readline().strip()
        if not header:
            break
        if header.lower().startswith(b"content-length:"):
            length = int(header.split(b":")[1])
    body = json.loads(data.read(length))
    if line[1] == b"/boot-source":
        for name in ("kernel_image_path", "initrd_path"):
            open(body[name], "rb").read()
    if line[1].startswith(b"/drives/"):
        open(body["path_on_host"], "rb").read()
    if line[1] == b"/vsock":
        vsock = body["uds_path"]
    connection.sendall(b"HTTP/1.1 204 \r\n\r\n")
    connection.close()
    if line[1] == b"/actions":
        for port in (1024, 1025, 1026):
            wire = socket.socket(socket.AF_UNIX)
            wire.connect("%s_%d" % (vsock, port))
            wires.append(wire)
        told = {"uid": os.getuid(), "root": sorted(os.listdir("/"))}
        wires[0].sendall(json.dumps(told).encode() + b"\n")
"#;

#[test]
fn a_machine_is_laid_out_started_described_and_heard() {
    if !Path::new("/usr/bin/python3").exists() || !Path::new("/dev/kvm").exists() {
        let _ = writeln!(std::io::stderr(), "SKIP Firecracker's stand-in: no python3 or /dev/kvm");
        return;
    }
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let program = dir.path().join("firecracker");
    std::fs::write(&program, STAND_IN).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    for name in ["vmlinux", "initramfs", "disk"] {
        std::fs::write(dir.path().join(name), name).unwrap();
    }
    let machine = Machine {
        id: "test-1",
        kernel: dir.path().join("vmlinux"),
        initramfs: dir.path().join("initramfs"),
        memory_mib: 256,
        disks: vec![std::fs::File::open(dir.path().join("disk")).unwrap()],
        word: None,
        folder: dir.path(),
    };
    let programs = Programs { firecracker: program, jailer: None, version: "test".to_owned() };
    let (running, walls) = machine.start(&programs, true).unwrap();
    let mut line = String::new();
    let talk = running.wires.as_ref().unwrap().talk.try_clone().unwrap();
    BufReader::new(talk).read_line(&mut line).unwrap();
    let told: Value = serde_json::from_str(&line).unwrap();
    if walls.missing.is_empty() {
        assert!(told["uid"].as_u64().unwrap() >= 0x7000_0000, "{told}");
        let root = told["root"].to_string();
        assert!(
            root.contains("usr") && !root.contains("etc") && !root.contains("\"home\""),
            "{root}"
        );
    }
    drop(running);
    let left: Vec<_> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| name.to_string_lossy().starts_with("fc-"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}
