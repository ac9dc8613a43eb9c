//! What an application is told about the caller, in headers nobody else can set, and what it is not
//! told: the caller's ShieldX key.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use runtime::http::auth::{API_KEY, key};
use runtime::http::edge::{SESSION, forget_internal};
use types::{Action, Caller};

/// How ShieldX's keys begin.
const KEY_PREFIX: &str = "sx_";

const TENANT: HeaderName = HeaderName::from_static("x-shieldx-tenant");
const ROLE: HeaderName = HeaderName::from_static("x-shieldx-role");
const KEY_ID: HeaderName = HeaderName::from_static("x-shieldx-key-id");
const RISK: HeaderName = HeaderName::from_static("x-shieldx-risk");
const DECISION: HeaderName = HeaderName::from_static("x-shieldx-decision");
const DECISION_ID: HeaderName = HeaderName::from_static("x-shieldx-decision-id");

/// Whether a request carries a ShieldX key, good or bad. A bearer token that does not look like one
/// is the application's own.
pub(crate) fn has_key(headers: &HeaderMap) -> bool {
    headers.contains_key(API_KEY) || in_authorization(headers)
}

fn in_authorization(headers: &HeaderMap) -> bool {
    // All of them: which one an application would read is not known.
    headers.get_all(header::AUTHORIZATION).iter().any(|value| {
        let Some((scheme, token)) = value.to_str().ok().and_then(|text| text.split_once(' '))
        else {
            return false;
        };
        scheme.eq_ignore_ascii_case("bearer") && token.trim().starts_with(KEY_PREFIX)
    })
}

/// Takes the key away, so that no application can use it.
fn strip_key(headers: &mut HeaderMap, authenticated: bool) {
    let by_bearer = authenticated && !headers.contains_key(API_KEY) && key(headers).is_some();
    let authorization = by_bearer || in_authorization(headers);
    headers.remove(API_KEY);
    if authorization {
        headers.remove(header::AUTHORIZATION);
    }
}

/// Who asks, as far as it was found out.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) caller: Option<Caller>,
    pub(crate) session: Option<String>,
    /// The level; absent where there is no session, or its risk is not known.
    pub(crate) risk: Option<&'static str>,
    pub(crate) action: Action,
    pub(crate) decision_id: String,
}

impl Identity {
    /// Says so in the headers, in place of whatever was there.
    pub(crate) fn announce(&self, headers: &mut HeaderMap) {
        forget_internal(headers);
        headers.remove(SESSION);
        strip_key(headers, self.caller.is_some());
        let mut say = |name, value: Option<&str>| {
            let value = value.and_then(|value| HeaderValue::from_str(value).ok());
            if let Some(value) = value {
                headers.insert(name, value);
            }
        };
        let caller = self.caller.as_ref();
        say(TENANT, caller.map(|caller| caller.tenant.as_str()));
        say(ROLE, caller.map(|caller| caller.role.as_str()));
        say(KEY_ID, caller.map(|caller| caller.key_id.as_str()));
        say(SESSION, self.session.as_deref());
        say(RISK, self.risk);
        say(DECISION, Some(self.action.as_str()));
        say(DECISION_ID, Some(&self.decision_id));
    }
}

#[cfg(test)]
mod tests {
    use super::{Identity, has_key};
    use http::{HeaderMap, HeaderName};
    use types::{Action, Caller, Role};

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            (name.parse::<HeaderName>().unwrap(), value.parse().unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    fn announced(caller: Option<Caller>, pairs: &[(&str, &str)]) -> HeaderMap {
        let (session, action) = (None, Action::Allow);
        let identity =
            Identity { caller, session, risk: None, action, decision_id: "d".to_owned() };
        let mut headers = headers(pairs);
        identity.announce(&mut headers);
        headers
    }

    fn caller() -> Option<Caller> {
        let (tenant, role) = ("acme".parse().unwrap(), Role::Member);
        Some(Caller { tenant, role, key_id: "k1".to_owned() })
    }

    #[test]
    fn a_token_of_the_application_is_no_key() {
        assert!(has_key(&headers(&[("x-api-key", "anything")])));
        assert!(has_key(&headers(&[("authorization", "bearer sx_1")])));
        assert!(has_key(&headers(&[
            ("authorization", "Basic x"),
            ("authorization", "Bearer sx_")
        ])));
        assert!(!has_key(&headers(&[("authorization", "Bearer eyJ0")])));
        assert!(!has_key(&headers(&[("authorization", "Basic sx_1")])));
        assert!(!has_key(&headers(&[])));
    }

    #[test]
    fn the_key_does_not_reach_the_application_and_its_own_token_does() {
        let own = ("authorization", "Bearer eyJ0");
        let headers = announced(caller(), &[("x-api-key", "sx_1"), own]);
        assert!(!headers.contains_key("x-api-key"));
        assert_eq!(headers["authorization"], "Bearer eyJ0");
        let headers = announced(caller(), &[("authorization", "Bearer sx_1")]);
        assert!(!headers.contains_key("authorization"));
        // An authenticator may know keys that look otherwise.
        let headers = announced(caller(), &[own]);
        assert!(!headers.contains_key("authorization"));
        let headers = announced(None, &[own]);
        assert_eq!(headers["authorization"], "Bearer eyJ0");
    }

    #[test]
    fn what_a_caller_says_about_itself_is_overwritten_or_gone() {
        let forged = [
            ("x-shieldx-tenant", "victim"),
            ("x-shieldx-tenant", "victim"),
            ("x-shieldx-role", "admin"),
            ("x-shieldx-session", "s"),
            ("x-shieldx-risk", "low"),
            ("x-shieldx-anything", "x"),
        ];
        let headers = announced(caller(), &forged);
        let tenants: Vec<_> = headers.get_all("x-shieldx-tenant").iter().collect();
        assert_eq!(tenants, ["acme"]);
        assert_eq!(headers["x-shieldx-role"], "member");
        for absent in ["x-shieldx-session", "x-shieldx-risk", "x-shieldx-anything"] {
            assert!(!headers.contains_key(absent), "{absent}");
        }
        let headers = announced(None, &forged);
        let left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["x-shieldx-decision", "x-shieldx-decision-id"]);
    }
}
