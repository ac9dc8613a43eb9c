//! Bodies: forms, sizes, broken and silent connections.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::StatusCode;
use verifier_pool::Config;

use crate::lab::{Answer, Lab, PYTHON, Site, request, until};

const BOUNDARY: &str = "----x";

fn part(disposition: &[u8], value: &[u8]) -> Vec<u8> {
    let mut bytes = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; ").into_bytes();
    bytes.extend_from_slice(disposition);
    bytes.extend_from_slice(b"\r\n\r\n");
    bytes.extend_from_slice(value);
    bytes.extend_from_slice(b"\r\n");
    bytes
}

fn form(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes: Vec<u8> =
        parts.iter().flat_map(|(name, value)| part(name.as_bytes(), value)).collect();
    bytes.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    bytes
}

async fn send_form(site: &Site, query: &str, body: impl Into<Body>) -> Answer {
    let path = format!("/v1/verifications?{query}");
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    let request = request("POST", &path, "acme-member").header("content-type", kind);
    site.send(request.body(body.into()).unwrap()).await
}

#[tokio::test]
async fn a_form_has_the_artifact_and_parameters_in_any_order() {
    let lab = Lab::new();
    let site = lab.site(Config::default());
    let body = form(&[
        ("name=\"argument\"", b"-v"),
        ("name=\"artifact\"; filename=\"caf\u{e9}.py\"", PYTHON),
        ("name=\"argument\"", b"two words"),
        ("name=\"timeout_ms\"", b"700"),
    ]);
    let answer = send_form(&site, "", body).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer:?}");
    let document = answer.json();
    assert_eq!(document["file_name"], "caf\u{e9}.py");
    assert_eq!(document["arguments"], serde_json::json!(["-v", "two words"]));
    assert_eq!(document["timeout_ms"], 700);
    assert_eq!(document["size_bytes"], PYTHON.len());

    let named = form(&[
        ("name=\"artifact\"; filename=\"x/y.py\"", PYTHON),
        ("name=\"file_name\"", b"z.py"),
    ]);
    let answer = send_form(&site, "", named).await;
    assert_eq!(answer.json()["file_name"], "z.py", "what is said outright counts");
    assert_eq!(answer.json()["sha256"], document["sha256"]);
}

#[tokio::test]
async fn one_byte_at_a_time_is_the_same_form() {
    let lab = Lab::new();
    let site = lab.site(Config::default());
    let body =
        form(&[("name=\"artifact\"; filename=\"a.py\"", PYTHON), ("name=\"runner\"", b"process")]);
    let bytes = body.into_iter().map(|byte| Ok::<_, std::io::Error>(Bytes::from(vec![byte])));
    let answer = send_form(&site, "", Body::from_stream(stream::iter(bytes))).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer:?}");
    assert_eq!(answer.json()["size_bytes"], PYTHON.len());
}

#[tokio::test]
async fn malformed_forms_are_named_and_nothing_is_kept() {
    let lab = Lab::new();
    let site = lab.site(Config::default());
    let artifact = ("name=\"artifact\"; filename=\"a.py\"", PYTHON);
    let mut no_utf8 = part(b"name=\"artifact\"; filename=\"\xff\xfe.py\"", PYTHON);
    no_utf8.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    let whole = form(&[artifact]);
    let cut = whole[..whole.len() - 12].to_vec();
    for (body, word) in [
        (form(&[]), "artifact"),
        (form(&[("name=\"file_name\"", b"a.py")]), "artifact"),
        (form(&[artifact, artifact]), "two parts"),
        (form(&[artifact, ("name=\"colour\"", b"red")]), "colour"),
        (form(&[artifact, ("filename=\"x\"", b"red")]), "no name"),
        (form(&[artifact, ("name=\"timeout_ms\"", b"x")]), "timeout_ms"),
        (form(&[artifact, ("name=\"argument\"", &[b'x'; 5000])]), "4096"),
        (form(&[("name=\"artifact\"; filename=\"../a.py\"", PYTHON)]), "file_name"),
        (no_utf8, "UTF-8"),
        (cut, "incomplete"),
        (whole[..20].to_vec(), "incomplete"),
        (b"nonsense".to_vec(), "incomplete"),
        (Vec::new(), "incomplete"),
    ] {
        let answer = send_form(&site, "", body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{word}: {answer:?}");
        answer.problem();
        let detail = answer.text("detail").to_lowercase();
        assert!(detail.contains(&word.to_lowercase()), "{word}: {detail}");
    }
    let twice =
        send_form(&site, "file_name=b.py", form(&[artifact, ("name=\"file_name\"", b"c")])).await;
    assert!(twice.text("detail").contains("twice"));
    let bare = request("POST", "/v1/verifications", "acme-member")
        .header("content-type", "multipart/form-data")
        .body(Body::from(PYTHON))
        .unwrap();
    let answer = site.send(bare).await;
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (StatusCode::BAD_REQUEST, "malformed-form")
    );
    assert_eq!(lab.files(), 0);
}

#[tokio::test]
async fn a_form_cannot_make_the_parser_hold_endless_headers() {
    let lab = Lab::new();
    let site = lab.site(Config::default());
    let start = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"artifact\"; x=\"");
    let chunk = Bytes::from(vec![b'a'; 64 * 1024]);
    let chunks = std::iter::once(Bytes::from(start)).chain(std::iter::repeat_n(chunk, 512));
    let body = Body::from_stream(stream::iter(chunks.map(Ok::<_, std::io::Error>)));
    let answer = send_form(&site, "", body).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(answer.text("detail").contains("do not end"), "{}", answer.text("detail"));
    assert_eq!(lab.files(), 0);
}

#[tokio::test]
async fn an_artifact_beyond_the_limit_is_refused_however_it_comes() {
    let lab = Lab::new();
    let limit = 100_000;
    let site = lab.site(Config { artifact_max_bytes: limit as u64, ..Config::default() });
    let mut fits = PYTHON.to_vec();
    fits.resize(limit, b'\n');
    assert_eq!(site.submit("file_name=a.py", fits.clone()).await.status, StatusCode::ACCEPTED);
    assert_eq!(lab.files(), 1);
    let mut over = fits.clone();
    over.push(b'\n');
    let streamed = |bytes: &[u8]| {
        let chunks: Vec<_> = bytes
            .chunks(8192)
            .map(|chunk| Ok::<_, std::io::Error>(Bytes::copy_from_slice(chunk)))
            .collect();
        Body::from_stream(stream::iter(chunks))
    };
    let announced = request("POST", "/v1/verifications", "acme-member")
        .header("content-length", "100001")
        .body(Body::empty())
        .unwrap();
    let name = "name=\"artifact\"; filename=\"a.py\"";
    let answers = [
        site.submit("", over.clone()).await,
        site.submit("", streamed(&over)).await,
        site.send(announced).await,
        send_form(&site, "", form(&[(name, &over)])).await,
        send_form(&site, "", streamed(&form(&[(name, &over)]))).await,
        send_form(&site, "", streamed(&vec![b'x'; 2_000_000])).await,
    ];
    for (number, answer) in answers.iter().enumerate() {
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{number}");
        assert_eq!(answer.problem(), "too-large");
        assert!(answer.text("detail").contains("100000"));
    }
    assert_eq!(lab.files(), 1, "only what fits was kept");
    let fits =
        send_form(&site, "file_name=b.py", streamed(&form(&[("name=\"artifact\"", &fits)]))).await;
    assert_eq!(fits.status, StatusCode::ACCEPTED, "{fits:?}");
}

#[tokio::test]
async fn an_upload_that_breaks_off_keeps_nothing() {
    let lab = Lab::new();
    let site = lab.site(Config::default());
    let broken = || {
        let chunks = [Ok(Bytes::from_static(PYTHON)), Err(std::io::Error::other("reset by peer"))];
        Body::from_stream(stream::iter(chunks))
    };
    let short = request("POST", "/v1/verifications", "acme-member")
        .header("content-length", "500")
        .body(Body::from_stream(stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(
            PYTHON,
        ))])))
        .unwrap();
    let in_form = || {
        let start = part(b"name=\"artifact\"", PYTHON);
        let chunks = [Ok(Bytes::from(start)), Err(std::io::Error::other("reset by peer"))];
        Body::from_stream(stream::iter(chunks))
    };
    for answer in [
        site.submit("file_name=a.py", broken()).await,
        site.send(short).await,
        send_form(&site, "", in_form()).await,
    ] {
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (StatusCode::BAD_REQUEST, "truncated")
        );
    }
    assert_eq!(lab.files(), 0);
    assert_eq!(site.get("/v1/verifications").await.json()["items"], serde_json::json!([]));
}

#[tokio::test]
async fn a_silent_upload_is_ended_and_one_too_many_is_not_begun() {
    let lab = Lab::new();
    let config = Config { upload_idle_ms: 1_000, uploads_max: 1, ..Config::default() };
    let site = lab.site(config);
    let silent = || {
        let first = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(PYTHON))]);
        Body::from_stream(first.chain(stream::pending()))
    };
    let hanging = site.submit("file_name=a.py", silent());
    let beside = async {
        until("the first upload is on its way", || lab.files() == 1).await;
        site.submit("file_name=b.py", PYTHON).await
    };
    let (hanging, beside) = tokio::join!(hanging, beside);
    assert_eq!((hanging.status, hanging.problem().as_str()), (StatusCode::REQUEST_TIMEOUT, "idle"));
    assert_eq!(
        (beside.status, beside.problem().as_str()),
        (StatusCode::SERVICE_UNAVAILABLE, "busy")
    );
    let hanging = send_form(&site, "", silent()).await;
    assert_eq!(hanging.status, StatusCode::REQUEST_TIMEOUT);
    assert_eq!(lab.files(), 0);
    assert_eq!(site.submit("file_name=b.py", PYTHON).await.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_nothing_half_done() {
    let lab = Lab::new();
    let site = lab.site(Config::default());
    let endless = Body::from_stream(stream::unfold((), async |()| {
        tokio::time::sleep(Duration::from_millis(1)).await;
        Some((Ok::<_, std::io::Error>(Bytes::from_static(PYTHON)), ()))
    }));
    let submission = site.submit("file_name=a.py", endless);
    let gone = tokio::time::timeout(Duration::from_millis(100), submission).await;
    assert!(gone.is_err());
    until("the upload is gone", || lab.files() == 0).await;
    assert_eq!(site.get("/v1/verifications").await.json()["items"], serde_json::json!([]));
}
