//! Overrides that count, and every kind that does not.

use super::{BadKey, Claims, OverrideRefused, check_override, new_signing_key, sign_override};
use crate::spec::{GatePolicy, OverrideKey, SHIPPED, read};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

const SECOND_US: i64 = 1_000_000;
const HOUR_US: i64 = 3600 * SECOND_US;
const NOW_US: i64 = 1_900_000_000 * SECOND_US;

fn policy(keys: &[(&str, &str)]) -> GatePolicy {
    let key = |(name, public): &(&str, &str)| OverrideKey {
        name: (*name).to_owned(),
        public: STANDARD.decode(public).unwrap().try_into().unwrap(),
    };
    let keys = keys.iter().map(key).collect();
    GatePolicy { override_keys: keys, ..read(SHIPPED).unwrap().gate }
}

fn claims() -> Claims {
    Claims {
        id: "o-1".to_owned(),
        who: "alice".to_owned(),
        service: Some("gateway".to_owned()),
        reason: "rolls back the cause".to_owned(),
        not_before_us: NOW_US - HOUR_US,
        expires_us: NOW_US + HOUR_US,
    }
}

#[test]
fn a_good_one_counts_from_its_first_moment_to_its_last() {
    let key = new_signing_key([7; 32]).unwrap();
    let policy =
        policy(&[("bob", &new_signing_key([8; 32]).unwrap().public), ("alice", &key.public)]);
    let token = sign_override(&key.secret, &claims()).unwrap();
    let check = |now_us| check_override(&policy, &token, Some("gateway"), now_us);
    assert_eq!(check(NOW_US), Ok(claims()));
    assert!(check(NOW_US - HOUR_US).is_ok() && check(NOW_US + HOUR_US - 1).is_ok());
    let said = check(NOW_US - HOUR_US - 1).unwrap_err().to_string();
    assert_eq!(
        said,
        "the override o-1 counts from 2030-03-17T16:46:40Z on, and now is 2030-03-17T16:46:39Z"
    );
    assert!(matches!(check(NOW_US + HOUR_US), Err(OverrideRefused::Expired { .. })));
    assert_eq!(
        check(NOW_US).unwrap().to_string(),
        "override o-1 of gateway by alice until 2030-03-17T18:46:40Z: rolls back the cause"
    );
}

#[test]
fn every_changed_byte_is_noticed() {
    let key = new_signing_key([7; 32]).unwrap();
    let policy = policy(&[("alice", &key.public)]);
    let token = sign_override(&key.secret, &claims()).unwrap();
    for at in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        let answer = check_override(&policy, &changed, Some("gateway"), NOW_US);
        assert!(answer.is_err(), "byte {at}: {answer:?}");
    }
}

#[test]
fn the_wrong_ones_are_refused_with_the_reason() {
    let (alice, mallory) = (new_signing_key([7; 32]).unwrap(), new_signing_key([9; 32]).unwrap());
    let good = policy(&[("alice", &alice.public)]);
    let check = |policy: &GatePolicy, token: &str, service| {
        check_override(policy, token, service, NOW_US).unwrap_err().to_string()
    };
    let token = sign_override(&alice.secret, &claims()).unwrap();
    assert!(
        check(&good, &token, Some("contauth"))
            .contains("is for gateway, and this asks for contauth")
    );
    assert!(check(&good, &token, None).contains("asks for all services"));
    assert!(check(&policy(&[]), &token, Some("gateway")).contains("nobody may override"));
    let others = policy(&[("bob", &mallory.public)]);
    assert!(check(&others, &token, Some("gateway")).contains("\"alice\", whose key is not in"));
    let forged = sign_override(&mallory.secret, &claims()).unwrap();
    assert!(check(&good, &forged, Some("gateway")).contains("forged"));
    let revoked = GatePolicy { revoked: vec!["o-1".to_owned()], ..good.clone() };
    assert!(check(&revoked, &token, Some("gateway")).contains("revoked"));
    for malformed in ["", ".", "a", "a.b", "e30.e30", &"a".repeat(5000), "{}.{}"] {
        let said = check(&good, malformed, Some("gateway"));
        assert!(said.contains("malformed"), "{malformed}: {said}");
    }
}

/// Somebody with a good key who does not use `sign_override`.
#[test]
fn a_good_signature_does_not_make_bad_claims_good() {
    let key = new_signing_key([7; 32]).unwrap();
    let policy = policy(&[("alice", &key.public)]);
    let sign = |claims: &Claims| {
        let payload = URL_SAFE_NO_PAD.encode(serde_json::to_vec(claims).unwrap());
        let pair = super::key_pair(&key.secret).unwrap();
        let signature = pair.sign(super::signed(&payload).as_bytes());
        format!("{payload}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    };
    assert!(check_override(&policy, &sign(&claims()), Some("gateway"), NOW_US).is_ok());
    let too_long = Claims { expires_us: NOW_US + 8 * 24 * HOUR_US, ..claims() };
    let lines = Claims { reason: "a\nb".to_owned(), ..claims() };
    let backwards = Claims { expires_us: claims().not_before_us, ..claims() };
    for (bad, expected) in
        [(too_long, "at most 7d"), (lines, "one line"), (backwards, "ends before it begins")]
    {
        let said = check_override(&policy, &sign(&bad), Some("gateway"), NOW_US).unwrap_err();
        assert!(said.to_string().contains(expected), "{said}");
        assert!(matches!(sign_override(&key.secret, &bad), Err(BadKey::Claims(_))));
    }
}

#[test]
fn keys_are_read_as_they_were_written() {
    // RFC 8032, section 7.1, test 1.
    let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    let bytes = |hex: &str| -> Vec<u8> {
        (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect()
    };
    let key = new_signing_key(bytes(seed).try_into().unwrap()).unwrap();
    assert_eq!(key.public, STANDARD.encode(bytes(public)));
    // The same key as openssl writes it: PKCS #8, version 1 (RFC 8410).
    let der = [bytes("302e020100300506032b657004220420"), bytes(seed)].concat();
    let body = STANDARD.encode(der);
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
    let token = sign_override(&format!("{}\n", key.secret), &claims()).unwrap();
    assert_eq!(sign_override(&pem, &claims()).unwrap(), token);
    for bad in ["", "AAAA", "not a key", &body] {
        assert_eq!(sign_override(bad, &claims()), Err(BadKey::Unreadable), "{bad}");
    }
    assert!(!format!("{key:?}").contains(&key.secret));
}
