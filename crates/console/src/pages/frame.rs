//! What is around every page: its head, the way between pages, and what a browser may do in it.

use axum::response::Html;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};
use slo::gate::Answer;

use super::words;
use crate::{chart, show};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");
pub(crate) const ICON: &str = include_str!("icon.svg");

/// Where in the navigation a page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Objectives,
    Traces,
    Services,
    None,
}

/// A page around its body.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) title: &'a str,
    pub(crate) place: Place,
    pub(crate) gate: Answer,
    /// Of which moment the newest evaluation is.
    pub(crate) at_us: Option<i64>,
}

impl Frame<'_> {
    pub(crate) fn page(&self, body: &Markup) -> Html<String> {
        let places = [
            (Place::Objectives, "/", "Objectives"),
            (Place::Traces, "/traces", "Traces"),
            (Place::Services, "/services", "Services"),
        ];
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                (head(self.title, None))
                body {
                    a.skip href="#main" { "Skip to the content" }
                    header.top {
                        a.brand href="/" { (PreEscaped(ICON)) "ShieldX" }
                        nav aria-label="Pages" {
                            @for (place, path, name) in places {
                                a href=(path) aria-current=[(place == self.place).then_some("page")] { (name) }
                            }
                        }
                        div.now #now data-live {
                            a.gate-link href="/#gate" { span.muted { "Deploys " } (words::gate(self.gate)) }
                            span.live {
                                span.lamp aria-hidden="true" {}
                                @match self.at_us {
                                    Some(at_us) => { span.muted { "evaluated " } (show::clock(at_us)) },
                                    None => span.muted { "not evaluated yet" },
                                }
                            }
                        }
                    }
                    (chart::definitions())
                    main #main tabindex="-1" { (body) }
                    footer {
                        "shieldx " (env!("CARGO_PKG_VERSION"))
                        " · " a href="/api/slos" { "JSON" }
                        " · " a href="/metrics" { "metrics" }
                        " · " span #zone { "times in UTC" }
                    }
                    script { (PreEscaped(SCRIPT)) }
                }
            }
        };
        Html(page.into_string())
    }
}

/// A page that shows nothing of what is behind the door.
pub(crate) fn bare(
    title: &str,
    wrong: Option<&str>,
    again: Option<&str>,
    body: &Markup,
) -> Html<String> {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            (head(title, again))
            body.bare {
                main #main {
                    p.brand { (PreEscaped(ICON)) "ShieldX" }
                    h1 { (title) }
                    @if let Some(wrong) = wrong { p.wrong role="alert" { (wrong) } }
                    (body)
                }
            }
        }
    };
    Html(page.into_string())
}

fn head(title: &str, again: Option<&str>) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            @if let Some(path) = again { meta http-equiv="refresh" content=(format!("0; url={path}")); }
            title { (show::clip(title, 120)) " · ShieldX" }
            link rel="icon" href="/favicon.svg" type="image/svg+xml";
            style { (PreEscaped(STYLE)) }
        }
    }
}

/// What a browser may do in a page: our style, our script, and asking us.
pub(crate) fn policy() -> HeaderValue {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text.as_bytes()));
    let text = format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; connect-src 'self'; \
         img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
        hash(STYLE),
        hash(SCRIPT)
    );
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}
