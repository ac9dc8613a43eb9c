//! Error codes of both previews in Linux's numbers, and whether one is the sandbox's own refusal.
//!
//! WASI's file systems answer `not permitted` where a path leads out of its folder and where the
//! folder is read-only; Linux's own refusals of permission are `access`. Sockets answer
//! `access denied` where the address was not granted.

use rustix::io::Errno;
use wasmtime_wasi::p1::types::{Errno as P1, Error as P1Error};
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode as File;
use wasmtime_wasi::p2::bindings::sockets::network::ErrorCode as Socket;
use wasmtime_wasi::p2::{FsError, SocketError, StreamError};

use crate::trace::Outcome;

/// A result that says how a call ended.
pub(crate) trait Ended {
    fn outcome(&self) -> Outcome;
}

impl<T> Ended for Result<T, P1Error> {
    fn outcome(&self) -> Outcome {
        match self.as_ref().map_err(P1Error::downcast_ref) {
            Ok(_) | Err(Some(P1::Success)) => Outcome::Done,
            Err(Some(code)) => outcome(preview1(*code), matches!(code, P1::Perm | P1::Notcapable)),
            Err(None) => Outcome::Ended,
        }
    }
}

impl<T> Ended for Result<T, FsError> {
    fn outcome(&self) -> Outcome {
        match self.as_ref().map_err(FsError::downcast_ref) {
            Ok(_) => Outcome::Done,
            Err(Some(code)) => {
                outcome(file(*code), matches!(code, File::NotPermitted | File::ReadOnly))
            }
            Err(None) => Outcome::Ended,
        }
    }
}

impl<T> Ended for Result<T, SocketError> {
    fn outcome(&self) -> Outcome {
        match self.as_ref().map_err(SocketError::downcast_ref) {
            Ok(_) => Outcome::Done,
            Err(Some(code)) => outcome(socket(*code), matches!(code, Socket::AccessDenied)),
            Err(None) => Outcome::Ended,
        }
    }
}

impl<T> Ended for Result<T, StreamError> {
    fn outcome(&self) -> Outcome {
        match self {
            Ok(_) => Outcome::Done,
            Err(StreamError::Closed) => Outcome::Failed(Errno::PIPE.raw_os_error()),
            Err(StreamError::LastOperationFailed(error)) => {
                let code =
                    error.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error);
                Outcome::Failed(code.unwrap_or(Errno::IO.raw_os_error()))
            }
            Err(StreamError::Trap(_)) => Outcome::Ended,
        }
    }
}

impl<T> Ended for wasmtime::Result<T> {
    fn outcome(&self) -> Outcome {
        if self.is_ok() { Outcome::Done } else { Outcome::Ended }
    }
}

fn outcome(errno: Errno, refused: bool) -> Outcome {
    if refused {
        Outcome::Blocked(errno.raw_os_error())
    } else {
        Outcome::Failed(errno.raw_os_error())
    }
}

fn preview1(code: P1) -> Errno {
    match code {
        P1::TooBig => Errno::TOOBIG,
        P1::Acces => Errno::ACCESS,
        P1::Again => Errno::AGAIN,
        P1::Badf => Errno::BADF,
        P1::Busy => Errno::BUSY,
        P1::Dquot => Errno::DQUOT,
        P1::Exist => Errno::EXIST,
        P1::Fault => Errno::FAULT,
        P1::Fbig => Errno::FBIG,
        P1::Ilseq => Errno::ILSEQ,
        P1::Intr => Errno::INTR,
        P1::Inval => Errno::INVAL,
        P1::Isdir => Errno::ISDIR,
        P1::Loop => Errno::LOOP,
        P1::Mfile => Errno::MFILE,
        P1::Mlink => Errno::MLINK,
        P1::Nametoolong => Errno::NAMETOOLONG,
        P1::Nfile => Errno::NFILE,
        P1::Noent => Errno::NOENT,
        P1::Nomem => Errno::NOMEM,
        P1::Nospc => Errno::NOSPC,
        P1::Nosys => Errno::NOSYS,
        P1::Notdir => Errno::NOTDIR,
        P1::Notempty => Errno::NOTEMPTY,
        P1::Notsock => Errno::NOTSOCK,
        P1::Notsup => Errno::NOTSUP,
        P1::Overflow => Errno::OVERFLOW,
        P1::Perm | P1::Notcapable => Errno::PERM,
        P1::Pipe => Errno::PIPE,
        P1::Rofs => Errno::ROFS,
        P1::Spipe => Errno::SPIPE,
        P1::Txtbsy => Errno::TXTBSY,
        P1::Xdev => Errno::XDEV,
        _ => Errno::IO,
    }
}

fn file(code: File) -> Errno {
    match code {
        File::Access => Errno::ACCESS,
        File::WouldBlock => Errno::AGAIN,
        File::BadDescriptor => Errno::BADF,
        File::Busy => Errno::BUSY,
        File::Quota => Errno::DQUOT,
        File::Exist => Errno::EXIST,
        File::FileTooLarge => Errno::FBIG,
        File::IllegalByteSequence => Errno::ILSEQ,
        File::Interrupted => Errno::INTR,
        File::Invalid => Errno::INVAL,
        File::IsDirectory => Errno::ISDIR,
        File::Loop => Errno::LOOP,
        File::TooManyLinks => Errno::MLINK,
        File::NameTooLong => Errno::NAMETOOLONG,
        File::NoEntry => Errno::NOENT,
        File::InsufficientMemory => Errno::NOMEM,
        File::InsufficientSpace => Errno::NOSPC,
        File::NotDirectory => Errno::NOTDIR,
        File::NotEmpty => Errno::NOTEMPTY,
        File::Unsupported => Errno::NOTSUP,
        File::Overflow => Errno::OVERFLOW,
        File::NotPermitted => Errno::PERM,
        File::Pipe => Errno::PIPE,
        File::ReadOnly => Errno::ROFS,
        File::InvalidSeek => Errno::SPIPE,
        File::TextFileBusy => Errno::TXTBSY,
        File::CrossDevice => Errno::XDEV,
        _ => Errno::IO,
    }
}

fn socket(code: Socket) -> Errno {
    match code {
        Socket::AccessDenied => Errno::ACCESS,
        Socket::NotSupported => Errno::NOTSUP,
        Socket::InvalidArgument | Socket::InvalidState => Errno::INVAL,
        Socket::OutOfMemory => Errno::NOMEM,
        Socket::Timeout => Errno::TIMEDOUT,
        Socket::ConcurrencyConflict => Errno::ALREADY,
        Socket::WouldBlock | Socket::NotInProgress => Errno::AGAIN,
        Socket::NewSocketLimit => Errno::MFILE,
        Socket::AddressNotBindable => Errno::ADDRNOTAVAIL,
        Socket::AddressInUse => Errno::ADDRINUSE,
        Socket::RemoteUnreachable => Errno::HOSTUNREACH,
        Socket::ConnectionRefused => Errno::CONNREFUSED,
        Socket::ConnectionReset => Errno::CONNRESET,
        Socket::ConnectionAborted => Errno::CONNABORTED,
        Socket::DatagramTooLarge => Errno::MSGSIZE,
        Socket::NameUnresolvable | Socket::PermanentResolverFailure => Errno::NOENT,
        _ => Errno::IO,
    }
}
