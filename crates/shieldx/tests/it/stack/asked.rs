//! `shieldx health` and `shieldx load` against what is not quite a server: they say so, and they end.
#![expect(clippy::unwrap_used, reason = "what fails here should fail the test")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use serde_json::Value;

use super::Stack;

/// Answers everything with `{}`, all but the first after a while. It ends with the test's process.
fn somebody_else(pause: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().flatten().enumerate() {
            let pause = if number == 0 { Duration::ZERO } else { pause };
            std::thread::spawn(move || answer(stream, pause));
        }
    });
    url
}

fn answer(mut stream: TcpStream, pause: Duration) {
    let mut request = [0; 65_536];
    let _ = stream.read(&mut request);
    std::thread::sleep(pause);
    let _ =
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}");
}

#[test]
fn who_answers_in_a_services_place_is_not_taken_for_it() {
    let stack = Stack::start();
    let file = stack.data().join("endpoints.json");
    let mut endpoints: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let ml_service = endpoints["internal"]["ml-service"].clone();
    endpoints["internal"]["contauth"] = ml_service;
    endpoints["internal"]["gateway"] = somebody_else(Duration::ZERO).into();
    fs::write(&file, serde_json::to_vec(&endpoints).unwrap()).unwrap();

    let health = stack.shieldx(&["health", "--json"]);
    assert_eq!(health.status.code(), Some(1));
    let rows: Value = serde_json::from_slice(&health.stdout).unwrap();
    let ready = |name: &str| {
        let mut rows = rows.as_array().unwrap().iter();
        rows.find(|row| row["name"] == name && row["what"] == "readyz").unwrap().clone()
    };
    for (name, ok, said) in [
        ("ml-service", true, ""),
        ("contauth", false, "ml-service answers there"),
        ("gateway", false, "no service of ShieldX"),
    ] {
        let row = ready(name);
        assert_eq!(row["ok"], ok, "{row}");
        assert!(row["detail"].as_str().unwrap().contains(said), "{row}");
    }

    let url = somebody_else(Duration::ZERO);
    let health = stack.shieldx(&["health", "--server", &url]);
    let said = String::from_utf8_lossy(&health.stdout).into_owned();
    assert_eq!(health.status.code(), Some(1), "{said}");
    assert!(said.contains("is no ShieldX"), "{said}");
}

#[test]
fn load_ends_soon_after_its_time_however_slow_the_server_is() {
    let stack = Stack::start();
    let url = somebody_else(Duration::from_secs(2));
    let arguments = ["load", "--server", &url, "--for", "1s", "--rate", "200", "--json"];
    let load = stack.shieldx(&arguments);
    let summary: Value = serde_json::from_slice(&load.stdout).unwrap();
    assert_eq!(load.status.code(), Some(1), "{summary}");
    let flows = summary["flows"].as_object().unwrap().values();
    let sum = |key: &str| -> u64 { flows.clone().map(|flow| flow[key].as_u64().unwrap()).sum() };
    assert_eq!(sum("requests"), 200, "all that were due are told of: {summary}");
    let none = |flow: &Value| flow["answers"]["0"].as_u64().unwrap_or(0);
    let unsent: u64 = flows.clone().map(none).sum();
    assert!(unsent > 50, "those that waited too long were not sent: {summary}");
}
