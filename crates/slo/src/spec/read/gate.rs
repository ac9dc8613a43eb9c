//! The policy of the deploy gate, as a file says it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::fields::{Fields, Problems};
use super::super::tree::Node;
use super::super::{GatePolicy, OnUnknown, OverrideKey, SloName, check};
use super::objective::percent;
use crate::decimal::Share;

const EXEMPT_MAX: usize = 32;
const KEYS_MAX: usize = 32;
const REVOKED_MAX: usize = 1000;
const ON_UNKNOWN: [(&str, OnUnknown); 3] =
    [("unknown", OnUnknown::Unknown), ("freeze", OnUnknown::Freeze), ("allow", OnUnknown::Allow)];

/// What holds where a file says nothing.
pub(crate) fn defaults() -> GatePolicy {
    let share = |percent: u32| Share::from_percent(&percent.to_string()).unwrap_or_default();
    GatePolicy {
        freeze_below: share(10),
        reopen_at: share(15),
        slow_below: share(25),
        freeze_on_page: true,
        on_unknown: OnUnknown::Unknown,
        on_few_events: OnUnknown::Unknown,
        exempt: ["security", "reliability", "rollback"].map(str::to_owned).to_vec(),
        override_keys: Vec::new(),
        revoked: Vec::new(),
    }
}

pub(super) fn policy(node: Option<&Node>, problems: &mut Problems) -> GatePolicy {
    let mut policy = defaults();
    let Some(node) = node else { return policy };
    let mut fields = Fields::new("gate", node, problems);
    let share = |name: &'static str, fields: &mut Fields<'_>, problems: &mut Problems| {
        percent(name, fields, problems)
    };
    if let Some(below) = share("freeze_below", &mut fields, problems) {
        policy.freeze_below = below;
    }
    if let Some(at) = share("reopen_at", &mut fields, problems) {
        policy.reopen_at = at;
    }
    if let Some(below) = share("slow_below", &mut fields, problems) {
        policy.slow_below = below;
    }
    policy.freeze_on_page =
        fields.flag("freeze_on_page", problems).unwrap_or(policy.freeze_on_page);
    policy.on_unknown =
        fields.word("on_unknown", &ON_UNKNOWN, problems).unwrap_or(policy.on_unknown);
    policy.on_few_events =
        fields.word("on_few_events", &ON_UNKNOWN, problems).unwrap_or(policy.on_few_events);
    if let Some(exempt) = fields.texts("exempt", EXEMPT_MAX, problems) {
        let bad = exempt.iter().filter(|kind| SloName::try_from((**kind).to_owned()).is_err());
        for kind in bad {
            let form = "1 to 63 of a-z, 0-9 and -, a letter first";
            problems.note(&fields.at("exempt"), format_args!("{kind:?} is no kind: {form}"));
        }
        policy.exempt = exempt.into_iter().map(str::to_owned).collect();
    }
    let revoked = fields.texts("revoked", REVOKED_MAX, problems).unwrap_or_default();
    policy.revoked = revoked.into_iter().map(str::to_owned).collect();
    let nodes = fields.list("override_keys", KEYS_MAX, problems).unwrap_or_default();
    for (index, node) in nodes.iter().enumerate() {
        let place = format!("gate: override_keys[{index}]");
        let Some(key) = key(&place, node, problems) else { continue };
        if policy.override_keys.iter().any(|known| known.name == key.name) {
            problems.note(&place, format_args!("another key is {:?}'s", key.name));
        }
        policy.override_keys.push(key);
    }
    check::gate(&policy, problems);
    fields.finish(problems);
    policy
}

/// Whether a key may be called so: one line of 1 to 63 bytes.
#[must_use]
pub fn is_key_name(name: &str) -> bool {
    super::plain(name) && name.len() <= 63
}

fn key(place: &str, node: &Node, problems: &mut Problems) -> Option<OverrideKey> {
    let mut fields = Fields::new(place, node, problems);
    let name = fields.required("name", problems).map(str::to_owned);
    if let Some(name) = name.as_ref().filter(|name| !is_key_name(name)) {
        problems.note(&fields.at("name"), format_args!("{name:?} is no name of at most 63 bytes"));
    }
    if fields.take("public").is_none() {
        problems.note(place, "public is missing");
    }
    let form = "the 32 bytes of an Ed25519 public key, base64";
    let public = fields.parsed("public", form, problems, |text| {
        STANDARD.decode(text).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok())
    });
    fields.finish(problems);
    Some(OverrideKey { name: name?, public: public? })
}
