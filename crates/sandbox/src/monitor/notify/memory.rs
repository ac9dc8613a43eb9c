//! Bytes and strings from the memory of a task that waits in a call. Everything is bounded, and
//! everything is advisory: other threads of the task may change it at any time.
#![expect(unsafe_code, reason = "reads another process through process_vm_readv")]

use std::io;

/// `PATH_MAX`: the kernel itself refuses longer paths.
pub(super) const PATH_LEN_MAX: usize = 4096;
const PAGE: usize = 4096;
/// Most strings are short; a read does not cross more than it must.
const CHUNK: usize = 256;

/// A string that may have been cut at its bound.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) bytes: Vec<u8>,
    pub(super) truncated: bool,
}

/// The memory of the process a thread belongs to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Memory {
    pub(super) tid: u32,
}

impl Memory {
    /// Fills `buffer` from `address`; returns how much could be read.
    ///
    /// # Errors
    /// `EFAULT` for an address that is not there, `EPERM` for a task that may not be read.
    pub(super) fn read(self, address: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            let Some(at) = usize::try_from(address).ok().and_then(|a| a.checked_add(done)) else {
                break;
            };
            // One page at a time: a read over a page that is not there would fail as a whole.
            let len = (PAGE - at % PAGE).min(buffer.len() - done);
            match self.read_page(at, &mut buffer[done..done + len]) {
                Ok(read) if read > 0 => done += read,
                Ok(_) => break,
                Err(_) if done > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn read_page(self, at: usize, buffer: &mut [u8]) -> io::Result<usize> {
        let local = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        let remote =
            libc::iovec { iov_base: std::ptr::without_provenance_mut(at), iov_len: buffer.len() };
        let pid = libc::pid_t::try_from(self.tid).unwrap_or(-1);
        // SAFETY: `local` describes `buffer`, which is ours alone; `remote` is an address in the
        // other process, which the kernel checks there.
        let read =
            unsafe { libc::process_vm_readv(pid, &raw const local, 1, &raw const remote, 1, 0) };
        usize::try_from(read).map_err(|_| io::Error::last_os_error())
    }

    /// Exactly `N` bytes.
    pub(super) fn array<const N: usize>(self, address: u64) -> io::Result<[u8; N]> {
        let mut buffer = [0; N];
        let read = self.read(address, &mut buffer)?;
        if read == N { Ok(buffer) } else { Err(io::Error::from_raw_os_error(libc::EFAULT)) }
    }

    /// Up to `len` bytes, at most `len_max`.
    pub(super) fn bytes(self, address: u64, len: u64, len_max: usize) -> io::Result<Vec<u8>> {
        let len = usize::try_from(len).unwrap_or(usize::MAX).min(len_max);
        let mut buffer = vec![0; len];
        let read = self.read(address, &mut buffer)?;
        buffer.truncate(read);
        Ok(buffer)
    }

    /// The string at `address` without its NUL, cut at `len_max`.
    pub(super) fn string(self, address: u64, len_max: usize) -> io::Result<Read> {
        let mut bytes = Vec::new();
        while bytes.len() < len_max {
            let at = address.wrapping_add(bytes.len() as u64);
            let mut chunk = [0; CHUNK];
            // Chunks end at multiples of their size, so that none touches a page in vain.
            let aligned = CHUNK - usize::try_from(at % CHUNK as u64).unwrap_or(0);
            let len = aligned.min(len_max - bytes.len());
            let read = self.read(at, &mut chunk[..len])?;
            let chunk = &chunk[..read];
            if let Some(end) = chunk.iter().position(|&byte| byte == 0) {
                bytes.extend_from_slice(&chunk[..end]);
                return Ok(Read { bytes, truncated: false });
            }
            bytes.extend_from_slice(chunk);
            if read < len {
                return Err(io::Error::from_raw_os_error(libc::EFAULT));
            }
        }
        Ok(Read { bytes, truncated: true })
    }

    /// A path argument.
    pub(super) fn path(self, address: u64) -> io::Result<Read> {
        self.string(address, PATH_LEN_MAX)
    }

    /// A NULL-terminated array of strings, at most `count_max` of them and `len_max` bytes in sum.
    pub(super) fn strings(
        self,
        address: u64,
        count_max: usize,
        len_max: usize,
    ) -> io::Result<(Vec<Vec<u8>>, bool)> {
        let mut strings = Vec::new();
        let mut left = len_max;
        let mut truncated = false;
        if address == 0 {
            return Ok((strings, false));
        }
        for index in 0.. {
            let pointer = self.array::<8>(address.wrapping_add(index * 8))?;
            let pointer = u64::from_ne_bytes(pointer);
            if pointer == 0 {
                break;
            }
            if strings.len() == count_max || left == 0 {
                return Ok((strings, true));
            }
            let read = self.string(pointer, left)?;
            left -= read.bytes.len();
            truncated |= read.truncated;
            strings.push(read.bytes);
        }
        Ok((strings, truncated))
    }
}

#[cfg(test)]
mod tests {
    use super::{Memory, Read};

    fn own() -> Memory {
        Memory { tid: std::process::id() }
    }

    fn at<T>(value: &[T]) -> u64 {
        value.as_ptr().addr() as u64
    }

    #[test]
    fn strings_end_at_their_nul_or_their_bound() {
        let text = [vec![b'a'; 5000], vec![0]].concat();
        let short = own().string(at(&text[4000..]), 4096).unwrap();
        assert_eq!(short, Read { bytes: vec![b'a'; 1000], truncated: false });
        let cut = own().string(at(&text), 4096).unwrap();
        assert_eq!((cut.bytes.len(), cut.truncated), (4096, true));
        assert!(own().string(8, 4096).is_err());
        assert!(own().string(u64::MAX - 3, 4096).is_err());
    }

    #[test]
    fn lists_are_bounded_in_number_and_length() {
        let word = b"word\0";
        let mut list = vec![at(word); 100];
        list.push(0);
        let (strings, truncated) = own().strings(at(&list), 64, 8192).unwrap();
        assert_eq!((strings.len(), truncated), (64, true));
        let (strings, truncated) = own().strings(at(&list), 200, 10).unwrap();
        assert_eq!((strings.len(), truncated), (3, true));
        assert_eq!(own().strings(at(&list[98..]), 64, 8192).unwrap().0, [b"word", b"word"]);
        assert_eq!(own().strings(0, 64, 8192).unwrap(), (vec![], false));
    }
}
