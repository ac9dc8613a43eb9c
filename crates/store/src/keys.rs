//! API keys: making one, hashing one, and telling whom one stands for. It knows no transport: how a
//! key arrives is decided elsewhere.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use runtime::clock::{self, Clock};
use sha2::{Digest as _, Sha256};
use types::ports::{AuthError, Authenticator};
use types::text::hex;
use types::{Caller, Role, Tenant};

use crate::domain::{KeyRecord, Keys, StoreError};

/// `sx_`, the id, `_`, the secret.
const PREFIX: &str = "sx_";
const ID_BYTES: usize = 8;
const SECRET_BYTES: usize = 32;

/// How long a known key is believed without asking the store again: a key that another process
/// revokes stops counting after this.
const BELIEVED: Duration = Duration::from_secs(1);

/// Keys remembered; beyond that they are asked for each time.
const REMEMBERED_MAX: usize = 4_096;

/// Questions to the store at the same time; who asks for the same key waits for the first answer.
const LANES: usize = 4;

/// Makes a key: the key itself, which is shown once and kept nowhere, and its record for
/// [`Keys::insert_key`]. A key is `sx_`, 16 hexadecimal digits that name it, `_`, and 64 that nobody
/// can guess.
///
/// # Errors
/// When the kernel gives no random numbers.
pub fn new_key(
    tenant: Tenant,
    role: Role,
    name: &str,
    now_us: i64,
    expires_us: Option<i64>,
) -> Result<(String, KeyRecord), StoreError> {
    let id = hex(&random::<ID_BYTES>()?);
    let key = format!("{PREFIX}{id}_{}", hex(&random::<SECRET_BYTES>()?));
    let record = KeyRecord {
        hash: hash(&key),
        id,
        tenant,
        role,
        name: name.to_owned(),
        created_us: now_us,
        expires_us,
        revoked_us: None,
    };
    Ok((key, record))
}

/// What is kept of a key: SHA-256 of all of it.
#[must_use]
pub fn hash(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

/// Tells whom a key of the store stands for.
pub struct StoredKeys {
    keys: Arc<dyn Keys>,
    clock: Arc<dyn Clock>,
    remembered: Mutex<HashMap<[u8; 32], Remembered>>,
    lanes: [tokio::sync::Mutex<()>; LANES],
}

#[derive(Clone)]
struct Remembered {
    record: KeyRecord,
    /// Monotonic: a wall clock that is set back must not make a revoked key live longer.
    asked: Instant,
}

impl fmt::Debug for StoredKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredKeys").field("keys", &self.keys).finish_non_exhaustive()
    }
}

impl StoredKeys {
    #[must_use]
    pub fn new(keys: Arc<dyn Keys>, clock: Arc<dyn Clock>) -> Arc<Self> {
        let remembered = Mutex::default();
        Arc::new(Self {
            keys,
            clock,
            remembered,
            lanes: std::array::from_fn(|_| Default::default()),
        })
    }

    async fn record(&self, hash: [u8; 32]) -> Result<KeyRecord, AuthError> {
        if let Some(record) = self.believed(&hash) {
            return Ok(record);
        }
        let _lane = self.lanes[usize::from(hash[0]) % LANES].lock().await;
        if let Some(record) = self.believed(&hash) {
            return Ok(record);
        }
        let asked = Instant::now();
        let record = self.keys.key_by_hash(hash).await;
        let record = record
            .map_err(|error| AuthError::Unavailable { reason: error.to_string() })?
            .ok_or(AuthError::Unknown)?;
        self.remember(hash, Remembered { record: record.clone(), asked });
        Ok(record)
    }

    fn believed(&self, hash: &[u8; 32]) -> Option<KeyRecord> {
        let remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        let known = remembered.get(hash)?;
        (known.asked.elapsed() < BELIEVED).then(|| known.record.clone())
    }

    /// Only keys that exist are remembered, so that guesses cannot push them out.
    fn remember(&self, hash: [u8; 32], known: Remembered) {
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= REMEMBERED_MAX {
            remembered.retain(|_, known| known.asked.elapsed() < BELIEVED);
        }
        if remembered.len() < REMEMBERED_MAX {
            remembered.insert(hash, known);
        }
    }
}

#[async_trait]
impl Authenticator for StoredKeys {
    async fn authenticate(&self, key: &str) -> Result<Caller, AuthError> {
        if !well_formed(key) {
            return Err(AuthError::Unknown);
        }
        let record = self.record(hash(key)).await?;
        if record.revoked_us.is_some() {
            return Err(AuthError::Revoked);
        }
        match record.expires_us {
            Some(at) if at <= self.clock.now_us() => {
                Err(AuthError::Expired { at: clock::rfc3339(at) })
            }
            _ => Ok(Caller { tenant: record.tenant, role: record.role, key_id: record.id }),
        }
    }
}

/// Whether a text could be a key at all; what could not costs no look into the store.
fn well_formed(key: &str) -> bool {
    let digits = |text: &str, bytes: usize| {
        text.len() == 2 * bytes && text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
    };
    key.strip_prefix(PREFIX)
        .and_then(|rest| rest.split_once('_'))
        .is_some_and(|(id, secret)| digits(id, ID_BYTES) && digits(secret, SECRET_BYTES))
}

/// Bytes that nobody can guess.
///
/// # Errors
/// When the kernel gives none, which Linux does not do after boot (getrandom(2)).
pub(crate) fn random<const N: usize>() -> Result<[u8; N], StoreError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| StoreError::Unavailable { reason: format!("random numbers: {error}") })?;
    Ok(bytes)
}
