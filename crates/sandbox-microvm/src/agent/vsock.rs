//! Dials the host over vsock (vsock(7)): the wire of guests that Firecracker carries.

use std::fs::File;
use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd};

/// The host's address as a guest dials it.
pub(super) const HOST_CID: u32 = 2;

/// A stream to a port.
pub(super) fn dial(cid: u32, port: u32) -> io::Result<File> {
    let family = libc::sa_family_t::try_from(libc::AF_VSOCK).map_err(io::Error::other)?;
    let length =
        libc::socklen_t::try_from(size_of::<libc::sockaddr_vm>()).map_err(io::Error::other)?;
    // SAFETY: socket(2) takes three numbers. A descriptor it returns is new and nobody else's, so it
    // can be owned here.
    #[expect(unsafe_code, reason = "neither std nor rustix knows this address family")]
    let socket = unsafe {
        let number = libc::socket(libc::AF_VSOCK, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0);
        if number < 0 {
            return Err(io::Error::last_os_error());
        }
        OwnedFd::from_raw_fd(number)
    };
    // SAFETY: `sockaddr_vm` is plain numbers, for all of which zero is a value.
    #[expect(unsafe_code, reason = "its private padding cannot be named")]
    let mut address: libc::sockaddr_vm = unsafe { std::mem::zeroed() };
    address.svm_family = family;
    address.svm_cid = cid;
    address.svm_port = port;
    // SAFETY: the pointer is to a whole `sockaddr_vm` that lives until the call returns, and `length`
    // is its size; the descriptor is open.
    #[expect(unsafe_code, reason = "neither std nor rustix knows this address family")]
    let result = unsafe {
        use std::os::fd::AsRawFd as _;
        libc::connect(socket.as_raw_fd(), (&raw const address).cast(), length)
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(File::from(socket)) }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_port_nobody_listens_on_is_an_error_and_not_a_wait() {
        // CID 1 is this machine itself; where the kernel has no such way that is an error, too.
        assert!(super::dial(1, 54_321).is_err());
    }
}
