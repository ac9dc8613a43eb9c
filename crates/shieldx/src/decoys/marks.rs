//! Random text for one run: a seed from the kernel, stretched by SHA-256 in counter mode.

use sha2::{Digest as _, Sha256};

pub(super) struct Marks {
    seed: [u8; 32],
    counter: u64,
    block: [u8; 32],
    used: usize,
}

impl Marks {
    /// `None` when the kernel gives no random bytes.
    pub(super) fn fresh() -> Option<Self> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).ok()?;
        Some(Self { seed, counter: 0, block: [0; 32], used: 32 })
    }

    fn byte(&mut self) -> u8 {
        if self.used == self.block.len() {
            let mut hasher = Sha256::new();
            hasher.update(self.seed);
            hasher.update(self.counter.to_le_bytes());
            self.block = hasher.finalize().into();
            (self.counter, self.used) = (self.counter + 1, 0);
        }
        self.used += 1;
        self.block[self.used - 1]
    }

    /// One of `count` (at most 256), for choosing words; not exactly even.
    pub(super) fn below(&mut self, count: usize) -> usize {
        usize::from(self.byte()) * count / 256
    }

    /// From zero up to `end`.
    pub(super) fn up_to(&mut self, end: u64) -> u64 {
        let number = u64::from_le_bytes(std::array::from_fn(|_| self.byte()));
        number % end.saturating_add(1)
    }

    fn of(&mut self, alphabet: &[u8], length: usize) -> String {
        (0..length).map(|_| char::from(alphabet[self.below(alphabet.len())])).collect()
    }

    pub(super) fn upper(&mut self, length: usize) -> String {
        self.of(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", length)
    }

    pub(super) fn lower(&mut self, length: usize) -> String {
        self.of(b"abcdefghijklmnopqrstuvwxyz", length)
    }

    pub(super) fn letters(&mut self, length: usize) -> String {
        self.of(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", length)
    }

    pub(super) fn base64(&mut self, length: usize) -> String {
        self.of(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", length)
    }
}
