//! Every page is well formed, complete without script, and every link leads somewhere.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::Served;
use crate::document::Document;

/// Pages of one kind (`/traces/…`) that are followed to.
const OF_A_KIND_MAX: usize = 24;

/// What is asked of every page.
fn check(path: &str, page: &str) -> Document {
    let document = Document::read(page);
    assert!(document.errors.is_empty(), "{path}: {:?}", document.errors);
    for (name, number) in [("h1", 1), ("main", 1), ("header", 1), ("head", 1)] {
        assert_eq!(document.all(name).count(), number, "{path}: <{name}>");
    }
    assert_eq!(document.all("html").next().unwrap().attribute("lang"), Some("en"), "{path}");
    let ids: Vec<&str> = document.elements.iter().filter_map(|e| e.attribute("id")).collect();
    let different: BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(ids.len(), different.len(), "{path}: ids are not unique: {ids:?}");
    for element in &document.elements {
        for reference in ["aria-labelledby", "for"] {
            if let Some(id) = element.attribute(reference) {
                assert!(different.contains(id), "{path}: {reference}={id} leads nowhere");
            }
        }
        let class = element.attribute("class").unwrap_or_default();
        if class == "field" {
            assert!(element.attribute("aria-label").is_some_and(|text| text.len() > 10), "{path}");
        }
        if element.name == "a" || element.name == "button" {
            let said = !element.text.trim().is_empty() || element.attribute("aria-label").is_some();
            assert!(said, "{path}: a link without words: {element:?}");
        }
        if element.name == "svg" && class != "field" && class != "mark" {
            assert!(
                element.attribute("aria-hidden").is_some()
                    || element.attribute("overflow").is_some()
                    || class.is_empty(),
                "{path}: {element:?}"
            );
        }
        let hidden = element.attribute("hidden").is_some();
        assert!(
            !hidden || class == "copy",
            "{path}: without script this is never seen: {element:?}"
        );
        for value in element.attributes.iter().map(|(_, value)| value.as_str()) {
            assert!(!value.contains("NaN") && !value.contains("inf"), "{path}: {element:?}");
        }
    }
    document
}

#[tokio::test]
async fn every_link_leads_to_a_well_formed_page() {
    let served = Served::open().await;
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let mut waiting: VecDeque<String> = ["/", "/traces", "/services"].map(str::to_owned).into();
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    while let Some(path) = waiting.pop_front() {
        let bare = path.split('#').next().unwrap().to_owned();
        let kind = bare.split(['/', '?']).nth(1).unwrap_or_default().to_owned();
        let of_a_kind = kinds.entry(kind).or_default();
        if bare.is_empty() || *of_a_kind >= OF_A_KIND_MAX || !seen.insert(bare.clone()) {
            continue;
        }
        *of_a_kind += 1;
        let answer = served.get(&bare).await;
        let page = answer.header("content-type").starts_with("text/html");
        // A link between traces may point to one that has expired; that is said.
        let expired = answer.status == 404 && bare.starts_with("/traces/");
        assert!(answer.status == 200 || expired, "{bare}: {answer:?}");
        if !page {
            continue;
        }
        let document = check(&bare, &answer.body);
        for link in document.all("a").filter_map(|link| link.attribute("href")) {
            if let Some(query) = link.strip_prefix('?') {
                waiting.push_back(format!("{}?{query}", bare.split('?').next().unwrap()));
            } else if link.starts_with('/') {
                waiting.push_back(link.to_owned());
            } else {
                assert!(link.starts_with('#') || link.starts_with("http"), "{bare}: {link}");
            }
        }
    }
    for kind in ["", "slo", "traces", "services", "runbooks", "api", "metrics"] {
        assert!(kinds.contains_key(kind), "{kind:?} was never linked to: {kinds:?}");
    }
}

#[tokio::test]
async fn the_overview_has_the_worst_first_and_all_numbers_without_script() {
    let served = Served::open().await;
    let page = served.get("/").await.body;
    let text = Document::read(&page).text().replace('\u{a0}', " ");
    let statuses = {
        use console::Objectives as _;
        served.scene.made.statuses().borrow().clone()
    };
    let mut worst: Vec<_> = statuses.iter().collect();
    worst.sort_by(|a, b| a.budget.left.unwrap().total_cmp(&b.budget.left.unwrap()));
    assert!(worst[0].budget.left.unwrap() < 0.0, "the fixture has one that is overspent");
    let rows = page.split("<tbody").nth(1).unwrap();
    let places: Vec<usize> =
        worst.iter().map(|status| rows.find(&format!("/slo/{}\"", status.slo)).unwrap()).collect();
    assert!(places.is_sorted(), "{places:?}");
    for status in worst {
        let left = format!("{:.1} %", status.budget.left.unwrap() * 100.0).replace('-', "−");
        assert!(text.contains(&left), "{}: {left}", status.slo);
        assert!(text.contains(&format!("of {} %", status.target_percent)));
    }
    for words in ["UTC", "freeze", "allow", "▲ page", "May we deploy?"] {
        assert!(text.contains(words), "{words}");
    }
    assert!(page.matches("class=\"unknown\"").count() >= statuses.len(), "the night is hatched");
}

#[tokio::test]
async fn a_page_of_an_objective_tells_everything() {
    let served = Served::open().await;
    let page = served.get("/slo/ml-service-ingest-latency").await.body;
    let document = check("/slo/…", &page);
    let text = document.text().replace('\u{a0}', " ");
    for words in [
        "Error budget left",
        "even use",
        "forecast",
        "no data",
        "Burn rate",
        "14.4×",
        "fires when both 1h and 5m burn above 14.4×",
        "▲ firing for",
        "✓ quiet",
        "Latency",
        "Traffic",
        "Errors",
        "Saturation",
        "Who used the budget",
        "globex",
        "submissions",
        "How this is computed",
        "sum(rate(shieldx_slo_events_total{slo=\"ml-service-ingest-latency\"",
        "Runbook ml-service-ingest-latency-page",
        "ml-service 0.9.4",
        "Used up",
        "of total outage",
    ] {
        assert!(text.contains(words), "{words}");
    }
    assert!(!text.contains("verifier-pool 0.9.2"), "a deploy of another service");
    let dots = document
        .all("a")
        .filter(|a| a.attribute("href").is_some_and(|h| h.starts_with("/traces/")));
    assert!(dots.count() > 5, "dots lead to traces");
    assert!(page.contains("class=\"threshold\""));
    for other in [
        "?tenant=globex",
        "?route_group=submissions",
        "?range=window",
        "?range=7d",
        "?range=nonsense",
    ] {
        let answer = served.get(&format!("/slo/ml-service-ingest-latency{other}")).await;
        assert_eq!(answer.status, 200, "{other}");
        check(other, &answer.body);
    }
    for none in ["/slo/none", "/slo/gateway-latency?tenant=nobody", "/runbooks/none", "/none"] {
        let answer = served.get(none).await;
        assert_eq!(answer.status, 404, "{none}");
        check(none, &answer.body);
    }
}

#[tokio::test]
async fn a_trace_is_a_waterfall_or_says_why_it_is_gone() {
    let served = Served::open().await;
    let failed = format!("/traces/{:032x}", 0xabc_0000 + 5);
    let document = check(&failed, &served.get(&failed).await.body);
    let text = document.text();
    for words in [
        "No space left on device",
        "shieldx.tenant",
        "waited for the disk",
        "Has to do with",
        "on the critical path",
        "✕ failed",
    ] {
        assert!(text.contains(words), "{words}");
    }
    let open = document.all("details").filter(|one| one.attribute("open").is_some());
    let open: Vec<_> = open.collect();
    assert_eq!(open.len(), 1, "the deepest span that failed");
    assert!(open[0].text.contains("No space left on device"), "{:?}", open[0]);
    let gone = served.get("/traces/ffffffffffffffffffffffffffffffff").await;
    assert_eq!(gone.status, 404);
    assert!(gone.body.contains("expired") && gone.body.contains("make room"));
    let none = served.get("/traces/xyz").await;
    assert!(none.status == 404 && none.body.contains("is no trace id"));
    let list = served.get("/traces?service=ml-service&only=errors&slower_ms=1").await;
    let list = check("/traces", &list.body);
    assert!(list.all("tr").count() > 2);
    assert!(!list.text().contains("✓ good"));
}

#[tokio::test]
async fn the_same_is_told_as_json() {
    let served = Served::open().await;
    for (path, part) in [
        ("/api/slos", "\"slo\":\"gateway-latency\""),
        ("/api/slos/gateway-latency", "\"burn_down\""),
        ("/api/slos/gateway-latency?tenant=acme", "{\"tenant\":\"acme\"}"),
        ("/api/gate", "\"answer\":\"freeze\""),
        ("/api/gate?service=contauth", "\"answer\":\"allow\""),
        ("/api/traces?only=bad", "\"bad\":true"),
        ("/api/traces/0000000000000000000000000abc0001", "\"spans\""),
    ] {
        let answer = served.get(path).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, "application/json"),
            "{path}"
        );
        assert!(answer.body.contains(part), "{path}: {}", answer.body);
    }
    for path in ["/api/none", "/api/slos/none", "/api/traces/ffffffffffffffffffffffffffffffff"] {
        let answer = served.get(path).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (404, "application/problem+json"),
            "{path}"
        );
    }
}
