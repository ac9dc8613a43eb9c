//! A decision's input as the engine's value, built directly: no JSON is written and read again.
//!
//! The shape is that of `serde_json::to_value(&DecisionInput)`; a test compares the two.

use std::collections::BTreeMap;

use regorus::Value;
use types::decision::{CallerFacts, DecisionInput, RequestFacts, RouteFacts, SessionFacts};
use types::risk::Signal;

/// The names of all fields, made once: each use is another handle to the same text.
#[derive(Debug)]
pub(crate) struct Names {
    fields: BTreeMap<&'static str, Value>,
}

const FIELDS: [&str; 24] = [
    "caller",
    "client_address",
    "contribution",
    "decoy",
    "detail",
    "headers",
    "host",
    "id",
    "key_id",
    "kind",
    "level",
    "method",
    "name",
    "observed_at",
    "path",
    "query",
    "request",
    "risk",
    "role",
    "route",
    "session",
    "signals",
    "subject",
    "tenant",
];

impl Names {
    pub(crate) fn new() -> Self {
        Self { fields: FIELDS.map(|name| (name, Value::from(name))).into() }
    }

    fn name(&self, field: &'static str) -> Value {
        self.fields.get(field).cloned().unwrap_or_else(|| Value::from(field))
    }

    fn object<const N: usize>(&self, fields: [(&'static str, Value); N]) -> Value {
        let fields = fields.map(|(field, value)| (self.name(field), value));
        Value::from(BTreeMap::from(fields))
    }

    /// `input`.
    pub(crate) fn input(&self, input: &DecisionInput) -> Value {
        let DecisionInput { request, caller, session, route } = input;
        self.object([
            ("request", self.request(request)),
            ("caller", or_null(caller.as_ref().map(|caller| self.caller(caller)))),
            ("session", or_null(session.as_ref().map(|session| self.session(session)))),
            ("route", self.route(route)),
        ])
    }

    fn request(&self, request: &RequestFacts) -> Value {
        let RequestFacts { method, host, path, query, headers, client_address } = request;
        let headers = headers.iter();
        let headers = headers.map(|(name, value)| (text(name), text(value))).collect();
        self.object([
            ("method", text(method)),
            ("host", text(host)),
            ("path", text(path)),
            ("query", or_null(query.as_deref().map(text))),
            ("headers", Value::from(BTreeMap::from_iter::<Vec<_>>(headers))),
            ("client_address", text(client_address)),
        ])
    }

    fn caller(&self, caller: &CallerFacts) -> Value {
        let CallerFacts { tenant, role, key_id } = caller;
        self.object([("tenant", text(tenant)), ("role", text(role)), ("key_id", text(key_id))])
    }

    fn session(&self, session: &SessionFacts) -> Value {
        let SessionFacts { id, risk } = session;
        let signals: Vec<Value> = risk.signals.iter().map(|signal| self.signal(signal)).collect();
        self.object([
            ("id", text(id)),
            ("risk", Value::from(risk.risk)),
            ("level", Value::from(risk.level.as_str())),
            ("subject", or_null(risk.subject.as_deref().map(text))),
            ("signals", Value::from(signals)),
            ("observed_at", or_null(risk.observed_at.as_deref().map(text))),
        ])
    }

    fn signal(&self, signal: &Signal) -> Value {
        let Signal { name, detail, contribution } = signal;
        self.object([
            ("name", text(name)),
            ("detail", text(detail)),
            ("contribution", Value::from(*contribution)),
        ])
    }

    fn route(&self, route: &RouteFacts) -> Value {
        let RouteFacts { name, kind, decoy } = route;
        self.object([("name", text(name)), ("kind", text(kind)), ("decoy", Value::from(*decoy))])
    }
}

fn text(text: &str) -> Value {
    Value::from(text)
}

fn or_null(value: Option<Value>) -> Value {
    value.unwrap_or(Value::Null)
}

#[cfg(test)]
mod tests {
    use super::Names;
    use regorus::Value;
    use types::decision::{CallerFacts, DecisionInput, RequestFacts, RouteFacts, SessionFacts};
    use types::risk::{RiskLevel, SessionRisk, Signal};

    /// A policy written against the documented JSON would silently not fit if the two differed.
    #[test]
    fn the_input_is_what_its_json_says() {
        let signal =
            Signal { name: "typing".to_owned(), detail: "slower".to_owned(), contribution: -0.25 };
        let risk = SessionRisk {
            risk: 0.5,
            level: RiskLevel::Elevated,
            subject: Some("ada".to_owned()),
            signals: vec![signal],
            observed_at: None,
        };
        let full = DecisionInput {
            request: RequestFacts {
                method: "GET".to_owned(),
                host: "a.example".to_owned(),
                path: "/a%20b".to_owned(),
                query: Some(String::new()),
                headers: [("accept".to_owned(), "*/*".to_owned())].into(),
                client_address: "::1".to_owned(),
            },
            caller: Some(CallerFacts {
                tenant: "acme".to_owned(),
                role: "admin".to_owned(),
                key_id: "k".to_owned(),
            }),
            session: Some(SessionFacts { id: "s".to_owned(), risk }),
            route: RouteFacts { name: "r".to_owned(), kind: "api".to_owned(), decoy: true },
        };
        let mut bare = full.clone();
        (bare.caller, bare.session, bare.request.query) = (None, None, None);
        for input in [full, bare] {
            let json = serde_json::to_string(&input).unwrap();
            let expected = Value::from_json_str(&json).unwrap();
            assert_eq!(Names::new().input(&input), expected);
        }
    }
}
