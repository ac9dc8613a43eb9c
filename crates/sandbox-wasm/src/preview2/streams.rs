//! `wasi:io/streams`: bytes in and out, by what the stream is of.

use types::Endpoint;
use wasmtime::component::Resource;
use wasmtime_wasi::WasiView as _;
use wasmtime_wasi_io::bindings::wasi::io::streams;
use wasmtime_wasi_io::poll::DynPollable;
use wasmtime_wasi_io::streams::{DynInputStream, DynOutputStream, StreamError, StreamResult};

use super::{Preview2, Stream};
use crate::errno::Ended as _;
use crate::host::CALL_BYTES_MAX;
use crate::trace::Outcome;

const INTERFACE: &str = "wasi:io/streams";
/// Bytes of a write that are looked at.
const HEAD_BYTES: usize = 64;

type In = Resource<DynInputStream>;
type Out = Resource<DynOutputStream>;

impl Stream {
    fn name(&self) -> String {
        match self {
            Stream::Standard(name) => (*name).to_owned(),
            Stream::File(file) => file.path.clone(),
            Stream::Peer(Endpoint::Inet { ip, port }, _) => {
                std::net::SocketAddr::new(*ip, *port).to_string()
            }
            Stream::Peer(..) => "a peer".to_owned(),
        }
    }
}

impl Preview2 {
    fn stream_call(&mut self, rep: u32, function: &str, outcome: Outcome) {
        let target = self.streams.get(&rep).map(Stream::name);
        self.record(INTERFACE, function, target.as_deref(), outcome);
    }

    /// Takes account of a write before it is made.
    fn before_write(&mut self, rep: u32, head: &[u8], bytes: u64) -> StreamResult<()> {
        if let Some(Stream::File(file)) = self.streams.get(&rep).cloned()
            && let Err(outcome) = self.host.bounds.write(bytes)
        {
            self.host.trace.wrote(file.key, &file.path, head, bytes, outcome);
            let full = std::io::Error::from(rustix::io::Errno::NOSPC);
            return Err(StreamError::LastOperationFailed(full.into()));
        }
        Ok(())
    }

    fn after_write(&mut self, rep: u32, function: &str, head: &[u8], bytes: u64, outcome: Outcome) {
        match self.streams.get(&rep).cloned() {
            Some(Stream::File(file)) => {
                self.host.trace.wrote(file.key, &file.path, head, bytes, outcome)
            }
            Some(Stream::Peer(peer, key)) => self.host.trace.sent(key, peer, bytes, outcome),
            Some(Stream::Standard(_)) | None => self.stream_call(rep, function, outcome),
        }
    }
}

fn head(data: &[u8]) -> Vec<u8> {
    data.get(..HEAD_BYTES).unwrap_or(data).to_vec()
}

/// Calls on a stream that are recorded with what it is of.
macro_rules! stream_calls {
    ($trait:ident; $($wit:literal fn $name:ident($this:ident: $stream:ty $(, $arg:ident: $ty:ty)*) -> $out:ty;)*) => {$(
        fn $name(&mut self, $this: $stream, $($arg: $ty),*) -> $out {
            let rep = $this.rep();
            let result = streams::$trait::$name(self.ctx().table, $this, $($arg),*);
            self.stream_call(rep, $wit, result.outcome());
            result
        }
    )*};
}

macro_rules! waiting_stream_calls {
    ($trait:ident; $($wit:literal fn $name:ident($this:ident: $stream:ty $(, $arg:ident: $ty:ty)*) -> $out:ty;)*) => {$(
        async fn $name(&mut self, $this: $stream, $($arg: $ty),*) -> $out {
            let rep = $this.rep();
            let result = streams::$trait::$name(self.ctx().table, $this, $($arg),*).await;
            self.stream_call(rep, $wit, result.outcome());
            result
        }
    )*};
}

impl streams::Host for Preview2 {
    fn convert_stream_error(
        &mut self,
        error: StreamError,
    ) -> wasmtime::Result<streams::StreamError> {
        // The engine's own conversion of what a call returned; not a call.
        streams::Host::convert_stream_error(self.ctx().table, error)
    }
}

impl streams::HostInputStream for Preview2 {
    stream_calls! { HostInputStream;
        "[method]input-stream.read" fn read(this: In, length: u64) -> StreamResult<Vec<u8>>;
        "[method]input-stream.skip" fn skip(this: In, length: u64) -> StreamResult<u64>;
        "[method]input-stream.subscribe" fn subscribe(this: In) -> wasmtime::Result<Resource<DynPollable>>;
    }
    waiting_stream_calls! { HostInputStream;
        "[method]input-stream.blocking-read" fn blocking_read(this: In, length: u64) -> StreamResult<Vec<u8>>;
        "[method]input-stream.blocking-skip" fn blocking_skip(this: In, length: u64) -> StreamResult<u64>;
    }

    async fn drop(&mut self, this: In) -> wasmtime::Result<()> {
        let rep = this.rep();
        let result = streams::HostInputStream::drop(self.ctx().table, this).await;
        self.stream_call(rep, "[resource-drop]input-stream", result.outcome());
        self.streams.remove(&rep);
        result
    }
}

impl streams::HostOutputStream for Preview2 {
    stream_calls! { HostOutputStream;
        "[method]output-stream.check-write" fn check_write(this: Out) -> StreamResult<u64>;
        "[method]output-stream.subscribe" fn subscribe(this: Out) -> wasmtime::Result<Resource<DynPollable>>;
        "[method]output-stream.flush" fn flush(this: Out) -> StreamResult<()>;
    }
    waiting_stream_calls! { HostOutputStream;
        "[method]output-stream.blocking-flush" fn blocking_flush(this: Out) -> StreamResult<()>;
    }

    async fn drop(&mut self, this: Out) -> wasmtime::Result<()> {
        let rep = this.rep();
        let result = streams::HostOutputStream::drop(self.ctx().table, this).await;
        self.stream_call(rep, "[resource-drop]output-stream", result.outcome());
        self.streams.remove(&rep);
        result
    }

    fn write(&mut self, this: Out, data: Vec<u8>) -> StreamResult<()> {
        let (rep, head, bytes) = (this.rep(), head(&data), data.len() as u64);
        self.before_write(rep, &head, bytes)?;
        let result = streams::HostOutputStream::write(self.ctx().table, this, data);
        self.after_write(rep, "[method]output-stream.write", &head, bytes, result.outcome());
        result
    }

    async fn blocking_write_and_flush(&mut self, this: Out, data: Vec<u8>) -> StreamResult<()> {
        let (rep, head, bytes) = (this.rep(), head(&data), data.len() as u64);
        self.before_write(rep, &head, bytes)?;
        let result =
            streams::HostOutputStream::blocking_write_and_flush(self.ctx().table, this, data).await;
        self.after_write(
            rep,
            "[method]output-stream.blocking-write-and-flush",
            &head,
            bytes,
            result.outcome(),
        );
        result
    }

    fn write_zeroes(&mut self, this: Out, length: u64) -> StreamResult<()> {
        let (rep, head) = (this.rep(), [0; HEAD_BYTES]);
        if length > CALL_BYTES_MAX as u64 {
            let error = StreamError::trap("more zeroes than one call may write");
            self.stream_call(rep, "[method]output-stream.write-zeroes", Outcome::Ended);
            return Err(error);
        }
        self.before_write(rep, &head, length)?;
        let result = streams::HostOutputStream::write_zeroes(self.ctx().table, this, length);
        self.after_write(
            rep,
            "[method]output-stream.write-zeroes",
            &head,
            length,
            result.outcome(),
        );
        result
    }

    async fn blocking_write_zeroes_and_flush(
        &mut self,
        this: Out,
        length: u64,
    ) -> StreamResult<()> {
        let (rep, head) = (this.rep(), [0; HEAD_BYTES]);
        self.before_write(rep, &head, length)?;
        let result = streams::HostOutputStream::blocking_write_zeroes_and_flush(
            self.ctx().table,
            this,
            length,
        )
        .await;
        self.after_write(
            rep,
            "[method]output-stream.blocking-write-zeroes-and-flush",
            &head,
            length,
            result.outcome(),
        );
        result
    }

    fn splice(&mut self, this: Out, from: In, length: u64) -> StreamResult<u64> {
        let rep = this.rep();
        let length = length.min(CALL_BYTES_MAX as u64);
        self.before_write(rep, &[], length)?;
        let result = streams::HostOutputStream::splice(self.ctx().table, this, from, length);
        let bytes = result.as_ref().copied().unwrap_or(0);
        self.after_write(rep, "[method]output-stream.splice", &[], bytes, result.outcome());
        result
    }

    async fn blocking_splice(&mut self, this: Out, from: In, length: u64) -> StreamResult<u64> {
        let rep = this.rep();
        let length = length.min(CALL_BYTES_MAX as u64);
        self.before_write(rep, &[], length)?;
        let result =
            streams::HostOutputStream::blocking_splice(self.ctx().table, this, from, length).await;
        let bytes = result.as_ref().copied().unwrap_or(0);
        self.after_write(
            rep,
            "[method]output-stream.blocking-splice",
            &[],
            bytes,
            result.outcome(),
        );
        result
    }
}
