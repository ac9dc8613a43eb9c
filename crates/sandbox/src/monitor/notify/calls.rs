//! From a waiting call to the facts it states: one arm for each watched call. The effects of facts
//! on what the monitor remembers are the loop's business, except for sockets.

mod files;
mod network;
mod process;
mod refused;

use types::{Kind, Text};

use super::memory::{Memory, Read};
use super::paths::{Last, Resolved, View};
use super::sockets::Sockets;
use super::tasks::Tasks;

pub(super) use refused::{foreign, refused};

/// A fact before it is known who states it and when.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) kind: Kind,
    pub(super) ret: Option<i64>,
    pub(super) advisory: bool,
    pub(super) truncated: bool,
}

impl Draft {
    /// From registers alone.
    fn plain(kind: Kind) -> Draft {
        Draft { kind, ret: None, advisory: false, truncated: false }
    }

    pub(super) fn of(kind: Kind) -> Draft {
        Draft::plain(kind)
    }

    pub(super) fn memory_executed(address: u64, call: String) -> Draft {
        Draft::plain(Kind::MemoryExecuted { address, call })
    }

    /// With something read from the task's memory.
    fn pointed(kind: Kind) -> Draft {
        Draft { advisory: true, ..Draft::plain(kind) }
    }

    fn cut(self, truncated: bool) -> Draft {
        Draft { truncated: self.truncated | truncated, ..self }
    }
}

/// A waiting call and what is known about its caller.
pub(super) struct Call<'a> {
    pub(super) nr: i64,
    pub(super) args: [u64; 6],
    pub(super) memory: Memory,
    pub(super) view: View<'a>,
    pub(super) tasks: &'a Tasks,
    pub(super) known: &'a super::tasks::Known,
    pub(super) sockets: &'a mut Sockets,
    /// Reads of memory that the kernel did not permit, although the address may be good.
    pub(super) unreadable: u64,
}

impl Call<'_> {
    /// An argument that the kernel takes as int or unsigned int.
    #[expect(clippy::cast_possible_truncation, reason = "the kernel takes the low 32 bits as well")]
    fn word(&self, index: usize) -> u32 {
        self.args[index] as u32
    }

    fn int(&self, index: usize) -> i32 {
        self.word(index).cast_signed()
    }

    fn flag(&self, index: usize, flag: i32) -> bool {
        self.int(index) & flag != 0
    }

    /// A path argument, relative to the descriptor in `dirfd` or to the working folder.
    fn path(&mut self, dirfd: Option<usize>, index: usize, last: Last) -> Resolved {
        let raw = self.raw_path(index);
        let dirfd = dirfd.map_or(libc::AT_FDCWD, |index| self.int(index));
        self.view.resolve(dirfd, &raw, last)
    }

    /// A path argument as written; empty when it cannot be read.
    fn raw_path(&mut self, index: usize) -> Read {
        let read = self.memory.path(self.args[index]);
        self.readable(read)
    }

    fn text(&mut self, index: usize, len_max: usize) -> (Text, bool) {
        let read = self.memory.string(self.args[index], len_max);
        let read = self.readable(read);
        (Text::new(read.bytes), read.truncated)
    }

    /// An address that is not there makes the call fail; a task that may not be read is a gap.
    fn readable<T: Default>(&mut self, read: std::io::Result<T>) -> T {
        read.unwrap_or_else(|error| {
            if error.raw_os_error() == Some(libc::EPERM) {
                self.unreadable += 1;
            }
            T::default()
        })
    }
}

/// The facts a watched, allowed call states; none for a call that is of no interest after all.
pub(super) fn allowed(call: &mut Call<'_>) -> Vec<Draft> {
    if let Some(draft) = files::facts(call) {
        return vec![draft];
    }
    let network = network::facts(call);
    if !network.is_empty() {
        return network;
    }
    process::facts(call).into_iter().collect()
}
