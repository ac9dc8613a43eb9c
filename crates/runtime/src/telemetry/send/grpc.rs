//! OTLP over gRPC (<https://opentelemetry.io/docs/specs/otlp/#otlpgrpc>): one unary call at a time
//! over one HTTP/2 connection, which is kept while it lasts.
//!
//! gRPC's wire format is <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>. It runs on
//! a little runtime of the exporter's own thread, so that nothing here meets the services' threads.

use std::fmt;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use h2::client::SendRequest;
use http::{HeaderMap, HeaderValue, Method, Request, Uri, header};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_rustls::TlsConnector;
use types::cause::chain;

use super::{ANSWER_BYTES_MAX, Endpoint, Sent, USER_AGENT, answer};

const METHOD: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
/// What `grpc-timeout` can say in milliseconds.
const TIMEOUT_MS_MAX: u128 = 99_999_999;

/// Asks over gRPC.
pub(super) struct Grpc {
    endpoint: Endpoint,
    tls: Option<Arc<ClientConfig>>,
    /// Made by the thread that sends, and at its first request.
    runtime: Option<Runtime>,
    connection: Option<Connection>,
}

impl fmt::Debug for Grpc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grpc").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// A connection, and what moves its bytes while somebody waits for an answer.
struct Connection {
    sender: SendRequest<Bytes>,
    driver: Pin<Box<dyn Future<Output = Result<(), h2::Error>> + Send>>,
    /// The driver is done; it is not asked again.
    ended: bool,
}

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
enum CallError {
    #[error("it cannot be connected to")]
    Connect {
        #[source]
        source: std::io::Error,
    },
    #[error("{host:?} is no name a certificate can be for")]
    Name { host: String },
    #[error("it does not speak HTTP/2 over TLS")]
    NoHttp2,
    #[error("the connection failed")]
    Connection {
        #[source]
        source: h2::Error,
    },
    #[error("its answer is too long")]
    TooLong,
    #[error("the request cannot be made")]
    Request {
        #[source]
        source: http::Error,
    },
}

impl Grpc {
    /// # Errors
    /// When TLS cannot be set up.
    pub(super) fn new(endpoint: Endpoint) -> Result<Self, rustls::Error> {
        let secure = endpoint.uri.scheme_str() == Some("https");
        let tls = secure.then(|| client(&endpoint)).transpose()?;
        Ok(Self { endpoint, tls, runtime: None, connection: None })
    }

    pub(super) fn send(&mut self, body: &[u8], timeout: Duration) -> Sent {
        let runtime = match self.runtime.take().map_or_else(runtime, Ok) {
            Ok(runtime) => runtime,
            Err(error) => {
                let reason = format!("no runtime for it: {error}");
                return Sent::Unreachable { reason, retry: false, after: None };
            }
        };
        let message = framed(body);
        let call = self.call(message, timeout);
        let answered = runtime.block_on(async { tokio::time::timeout(timeout, call).await });
        self.runtime = Some(runtime);
        match answered {
            Ok(Ok(answer)) => answer.meaning(),
            Ok(Err(error)) => {
                self.connection = None;
                Sent::Unreachable { retry: error.may_pass(), reason: chain(&error), after: None }
            }
            Err(_) => {
                // As over HTTP: what does not answer is not asked the same again.
                self.connection = None;
                let reason = format!("it did not answer within {} ms", timeout.as_millis());
                Sent::Unreachable { reason, retry: false, after: None }
            }
        }
    }

    async fn call(&mut self, message: Bytes, timeout: Duration) -> Result<answer::Grpc, CallError> {
        if let Some(mut kept) = self.connection.take().filter(|kept| !kept.ended) {
            match kept.ask(self.request(timeout)?, message.clone()).await {
                Ok(answer) => {
                    self.connection = Some(kept);
                    return Ok(answer);
                }
                // It was ended while it was idle; that says nothing of another one.
                Err(CallError::Connection { source }) if ended(&source) => {}
                Err(error) => return Err(error),
            }
        }
        let mut connection = self.connect().await?;
        let answer = connection.ask(self.request(timeout)?, message).await?;
        self.connection = Some(connection);
        Ok(answer)
    }

    fn request(&self, timeout: Duration) -> Result<Request<()>, CallError> {
        let source = |source| CallError::Request { source };
        let uri = Uri::builder()
            .scheme(self.endpoint.uri.scheme_str().unwrap_or("http"))
            .authority(self.endpoint.uri.authority().map_or("", |authority| authority.as_str()))
            .path_and_query(METHOD)
            .build();
        let mut request = Request::builder().method(Method::POST).uri(uri.map_err(source)?);
        if let Some(headers) = request.headers_mut() {
            headers.extend(self.endpoint.headers.iter().cloned());
            for (name, value) in [
                (header::CONTENT_TYPE, "application/grpc"),
                (header::TE, "trailers"),
                (header::USER_AGENT, USER_AGENT),
            ] {
                headers.insert(name, HeaderValue::from_static(value));
            }
            let ms = timeout.as_millis().clamp(1, TIMEOUT_MS_MAX);
            if let Ok(value) = HeaderValue::try_from(format!("{ms}m")) {
                headers.insert("grpc-timeout", value);
            }
        }
        request.body(()).map_err(source)
    }

    async fn connect(&self) -> Result<Connection, CallError> {
        let source = |source| CallError::Connect { source };
        let host = self.endpoint.uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let usual = if self.tls.is_some() { 443 } else { 80 };
        let port = self.endpoint.uri.port_u16().unwrap_or(usual);
        let stream = TcpStream::connect((host, port)).await.map_err(source)?;
        stream.set_nodelay(true).map_err(source)?;
        let Some(tls) = &self.tls else { return Connection::begin(stream).await };
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| CallError::Name { host: host.to_owned() })?;
        let stream = TlsConnector::from(Arc::clone(tls)).connect(name, stream).await;
        let stream = stream.map_err(source)?;
        if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err(CallError::NoHttp2);
        }
        Connection::begin(stream).await
    }
}

impl Connection {
    async fn begin<T>(stream: T) -> Result<Self, CallError>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = h2::client::handshake(stream)
            .await
            .map_err(|source| CallError::Connection { source })?;
        Ok(Self { sender, driver: Box::pin(connection), ended: false })
    }

    /// One call, during which the connection is driven.
    async fn ask(
        &mut self,
        request: Request<()>,
        message: Bytes,
    ) -> Result<answer::Grpc, CallError> {
        let mut exchange = pin!(exchange(self.sender.clone(), request, message));
        tokio::select! {
            biased;
            answer = &mut exchange => answer,
            _ = &mut self.driver => {
                self.ended = true;
                // What has arrived before the end is still there; otherwise this fails.
                exchange.await
            }
        }
    }
}

async fn exchange(
    sender: SendRequest<Bytes>,
    request: Request<()>,
    message: Bytes,
) -> Result<answer::Grpc, CallError> {
    let failed = |source| CallError::Connection { source };
    let mut sender = sender.ready().await.map_err(failed)?;
    let (response, mut stream) = sender.send_request(request, false).map_err(failed)?;
    stream.send_data(message, true).map_err(failed)?;
    let (head, mut incoming) = response.await.map_err(failed)?.into_parts();
    let mut body = Vec::new();
    while let Some(chunk) = incoming.data().await {
        let chunk = chunk.map_err(failed)?;
        body.extend_from_slice(&chunk);
        if u64::try_from(body.len()).is_ok_and(|len| len > ANSWER_BYTES_MAX) {
            return Err(CallError::TooLong);
        }
        incoming.flow_control().release_capacity(chunk.len()).map_err(failed)?;
    }
    let trailers = incoming.trailers().await.map_err(failed)?.unwrap_or_else(HeaderMap::new);
    Ok(answer::Grpc { status: head.status, headers: head.headers, body, trailers })
}

impl CallError {
    /// Whether the next try can go better.
    fn may_pass(&self) -> bool {
        match self {
            Self::Connect { .. } => true,
            Self::Connection { source } => {
                // A call that was reset for another reason is answered so for good (gRPC's table).
                let passing = [h2::Reason::REFUSED_STREAM, h2::Reason::CANCEL];
                !source.is_reset() || source.reason().is_some_and(|why| passing.contains(&why))
            }
            Self::Name { .. } | Self::NoHttp2 | Self::TooLong | Self::Request { .. } => false,
        }
    }
}

/// Whether a connection has ended, other than by an answer to the call.
fn ended(error: &h2::Error) -> bool {
    error.is_io()
        || error.is_go_away()
        || !error.is_reset()
        || error.reason() == Some(h2::Reason::REFUSED_STREAM)
}

/// A message as gRPC sends it: not compressed, its length, and it.
fn framed(body: &[u8]) -> Bytes {
    let mut message = BytesMut::with_capacity(body.len() + 5);
    message.put_u8(0);
    // A batch is far below the four gigabytes a length can say.
    message.put_u32(u32::try_from(body.len()).unwrap_or(u32::MAX));
    message.put_slice(body);
    message.freeze()
}

fn runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()
}

fn client(endpoint: &Endpoint) -> Result<Arc<ClientConfig>, rustls::Error> {
    let mut roots = RootCertStore::empty();
    match &endpoint.roots {
        Some(own) => {
            for root in own.iter() {
                roots.add(root.clone())?;
            }
        }
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}
