//! Keys and signatures of those who may let a deploy through a freeze. The private key stays in a
//! file of its owner; the server knows only the public half, from the file of objectives.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use runtime::clock::{Clock as _, System, uuid_v7};
use slo::gate::{self, Claims};

use super::print;
use crate::exit::Exit;
use crate::failure::{self, Failure};
use crate::request::show;
use crate::request::slo::{OverrideRequest, text_of};

/// Bytes of an Ed25519 seed.
const SEED_BYTES: usize = 32;
/// A private key is a line, or a few of PEM.
const KEY_FILE_MAX_BYTES: u64 = 16 << 10;

/// Makes a key pair, writes the private half and prints what the file of objectives needs.
pub(super) fn new_key(out: &Path, name: &str) -> Result<Exit, Failure> {
    let mut seed = [0; SEED_BYTES];
    getrandom::fill(&mut seed).map_err(|error| Failure::of(Exit::Failed, &error))?;
    let key = gate::new_signing_key(seed).map_err(|error| Failure::of(Exit::Failed, &error))?;
    let written =
        File::options().write(true).create_new(true).mode(0o600).open(out).and_then(|mut file| {
            file.write_all(format!("{}\n", key.secret).as_bytes())?;
            file.sync_all()
        });
    written.map_err(|error| {
        Failure::new(Exit::Failed, format!("{} was not written: {error}", show(out)))
            .hint("an existing key is never replaced: choose another name")
    })?;
    // A name may be anything on one line: as JSON it is YAML, too.
    let (name, public) = (serde_json::Value::from(name), key.public);
    print(&format!("gate:\n  override_keys:\n    - name: {name}\n      public: {public}\n"))?;
    Ok(Exit::Success)
}

pub(super) fn sign(request: &OverrideRequest) -> Result<Exit, Failure> {
    let private = private(&request.key).map_err(|error| {
        Failure::new(Exit::Usage, format!("--key {}: {error}", show(&request.key)))
    })?;
    let now_us = System.now_us();
    let lasts_us = i64::try_from(request.lasts.as_micros()).unwrap_or(i64::MAX);
    let claims = Claims {
        id: uuid_v7(&System).to_string(),
        who: request.who.clone(),
        service: request.service.clone(),
        reason: request.reason.clone(),
        not_before_us: now_us,
        expires_us: now_us.saturating_add(lasts_us),
    };
    let token = gate::sign_override(private.trim(), &claims).map_err(|error| {
        Failure::new(Exit::Usage, format!("--key {}: {error}", show(&request.key)))
    })?;
    failure::note(&format!("its id, to revoke it by, is {}", claims.id));
    print(&format!("{token}\n"))?;
    Ok(Exit::Success)
}

/// Whoever else can read a private key can sign as its owner.
fn private(path: &Path) -> io::Result<String> {
    let file = File::open(path)?;
    let mode = file.metadata()?.mode() & 0o777;
    if mode & 0o077 != 0 {
        let why =
            format!("others may read it (mode {mode:03o}): chmod 600 it, or make another key");
        return Err(io::Error::other(why));
    }
    text_of(file, KEY_FILE_MAX_BYTES)
}
