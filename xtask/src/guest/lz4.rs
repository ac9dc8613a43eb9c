//! Unpacks LZ4's legacy frame, which kernels are packed in: a magic number, then blocks, each with its
//! packed length (`lz4_Frame_format.md`, "Legacy frame", and `lz4_Block_format.md` of the LZ4 project).

/// What a legacy frame begins with.
pub(super) const MAGIC: [u8; 4] = [0x02, 0x21, 0x4c, 0x18];
/// A block unpacks to no more than this.
const BLOCK_MAX_BYTES: usize = 8 << 20;
/// The shortest match; lengths count from it.
const MATCH_MIN_BYTES: usize = 4;

/// The unpacked bytes; `None` when the frame is damaged.
pub(super) fn unpack(frame: &[u8]) -> Option<Vec<u8>> {
    let mut rest = frame.strip_prefix(&MAGIC)?;
    let mut out = Vec::new();
    while let Some((length, tail)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (packed, tail) = tail.split_at_checked(length)?;
        let before = out.len();
        block(packed, &mut out)?;
        if out.len() - before > BLOCK_MAX_BYTES {
            return None;
        }
        rest = tail;
    }
    Some(out)
}

fn block(mut packed: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let start = out.len();
    loop {
        let (&token, rest) = packed.split_first()?;
        packed = rest;
        let literals = length(usize::from(token >> 4), &mut packed)?;
        let (bytes, rest) = packed.split_at_checked(literals)?;
        out.extend_from_slice(bytes);
        packed = rest;
        // The last sequence has no match.
        let Some((offset, rest)) = packed.split_first_chunk::<2>() else { return Some(()) };
        packed = rest;
        let offset = usize::from(u16::from_le_bytes(*offset));
        let count = length(usize::from(token & 15), &mut packed)? + MATCH_MIN_BYTES;
        let from = out.len().checked_sub(offset).filter(|&from| offset > 0 && from >= start)?;
        // A match may reach into what it writes.
        for index in from..from + count {
            out.push(*out.get(index)?);
        }
        if out.len() - start > BLOCK_MAX_BYTES {
            return None;
        }
    }
}

/// A length of four bits goes on in bytes while they are full.
fn length(nibble: usize, packed: &mut &[u8]) -> Option<usize> {
    let mut length = nibble;
    if nibble == 15 {
        loop {
            let (&more, rest) = packed.split_first()?;
            *packed = rest;
            length += usize::from(more);
            if more != 255 {
                break;
            }
        }
    }
    Some(length)
}

#[cfg(test)]
mod tests {
    use super::{MAGIC, unpack};

    fn frame(block: &[u8]) -> Vec<u8> {
        let length = u32::try_from(block.len()).unwrap().to_le_bytes();
        [MAGIC.as_slice(), &length, block].concat()
    }

    #[test]
    fn literals_and_a_match_that_reaches_into_itself() {
        // "ab", then 10 bytes from 2 back, then "z".
        let packed = frame(&[0x26, b'a', b'b', 2, 0, 0x10, b'z']);
        assert_eq!(unpack(&packed).unwrap(), b"ababababababz");
    }

    #[test]
    fn damaged_frames_are_refused() {
        assert!(unpack(b"abcd").is_none());
        assert!(unpack(&frame(&[0x26, b'a', b'b', 9, 0, 0x00])).is_none());
        assert!(unpack(&[MAGIC.as_slice(), &[9, 0, 0, 0, 1]].concat()).is_none());
    }
}
