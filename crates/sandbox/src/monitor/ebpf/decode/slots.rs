//! The variable part of a record: strings, paths and buffers, in the order they were appended.

use ::ebpf::abi::{Record, SLOT_COMPONENTS, SLOT_EMPTY, SLOT_PATH, SLOT_STRING, SLOTS};
use types::Text;

pub(super) struct Slots<'a> {
    /// (what, bytes) of each slot; empty where the record holds none.
    all: [(u8, &'a [u8]); SLOTS],
}

/// A path and whether the task's memory had a say in it.
pub(super) struct Path {
    pub text: Text,
    pub advisory: bool,
}

impl<'a> Slots<'a> {
    /// The kernel side appends slots in the order of their indices. A length beyond the data, which
    /// it never writes, ends the list.
    pub(super) fn new(record: &Record, data: &'a [u8]) -> Self {
        let mut all = [(SLOT_EMPTY, &[][..]); SLOTS];
        let mut rest = data;
        let slots = record.slot_len.iter().zip(record.slot_what);
        for (slot, (len, what)) in all.iter_mut().zip(slots) {
            let Some((bytes, tail)) = rest.split_at_checked(usize::from(*len)) else { break };
            *slot = (what, bytes);
            rest = tail;
        }
        Self { all }
    }

    pub(super) fn bytes(&self, index: usize) -> &'a [u8] {
        self.all.get(index).map_or(&[], |slot| slot.1)
    }

    pub(super) fn is_empty(&self, index: usize) -> bool {
        self.all.get(index).is_none_or(|slot| slot.0 == SLOT_EMPTY)
    }

    /// A string without its terminator.
    pub(super) fn string(&self, index: usize) -> Text {
        Text::from(until_nul(self.bytes(index)))
    }

    /// Whether every path is known from the root down: none has a `..`, or lacks the folder that it
    /// starts from.
    pub(super) fn lead_down(&self) -> bool {
        let goes_up = |text: &[u8]| text.split(|&byte| byte == b'/').any(|name| name == b"..");
        [0, 2].into_iter().all(|index| match self.all.get(index) {
            Some(&(SLOT_STRING, bytes)) => {
                let text = until_nul(bytes);
                !goes_up(text)
                    && (text.starts_with(b"/")
                        || matches!(self.all.get(index + 1), Some(&(SLOT_COMPONENTS, _))))
            }
            _ => true,
        })
    }

    /// The path in `index`; a relative string starts from the folder in the slot after it.
    pub(super) fn path(&self, index: usize) -> Path {
        match self.all.get(index) {
            Some(&(SLOT_COMPONENTS, bytes)) => Path { text: joined(bytes), advisory: false },
            Some(&(SLOT_PATH, bytes)) => {
                Path { text: Text::from(until_nul(bytes)), advisory: false }
            }
            Some(&(SLOT_STRING, bytes)) => {
                let given = until_nul(bytes);
                let text = match self.all.get(index + 1) {
                    Some(&(SLOT_COMPONENTS, base)) if !given.starts_with(b"/") => {
                        absolute(&joined(base), given)
                    }
                    _ => normal(given),
                };
                Path { text, advisory: true }
            }
            _ => Path { text: Text::default(), advisory: true },
        }
    }
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// Components from the file up to the root, a NUL after each, as an absolute path.
fn joined(components: &[u8]) -> Text {
    let mut path = Vec::with_capacity(components.len() + 1);
    let names = components.strip_suffix(&[0]).unwrap_or(components);
    for name in names.rsplit(|&byte| byte == 0) {
        if !name.is_empty() && name != b"/" {
            path.push(b'/');
            path.extend_from_slice(name);
        }
    }
    if path.is_empty() {
        path.push(b'/');
    }
    Text::new(path)
}

fn absolute(base: &Text, given: &[u8]) -> Text {
    normal(&[base.as_bytes(), b"/", given].concat())
}

/// Without `.`, `..` and doubled slashes, by text alone: what a symbolic link in the middle would
/// do to `..` cannot be known any more, which is one reason why such paths are advisory. Strings
/// that are not absolute stay as they are.
fn normal(path: &[u8]) -> Text {
    if !path.starts_with(b"/") {
        return Text::from(path);
    }
    let mut names: Vec<&[u8]> = Vec::new();
    for name in path.split(|&byte| byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." => {
                names.pop();
            }
            name => names.push(name),
        }
    }
    let mut normal = vec![b'/'];
    normal.extend(names.join(&b'/'));
    Text::new(normal)
}

#[cfg(test)]
mod tests {
    use super::{joined, normal};

    #[test]
    fn components_are_turned_around() {
        assert_eq!(joined(b"passwd\0etc\0").as_bytes(), b"/etc/passwd");
        assert_eq!(joined(b"").as_bytes(), b"/");
        assert_eq!(joined(b"memfd:x\0").as_bytes(), b"/memfd:x");
        assert_eq!(joined(b"a\nb\0\xff\0").as_bytes(), b"/\xff/a\nb");
    }

    #[test]
    fn paths_are_made_normal_by_text() {
        for (given, expect) in [
            (&b"/a/./b//c"[..], &b"/a/b/c"[..]),
            (b"/a/../../b", b"/b"),
            (b"/..", b"/"),
            (b"relative/..", b"relative/.."),
            (b"", b""),
        ] {
            assert_eq!(normal(given).as_bytes(), expect);
        }
    }
}
