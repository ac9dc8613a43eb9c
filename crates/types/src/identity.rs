//! Who calls: tenants, roles and the caller a credential stands for.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A tenant's name: 1–63 of `a-z`, `0-9` and `-`, as in a DNS label. It comes from a credential,
/// never from a header.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
pub struct Tenant(String);

/// Why a text is no tenant's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a tenant is named with 1 to 63 of a-z, 0-9 and -, not at either end -: {text:?} is not")]
pub struct BadTenant {
    pub text: String,
}

impl Tenant {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tenant {
    type Err = BadTenant;

    fn from_str(text: &str) -> Result<Self, BadTenant> {
        let letters = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        let good = (1..=63).contains(&text.len())
            && text.bytes().all(letters)
            && !text.starts_with('-')
            && !text.ends_with('-');
        if good { Ok(Self(text.to_owned())) } else { Err(BadTenant { text: text.to_owned() }) }
    }
}

impl TryFrom<String> for Tenant {
    type Error = BadTenant;

    fn try_from(text: String) -> Result<Self, BadTenant> {
        text.parse()
    }
}

impl From<Tenant> for String {
    fn from(tenant: Tenant) -> Self {
        tenant.0
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a caller may do, each role everything of the ones before it. Ordered.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Read what the tenant has.
    Reader,
    /// Also submit, write and delete.
    Member,
    /// Also see traces of the tenant's requests and manage.
    Admin,
}

impl Role {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Reader => "reader",
            Role::Member => "member",
            Role::Admin => "admin",
        }
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "reader" => Ok(Role::Reader),
            "member" => Ok(Role::Member),
            "admin" => Ok(Role::Admin),
            _ => Err(format!("a role is reader, member or admin, not {text:?}")),
        }
    }
}

/// Characters of a session's id.
const SESSION_ID_CHARS_MAX: usize = 128;
/// What [`is_session_id`] takes, for whoever said something else.
pub const SESSION_ID_IS: &str = "a session's id is 1 to 128 of A-Z a-z 0-9 . _ ~ -";

/// Whether this can be a session's id. It is an application's own word for one sign-in, and stands in
/// paths, headers and cookies: 1 to 128 of the unreserved characters of RFC 3986 §2.3.
#[must_use]
pub fn is_session_id(said: &[u8]) -> bool {
    let letter = |c: &u8| c.is_ascii_alphanumeric() || b"._~-".contains(c);
    (1..=SESSION_ID_CHARS_MAX).contains(&said.len()) && said.iter().all(letter)
}

/// Whom a credential stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub tenant: Tenant,
    pub role: Role,
    /// Public part of the API key; safe to log.
    pub key_id: String,
}

#[cfg(test)]
mod tests {
    use super::{SESSION_ID_CHARS_MAX, SESSION_ID_IS, is_session_id};

    #[test]
    fn a_sessions_id_can_stand_in_paths_headers_and_cookies() {
        assert!(SESSION_ID_IS.contains(&format!("1 to {SESSION_ID_CHARS_MAX} of")));
        let (longest, long) =
            ("x".repeat(SESSION_ID_CHARS_MAX), "x".repeat(SESSION_ID_CHARS_MAX + 1));
        for good in ["a", "A-Z.0_9~", &longest] {
            assert!(is_session_id(good.as_bytes()), "{good}");
        }
        for bad in ["", "a b", "a/b", "a;b", "a%20b", "é", &long] {
            assert!(!is_session_id(bad.as_bytes()), "{bad}");
        }
    }
}
