//! A collector of the tests' own: OTLP over HTTP on a real socket, answering as it is told.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

/// What it was asked.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) head: String,
    pub(super) spans: Vec<(Resource, Span)>,
}

/// Attributes of a resource, as text.
pub(super) type Resource = Vec<(String, String)>;

pub(super) fn service(resource: &Resource) -> &str {
    value(resource, "service.name")
}

pub(super) fn value<'a>(resource: &'a Resource, key: &str) -> &'a str {
    resource.iter().find(|pair| pair.0 == key).map_or("", |pair| &pair.1)
}

#[derive(Debug)]
pub(super) struct Collector {
    pub(super) address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
}

/// Status, further header lines, and how many spans it says it rejects.
pub(super) type Answer = (u16, &'static str, i64);

impl Collector {
    pub(super) fn start() -> Self {
        Self::answering(Vec::new())
    }

    /// Gives these answers in turn, and 200 after that.
    pub(super) fn answering(answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let answers = Arc::new(Mutex::new(answers.into_iter()));
        let kept = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (kept, answers) = (Arc::clone(&kept), Arc::clone(&answers));
                std::thread::spawn(move || {
                    serve(stream, &kept, || answers.lock().unwrap().next().unwrap_or((200, "", 0)))
                });
            }
        });
        Self { address, requests }
    }

    pub(super) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    pub(super) fn spans(&self) -> Vec<(Resource, Span)> {
        self.requests().into_iter().flat_map(|request| request.spans).collect()
    }
}

fn serve(mut stream: TcpStream, kept: &Mutex<Vec<Request>>, next: impl Fn() -> Answer) {
    let mut buffer = Vec::new();
    while let Some((head, body)) = read(&mut stream, &mut buffer) {
        let decoded = ExportTraceServiceRequest::decode(&*body).unwrap();
        let spans = decoded.resource_spans.into_iter().flat_map(|resource_spans| {
            let attributes = resource_spans.resource.unwrap().attributes.into_iter();
            let resource: Resource = attributes
                .map(|pair| match pair.value.unwrap().value.unwrap() {
                    Value::StringValue(text) => (pair.key, text),
                    other => panic!("{other:?}"),
                })
                .collect();
            let spans = resource_spans.scope_spans.into_iter().flat_map(|scope| scope.spans);
            spans.map(move |span| (resource.clone(), span)).collect::<Vec<_>>()
        });
        kept.lock().unwrap().push(Request { head, spans: spans.collect() });
        let (status, headers, rejected) = next();
        let partial =
            ExportTracePartialSuccess { rejected_spans: rejected, error_message: String::new() };
        let answer = ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec();
        let length = answer.len();
        let head = format!("HTTP/1.1 {status} X\r\n{headers}content-length: {length}\r\n\r\n");
        if stream.write_all(&[head.as_bytes(), &answer].concat()).is_err() {
            return;
        }
    }
}

fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<(String, Vec<u8>)> {
    let mut chunk = [0; 16384];
    loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&buffer[..end]).to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            let end = end + 4;
            let whole = end + length.unwrap().trim().parse::<usize>().unwrap();
            if buffer.len() >= whole {
                let body = buffer[end..whole].to_vec();
                buffer.drain(..whole);
                return Some((head, body));
            }
        }
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return None,
            Ok(read) => buffer.extend_from_slice(&chunk[..read]),
        }
    }
}
