//! What a browser is allowed to do in a page, and that the page does no more.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use crate::Served;
use crate::document::Document;

fn hash(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text.as_bytes())))
}

/// What is between a tag and its end.
fn inner<'a>(page: &'a str, tag: &str) -> &'a str {
    let start = page.find(&format!("<{tag}>")).unwrap() + tag.len() + 2;
    let end = page[start..].find(&format!("</{tag}>")).unwrap();
    &page[start..start + end]
}

#[tokio::test]
async fn pages_run_their_own_script_and_style_and_nothing_else() {
    let served = Served::open().await;
    let trace = format!("/traces/{:032x}", 0xabc_0000);
    for path in [
        "/",
        "/slo/gateway-latency",
        "/traces",
        &trace,
        "/services",
        "/runbooks/gateway-latency-page",
        "/none",
    ] {
        let answer = served.get(path).await;
        let policy = answer.header("content-security-policy");
        let page = &answer.body;
        assert!(
            policy.contains(&format!("script-src {};", hash(inner(page, "script")))),
            "{policy}"
        );
        assert!(policy.contains(&format!("style-src {};", hash(inner(page, "style")))), "{policy}");
        for part in [
            "default-src 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        let document = Document::read(page);
        for element in &document.elements {
            for (name, value) in &element.attributes {
                assert!(!name.starts_with("on") && name != "style", "{path}: {element:?}");
                let asks = ["src", "srcset", "action", "formaction", "data", "poster"]
                    .contains(&name.as_str())
                    || (name == "href" && element.name == "link");
                assert!(!asks || value.starts_with('/'), "{path}: {element:?}");
            }
        }
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(answer.header(name), value, "{path}: {name}");
        }
    }
}
