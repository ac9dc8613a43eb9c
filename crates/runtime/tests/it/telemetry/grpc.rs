//! Collectors that do not speak gRPC, or stop in the middle of it: what no real one does on demand.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use runtime::telemetry::Exported;
use tracing::info_span;

use super::{settings, within};

/// What becomes of a span when every connection is treated so.
fn against(serve: impl Fn(TcpStream) + Send + 'static) -> Exported {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || listener.incoming().flatten().for_each(serve));
    let given =
        [("OTEL_EXPORTER_OTLP_ENDPOINT", &*address), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")];
    let (telemetry, ()) = within(settings(&given), |_| {
        info_span!("work").in_scope(|| {});
    });
    telemetry.shutdown()
}

fn failed() -> Exported {
    Exported { exported: 0, rejected: 0, failed: 1, dropped: 0 }
}

/// An empty frame of HTTP/2 of this type on this stream, with flags and payload.
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
}

#[test]
fn whoever_closes_at_once_gets_no_spans() {
    assert_eq!(against(drop), failed());
}

#[test]
fn whoever_speaks_another_protocol_gets_no_spans() {
    let speak = |text: &'static [u8]| {
        against(move |mut stream| {
            let _ = stream.write_all(text);
            let _ = stream.read(&mut [0; 1024]);
        })
    };
    assert_eq!(speak(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"), failed());
    assert_eq!(speak(b"SSH-2.0-OpenSSH_9.2\r\n"), failed());
    assert_eq!(speak(&[0; 64]), failed());
}

#[test]
fn a_call_that_is_reset_or_a_server_that_goes_away_is_no_answer() {
    const RST_STREAM: u8 = 3;
    const GOAWAY: u8 = 7;
    let reset = |code: u8| frame(RST_STREAM, 0, 1, &[0, 0, 0, code]);
    // CANCEL, INTERNAL_ERROR, REFUSED_STREAM; and a server that takes no more.
    for last in [reset(8), reset(2), reset(7), frame(GOAWAY, 0, 0, &[0; 8])] {
        let outcome = against(move |mut stream| {
            let settings = [frame(4, 0, 0, &[]), frame(4, 1, 0, &[])].concat();
            let _ = stream.write_all(&settings);
            // The preface and the request; then it breaks off.
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(&last);
            let _ = stream.read(&mut [0; 4096]);
        });
        assert_eq!(outcome, failed());
    }
}

#[test]
fn a_server_of_http2_that_is_no_grpc_has_not_taken_the_spans() {
    // `:status: 200` from the static table, and the end: no gRPC status anywhere.
    let outcome = against(|mut stream| {
        let _ = stream.write_all(&[frame(4, 0, 0, &[]), frame(4, 1, 0, &[])].concat());
        let mut seen = Vec::new();
        let mut chunk = [0; 4096];
        // Answered when the request's head is there: a frame of type 1 on stream 1.
        while !seen.windows(6).any(|window| window[0] == 1 && window[2..] == [0, 0, 0, 1]) {
            match stream.read(&mut chunk) {
                Ok(0) | Err(_) => return,
                Ok(read) => seen.extend_from_slice(&chunk[..read]),
            }
        }
        let _ = stream.write_all(&frame(1, 5, 1, &[0x88]));
        let _ = stream.read(&mut chunk);
    });
    assert_eq!(outcome, Exported { exported: 0, rejected: 1, failed: 0, dropped: 0 });
}

#[test]
fn whoever_takes_connections_and_says_nothing_holds_up_no_shutdown() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", silent.local_addr().unwrap());
    let given =
        [("OTEL_EXPORTER_OTLP_ENDPOINT", &*address), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")];
    let (telemetry, ()) = within(settings(&given), |_| {
        (0..10_000).for_each(|_| info_span!("work").in_scope(|| {}));
    });
    let Exported { exported, rejected, failed, dropped } = telemetry.shutdown();
    assert_eq!((exported, rejected, failed + dropped), (0, 0, 10_000));
    // It was asked, and has not been answered until now.
    let (mut asked, _) = silent.accept().unwrap();
    let mut preface = [0; 24];
    asked.read_exact(&mut preface).unwrap();
    assert_eq!(&preface, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
}
