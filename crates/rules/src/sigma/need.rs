//! What an observation must have in it before a rule can apply, read off the rule's text.
//!
//! Compiling the rules of the program takes longer than most commands run, and most commands give
//! most rules nothing to look at. So a rule waits until an observation has what it needs. This may
//! say yes too often, and never no where the engine would say yes: whatever is not understood here
//! counts as there.

use regex_syntax::hir::{Hir, HirKind};
use rsigma_parser::{ConditionExpr, Detection, DetectionItem, Modifier, SigmaRule, SigmaValue};
use rsigma_parser::{SpecialChar, StringPart};

use super::observation::{Observation, Value};

/// Alternatives of a pattern that are told apart; one with more counts as there.
const TEXTS_MAX: usize = 64;

/// See the module.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Nothing, or nothing that is understood.
    Nothing,
    All(Vec<Need>),
    Any(Vec<Need>),
    /// One of these texts, in small letters, in this field.
    Text {
        field: String,
        any: Vec<String>,
    },
}

impl Need {
    pub(super) fn of(rule: &SigmaRule) -> Self {
        let named = &rule.detection.named;
        let one = |name: &String| named.get(name).map_or(Self::Nothing, detection);
        let conditions = rule.detection.conditions.iter();
        Self::Any(conditions.map(|condition| expression(condition, rule, &one)).collect())
    }

    /// Whether the rule has to be asked about this observation.
    pub(super) fn is_met(&self, observation: &Observation<'_>) -> bool {
        match self {
            Self::Nothing => true,
            Self::All(needs) => needs.iter().all(|need| need.is_met(observation)),
            Self::Any(needs) => needs.iter().any(|need| need.is_met(observation)),
            Self::Text { field, any } => {
                let found = observation.fields.iter().find(|(name, _)| name == field);
                found.is_some_and(|(_, value)| match value {
                    Value::Text(text) => {
                        let text = text.to_lowercase();
                        any.iter().any(|part| text.contains(part.as_str()))
                    }
                    Value::Number(_) => true,
                })
            }
        }
    }
}

fn expression(condition: &ConditionExpr, rule: &SigmaRule, one: &impl Fn(&String) -> Need) -> Need {
    let each =
        |all: &[ConditionExpr]| all.iter().map(|inner| expression(inner, rule, one)).collect();
    match condition {
        ConditionExpr::And(all) => Need::All(each(all)),
        ConditionExpr::Or(all) => Need::Any(each(all)),
        ConditionExpr::Not(_) => Need::Nothing,
        ConditionExpr::Identifier(name) => one(name),
        // Whichever of them are meant, and however many.
        ConditionExpr::Selector { .. } => Need::Any(rule.detection.named.keys().map(one).collect()),
    }
}

fn detection(detection: &Detection) -> Need {
    match detection {
        Detection::AllOf(items) => Need::All(items.iter().map(item).collect()),
        Detection::AnyOf(inner) => Need::Any(inner.iter().map(self::detection).collect()),
        Detection::And(inner) => Need::All(inner.iter().map(self::detection).collect()),
        _ => Need::Nothing,
    }
}

fn item(item: &DetectionItem) -> Need {
    let Some(field) = &item.field.name else { return Need::Nothing };
    let has = |modifier: &Modifier| item.field.modifiers.contains(modifier);
    let understood = item.field.modifiers.iter().all(|modifier| {
        matches!(
            modifier,
            Modifier::Contains
                | Modifier::StartsWith
                | Modifier::EndsWith
                | Modifier::All
                | Modifier::Cased
                | Modifier::Re
        )
    });
    let texts: Option<Vec<Vec<String>>> =
        item.values.iter().map(|value| parts(value, has(&Modifier::Re))).collect();
    let Some(texts) = texts.filter(|texts| understood && !texts.is_empty()) else {
        return Need::Nothing;
    };
    let need = |any: Vec<String>| Need::Text { field: field.clone(), any };
    if has(&Modifier::All) {
        Need::All(texts.into_iter().map(need).collect())
    } else {
        need(texts.concat())
    }
}

/// Texts of which one is in everything that a value matches, or `None`.
fn parts(value: &SigmaValue, is_pattern: bool) -> Option<Vec<String>> {
    let SigmaValue::String(text) = value else { return None };
    if is_pattern {
        let parsed = regex_syntax::parse(&text.original).ok()?;
        return of_pattern(&parsed);
    }
    let plain = text.parts.iter().filter_map(|part| match part {
        StringPart::Plain(text) => Some(text.as_str()),
        StringPart::Special(SpecialChar::WildcardMulti | SpecialChar::WildcardSingle) => None,
    });
    small(plain.max_by_key(|text| text.len())?).map(|text| vec![text])
}

/// In small letters, which only plain ASCII has for certain.
fn small(text: &str) -> Option<String> {
    (text.is_ascii() && !text.is_empty()).then(|| text.to_ascii_lowercase())
}

fn of_pattern(pattern: &Hir) -> Option<Vec<String>> {
    let found = match pattern.kind() {
        HirKind::Literal(text) => {
            std::str::from_utf8(&text.0).ok().and_then(small).map(|text| vec![text])
        }
        HirKind::Capture(inner) => of_pattern(&inner.sub),
        HirKind::Repetition(repeated) if repeated.min > 0 => of_pattern(&repeated.sub),
        // The one whose shortest text is the longest tells most.
        HirKind::Concat(parts) => parts
            .iter()
            .filter_map(of_pattern)
            .max_by_key(|any| any.iter().map(String::len).min().unwrap_or_default()),
        HirKind::Alternation(parts) => {
            let all: Option<Vec<_>> = parts.iter().map(of_pattern).collect();
            all.map(|all| all.concat())
        }
        _ => None,
    };
    found.filter(|any| !any.is_empty() && any.len() <= TEXTS_MAX)
}

#[cfg(test)]
mod tests {
    use rsigma_parser::parse_sigma_yaml;

    use super::Need;
    use crate::sigma::observation::{Observation, Value};

    fn need(detection: &str) -> Need {
        let text = format!(
            "title: t\nlogsource: {{category: process_creation, product: linux}}\ndetection:\n{detection}"
        );
        Need::of(parse_sigma_yaml(&text).unwrap().rules.first().unwrap())
    }

    fn met(need: &Need, command: &str) -> bool {
        let fields = vec![("CommandLine", Value::Text(command.into()))];
        need.is_met(&Observation { category: "process_creation", time_ns: 0, event: 0, fields })
    }

    #[test]
    fn a_rule_needs_one_text_of_every_condition() {
        let both = need(
            "    a:\n        CommandLine|contains: ['Curl ', 'wget ']\n    b:\n        \
             CommandLine|re: '\\|\\s*(ba|da)?sh$'\n    condition: a and b\n",
        );
        assert!(met(&both, "CURL http://x | bash"));
        assert!(met(&both, "wget x; sh"), "an end may be anything: too often is allowed");
        assert!(!met(&both, "wget x"));
        assert!(!met(&both, "echo | sh"));
        let all = need("    a:\n        CommandLine|contains|all: [one, two]\n    condition: a\n");
        assert!(met(&all, "two one") && !met(&all, "two"));
        let wild = need("    a:\n        CommandLine: '*/nc?-e*'\n    condition: a\n");
        assert!(met(&wild, "x /nc -e") && !met(&wild, "x /no -e"));
    }

    #[test]
    fn what_is_not_understood_counts_as_there() {
        for detection in [
            "    a:\n        CommandLine|contains: x\n    condition: not a\n",
            "    a:\n        CommandLine|base64|contains: x\n    condition: a\n",
            "    a:\n        CommandLine: null\n    condition: a\n",
            "    a:\n        CommandLine|re: '[a-z]+'\n    condition: a\n",
            "    a:\n        CommandLine|re: '(?i)wget'\n    condition: a\n",
            "    a:\n        CommandLine|contains: 'ſ'\n    condition: a\n",
            "    a: ['x']\n    condition: a\n",
            "    a:\n        CommandLine|exists: true\n    condition: a\n",
        ] {
            assert!(met(&need(detection), "-"), "{detection}");
        }
        let field = need("    a:\n        Image|endswith: /sh\n    condition: a\n");
        assert!(!met(&field, "/bin/sh"), "another field");
        let any = need(
            "    a_1:\n        CommandLine: one\n    a_2:\n        CommandLine: two\n    \
             condition: 1 of a_*\n",
        );
        assert!(met(&any, "two") && !met(&any, "three"));
    }
}
