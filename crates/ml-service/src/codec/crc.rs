//! CRC-32 as in IEEE 802.3, reflected, eight bytes a step ("slicing by 8", Kounavis and Berry 2005).

const POLYNOMIAL: u32 = 0xEDB8_8320;
static TABLES: [[u32; 256]; 8] = tables();

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0u32; 256]; 8];
    let mut index = 0;
    let mut byte = 0u32;
    while index < 256 {
        let (mut crc, mut bit) = (byte, 0);
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        tables[0][index] = crc;
        index += 1;
        byte += 1;
    }
    let mut slice = 1;
    while slice < 8 {
        index = 0;
        while index < 256 {
            let before = tables[slice - 1][index];
            tables[slice][index] = (before >> 8) ^ tables[0][(before & 0xff) as usize];
            index += 1;
        }
        slice += 1;
    }
    tables
}

/// The checksum of the bytes.
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        let c = crc.to_le_bytes();
        let mut next = 0;
        for (at, byte) in chunk.iter().enumerate() {
            let mixed = c.get(at).map_or(*byte, |c| byte ^ c);
            next ^= TABLES[7 - at][usize::from(mixed)];
        }
        crc = next;
    }
    for byte in chunks.remainder() {
        crc = (crc >> 8) ^ TABLES[0][usize::from(crc.to_le_bytes()[0] ^ byte)];
    }
    !crc
}

#[cfg(test)]
mod tests {
    #[test]
    fn matches_the_check_values_of_the_catalogue() {
        assert_eq!(super::crc32(b""), 0);
        assert_eq!(super::crc32(b"123456789"), 0xCBF4_3926);
        let pangram = b"The quick brown fox jumps over the lazy dog";
        assert_eq!(super::crc32(pangram), 0x414F_A339);
    }
}
