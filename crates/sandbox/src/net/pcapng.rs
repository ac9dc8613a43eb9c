//! Writes packets as pcapng (draft-ietf-opsawg-pcapng), which Wireshark and tcpdump read.
//!
//! One section, one interface of raw IP packets, times in nanoseconds. Bounded: packets past the
//! bound are counted and left out, the file stays whole.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

/// A file is at most this long, in bytes.
const BYTES_MAX: u64 = 256 << 20;

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
/// LINKTYPE_RAW: a packet begins with its IPv4 or IPv6 header.
const RAW_IP: u16 = 101;

const OPT_END: u16 = 0;
const OPT_COMMENT: u16 = 1;
const SHB_USERAPPL: u16 = 4;
const IF_NAME: u16 = 2;
const IF_TSRESOL: u16 = 9;
const EPB_FLAGS: u16 = 2;

/// Which way a packet went, as the sandbox sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    In = 1,
    Out = 2,
}

/// An open capture file.
#[derive(Debug)]
pub(super) struct Capture {
    file: BufWriter<File>,
    bytes: u64,
    /// Added to a monotonic time to get nanoseconds since 1970.
    offset_ns: i128,
    pub left_out: u64,
    failed: Option<io::Error>,
}

impl Capture {
    /// `started_at` (RFC 3339, UTC) is the wall clock when the monotonic one stood at `start_ns`.
    pub(super) fn create(
        path: &Path,
        id: &str,
        started_at: &str,
        start_ns: u64,
    ) -> io::Result<Self> {
        let began_ns =
            seconds_of(started_at).map_or(0, |seconds| i128::from(seconds) * 1_000_000_000);
        let mut capture = Self {
            file: BufWriter::new(File::create(path)?),
            bytes: 0,
            offset_ns: began_ns - i128::from(start_ns),
            left_out: 0,
            failed: None,
        };
        let mut section = BYTE_ORDER_MAGIC.to_le_bytes().to_vec();
        section.extend_from_slice(&[1, 0, 0, 0]);
        section.extend_from_slice(&[0xff; 8]);
        option(&mut section, OPT_COMMENT, format!("run {id}").as_bytes());
        option(&mut section, SHB_USERAPPL, b"shieldx");
        option(&mut section, OPT_END, &[]);
        capture.block(SECTION_HEADER, &section);
        let mut interface = RAW_IP.to_le_bytes().to_vec();
        interface.extend_from_slice(&[0; 6]);
        option(&mut interface, IF_NAME, b"sandbox");
        option(&mut interface, IF_TSRESOL, &[9]);
        option(&mut interface, OPT_END, &[]);
        capture.block(INTERFACE_DESCRIPTION, &interface);
        Ok(capture)
    }

    /// Writes one packet. `comment` may be empty.
    pub(super) fn packet(
        &mut self,
        at_ns: u64,
        direction: Direction,
        packet: &[u8],
        comment: &str,
    ) {
        if self.bytes + packet.len() as u64 + comment.len() as u64 + 128 > BYTES_MAX {
            self.left_out += 1;
            return;
        }
        let time = u64::try_from(i128::from(at_ns) + self.offset_ns).unwrap_or(0);
        let length = u32::try_from(packet.len()).unwrap_or(0);
        let mut body = 0_u32.to_le_bytes().to_vec();
        body.extend_from_slice(&u32::try_from(time >> 32).unwrap_or(0).to_le_bytes());
        body.extend_from_slice(&u32::try_from(time & 0xffff_ffff).unwrap_or(0).to_le_bytes());
        body.extend_from_slice(&length.to_le_bytes());
        body.extend_from_slice(&length.to_le_bytes());
        body.extend_from_slice(packet);
        pad(&mut body);
        if !comment.is_empty() {
            option(&mut body, OPT_COMMENT, comment.as_bytes());
        }
        option(&mut body, EPB_FLAGS, &(direction as u32).to_le_bytes());
        option(&mut body, OPT_END, &[]);
        self.block(ENHANCED_PACKET, &body);
    }

    fn block(&mut self, kind: u32, body: &[u8]) {
        let length = u32::try_from(body.len() + 12).unwrap_or(12);
        let mut bytes = kind.to_le_bytes().to_vec();
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(body);
        bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes += bytes.len() as u64;
        if self.failed.is_none() {
            self.failed = self.file.write_all(&bytes).err();
        }
    }

    /// Everything is on its way to the disk after this.
    pub(super) fn close(mut self) -> io::Result<u64> {
        let flushed = self.file.flush();
        match self.failed {
            Some(error) => Err(error),
            None => flushed.map(|()| self.left_out),
        }
    }
}

fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = value.get(..4096).unwrap_or(value);
    body.extend_from_slice(&code.to_le_bytes());
    body.extend_from_slice(&u16::try_from(value.len()).unwrap_or(0).to_le_bytes());
    body.extend_from_slice(value);
    pad(body);
}

fn pad(body: &mut Vec<u8>) {
    body.resize(body.len().next_multiple_of(4), 0);
}

/// Seconds since 1970 of `YYYY-MM-DDThh:mm:ss…Z`; the days by Howard Hinnant's `days_from_civil`.
fn seconds_of(text: &str) -> Option<i64> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::seconds_of;

    #[test]
    fn times() {
        assert_eq!(seconds_of("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(seconds_of("2026-11-22T14:00:01.25Z"), Some(1_795_356_001));
        assert_eq!(seconds_of("2000-02-29T23:59:59Z"), Some(951_868_799));
        assert_eq!(seconds_of("yesterday"), None);
    }
}
