//! Messages with descriptors and credentials between the processes of one run.

#![expect(unsafe_code, reason = "sends descriptors over unix sockets")]

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

use libc::{c_int, c_long, pid_t};

use super::{check, owned};

/// A pair of connected sockets that keep message borders.
pub(crate) fn seqpacket_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds = [0; 2];
    // SAFETY: the array has room for the two descriptors.
    let ret = unsafe {
        libc::socketpair(
            libc::AF_UNIX,
            libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC,
            0,
            fds.as_mut_ptr(),
        )
    };
    check(c_long::from(ret))?;
    Ok((owned(c_long::from(fds[0]))?, owned(c_long::from(fds[1]))?))
}

/// Asks for the sender's credentials with every message (SO_PASSCRED).
pub(crate) fn pass_credentials(fd: BorrowedFd<'_>) -> io::Result<()> {
    let on: c_int = 1;
    #[expect(clippy::cast_possible_truncation, reason = "four bytes")]
    let len = size_of::<c_int>() as libc::socklen_t;
    // SAFETY: the option value is a live c_int of the size passed.
    let ret = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PASSCRED,
            std::ptr::from_ref(&on).cast(),
            len,
        )
    };
    check(c_long::from(ret)).map(drop)
}

/// Room for one SCM_RIGHTS list of up to eight descriptors and one SCM_CREDENTIALS.
#[repr(C, align(8))]
struct Control([u8; 128]);

/// Sends one message, with descriptors. Does not allocate.
pub(crate) fn send(fd: BorrowedFd<'_>, data: &[u8], pass: &[RawFd]) -> io::Result<()> {
    let mut iov = libc::iovec { iov_base: data.as_ptr().cast_mut().cast(), iov_len: data.len() };
    let mut control = Control([0; 128]);
    // SAFETY: msghdr is a plain C struct for which all-zero is valid.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut iov;
    message.msg_iovlen = 1;
    if !pass.is_empty() {
        let bytes = std::mem::size_of_val(pass);
        let Ok(bytes_u32) = u32::try_from(bytes) else {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        };
        message.msg_control = control.0.as_mut_ptr().cast();
        // SAFETY: CMSG_SPACE is arithmetic on its argument.
        message.msg_controllen = unsafe { libc::CMSG_SPACE(bytes_u32) } as usize;
        if message.msg_controllen > control.0.len() {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        // SAFETY: msg_control points to `control`, aligned and large enough for one header and
        // `bytes` of data as checked above, so the first header and its data lie inside it.
        unsafe {
            let header = libc::CMSG_FIRSTHDR(&raw const message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(bytes_u32) as usize;
            std::ptr::copy_nonoverlapping(pass.as_ptr().cast(), libc::CMSG_DATA(header), bytes);
        }
    }
    // SAFETY: `message` refers to buffers that outlive the call.
    let ret = unsafe { libc::sendmsg(fd.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL) };
    check(ret as c_long).map(drop)
}

/// One received message.
pub(crate) struct Received {
    pub len: usize,
    /// The sender's process id in the receiver's pid namespace, when credentials came along.
    pub pid: Option<pid_t>,
    pub fds: Vec<OwnedFd>,
}

/// Receives one message; `len` 0 means that the other side is gone.
pub(crate) fn receive(fd: BorrowedFd<'_>, data: &mut [u8]) -> io::Result<Received> {
    let mut iov = libc::iovec { iov_base: data.as_mut_ptr().cast(), iov_len: data.len() };
    let mut control = Control([0; 128]);
    // SAFETY: msghdr is a plain C struct for which all-zero is valid.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut iov;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = control.0.len();
    // SAFETY: `message` refers to buffers that outlive the call.
    let ret = unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) };
    let len = usize::try_from(check(ret as c_long)?).unwrap_or(0);
    let mut received = Received { len, pid: None, fds: Vec::new() };
    // SAFETY: the kernel filled msg_control up to msg_controllen; the CMSG functions stay inside
    // it, and each payload is read unaligned with the length its header states.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(&raw const message);
        while !header.is_null() {
            let payload = libc::CMSG_DATA(header);
            let size = (*header).cmsg_len.saturating_sub(libc::CMSG_LEN(0) as usize);
            if (*header).cmsg_level == libc::SOL_SOCKET {
                if (*header).cmsg_type == libc::SCM_RIGHTS {
                    for index in 0..size / size_of::<RawFd>() {
                        let raw = payload.cast::<RawFd>().add(index).read_unaligned();
                        received.fds.push(OwnedFd::from_raw_fd(raw));
                    }
                } else if (*header).cmsg_type == libc::SCM_CREDENTIALS
                    && size >= size_of::<libc::ucred>()
                {
                    received.pid = Some(payload.cast::<libc::ucred>().read_unaligned().pid);
                }
            }
            header = libc::CMSG_NXTHDR(&raw const message, header);
        }
    }
    Ok(received)
}
