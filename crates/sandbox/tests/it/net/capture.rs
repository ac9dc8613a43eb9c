//! The capture file, read by a parser that is not ours.

use std::path::PathBuf;
use std::process::Command;

use sandbox::Net;

use super::{have, run, skip, spec};

/// A file that is gone with the test.
struct Gone(PathBuf);

impl Drop for Gone {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// What a reader of such files says; `None` where none is installed.
fn read(path: &str) -> Option<String> {
    let readers: [&[&str]; 2] = [
        &[
            "tshark",
            "-r",
            path,
            "-T",
            "fields",
            "-e",
            "ip.dst",
            "-e",
            "dns.qry.name",
            "-e",
            "frame.comment",
            "-e",
            "http.request.uri",
            "-e",
            "frame.time_epoch",
        ],
        &["tcpdump", "-nn", "-tt", "-v", "-A", "-r", path],
    ];
    for reader in readers {
        if let Ok(output) = Command::new(reader[0]).args(&reader[1..]).output() {
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}: {errors}", reader[0]);
            return Some(String::from_utf8_lossy(&output.stdout).into_owned());
        }
    }
    skip("neither tshark nor tcpdump is installed");
    None
}

#[test]
fn the_capture_is_standard_pcapng() {
    if !have(&["curl"]) {
        return;
    }
    let path = std::env::temp_dir().join(format!("shieldx-net-{}.pcapng", std::process::id()));
    let file = Gone(path.clone());
    let mut spec = spec("curl -s http://captured.example/looked-for", Net::Sink);
    spec.artifacts.packets = Some(path.clone());
    run(&spec);
    let bytes = std::fs::read(&file.0).unwrap();
    assert_eq!(bytes[..4], [0x0a, 0x0d, 0x0d, 0x0a]);
    let Some(text) = read(path.to_str().unwrap()) else { return };
    for part in ["captured.example", "/looked-for", "10.0.2.3", "17953560"] {
        assert!(text.contains(part), "no {part} in {text}");
    }
}
