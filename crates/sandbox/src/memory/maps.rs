//! The address space of a process as the kernel lists it (`/proc/PID/maps`, proc_pid_maps(5)).
//!
//! Only the lines and what backs them are known here; bytes are read elsewhere.

/// `PROT_READ`, `PROT_WRITE`, `PROT_EXEC`.
pub(super) const READ: u32 = 1;
pub(super) const WRITE: u32 = 2;
pub(super) const EXECUTE: u32 = 4;

/// What is behind a mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Backing {
    /// The kernel's own pages: vdso, vvar, vsyscall, uprobes.
    Kernel,
    /// The first thread's stack.
    Stack,
    /// Memory without a file; shared memory without a name, and the heap.
    Anonymous,
    /// A memory file.
    Memfd,
    File,
    /// A file that has no name any more.
    Deleted,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mapping {
    pub(super) start: u64,
    pub(super) end: u64,
    /// `PROT_*` bits.
    pub(super) protection: u32,
    pub(super) shared: bool,
    /// Where in the file it begins, in bytes.
    pub(super) offset: u64,
    pub(super) inode: u64,
    pub(super) backing: Backing,
    /// As the kernel writes it, without its " (deleted)"; empty for memory without a name.
    pub(super) name: Vec<u8>,
}

impl Mapping {
    pub(super) fn len(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    pub(super) fn contains(&self, address: u64) -> bool {
        (self.start..self.end).contains(&address)
    }

    pub(super) fn executable(&self) -> bool {
        self.protection & EXECUTE != 0
    }

    pub(super) fn writable(&self) -> bool {
        self.protection & WRITE != 0
    }

    /// Memory that has no file a reader could look at.
    pub(super) fn memory(&self) -> bool {
        matches!(self.backing, Backing::Stack | Backing::Anonymous | Backing::Memfd)
    }

    /// Executable, and not simply the text of a file that is there.
    pub(super) fn remarkable(&self) -> bool {
        self.executable()
            && match self.backing {
                Backing::Kernel => false,
                Backing::File => self.writable(),
                _ => true,
            }
    }

    /// Text of a file (or of the kernel's vdso) that the process could have made its own copy of.
    pub(super) fn private_text(&self) -> bool {
        let vdso = self.backing == Backing::Kernel && self.name == b"[vdso]";
        self.executable() && !self.shared && (vdso || self.backing == Backing::File)
    }

    /// `rwx` in words.
    pub(super) fn rights(&self) -> String {
        [(READ, 'r'), (WRITE, 'w'), (EXECUTE, 'x')]
            .map(|(bit, letter)| if self.protection & bit != 0 { letter } else { '-' })
            .iter()
            .collect()
    }
}

/// All lines that are understood, in the order of addresses.
pub(super) fn parse(text: &[u8]) -> Vec<Mapping> {
    text.split(|&byte| byte == b'\n').filter_map(line).collect()
}

/// Those of them that can be executed; the others are not even looked at.
pub(super) fn executable(text: &[u8]) -> impl Iterator<Item = Mapping> {
    let executes = |line: &&[u8]| {
        let rights = line.iter().position(|&byte| byte == b' ').map(|at| at + 1);
        rights.and_then(|at| line.get(at + 2)) == Some(&b'x')
    };
    text.split(|&byte| byte == b'\n').filter(executes).filter_map(line)
}

fn line(line: &[u8]) -> Option<Mapping> {
    let mut fields = line.splitn(6, |&byte| byte == b' ');
    let mut field = || std::str::from_utf8(fields.next()?).ok();
    let (start, end) = field()?.split_once('-')?;
    let rights = field()?.as_bytes();
    let offset = field()?;
    let _device = field()?;
    let inode = field()?.parse().ok()?;
    let right = |at: usize, letter, bit| if rights.get(at) == Some(&letter) { bit } else { 0 };
    let name = fields.next().unwrap_or_default().trim_ascii_start();
    let (name, backing) = backing(name, inode);
    Some(Mapping {
        start: u64::from_str_radix(start, 16).ok()?,
        end: u64::from_str_radix(end, 16).ok()?,
        protection: right(0, b'r', READ) | right(1, b'w', WRITE) | right(2, b'x', EXECUTE),
        shared: rights.get(3) == Some(&b's'),
        offset: u64::from_str_radix(offset, 16).ok()?,
        inode,
        backing,
        name: name.to_vec(),
    })
}

/// A process can name its anonymous memory, but only inside `[anon:…]`; a file's path begins with
/// a slash. So no name can pose as one of the kernel's own.
fn backing(name: &[u8], inode: u64) -> (&[u8], Backing) {
    let (bare, deleted) = match name.strip_suffix(b" (deleted)") {
        Some(bare) => (bare, true),
        None => (name, false),
    };
    let backing = match bare {
        b"[stack]" => Backing::Stack,
        b"[vdso]" | b"[vvar]" | b"[vvar_vclock]" | b"[vsyscall]" | b"[uprobes]" => Backing::Kernel,
        _ if inode == 0 || bare.first() != Some(&b'/') => Backing::Anonymous,
        // Shared memory without a name, and System V's.
        b"/dev/zero" if deleted => Backing::Anonymous,
        _ if deleted && bare.starts_with(b"/SYSV") => Backing::Anonymous,
        _ if deleted && bare.starts_with(b"/memfd:") => Backing::Memfd,
        _ if deleted => Backing::Deleted,
        _ => Backing::File,
    };
    (bare, backing)
}

#[cfg(test)]
mod tests {
    use super::{Backing, executable, parse};

    fn check(line: &str, backing: Backing, name: &str, remarkable: bool) {
        let found = parse(line.as_bytes());
        let [mapping] = found.as_slice() else { panic!("{line}: {found:?}") };
        assert_eq!(mapping.backing, backing, "{line}");
        assert_eq!(mapping.name, name.as_bytes(), "{line}");
        assert_eq!(mapping.remarkable(), remarkable, "{line}");
        let executes: Vec<_> = executable(line.as_bytes()).collect();
        assert_eq!(executes.len(), usize::from(mapping.executable()), "{line}");
    }

    #[test]
    fn what_is_behind_a_line_cannot_be_faked_by_names() {
        let text = "/usr/lib/x86_64-linux-gnu/libc.so.6";
        check(&format!("7f-80 r-xp 00026000 fe:00 326269      {text}"), Backing::File, text, false);
        check("7f-80 rwxp 00000000 00:00 0 ", Backing::Anonymous, "", true);
        check("7f-80 r-xp 00000000 00:00 0      [vdso]", Backing::Kernel, "[vdso]", false);
        let named = "[anon:[vdso]]";
        check(&format!("7f-80 r-xp 00000000 00:00 0  {named}"), Backing::Anonymous, named, true);
        check("7f-80 rwxp 0 00:00 0   [stack]", Backing::Stack, "[stack]", true);
        check("7f-80 rwxp 0 00:00 0   [heap]", Backing::Anonymous, "[heap]", true);
        check("7f-80 r-xs 0 00:01 77 /memfd:x (deleted)", Backing::Memfd, "/memfd:x", true);
        check("7f-80 r-xp 0 fe:00 77 /memfd:x", Backing::File, "/memfd:x", false);
        check("7f-80 rwxs 0 00:01 77 /dev/zero (deleted)", Backing::Anonymous, "/dev/zero", true);
        check("7f-80 r-xp 0 fe:00 9 /tmp/a b.so (deleted)", Backing::Deleted, "/tmp/a b.so", true);
        check("7f-80 rwxp 0 fe:00 9 /tmp/a", Backing::File, "/tmp/a", true);
        check("7f-80 r--p 0 fe:00 9 /tmp/a (deleted)", Backing::Deleted, "/tmp/a", false);
        assert!(parse(b"nonsense\n\n7f-80\n").is_empty());
    }
}
