//! HMAC-SHA-256 (RFC 2104), for the one header that needs it.

use sha2::{Digest as _, Sha256};

const BLOCK_BYTES: usize = 64;

pub(super) fn sha256(secret: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut key = [0; BLOCK_BYTES];
    let hashed: [u8; 32];
    let short = if secret.len() > BLOCK_BYTES {
        hashed = Sha256::digest(secret).into();
        &hashed[..]
    } else {
        secret
    };
    for (to, from) in key.iter_mut().zip(short) {
        *to = *from;
    }
    let mut inner = Sha256::new();
    inner.update(key.map(|byte| byte ^ 0x36));
    for part in parts {
        inner.update(part);
    }
    let mut outer = Sha256::new();
    outer.update(key.map(|byte| byte ^ 0x5c));
    outer.update(inner.finalize());
    outer.finalize().into()
}

#[cfg(test)]
mod tests {
    use types::text::hex;

    use super::sha256;

    #[test]
    fn the_test_vectors_of_rfc_4231_hold() {
        let cases: [(&[u8], &[u8], &str); 3] = [
            (
                &[0x0b; 20],
                b"Hi There",
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ];
        for (key, data, expected) in cases {
            assert_eq!(hex(&sha256(key, &[data])), expected);
            assert_eq!(hex(&sha256(key, &[&data[..3], &data[3..]])), expected);
        }
    }
}
