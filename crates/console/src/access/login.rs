//! The way in for people: a form that turns the token into a session.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Query, State};
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use http::{HeaderMap, Request, StatusCode, Uri, header};
use maud::html;
use serde::Deserialize;

use super::COOKIE;
use crate::Shared;
use crate::counts::Refusal;
use crate::pages::frame;

/// A session ends with a day's work, and with the process.
const SESSION_S: u32 = 12 * 3600;
/// What the form may hold.
const FORM_BYTES_MAX: usize = 4096;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Login {
    next: String,
    token: String,
}

pub(crate) async fn login_page(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Query(login): Query<Login>,
) -> Response {
    let next = local(&login.next);
    if shared.access.admits(&headers) {
        return Redirect::to(next).into_response();
    }
    form(next, None).into_response()
}

pub(crate) async fn login(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response {
    let Ok(body) = axum::body::to_bytes(request.into_body(), FORM_BYTES_MAX).await else {
        return (StatusCode::PAYLOAD_TOO_LARGE, form("/", Some("That was too long.")))
            .into_response();
    };
    let login = std::str::from_utf8(&body)
        .ok()
        .and_then(|text| Uri::builder().path_and_query(format!("/?{text}")).build().ok())
        .and_then(|uri| Query::<Login>::try_from_uri(&uri).ok());
    let login = login.map(|Query(login)| login).unwrap_or_default();
    let next = local(&login.next);
    let Some(secrets) = &shared.access.secrets else { return Redirect::to(next).into_response() };
    if !secrets.is_token(login.token.trim()) {
        shared.counts.refuse(Refusal::Token);
        let again = form(next, Some("That is not the token."));
        return (StatusCode::UNAUTHORIZED, again).into_response();
    }
    let session = &secrets.session;
    let cookie =
        format!("{COOKIE}={session}; Path=/; Max-Age={SESSION_S}; HttpOnly; SameSite=Strict");
    ([(header::SET_COOKIE, cookie)], Redirect::to(next)).into_response()
}

/// Where to go on: only to a place of our own.
fn local(next: &str) -> &str {
    let ours = next.starts_with('/')
        && !next.starts_with("//")
        && next.bytes().all(|byte| (0x21..0x7f).contains(&byte) && byte != b'\\');
    if ours { next } else { "/" }
}

fn form(next: &str, wrong: Option<&str>) -> Html<String> {
    frame::bare(
        "Log in",
        wrong,
        None,
        &html! {
            form.login method="post" action="/login" {
                input type="hidden" name="next" value=(next);
                label for="token" { "Token" }
                input #token type="password" name="token" required autofocus autocomplete="current-password";
                button type="submit" { "Log in" }
                p.muted {
                    "The token is in the file that " code { "console.token_file" } " names on the server."
                }
            }
        },
    )
}

#[cfg(test)]
mod tests {
    use super::local;

    #[test]
    fn a_login_leads_to_a_page_of_ours() {
        assert_eq!(local("/slo/a?tenant=b"), "/slo/a?tenant=b");
        for other in ["", "//evil.example", "https://evil.example", "/\\evil", "/a\r\nb", "slo"] {
            assert_eq!(local(other), "/", "{other}");
        }
    }
}
