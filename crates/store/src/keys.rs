//! API keys: making one, hashing one, and telling whom one stands for.
