//! Calls of Firecracker's API: HTTP/1.1 with JSON over a Unix socket, each answered with 204 or with
//! a `fault_message`. Paths, fields and bounds are those of its published definition
//! (`src/firecracker/swagger/firecracker.yaml`, version 1.17).

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

/// An answer that takes longer is none.
const ANSWER_MAX: Duration = Duration::from_secs(5);
const ANSWER_MAX_BYTES: u64 = 64 << 10;
/// The guest's address on its vsock; 0 to 2 are taken (vsock(7)).
pub const GUEST_CID: u32 = 3;

/// One call.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// All of ours are `PUT`.
    pub path: String,
    pub body: Value,
}

/// What a guest is made of, with paths as the monitor sees them.
#[derive(Debug, Clone)]
pub struct Description {
    pub kernel: String,
    pub initramfs: String,
    pub boot_args: String,
    pub memory_mib: u64,
    /// Read-only disks in the order the guest numbers them.
    pub disks: Vec<String>,
    /// Path of the vsock's Unix socket; absent for a guest that does not talk.
    pub vsock: Option<String>,
}

/// The calls that make a guest and start it, in the order Firecracker wants: everything before
/// `InstanceStart`.
#[must_use]
pub fn exchange(guest: &Description) -> Vec<Call> {
    let call = |path: &str, body| Call { path: path.to_owned(), body };
    let mut calls = vec![
        call(
            "/machine-config",
            json!({
                "vcpu_count": 1, "mem_size_mib": guest.memory_mib, "smt": false,
                "track_dirty_pages": false,
            }),
        ),
        call(
            "/boot-source",
            json!({
                "kernel_image_path": guest.kernel, "initrd_path": guest.initramfs,
                "boot_args": guest.boot_args,
            }),
        ),
    ];
    for (index, disk) in (1..).zip(&guest.disks) {
        let id = format!("disk{index}");
        calls.push(call(
            &format!("/drives/{id}"),
            json!({
                "drive_id": id, "path_on_host": disk, "is_root_device": false, "is_read_only": true,
            }),
        ));
    }
    if let Some(path) = &guest.vsock {
        calls.push(call("/vsock", json!({ "guest_cid": GUEST_CID, "uds_path": path })));
    }
    calls.push(call("/actions", json!({ "action_type": "InstanceStart" })));
    calls
}

/// Makes one call on a connection of its own.
///
/// # Errors
/// When the socket fails, or Firecracker refuses the call, with its words.
pub fn put(socket: &Path, call: &Call) -> io::Result<()> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    stream.set_write_timeout(Some(ANSWER_MAX))?;
    let body = call.body.to_string();
    write!(
        stream,
        "PUT {} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\nContent-Type: \
         application/json\r\nContent-Length: {}\r\n\r\n{body}",
        call.path,
        body.len()
    )?;
    let (status, answer) = read_answer(stream)?;
    if (200..300).contains(&status) {
        return Ok(());
    }
    let told = serde_json::from_slice::<Value>(&answer).ok();
    let fault = told.as_ref().and_then(|told| told.get("fault_message")?.as_str());
    let fault: String =
        fault.unwrap_or("no reason given").chars().filter(|c| !c.is_control()).take(300).collect();
    Err(io::Error::other(format!("PUT {}: {status}, {fault}", call.path)))
}

/// Status and body of an answer (RFC 9112; Firecracker always gives a length or no body).
fn read_answer(stream: UnixStream) -> io::Result<(u16, Vec<u8>)> {
    let malformed = || io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP");
    let mut input = BufReader::new(stream.take(ANSWER_MAX_BYTES));
    let mut line = String::new();
    input.read_line(&mut line)?;
    let status = line
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.split_whitespace().nth(1))
        .and_then(|status| status.parse().ok())
        .ok_or_else(malformed)?;
    let mut length = 0;
    loop {
        line.clear();
        if input.read_line(&mut line)? == 0 {
            return Err(malformed());
        }
        let header = line.trim_end();
        if header.is_empty() {
            break;
        }
        if let Some((name, value)) = header.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().map_err(|_| malformed())?;
        }
    }
    let mut body = Vec::new();
    input.take(length).read_to_end(&mut body)?;
    Ok((status, body))
}

/// What `--version` says, without its name.
pub(super) fn version(program: &Path) -> io::Result<String> {
    let output = Command::new(program).arg("--version").env_clear().output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = text.lines().next().and_then(|line| line.split_whitespace().nth(1));
    Ok(version.unwrap_or("of unknown version").trim_start_matches('v').to_owned())
}
