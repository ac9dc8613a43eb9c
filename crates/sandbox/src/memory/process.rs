//! One process' `/proc` folder: its mappings, its bytes, which of its pages are its own, and where
//! its threads are.
//!
//! Everything goes through one open folder, so that a number that is used again cannot put another
//! process in the place of the one that was meant.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

use super::maps::{self, Mapping};

pub(super) const PAGE: u64 = 4096;
/// Longest list of mappings that is read, in bytes: the kernel allows 65,530 of them.
const MAPS_LEN_MAX: u64 = 16 << 20;
/// Threads that are looked at.
const THREADS_MAX: usize = 512;
/// Words of the page map that are read at once.
const PAGES_AT_ONCE: usize = 4096;

/// Bits of the page map (`Documentation/admin-guide/mm/pagemap.rst`).
const PRESENT: u64 = 1 << 63;
const SWAPPED: u64 = 1 << 62;
const OF_FILE: u64 = 1 << 61;

/// Where a thread is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Thread {
    /// As the sandbox sees it.
    pub(crate) tid: u32,
    /// The system call it is in; none when it was stopped between calls.
    pub(crate) call: Option<u32>,
    pub(crate) stack_pointer: u64,
    pub(crate) instruction_pointer: u64,
}

/// Who a process is, as the sandbox sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Who {
    pub(crate) pid: u32,
    /// Outside.
    pub(crate) host_ppid: u32,
    pub(crate) host_uid: u32,
    pub(crate) comm: Vec<u8>,
    /// Since boot, in clock ticks.
    pub(crate) start_ticks: u64,
}

pub(crate) struct Process {
    folder: File,
    memory: File,
}

impl Process {
    /// Opens what is needed to read the process of this thread or process id.
    ///
    /// # Errors
    /// `ENOENT` or `ESRCH` for one that is gone, `EACCES` or `EPERM` for one that may not be read.
    pub(crate) fn open(pid: u32) -> io::Result<Self> {
        let folder = fs::OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_DIRECTORY)
            .open(format!("/proc/{pid}"))?;
        let memory = File::open(below(&folder, "mem"))?;
        Ok(Self { folder, memory })
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        below(&self.folder, name)
    }

    /// # Errors
    /// When the process is gone. An empty list is a process that is ending.
    pub(super) fn mappings(&self) -> io::Result<Vec<Mapping>> {
        let mut text = Vec::with_capacity(8 << 10);
        File::open(self.path("maps"))?.take(MAPS_LEN_MAX).read_to_end(&mut text)?;
        Ok(maps::parse(&text))
    }

    /// Fills `buffer` from `address`; returns how much could be read.
    ///
    /// # Errors
    /// `EIO` for an address that is not there.
    pub(super) fn read(&self, address: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.memory.read_at(rest, address + done as u64) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(done)
    }

    fn runs(&self, mapping: &Mapping, wanted: fn(u64) -> bool) -> io::Result<Vec<(u64, u64)>> {
        let file = File::open(self.path("pagemap"))?;
        Pages { file, words: vec![0; PAGES_AT_ONCE * 8] }.runs(mapping, wanted)
    }

    /// Pages of private text that are not the file's any more: copies the process wrote to.
    pub(super) fn own_pages(&self, mapping: &Mapping) -> io::Result<Vec<(u64, u64)>> {
        self.runs(mapping, is_own)
    }

    /// Pages that hold anything.
    pub(super) fn used_pages(&self, mapping: &Mapping) -> io::Result<Vec<(u64, u64)>> {
        self.runs(mapping, |word| word & (PRESENT | SWAPPED) != 0)
    }

    /// Where its threads are; those that are running right now cannot be told.
    pub(super) fn threads(&self) -> Vec<Thread> {
        let Ok(entries) = fs::read_dir(self.path("task")) else { return Vec::new() };
        let thread = |entry: io::Result<fs::DirEntry>| {
            let folder = entry.ok()?.path();
            let text = fs::read_to_string(folder.join("syscall")).ok()?;
            let status = fs::read_to_string(folder.join("status")).ok()?;
            place(&text, last_number(&status, "NSpid:")?)
        };
        entries.take(THREADS_MAX).filter_map(thread).collect()
    }

    /// # Errors
    /// When the process is gone.
    pub(crate) fn who(&self) -> io::Result<Who> {
        let status = fs::read(self.path("status"))?;
        let status = String::from_utf8_lossy(&status);
        let stat = fs::read(self.path("stat"))?;
        let stat = String::from_utf8_lossy(&stat);
        // The name may contain anything; it ends with the last parenthesis.
        let (_, rest) = stat.rsplit_once(')').unwrap_or_default();
        let comm = fs::read(self.path("comm"))?;
        let first = |name: &str| -> Option<u32> {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        Ok(Who {
            pid: last_number(&status, "NStgid:").unwrap_or(0),
            host_ppid: first("PPid:").unwrap_or(0),
            host_uid: first("Uid:").unwrap_or(0),
            comm: comm.trim_ascii_end().to_vec(),
            start_ticks: rest.split_whitespace().nth(19).and_then(|t| t.parse().ok()).unwrap_or(0),
        })
    }

    /// Bytes of one of its files, at most `len_max`; empty when they cannot be read.
    pub(super) fn bytes(&self, name: &str, len_max: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        if let Ok(file) = File::open(self.path(name)) {
            // What could be read before an error is what there is.
            let _ = file.take(len_max).read_to_end(&mut bytes);
        }
        bytes
    }
}

/// The text of a held process' `maps`.
///
/// # Errors
/// When the process is gone or may not be read.
pub(super) fn maps_of(pid: u32) -> io::Result<Vec<u8>> {
    let mut text = Vec::with_capacity(16 << 10);
    File::open(format!("/proc/{pid}/maps"))?.take(MAPS_LEN_MAX).read_to_end(&mut text)?;
    Ok(text)
}

/// A copy of a page that the process wrote to, in memory or swapped out.
fn is_own(word: u64) -> bool {
    word & (PRESENT | SWAPPED) != 0 && word & OF_FILE == 0
}

/// A process' page map.
pub(super) struct Pages {
    file: File,
    words: Vec<u8>,
}

impl Pages {
    /// Of a held process.
    ///
    /// # Errors
    /// When it is gone or may not be read.
    pub(super) fn of(pid: u32) -> io::Result<Self> {
        let file = File::open(format!("/proc/{pid}/pagemap"))?;
        Ok(Self { file, words: vec![0; PAGES_AT_ONCE * 8] })
    }

    /// Whether the process has its own copy of any page of private text.
    ///
    /// # Errors
    /// When it is gone.
    pub(super) fn any_own(&mut self, mapping: &Mapping) -> io::Result<bool> {
        Ok(!self.runs(mapping, is_own)?.is_empty())
    }

    /// Runs of pages for which `wanted` holds, as (start, end) addresses.
    fn runs(&mut self, mapping: &Mapping, wanted: fn(u64) -> bool) -> io::Result<Vec<(u64, u64)>> {
        let mut runs: Vec<(u64, u64)> = Vec::new();
        let mut address = mapping.start;
        while address < mapping.end {
            let pages = (mapping.end - address) / PAGE;
            let len = usize::try_from(pages).unwrap_or(usize::MAX).min(PAGES_AT_ONCE) * 8;
            let Some(buffer) = self.words.get_mut(..len) else { break };
            let read = self.file.read_at(buffer, address / PAGE * 8)?;
            if read < 8 {
                break;
            }
            for word in self.words.get(..read).unwrap_or_default().chunks_exact(8) {
                let word = word.try_into().map_or(0, u64::from_ne_bytes);
                if wanted(word) {
                    match runs.last_mut() {
                        Some(last) if last.1 == address => last.1 += PAGE,
                        _ => runs.push((address, address + PAGE)),
                    }
                }
                address += PAGE;
            }
        }
        Ok(runs)
    }
}

/// A name in a folder that is open: through our own descriptor, so that it cannot be another's.
fn below(folder: &File, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{name}", folder.as_raw_fd()))
}

/// The last number of a line: the innermost namespace's.
fn last_number(status: &str, name: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().last()?.parse().ok()
}

/// `/proc/PID/task/TID/syscall`: `running`, `-1 SP PC`, or `NR six arguments SP PC`.
fn place(text: &str, tid: u32) -> Option<Thread> {
    let fields: Vec<&str> = text.split_whitespace().collect();
    let [first, .., stack, instruction] = fields.as_slice() else { return None };
    let hexadecimal = |text: &str| u64::from_str_radix(text.strip_prefix("0x")?, 16).ok();
    Some(Thread {
        tid,
        call: first.parse().ok(),
        stack_pointer: hexadecimal(stack)?,
        instruction_pointer: hexadecimal(instruction)?,
    })
}

#[cfg(test)]
mod tests {
    use super::{Process, Thread, place};

    #[test]
    fn places_of_threads() {
        let at = |call| {
            Some(Thread { tid: 7, call, stack_pointer: 0x7ff0, instruction_pointer: 0x4010 })
        };
        assert_eq!(place("running\n", 7), None);
        assert_eq!(place("-1 0x7ff0 0x4010\n", 7), at(None));
        assert_eq!(place("231 0x0 0x1 0x2 0x3 0x4 0x5 0x7ff0 0x4010\n", 7), at(Some(231)));
        assert_eq!(place("", 7), None);
    }

    #[test]
    fn a_process_reads_itself_and_not_what_is_not_there() {
        let process = Process::open(std::process::id()).unwrap();
        let text = b"bytes of this test".to_vec();
        let mut buffer = vec![0; text.len()];
        let address = text.as_ptr().addr() as u64;
        assert_eq!(process.read(address, &mut buffer).unwrap(), text.len());
        assert_eq!(buffer, text);
        assert!(process.read(8, &mut buffer).is_err());
        let who = process.who().unwrap();
        assert_eq!(who.pid, std::process::id());
        assert!(who.start_ticks > 0);
        let mappings = process.mappings().unwrap();
        assert!(mappings.iter().any(super::Mapping::private_text));
        let mapping = mappings.iter().find(|m| m.contains(address)).unwrap();
        let used = process.used_pages(mapping).unwrap();
        assert!(used.iter().any(|&(start, end)| (start..end).contains(&address)), "{used:?}");
        assert!(Process::open(u32::MAX).is_err());
    }
}
