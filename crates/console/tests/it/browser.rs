//! The pages in Chromium: the script runs under the policy, and nothing sticks out at 390 pixels.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use axum::Router;
use axum::extract::{Query, Request};
use axum::response::Html;
use axum::routing::get;
use console::Config;
use serde::Deserialize;
use tokio::process::Command;

use crate::document::Document;
use crate::{Served, client};

const CHROMIUM: &str = "/usr/bin/chromium";

/// Tells how much wider a page is than its window, and which elements are.
const MEASURE: &str = "<script>{
  const root = document.documentElement;
  const wide = [...document.body.querySelectorAll('*')].filter((one) =>
    !one.closest('.scroll, .sr, thead, .skip, svg, pre') && one.getBoundingClientRect().right > root.clientWidth + 1);
  root.dataset.width = innerWidth;
  root.dataset.beyond = root.scrollWidth - root.clientWidth;
  root.dataset.wide = wide.slice(0, 5).map((one) => one.tagName + '.' + one.className).join(' ');
}</script></body>";

#[derive(Deserialize)]
struct Which {
    path: String,
    #[serde(default)]
    width: u32,
}

/// A page within another of a given width: a window of Chromium has at least 500 pixels.
async fn framed(Query(Which { path, width }): Query<Which>) -> Html<String> {
    Html(format!(
        "<!DOCTYPE html><title>frame</title><iframe width={width} height=900 frameborder=0 \
         src='/measured?path={path}'></iframe><script>addEventListener('load', () => \
         Object.assign(document.documentElement.dataset, \
         document.querySelector('iframe').contentDocument.documentElement.dataset))</script>"
    ))
}

/// A page with a measuring script, which its own policy would forbid.
async fn measured(Query(which): Query<Which>, request: Request) -> Html<String> {
    let host = request.headers()["host"].to_str().unwrap().parse().unwrap();
    let page = client::ask(host, "GET", &which.path, &[], "").await.body;
    Html(page.replace("</body>", MEASURE))
}

async fn dom(url: &str, profile: &Path) -> String {
    let mut command = Command::new(CHROMIUM);
    command
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"])
        .arg("--window-size=1400,1000")
        .arg(format!("--user-data-dir={}", profile.display()))
        .args(["--dump-dom", url])
        .stderr(Stdio::null())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let run = tokio::time::timeout(Duration::from_secs(120), command.output());
    let output = run.await.expect("Chromium answers").expect("Chromium starts");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn nothing_sticks_out_at_any_width() {
    if !Path::new(CHROMIUM).exists() {
        println!("SKIP there is no {CHROMIUM}");
        return;
    }
    let others = Router::new().route("/measured", get(measured)).route("/framed", get(framed));
    let served = Served::with(&Config::default(), None, others).await;
    let profile = tempfile::tempdir().unwrap();
    let trace = format!("/traces/{:032x}", 0xabc_0005);
    let pages = [
        "/",
        "/slo/verifier-pool-availability",
        "/traces",
        &trace,
        "/services",
        "/runbooks/gateway-latency-page",
    ];
    for path in pages {
        for width in [390, 1280] {
            let url = format!("http://{}/framed?width={width}&path={path}", served.address);
            let document = Document::read(&dom(&url, profile.path()).await);
            let root = document.all("html").next().unwrap();
            let measured = |name: &str| root.attribute(name).unwrap_or("not measured").to_owned();
            assert_eq!(measured("data-width"), width.to_string(), "{path}");
            assert_eq!(measured("data-wide"), "", "{path} at {width}");
            assert_eq!(measured("data-beyond"), "0", "{path} at {width}");
        }
    }
}

#[tokio::test]
async fn the_script_runs_under_the_policy_and_tells_times_in_the_viewers_zone() {
    if !Path::new(CHROMIUM).exists() {
        println!("SKIP there is no {CHROMIUM}");
        return;
    }
    let served = Served::open().await;
    let profile = tempfile::tempdir().unwrap();
    let url = format!("http://{}/", served.address);
    let document = Document::read(&dom(&url, profile.path()).await);
    let times: Vec<_> = document.all("time").collect();
    assert!(!times.is_empty());
    for time in times {
        assert!(time.attribute("title").is_some() && !time.text.contains("UTC"), "{time:?}");
    }
    let zone = document.elements.iter().find(|one| one.attribute("id") == Some("zone")).unwrap();
    assert!(zone.text.starts_with("times in "), "{zone:?}");
}
