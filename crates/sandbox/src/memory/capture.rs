//! Copies out of a process what is worth a look: mappings, threads, bytes of executable memory,
//! text that is not its file's any more. Made while the process may be held, so everything here is
//! bounded in time and bytes, and nothing is interpreted that can be interpreted later.

use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::time::Instant;

use super::content;
use super::maps::{self, Backing, Mapping};
use super::process::{self, PAGE, Pages, Process, Thread, Who};

/// Bytes of one mapping that are read.
const REGION_LEN_MAX: u64 = 8 << 20;
/// Bytes of data (stack, heap, memory that is not executable) that are read of one process.
const DATA_LEN_MAX: u64 = 8 << 20;
/// Bytes between two looks at the clock; read in well under a millisecond.
const CHUNK: usize = 256 << 10;
/// Mappings before executable memory that could hold the header of an image loaded by hand.
const SEGMENTS_MAX: usize = 8;

/// Stretches of pages, as start and end.
type Runs = Vec<(u64, u64)>;

/// How far a capture may go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// The process is not held past it.
    pub(super) deadline: Instant,
    pub(super) read_bytes: u64,
    /// Also read data, whatever the executable memory looks like.
    pub(super) data: bool,
}

/// Bytes that lie next to each other.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) address: u64,
    pub(super) bytes: Vec<u8>,
}

/// One mapping and what was read of it.
#[derive(Debug)]
pub(super) struct Region {
    pub(super) mapping: Mapping,
    pub(super) pieces: Vec<Piece>,
}

/// Text that differs from its file.
#[derive(Debug)]
pub(super) struct Changed {
    pub(super) mapping: Mapping,
    /// The first page that differs, and how many bytes of pages do.
    pub(super) address: u64,
    pub(super) length: u64,
    /// Bytes that differ in them.
    pub(super) differing: u64,
    pub(super) pieces: Vec<Piece>,
    /// The file's text was unmapped and memory put in its place.
    pub(super) replaced: bool,
}

/// What was copied.
#[derive(Debug)]
pub(super) struct Capture {
    pub(super) who: Who,
    pub(super) program: PathBuf,
    pub(super) auxiliary: Vec<u8>,
    pub(super) mappings: Vec<Mapping>,
    pub(super) threads: Vec<Thread>,
    pub(super) regions: Vec<Region>,
    pub(super) changed: Vec<Changed>,
    /// Where headers of programs stand in memory that is executed, or beside it.
    pub(super) images: Vec<Mapping>,
    pub(super) data: Vec<Region>,
    /// Text of which the file could not be read.
    pub(super) not_compared: u64,
    pub(super) bytes: u64,
    /// A bound was reached: `time` or `bytes`.
    pub(super) cut: Option<&'static str>,
}

/// Whether a closer look at the process is worth holding it: executable memory without a file,
/// memory that is writable as well, or text of which the process has its own copy. The process
/// must be held. Every process of a run is asked this twice, so it opens and reads little.
pub(super) fn remarkable(pid: u32) -> io::Result<bool> {
    let text = process::maps_of(pid)?;
    let mut pages = None;
    for mapping in maps::executable(&text) {
        if mapping.remarkable() {
            return Ok(true);
        }
        if mapping.private_text() {
            let pages = match &mut pages {
                Some(pages) => pages,
                none => none.insert(Pages::of(pid)?),
            };
            if pages.any_own(&mapping)? {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Copies what is worth a look.
///
/// # Errors
/// When the process is gone or may not be read.
pub(super) fn capture(host_pid: u32, bounds: &Bounds) -> io::Result<Capture> {
    let process = Process::open(host_pid)?;
    let mut taking = Taking { process: &process, bounds, left: bounds.read_bytes, cut: None };
    let mappings = process.mappings()?;
    let threads = process.threads();
    let (regions, images) = (taking.regions(&mappings), taking.images(&mappings));
    let (changed, not_compared) = taking.changes(&mappings);
    let wants_data = bounds.data
        || !images.is_empty()
        || changed.iter().any(|changed| changed.differing > 0)
        || regions.iter().any(calls_kernel);
    let data = if wants_data { taking.data(&mappings) } else { Vec::new() };
    Ok(Capture {
        who: process.who()?,
        program: fs::read_link(process.path("exe")).unwrap_or_default(),
        auxiliary: process.bytes("auxv", 4096),
        bytes: bounds.read_bytes - taking.left,
        cut: taking.cut,
        mappings,
        threads,
        regions,
        changed,
        images,
        data,
        not_compared,
    })
}

fn calls_kernel(region: &Region) -> bool {
    region.pieces.iter().any(|piece| !content::direct_calls(&piece.bytes).is_empty())
}

struct Taking<'a> {
    process: &'a Process,
    bounds: &'a Bounds,
    left: u64,
    cut: Option<&'static str>,
}

impl Taking<'_> {
    /// Executable memory, the smallest first: a large region must not hide a small one.
    fn regions(&mut self, mappings: &[Mapping]) -> Vec<Region> {
        let mut wanted: Vec<(u64, Runs, &Mapping)> = mappings
            .iter()
            .filter(|mapping| mapping.remarkable())
            .map(|mapping| {
                let runs = self.runs(mapping);
                (runs.iter().map(|(start, end)| end - start).sum(), runs, mapping)
            })
            .collect();
        wanted.sort_by_key(|(len, _, mapping)| (*len, mapping.start));
        wanted
            .into_iter()
            .map(|(_, runs, mapping)| Region {
                mapping: mapping.clone(),
                pieces: self.take(&runs, REGION_LEN_MAX),
            })
            .collect()
    }

    /// What of a mapping there is to read. Pages of files are read whether this process used them
    /// or not; untouched memory is zeros.
    fn runs(&self, mapping: &Mapping) -> Runs {
        match mapping.backing {
            Backing::Anonymous | Backing::Stack if !mapping.shared => {
                self.process.used_pages(mapping).unwrap_or_default()
            }
            _ => vec![(mapping.start, mapping.end)],
        }
    }

    fn take(&mut self, runs: &[(u64, u64)], len_max: u64) -> Vec<Piece> {
        let mut room = len_max;
        let mut pieces = Vec::new();
        for &(start, end) in runs {
            let len = (end - start).min(room).min(self.left);
            if len < (end - start).min(room) {
                self.cut = Some("bytes");
            }
            let bytes = self.bytes(start, len);
            room -= bytes.len() as u64;
            if !bytes.is_empty() {
                pieces.push(Piece { address: start, bytes });
            }
        }
        pieces
    }

    fn bytes(&mut self, address: u64, len: u64) -> Vec<u8> {
        let len = usize::try_from(len).unwrap_or(0);
        let mut bytes = Vec::new();
        while bytes.len() < len {
            if Instant::now() >= self.bounds.deadline {
                self.cut = Some("time");
                break;
            }
            let done = bytes.len();
            bytes.resize(len.min(done + CHUNK), 0);
            let chunk = bytes.get_mut(done..).unwrap_or_default();
            let wanted = chunk.len();
            let read = self.process.read(address + done as u64, chunk).unwrap_or(0);
            bytes.truncate(done + read);
            if read < wanted {
                break;
            }
        }
        self.left -= bytes.len() as u64;
        bytes
    }

    /// Memory that begins with a program's header and is executable, or leads up to memory that is.
    fn images(&mut self, mappings: &[Mapping]) -> Vec<Mapping> {
        let mut images: Vec<Mapping> = Vec::new();
        for (at, mapping) in mappings.iter().enumerate() {
            if !(mapping.executable() && mapping.memory()) {
                continue;
            }
            let mut first = at;
            while let Some(before) = first.checked_sub(1)
                && at - before <= SEGMENTS_MAX
                && mappings[before].end == mappings[first].start
                && mappings[before].memory()
            {
                first = before;
            }
            for mapping in mappings.get(first..=at).unwrap_or_default() {
                let mut header = [0; 16];
                let read = self.process.read(mapping.start, &mut header).unwrap_or(0);
                if read == header.len()
                    && content::is_elf(&header)
                    && !images.iter().any(|known| known.start == mapping.start)
                {
                    images.push(mapping.clone());
                }
            }
        }
        images
    }

    fn data(&mut self, mappings: &[Mapping]) -> Vec<Region> {
        let mut wanted: Vec<&Mapping> = mappings
            .iter()
            .filter(|mapping| mapping.memory() && mapping.writable() && !mapping.executable())
            .collect();
        wanted.sort_by_key(|mapping| mapping.len());
        let mut room = DATA_LEN_MAX;
        let mut data = Vec::new();
        for mapping in wanted {
            let runs = self.runs(mapping);
            let pieces = self.take(&runs, room);
            room -= pieces.iter().map(|piece| piece.bytes.len() as u64).sum::<u64>();
            if !pieces.is_empty() {
                data.push(Region { mapping: mapping.clone(), pieces });
            }
        }
        data
    }

    /// Compares text with its file, and says how often the file could not be read.
    fn changes(&mut self, mappings: &[Mapping]) -> (Vec<Changed>, u64) {
        let (mut found, mut not_compared) = (Vec::new(), 0);
        for (at, mapping) in mappings.iter().enumerate() {
            let (of, runs, replaced) = if mapping.private_text() && !mapping.writable() {
                let runs = self.process.own_pages(mapping).unwrap_or_default();
                (mapping.clone(), runs, false)
            } else if let Some(of) = stands_in_for(mappings, at) {
                (of, self.runs(mapping), true)
            } else {
                continue;
            };
            if runs.is_empty() {
                continue;
            }
            let Some(original) = Original::of(self.process, &of) else {
                not_compared += 1;
                continue;
            };
            let pieces = self.take(&runs, REGION_LEN_MAX);
            found.extend(compare(&of, pieces, &original, replaced));
        }
        (found, not_compared)
    }
}

/// Memory without a file in the midst of a file's mappings: the mapping of the file that it stands
/// in for.
fn stands_in_for(mappings: &[Mapping], at: usize) -> Option<Mapping> {
    let mapping = mappings.get(at)?;
    let before = mappings.get(at.checked_sub(1)?)?;
    let after = mappings.get(at + 1)?;
    let inside = mapping.executable()
        && mapping.backing == Backing::Anonymous
        && before.end == mapping.start
        && mapping.end == after.start
        && before.backing == Backing::File
        && (before.inode, &before.name) == (after.inode, &after.name)
        && before.offset + before.len() + mapping.len() == after.offset;
    let offset = before.offset + before.len();
    inside.then(|| Mapping {
        start: mapping.start,
        end: mapping.end,
        protection: mapping.protection,
        offset,
        ..before.clone()
    })
}

/// What text should be.
enum Original {
    File(File),
    /// Our own copy: the kernel gives every process the same.
    Vdso(Vec<u8>),
}

impl Original {
    fn of(process: &Process, mapping: &Mapping) -> Option<Self> {
        if mapping.backing == Backing::Kernel {
            let own = Process::open(std::process::id()).ok()?;
            let mine = own.mappings().ok()?.into_iter().find(|m| m.name == b"[vdso]")?;
            let mut bytes = vec![0; usize::try_from(mine.len()).ok()?];
            let read = own.read(mine.start, &mut bytes).ok()?;
            return (mine.len() == mapping.len() && read == bytes.len())
                .then_some(Self::Vdso(bytes));
        }
        let range = format!("map_files/{:x}-{:x}", mapping.start, mapping.end);
        let by_name = || {
            let name = std::ffi::OsStr::from_bytes(mapping.name.strip_prefix(b"/")?);
            let file = open(process.path("root").join(name)).ok()?;
            // Another file may have taken the name.
            (file.metadata().ok()?.ino() == mapping.inode).then_some(file)
        };
        // Following these links takes a right that an ordinary user does not have.
        let file = open(process.path(&range)).ok().or_else(by_name)?;
        file.metadata().ok()?.is_file().then_some(Self::File(file))
    }

    /// What stands at an offset of the file; bytes past its end are zeros.
    fn read(&self, offset: u64, len: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; len];
        match self {
            Self::File(file) => {
                let mut done = 0;
                while done < len {
                    match file.read_at(bytes.get_mut(done..)?, offset + done as u64).ok()? {
                        0 => break,
                        read => done += read,
                    }
                }
            }
            Self::Vdso(own) => {
                let start = usize::try_from(offset).ok()?;
                bytes.copy_from_slice(own.get(start..start + len)?);
            }
        }
        Some(bytes)
    }
}

/// Never waits for somebody at the other end of a pipe, and follows no link of the sample's.
fn open(path: PathBuf) -> io::Result<File> {
    let links = if path.to_string_lossy().contains("/map_files/") { 0 } else { libc::O_NOFOLLOW };
    fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | links).open(path)
}

fn compare(
    of: &Mapping,
    pieces: Vec<Piece>,
    original: &Original,
    replaced: bool,
) -> Option<Changed> {
    let page = usize::try_from(PAGE).unwrap_or(usize::MAX);
    let (mut address, mut length, mut differing) = (None, 0, 0);
    for piece in &pieces {
        let offset = piece.address - of.start + if of.inode == 0 { 0 } else { of.offset };
        let Some(expected) = original.read(offset, piece.bytes.len()) else { continue };
        let pages = piece.bytes.chunks(page).zip(expected.chunks(page));
        for (start, (is, was)) in (piece.address..).step_by(page).zip(pages) {
            let count = is.iter().zip(was).filter(|(is, was)| is != was).count() as u64;
            if count > 0 {
                address.get_or_insert(start);
                length += PAGE;
                differing += count;
            }
        }
    }
    let mapping = of.clone();
    let address = address?;
    Some(Changed { mapping, address, length, differing, pieces, replaced })
}
