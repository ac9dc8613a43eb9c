//! Overrides: somebody who may signs that deploys go on for a while, and why.
//!
//! A token is `base64url(JSON of the claims) . base64url(signature)`, without padding. The signature
//! is Ed25519 (RFC 8032) over a prefix that is used for nothing else and the first part as it stands,
//! so that nothing has to be written the same way twice to be checked.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

use super::moment;
use crate::spec::{GatePolicy, span_text};

/// How long an override may last, from its beginning to its end.
pub const OVERRIDE_LASTS_MAX: Duration = Duration::from_secs(7 * 86_400);

/// What is signed begins with this.
const PREFIX: &str = "shieldx-gate-override-v1.";
/// Bytes of a token, and of the texts in it.
const TOKEN_BYTES_MAX: usize = 4096;
const REASON_BYTES_MAX: usize = 500;
const ID_BYTES_MAX: usize = 64;
const WHO_BYTES_MAX: usize = 63;

/// What an override says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// For the log, and to revoke it by.
    pub id: String,
    /// Who signs: the name of the key in `gate.override_keys`.
    pub who: String,
    /// Absent: all services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    pub reason: String,
    /// Microseconds since 1970: from this moment, and until before that one.
    pub not_before_us: i64,
    pub expires_us: i64,
}

impl fmt::Display for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, who, service, reason, expires_us, .. } = self;
        let of = service.as_ref().map_or(String::new(), |service| format!(" of {service}"));
        write!(f, "override {id}{of} by {who} until {}: {reason}", moment(*expires_us))
    }
}

/// Why an override does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OverrideRefused {
    #[error("the override is malformed: {reason}")]
    Malformed { reason: String },
    #[error("nobody may override: gate.override_keys is empty")]
    NoKeys,
    #[error("the override is signed as {who:?}, whose key is not in gate.override_keys")]
    UnknownKey { who: String },
    #[error("the override is forged or was changed: its signature is not {who}'s")]
    Forged { who: String },
    #[error("the override {id} was revoked")]
    Revoked { id: String },
    #[error("the override {id} counts from {from} on, and now is {now}")]
    NotYet { id: String, from: String, now: String },
    #[error("the override {id} expired at {at}, and now is {now}")]
    Expired { id: String, at: String, now: String },
    #[error("the override {id} is for {service}, and this asks for {asked}")]
    OtherService { id: String, service: String, asked: String },
    #[error(
        "the override {id} would last {lasts}, at most {max} may be signed at once",
        max = span_text(OVERRIDE_LASTS_MAX)
    )]
    TooLong { id: String, lasts: String },
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    #[error(
        "this is no private key: it has to be what `shieldx slo override-key` wrote, or an Ed25519 \
         key in PEM (openssl genpkey -algorithm ed25519)"
    )]
    Unreadable,
    #[error("this would not be accepted: {0}")]
    Claims(OverrideRefused),
}

/// A key pair, both base64: the secret one is for a file that only its owner reads, the public one
/// for `gate.override_keys`.
pub struct NewKey {
    pub secret: String,
    pub public: String,
}

impl fmt::Debug for NewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewKey").field("public", &self.public).finish_non_exhaustive()
    }
}

/// `random` has to come from the system's generator, and to be used for nothing else.
///
/// # Errors
/// Never with 32 bytes; the library asks for it.
pub fn new_signing_key(random: [u8; 32]) -> Result<NewKey, BadKey> {
    let pair = Ed25519KeyPair::from_seed_unchecked(&random).map_err(|_| BadKey::Unreadable)?;
    Ok(NewKey {
        secret: STANDARD.encode(random),
        public: STANDARD.encode(pair.public_key().as_ref()),
    })
}

/// Signs an override; what would be refused is not signed.
///
/// # Errors
/// See [`BadKey`].
pub fn sign_override(secret: &str, claims: &Claims) -> Result<String, BadKey> {
    let pair = key_pair(secret).ok_or(BadKey::Unreadable)?;
    check_claims(claims).map_err(BadKey::Claims)?;
    let json = serde_json::to_vec(claims).map_err(|_| BadKey::Unreadable)?;
    let payload = URL_SAFE_NO_PAD.encode(json);
    let signature = pair.sign(signed(&payload).as_bytes());
    Ok(format!("{payload}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref())))
}

/// Whether an override counts now, for a deploy of this service (absent: of all).
///
/// # Errors
/// With the first reason why not. Nothing that a token says is believed before its signature is.
pub fn check_override(
    policy: &GatePolicy,
    token: &str,
    service: Option<&str>,
    now_us: i64,
) -> Result<Claims, OverrideRefused> {
    if policy.override_keys.is_empty() {
        return Err(OverrideRefused::NoKeys);
    }
    let claims = verified(policy, token)?;
    check_claims(&claims)?;
    let id = claims.id.clone();
    if policy.revoked.contains(&id) {
        return Err(OverrideRefused::Revoked { id });
    }
    let now = moment(now_us);
    if now_us < claims.not_before_us {
        return Err(OverrideRefused::NotYet { id, from: moment(claims.not_before_us), now });
    }
    if now_us >= claims.expires_us {
        return Err(OverrideRefused::Expired { id, at: moment(claims.expires_us), now });
    }
    match &claims.service {
        Some(only) if service != Some(only) => {
            let asked = service.unwrap_or("all services").to_owned();
            Err(OverrideRefused::OtherService { id, service: only.clone(), asked })
        }
        _ => Ok(claims),
    }
}

fn verified(policy: &GatePolicy, token: &str) -> Result<Claims, OverrideRefused> {
    let malformed = |reason: &str| OverrideRefused::Malformed { reason: reason.to_owned() };
    let token = token.trim();
    if token.len() > TOKEN_BYTES_MAX {
        return Err(malformed("it is too long"));
    }
    let (payload, signature) =
        token.split_once('.').ok_or_else(|| malformed("it has no signature"))?;
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed("no base64url"));
    let (json, signature) = (decode(payload)?, decode(signature)?);
    let claims: Claims =
        serde_json::from_slice(&json).map_err(|_| malformed("it does not hold the claims"))?;
    let who = claims.who.clone();
    let key = policy.override_keys.iter().find(|key| key.name == who);
    let Some(key) = key else { return Err(OverrideRefused::UnknownKey { who }) };
    match UnparsedPublicKey::new(&ED25519, key.public)
        .verify(signed(payload).as_bytes(), &signature)
    {
        Ok(()) => Ok(claims),
        Err(_) => Err(OverrideRefused::Forged { who }),
    }
}

/// What holds at any time and for any deploy.
fn check_claims(claims: &Claims) -> Result<(), OverrideRefused> {
    let malformed = |reason: String| Err(OverrideRefused::Malformed { reason });
    let texts = [
        ("id", &claims.id, ID_BYTES_MAX),
        ("who", &claims.who, WHO_BYTES_MAX),
        ("reason", &claims.reason, REASON_BYTES_MAX),
    ];
    for (name, text, max) in texts {
        if text.trim().is_empty() || text.len() > max || text.chars().any(char::is_control) {
            return malformed(format!("{name} has to be one line of 1 to {max} bytes"));
        }
    }
    let lasts_us = claims.expires_us.saturating_sub(claims.not_before_us);
    let Some(lasts) = u64::try_from(lasts_us).ok().filter(|us| *us > 0).map(Duration::from_micros)
    else {
        return malformed("it ends before it begins".to_owned());
    };
    if lasts > OVERRIDE_LASTS_MAX {
        let lasts = span_text(Duration::from_secs(lasts.as_secs()));
        return Err(OverrideRefused::TooLong { id: claims.id.clone(), lasts });
    }
    Ok(())
}

fn signed(payload: &str) -> String {
    format!("{PREFIX}{payload}")
}

fn key_pair(secret: &str) -> Option<Ed25519KeyPair> {
    let pem = secret.contains("-----BEGIN PRIVATE KEY-----");
    let lines = secret.lines().map(str::trim).filter(|line| !line.starts_with("-----"));
    let bytes = STANDARD.decode(lines.collect::<String>()).ok()?;
    if pem {
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(&bytes).ok()
    } else {
        Ed25519KeyPair::from_seed_unchecked(&bytes).ok()
    }
}

#[cfg(test)]
mod tests;
