//! The running kernel's BTF, cut down to the few structures the programs look into.
//!
//! Parsing all of it costs a loader some 150 ms, nearly all of that for types nobody asks about.
//! This room scans the type section once, copies the named structures with every member, and
//! replaces whatever they point at by `void`: relocation compares names, kinds and offsets, never
//! pointees. The format is documented in the kernel's `Documentation/bpf/btf.rst`.

use std::collections::HashMap;

const MAGIC: u16 = 0xeb9f;
const HEADER_LEN: usize = 24;
const VOID: u32 = 0;

const KIND_INT: u32 = 1;
const KIND_PTR: u32 = 2;
const KIND_ARRAY: u32 = 3;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_ENUM: u32 = 6;
const KIND_TYPEDEF: u32 = 8;
const KIND_FUNC: u32 = 12;
const KIND_VOLATILE: u32 = 9;
const KIND_CONST: u32 = 10;
const KIND_RESTRICT: u32 = 11;
const KIND_TYPE_TAG: u32 = 18;
const KIND_ENUM64: u32 = 19;

/// Anonymous structures nest; the kernel's deepest nesting is far below this.
const DEPTH_MAX: u32 = 32;

/// The kernel's BTF could not be read as such.
#[derive(Debug, thiserror::Error)]
#[error("the kernel's BTF is malformed or newer than this program: {what}")]
pub(super) struct BadBtf {
    what: String,
}

fn bad<T>(what: impl Into<String>) -> Result<T, BadBtf> {
    Err(BadBtf { what: what.into() })
}

/// One type of the source: its fixed part and what follows it.
#[derive(Clone, Copy)]
struct Type<'a> {
    name: u32,
    info: u32,
    /// Size, or the type referred to.
    size: u32,
    tail: &'a [u8],
}

impl Type<'_> {
    fn kind(self) -> u32 {
        self.info >> 24 & 0x1f
    }
}

/// The source, with an index of where each type starts.
struct Source<'a> {
    types: &'a [u8],
    strings: &'a [u8],
    offsets: Vec<u32>,
}

/// What was asked for.
pub(super) struct Found {
    /// A BTF blob that holds only the structures and what lies inside them by value.
    pub reduced: Vec<u8>,
    /// The id of the typedef in the whole.
    pub typedef: Option<u32>,
    /// The ids of the functions in the whole, by name; those that there are.
    pub functions: HashMap<String, u32>,
}

/// What is looked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// Structures, sorted.
    pub structures: &'a [&'a str],
    pub typedef: &'a str,
    /// Functions whose names start with one of these.
    pub functions: &'a [&'a str],
}

/// Finds what is wanted.
pub(super) fn reduce(vmlinux: &[u8], wanted: Wanted<'_>) -> Result<Found, BadBtf> {
    let Scan { source, structures, typedef, functions } = scan(vmlinux, wanted)?;
    let mut reduced = Reduced::new(&source, wanted.structures);
    for id in structures {
        reduced.copy(id, 0)?;
    }
    Ok(Found { reduced: reduced.finish()?, typedef, functions })
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|chunk| u32::from_ne_bytes(*chunk))
}

/// How many bytes follow the fixed 12 of a type of this kind with `vlen` members.
fn tail_len(kind: u32, vlen: usize) -> Option<usize> {
    Some(match kind {
        1 | 14 | 17 => 4,
        2 | 7..=12 | 16 | 18 => 0,
        3 => 12,
        4 | 5 | 15 | 19 => 12 * vlen,
        6 | 13 => 8 * vlen,
        _ => return None,
    })
}

/// The index, and the ids of what is wanted.
struct Scan<'a> {
    source: Source<'a>,
    structures: Vec<u32>,
    typedef: Option<u32>,
    functions: HashMap<String, u32>,
}

/// The sections of types and of strings.
fn sections(vmlinux: &[u8]) -> Result<(&[u8], &[u8]), BadBtf> {
    let header = |at| number(vmlinux, at).and_then(|n| usize::try_from(n).ok());
    let (Some(&[low, high, ..]), Some(header_len), Some(type_at), Some(type_len)) =
        (vmlinux.first_chunk::<HEADER_LEN>(), header(4), header(8), header(12))
    else {
        return bad("it is too short");
    };
    if u16::from_ne_bytes([low, high]) != MAGIC {
        return bad("it does not start with BTF's magic number");
    }
    let (Some(string_at), Some(string_len)) = (header(16), header(20)) else {
        return bad("it is too short");
    };
    let section = |at: usize, len: usize| vmlinux.get(header_len + at..header_len + at + len);
    let (Some(types), Some(strings)) = (section(type_at, type_len), section(string_at, string_len))
    else {
        return bad("a section lies outside of it");
    };
    Ok((types, strings))
}

/// Walks over all types once.
fn scan<'a>(vmlinux: &'a [u8], looked_for: Wanted<'_>) -> Result<Scan<'a>, BadBtf> {
    let (types, strings) = sections(vmlinux)?;
    let (names, prefixes) = (looked_for.structures, looked_for.functions);
    // Some 28 bytes per type on average; id 0 is void and has no bytes.
    let mut source = Source { types, strings, offsets: Vec::with_capacity(types.len() / 24) };
    source.offsets.push(u32::MAX);
    let (mut structures, mut typedef, mut functions) = (Vec::new(), None, HashMap::new());
    let mut at = 0;
    while at < types.len() {
        let Some(info) = number(types, at + 4) else { return bad("a type is cut off") };
        let (kind, vlen) = (info >> 24 & 0x1f, info & 0xffff);
        let Some(tail) = tail_len(kind, vlen as usize) else {
            return bad(format!("type {} is of unknown kind {kind}", source.offsets.len()));
        };
        if matches!(kind, KIND_STRUCT | KIND_UNION)
            && names.binary_search_by(|name| name.as_bytes().cmp(source.name_at(types, at))).is_ok()
        {
            structures.extend(u32::try_from(source.offsets.len()));
        }
        if kind == KIND_TYPEDEF && source.name_at(types, at) == looked_for.typedef.as_bytes() {
            typedef = u32::try_from(source.offsets.len()).ok();
        }
        if kind == KIND_FUNC
            && let Some(name) = number(types, at)
            && prefixes.iter().any(|prefix| source.starts_with(name, prefix.as_bytes()))
            && let Ok(id) = u32::try_from(source.offsets.len())
        {
            functions.insert(String::from_utf8_lossy(source.name(name)).into_owned(), id);
        }
        source.offsets.extend(u32::try_from(at));
        at += 12 + tail;
    }
    Ok(Scan { source, structures, typedef, functions })
}

impl<'a> Source<'a> {
    fn name_at(&self, types: &[u8], at: usize) -> &'a [u8] {
        number(types, at).map_or(&[], |offset| self.name(offset))
    }

    fn name(&self, offset: u32) -> &'a [u8] {
        let tail = usize::try_from(offset).ok().and_then(|at| self.strings.get(at..));
        tail.and_then(|tail| tail.split(|&byte| byte == 0).next()).unwrap_or_default()
    }

    /// Without looking for the name's end.
    fn starts_with(&self, offset: u32, prefix: &[u8]) -> bool {
        let tail = usize::try_from(offset).ok().and_then(|at| self.strings.get(at..));
        tail.is_some_and(|tail| tail.starts_with(prefix))
    }

    fn get(&self, id: u32) -> Result<Type<'a>, BadBtf> {
        let found = usize::try_from(id).ok().and_then(|id| {
            let at = usize::try_from(*self.offsets.get(id)?).ok()?;
            let info = number(self.types, at + 4)?;
            let len = tail_len(info >> 24 & 0x1f, (info & 0xffff) as usize)?;
            Some(Type {
                name: number(self.types, at)?,
                info,
                size: number(self.types, at + 8)?,
                tail: self.types.get(at + 12..at + 12 + len)?,
            })
        });
        found.map_or_else(|| bad(format!("type {id} is not there")), Ok)
    }
}

/// The blob under construction.
struct Reduced<'a> {
    source: &'a Source<'a>,
    names: &'a [&'a str],
    types: Vec<u8>,
    strings: Vec<u8>,
    count: u32,
    /// New id by old id.
    ids: HashMap<u32, u32>,
    pointer: u32,
    index: u32,
}

impl<'a> Reduced<'a> {
    fn new(source: &'a Source<'a>, names: &'a [&'a str]) -> Self {
        let mut new = Self {
            source,
            names,
            types: Vec::with_capacity(64 << 10),
            strings: vec![0],
            count: 0,
            ids: HashMap::new(),
            pointer: 0,
            index: 0,
        };
        new.pointer = new.push(&[0, KIND_PTR << 24, VOID]);
        new.index = new.push(&[0, KIND_INT << 24, 4, 32]);
        new
    }

    fn push(&mut self, words: &[u32]) -> u32 {
        for word in words {
            self.types.extend_from_slice(&word.to_ne_bytes());
        }
        self.count += 1;
        self.count
    }

    fn string(&mut self, offset: u32) -> Result<u32, BadBtf> {
        let name = self.source.name(offset);
        if name.is_empty() {
            return Ok(0);
        }
        let at = u32::try_from(self.strings.len()).or_else(|_| bad("its names are too long"))?;
        self.strings.extend_from_slice(name);
        self.strings.push(0);
        Ok(at)
    }

    /// Copies a type; returns its new id.
    fn copy(&mut self, id: u32, depth: u32) -> Result<u32, BadBtf> {
        if id == VOID || depth > DEPTH_MAX {
            return Ok(VOID);
        }
        if let Some(&done) = self.ids.get(&id) {
            return Ok(done);
        }
        let source = self.source.get(id)?;
        // Valid BTF has no structure inside itself; should one claim so, it ends here.
        self.ids.insert(id, VOID);
        let new = match source.kind() {
            KIND_PTR => self.pointer,
            KIND_INT => {
                let encoding = number(source.tail, 0).unwrap_or(0);
                self.push(&[0, source.info, source.size, encoding])
            }
            KIND_ENUM | KIND_ENUM64 => {
                self.push(&[0, KIND_INT << 24, source.size, source.size.saturating_mul(8)])
            }
            KIND_TYPEDEF | KIND_VOLATILE | KIND_CONST | KIND_RESTRICT | KIND_TYPE_TAG => {
                self.copy(source.size, depth + 1)?
            }
            KIND_ARRAY => {
                let element = self.copy(number(source.tail, 0).unwrap_or(VOID), depth + 1)?;
                let len = number(source.tail, 8).unwrap_or(0);
                self.push(&[0, KIND_ARRAY << 24, 0, element, self.index, len])
            }
            KIND_STRUCT | KIND_UNION => self.copy_members(source, depth)?,
            _ => VOID,
        };
        self.ids.insert(id, new);
        Ok(new)
    }

    /// A structure without a name, or one that was asked for; others have no bytes here.
    fn copy_members(&mut self, source: Type<'a>, depth: u32) -> Result<u32, BadBtf> {
        let name = self.source.name(source.name);
        if !name.is_empty()
            && self.names.binary_search_by(|wanted| wanted.as_bytes().cmp(name)).is_err()
        {
            return Ok(VOID);
        }
        let mut words = vec![self.string(source.name)?, source.info, source.size];
        for member in source.tail.chunks_exact(12) {
            let field = |at| number(member, at).unwrap_or(0);
            words.push(self.string(field(0))?);
            words.push(self.copy(field(4), depth + 1)?);
            words.push(field(8));
        }
        Ok(self.push(&words))
    }

    fn finish(self) -> Result<Vec<u8>, BadBtf> {
        let (Ok(types), Ok(strings)) =
            (u32::try_from(self.types.len()), u32::try_from(self.strings.len()))
        else {
            return bad("the part that is needed is too long");
        };
        let mut blob = Vec::with_capacity(HEADER_LEN + self.types.len() + self.strings.len());
        blob.extend_from_slice(&MAGIC.to_ne_bytes());
        blob.extend_from_slice(&[1, 0]);
        for word in [24, 0, types, types, strings] {
            blob.extend_from_slice(&word.to_ne_bytes());
        }
        blob.extend_from_slice(&self.types);
        blob.extend_from_slice(&self.strings);
        Ok(blob)
    }
}

#[cfg(test)]
mod tests {
    use aya::{Btf, Endianness};

    use super::{Wanted, reduce};

    fn wanted<'a>(structures: &'a [&'a str]) -> Wanted<'a> {
        Wanted { structures, typedef: "x", functions: &["bpf_lsm_"] }
    }

    /// int; struct inner {int a;}; struct outer {int x; struct inner *p; struct {int y;};};
    fn blob() -> Vec<u8> {
        let strings = b"\0int\0inner\0a\0outer\0x\0p\0y\0";
        let (int, inner, a, outer, x, p, y) = (1, 5, 11, 13, 19, 21, 23);
        let strukt = |vlen: u32| 4 << 24 | vlen;
        let words: Vec<u32> = [
            vec![int, 1 << 24, 4, 32],                                // 1
            vec![inner, strukt(1), 4, a, 1, 0],                       // 2
            vec![0, 2 << 24, 2],                                      // 3: pointer
            vec![0, strukt(1), 4, y, 1, 0],                           // 4: anonymous
            vec![outer, strukt(3), 24, x, 1, 0, p, 3, 64, 0, 4, 128], // 5
        ]
        .concat();
        let mut blob = vec![0x9f, 0xeb, 1, 0];
        let types = u32::try_from(words.len() * 4).unwrap();
        let strings_len = u32::try_from(strings.len()).unwrap();
        for word in [24, 0, types, types, strings_len].into_iter().chain(words) {
            blob.extend_from_slice(&word.to_ne_bytes());
        }
        blob.extend_from_slice(strings);
        blob
    }

    #[test]
    fn only_what_was_asked_for_is_kept() {
        let reduced = reduce(&blob(), wanted(&["outer"])).unwrap().reduced;
        let text = String::from_utf8_lossy(&reduced).into_owned();
        assert!(text.contains("outer") && !text.contains("inner"));
        assert!(Btf::parse(&reduced, Endianness::default()).is_ok());
    }

    #[test]
    fn no_cut_and_no_flipped_byte_panics() {
        let blob = blob();
        for end in 0..blob.len() {
            let _ = reduce(&blob[..end], wanted(&["inner", "outer"]));
        }
        for at in 0..blob.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut bent = blob.clone();
                bent[at] = value;
                let _ = reduce(&bent, wanted(&["inner", "outer"]));
            }
        }
    }
}
