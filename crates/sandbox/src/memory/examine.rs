//! States what a capture shows. Pure but for the scanner it is handed; the process may be gone.

use types::ports::{Pattern, Scanner};

use super::capture::{Capture, Changed, Piece, Region};
use super::content;
use super::maps::{Backing, Mapping};

/// Findings of one capture; the most telling come first.
const FOUND_MAX: usize = 48;
/// Plain executable regions that are listed one by one: a compiler at work has hundreds.
const PLAIN_MAX: usize = 8;
/// Regions of data whose strings are told.
const TEXTS_MAX: usize = 6;
/// Bytes that a debugger's breakpoints or a few jumps take; more is another text.
const PATCH_LEN_MAX: u64 = 32;

/// One thing that was found, with the words of [`types::Kind::MemoryRegion`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub finding: &'static str,
    pub address: u64,
    pub length: u64,
    /// `PROT_*` bits.
    pub protection: u32,
    /// As the kernel names it; none for memory without a name.
    pub file: Option<Vec<u8>>,
    /// Thousandths of a bit per byte, of what was read.
    pub entropy_millibits: Option<u32>,
    pub detail: String,
}

/// A known pattern and where it matched, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    pub pattern: Pattern,
    pub target: String,
}

/// Everything one look at a process showed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    pub found: Vec<Found>,
    pub matches: Vec<Match>,
    /// Findings beyond the bound.
    pub more: u64,
    /// The look was cut short by its bound on `time` or `bytes`.
    pub cut: Option<&'static str>,
    /// Executable text whose file could not be read to compare it.
    pub not_compared: u64,
    /// Looks of the scanner that did not come to their end.
    pub scans_failed: u64,
    /// Bytes that were read from the process.
    pub bytes: u64,
}

impl Findings {
    /// Whether anything was found that compilers at run time do not do.
    pub(super) fn telling(&self) -> bool {
        !self.matches.is_empty()
            || self.found.iter().any(|found| {
                matches!(
                    found.finding,
                    "image" | "hollowed" | "patched" | "injected_thread" | "direct_calls"
                )
            })
    }
}

pub(super) fn examine(capture: &Capture, scanner: Option<&dyn Scanner>) -> Findings {
    let mut findings = Findings {
        cut: capture.cut,
        not_compared: capture.not_compared,
        bytes: capture.bytes,
        ..Findings::default()
    };
    findings.found.extend(capture.images.iter().map(|mapping| image(capture, mapping)));
    findings.found.extend(capture.changed.iter().map(changed));
    findings.found.extend(threads(capture));
    let mut plain: Vec<Found> = Vec::new();
    for region in &capture.regions {
        findings.found.extend(calls(region));
        plain.push(executable(region));
    }
    // The largest say most about a compiler; the smallest stand beside what was found in them.
    plain.sort_by_key(|found| (rank(found.finding), std::cmp::Reverse(found.length)));
    let more = plain.split_off(plain.len().min(PLAIN_MAX));
    if let (Some(last), false) = (plain.last_mut(), more.is_empty()) {
        let bytes: u64 = more.iter().map(|found| found.length).sum();
        last.detail.push_str(&format!("; {} more such regions, {bytes} bytes", more.len()));
    }
    findings.found.extend(plain);
    findings.found.extend(capture.data.iter().filter_map(texts).take(TEXTS_MAX));
    findings.more = findings.found.len().saturating_sub(FOUND_MAX) as u64;
    findings.found.truncate(FOUND_MAX);
    if let Some(scanner) = scanner {
        patterns(capture, scanner, &mut findings);
    }
    findings
}

fn rank(finding: &str) -> u8 {
    match finding {
        "executable_stack" => 0,
        "memfd" => 1,
        "deleted" => 2,
        "write_execute" => 3,
        _ => 4,
    }
}

fn found(mapping: &Mapping, finding: &'static str, detail: String) -> Found {
    Found {
        finding,
        address: mapping.start,
        length: mapping.len(),
        protection: mapping.protection,
        file: (!mapping.name.is_empty()).then(|| mapping.name.clone()),
        entropy_millibits: None,
        detail,
    }
}

/// A program or library in memory that nobody loaded from a file.
fn image(capture: &Capture, mapping: &Mapping) -> Found {
    let beside = if mapping.executable() { "" } else { ", beside executable memory" };
    let mut detail = format!("begins with the header of an ELF image{beside}");
    let region = capture.regions.iter().find(|region| region.mapping == *mapping);
    if let Some(region) = region {
        add_strings(&mut detail, &region.pieces);
    }
    found(mapping, "image", detail)
}

fn changed(changed: &Changed) -> Found {
    let Changed { mapping, address, length, differing, replaced, .. } = changed;
    let finding = if *differing > PATCH_LEN_MAX || *replaced { "hollowed" } else { "patched" };
    let what = if *replaced { "memory without a file in place of the text" } else { "text" };
    let mut detail = format!("{what}: {differing} bytes differ from the file");
    add_strings(&mut detail, &changed.pieces);
    let protection = mapping.protection;
    let entropy = entropy(&changed.pieces);
    Found {
        address: *address,
        length: *length,
        protection,
        entropy_millibits: entropy,
        ..found(mapping, finding, detail)
    }
}

/// Threads that are in a system call made by code that is no file's text, or whose stack could be
/// executed.
fn threads(capture: &Capture) -> Vec<Found> {
    let mut list = Vec::new();
    for thread in &capture.threads {
        let at = |address: u64| capture.mappings.iter().find(|m| m.contains(address));
        let code = at(thread.instruction_pointer);
        let rewritten = capture.changed.iter().any(|changed| {
            (changed.address..changed.address + changed.length)
                .contains(&thread.instruction_pointer)
        });
        if let (Some(call), Some(code)) = (thread.call, code)
            && (code.remarkable() || rewritten)
        {
            let name = crate::seccomp::name(call).unwrap_or("unknown");
            let detail = format!("thread {} is in the system call {name} made here", thread.tid);
            let address = thread.instruction_pointer;
            list.push(Found { address, ..found(code, "injected_thread", detail) });
        }
        if let Some(stack) = at(thread.stack_pointer)
            && stack.executable()
            && stack.backing != Backing::Stack
        {
            let detail = format!("the stack of thread {}", thread.tid);
            list.push(found(stack, "executable_stack", detail));
        }
    }
    list
}

/// Small code that calls the kernel itself.
fn calls(region: &Region) -> Option<Found> {
    let (piece, first, count) = region.pieces.iter().find_map(|piece| {
        let calls = content::direct_calls(&piece.bytes);
        Some((piece, *calls.first()?, calls.len()))
    })?;
    let mapping = &region.mapping;
    // Text of a file calls the kernel as it likes; so does a file that was deleted.
    if !mapping.memory() {
        return None;
    }
    let mut detail = format!("{count} instructions that call the kernel");
    add_strings(&mut detail, &region.pieces);
    Some(Found {
        address: piece.address + first as u64,
        entropy_millibits: entropy(&region.pieces),
        ..found(mapping, "direct_calls", detail)
    })
}

/// The plain fact that a region can be executed.
fn executable(region: &Region) -> Found {
    let mapping = &region.mapping;
    let finding = match mapping.backing {
        Backing::Stack => "executable_stack",
        Backing::Memfd => "memfd",
        Backing::Deleted => "deleted",
        _ if mapping.writable() => "write_execute",
        _ => "anonymous_executable",
    };
    let read: usize = region.pieces.iter().map(|piece| piece.bytes.len()).sum();
    let detail = format!("{}, {read} bytes in use", mapping.rights());
    Found { entropy_millibits: entropy(&region.pieces), ..found(mapping, finding, detail) }
}

fn texts(region: &Region) -> Option<Found> {
    let mut detail = String::new();
    add_strings(&mut detail, &region.pieces);
    if detail.is_empty() {
        return None;
    }
    let entropy_millibits = entropy(&region.pieces);
    Some(Found { entropy_millibits, ..found(&region.mapping, "strings", detail) })
}

fn add_strings(detail: &mut String, pieces: &[Piece]) {
    for (what, text) in pieces.iter().flat_map(|piece| content::strings(&piece.bytes)).take(6) {
        let between = if detail.is_empty() { "" } else { "; " };
        detail.push_str(&format!("{between}{what}: {text}"));
    }
}

/// Of all bytes of the region; zeros around them say nothing.
fn entropy(pieces: &[Piece]) -> Option<u32> {
    let bytes: Vec<u8> =
        pieces.iter().flat_map(|piece| content::trimmed(&piece.bytes).1).copied().collect();
    (!bytes.is_empty()).then(|| content::entropy_millibits(&bytes))
}

fn patterns(capture: &Capture, scanner: &dyn Scanner, findings: &mut Findings) {
    let regions = capture.regions.iter().chain(&capture.data);
    let pieces = regions.flat_map(|region| region.pieces.iter().map(|p| (&region.mapping, p)));
    let rewritten = capture.changed.iter();
    let rewritten = rewritten.flat_map(|c| c.pieces.iter().map(|piece| (&c.mapping, piece)));
    for (mapping, piece) in pieces.chain(rewritten) {
        let target = format!(
            "process {}: {} {} at {:#x}, {} bytes",
            capture.who.pid,
            mapping.rights(),
            if mapping.name.is_empty() {
                "anonymous memory".into()
            } else {
                String::from_utf8_lossy(&mapping.name)
            },
            piece.address,
            piece.bytes.len()
        );
        match scanner.scan("memory", &piece.bytes) {
            Ok(patterns) => {
                let fresh = patterns.into_iter().filter(|pattern| {
                    !findings.matches.iter().any(|known| known.pattern.rule == pattern.rule)
                });
                let fresh: Vec<Match> =
                    fresh.map(|pattern| Match { pattern, target: target.clone() }).collect();
                findings.matches.extend(fresh);
            }
            Err(_) => findings.scans_failed += 1,
        }
    }
}
