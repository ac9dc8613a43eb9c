//! Artifacts that are too large, cut off, empty, for another machine or badly named: refused in
//! words, and nothing of them is kept.

use std::io::Write as _;
use std::net::Shutdown;

use super::super::{Answer, Stack, until};
use super::{assert_healthy, assert_told, connect, head, heard, kept, listed, said};

const SUBMIT: &str = "/v1/verifications?file_name=a.sh";
/// Small limits: what lies beyond them is sent in full.
const ARTIFACT_MAX_BYTES: usize = 1 << 20;
const BODY_MAX_BYTES: usize = 8 << 20;

fn multipart(disposition: &[u8], content: &[u8]) -> Vec<u8> {
    let lines: [&[u8]; 5] =
        [b"--b\r\ncontent-disposition: ", disposition, b"\r\n\r\n", content, b"\r\n--b--\r\n"];
    lines.concat()
}

fn form(stack: &Stack, body: &[u8]) -> Answer {
    let kind = [("content-type", "multipart/form-data; boundary=b")];
    stack.post(&stack.key, "/v1/verifications", &kind, body)
}

/// A request with a body of so many bytes, whose length is said or not.
fn large(key: &str, target: &str, kind: &str, bytes: usize, chunked: bool) -> Vec<u8> {
    let body = vec![b'x'; bytes];
    let kind = format!("content-type: {kind}\r\n");
    if chunked {
        let lines = head(key, "POST", target, &format!("{kind}transfer-encoding: chunked\r\n"));
        let mut all = lines.into_bytes();
        for chunk in body.chunks(64 * 1024) {
            all.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            all.extend_from_slice(chunk);
            all.extend_from_slice(b"\r\n");
        }
        all.extend_from_slice(b"0\r\n\r\n");
        return all;
    }
    let lines = head(key, "POST", target, &format!("{kind}content-length: {bytes}\r\n"));
    [lines.as_bytes(), &body].concat()
}

#[test]
fn a_body_that_is_too_large_is_told_the_limit_however_its_length_is_said() {
    let settings = format!(
        "[verifier-pool]\naddress = \"127.0.0.1:0\"\nartifact_max_bytes = {ARTIFACT_MAX_BYTES}\n{}\
         body_max_bytes = {BODY_MAX_BYTES}\n",
        Stack::INGRESS
    );
    let stack = Stack::with(&settings, &[]);
    let (artifact, whole) = (ARTIFACT_MAX_BYTES.to_string(), BODY_MAX_BYTES.to_string());
    let (binary, json) = ("application/octet-stream", "application/json");
    let cases: [(&str, &str, usize, &str); 4] = [
        (SUBMIT, binary, ARTIFACT_MAX_BYTES + 1, &artifact),
        (SUBMIT, binary, BODY_MAX_BYTES + 1, &whole),
        ("/v1/sessions/s/telemetry", json, 2 << 20, "l"),
        ("/v1/features/a_view", json, BODY_MAX_BYTES + 1, &whole),
    ];
    for (target, kind, bytes, limit) in cases {
        for chunked in [false, true] {
            let answer = said(&stack, large(&stack.key, target, kind, bytes, chunked));
            let what = format!("{bytes} bytes for {target}, chunked: {chunked}");
            // Without a length the smaller limit behind may be reached before the ingress' own.
            let words: &[&str] = if chunked { &[] } else { &[limit] };
            assert_told(&what, &answer, 413, words);
        }
    }
    let beyond = vec![b'x'; ARTIFACT_MAX_BYTES + 1];
    let answer = form(&stack, &multipart(b"form-data; name=\"artifact\"", &beyond));
    assert_told("a form", &answer, 413, &[&artifact]);
    until("nothing is kept", || kept(&stack).is_empty());
    assert_eq!(listed(&stack, &stack.key), 0);
    let most = [b"#!/bin/sh\nexit 0\n".as_slice(), &vec![b'#'; ARTIFACT_MAX_BYTES - 17]].concat();
    stack.submit(&stack.key, "most.sh", &most);
    assert_healthy(&stack);
}

#[test]
fn an_upload_that_is_cut_off_leaves_nothing() {
    let stack = Stack::start();
    let script = b"#!/bin/sh\necho this would run, and is not all of it\n".repeat(100);
    let form = "content-type: multipart/form-data; boundary=b\r\n";
    let part =
        [b"--b\r\ncontent-disposition: form-data; name=\"artifact\"\r\n\r\n", script.as_slice()]
            .concat();
    let chunk =
        [format!("{:x}\r\n", script.len()).as_bytes(), &script, b"\r\nffff\r\nand"].concat();
    let cases: [(&str, String, &[u8]); 3] = [
        ("a length", "content-length: 100000\r\n".to_owned(), &script),
        ("chunks", "transfer-encoding: chunked\r\n".to_owned(), &chunk),
        ("a form", format!("{form}content-length: 100000\r\n"), &part),
    ];
    for (what, lines, sent) in &cases {
        for politely in [true, false] {
            let mut stream = connect(&stack);
            stream.write_all(head(&stack.key, "POST", SUBMIT, lines).as_bytes()).expect("sent");
            stream.write_all(sent).expect("sent");
            until("its beginning is on the disk", || !kept(&stack).is_empty());
            if politely {
                stream.shutdown(Shutdown::Write).expect("half closed");
                let answer = heard(&mut stream);
                assert_told(what, &answer, 400, &["end"]);
            }
            drop(stream);
            until("nothing of it is kept", || kept(&stack).is_empty());
        }
    }
    // The body is whole, and the form in it is not.
    let answer = self::form(&stack, &part);
    assert_told("a form without its end", &answer, 400, &["form"]);
    assert!(kept(&stack).is_empty() && listed(&stack, &stack.key) == 0);
    assert_healthy(&stack);
}

#[test]
fn what_cannot_be_executed_is_told_what_it_is_instead() {
    let stack = Stack::start();
    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0".to_vec();
    let foreign: u16 = if cfg!(target_arch = "x86_64") { 183 } else { 62 };
    elf.extend(foreign.to_le_bytes());
    elf.resize(4096, 0);
    let cut = &std::fs::read("/bin/true").expect("a program")[..100];
    let cases: [(&str, &[u8], &[&str]); 9] = [
        ("empty", b"", &["empty"]),
        ("foreign", &elf, &["program for", "this host runs"]),
        ("cut", cut, &["ELF", "damaged or cut off"]),
        ("setup.exe", b"MZ\x90\0\x03\0\0\0", &["Windows program"]),
        ("a.class", b"\xca\xfe\xba\xbe\0\0\0\x41", &["Java class"]),
        ("a.zip", b"PK\x03\x04\x14\0\0\0", &["archive", "unpack"]),
        ("a.pdf", b"%PDF-1.7\n", &["PDF"]),
        ("wide.sh", b"\xff\xfee\0c\0h\0o\0", &["UTF-16", "UTF-8"]),
        ("letter", b"Dear all,\n\nthis is a letter.\n", &["interpreter"]),
    ];
    for (name, content, words) in cases {
        let path = format!("/v1/verifications?file_name={name}");
        assert_told(name, &stack.post(&stack.key, &path, &[], content), 422, words);
        let disposition = format!("form-data; name=\"artifact\"; filename=\"{name}\"");
        let answer = form(&stack, &multipart(disposition.as_bytes(), content));
        assert_told(name, &answer, 422, words);
    }
    assert!(kept(&stack).is_empty() && listed(&stack, &stack.key) == 0);
    assert_healthy(&stack);
}

#[test]
fn names_and_parameters_that_cannot_be_are_named() {
    let stack = Stack::start();
    let long = format!("file_name={}", "n".repeat(256));
    let many = "argument=a&".repeat(65);
    let cases: [(&str, u16, &[&str]); 14] = [
        ("file_name=%ff.sh", 400, &["file_name", "UTF-8"]),
        ("file_name=%zz.sh", 400, &["file_name", "%"]),
        ("file_name=..%2fa.sh", 400, &["file_name", "/"]),
        ("file_name=..", 400, &["file_name", "folder"]),
        ("file_name=a%01.sh", 400, &["file_name", "control characters"]),
        ("file_name=", 400, &["file_name", "empty"]),
        (&long, 400, &["file_name", "255"]),
        ("file_name=a&file_name=b", 400, &["file_name", "twice"]),
        (&many, 400, &["argument", "64"]),
        ("timeout_ms=-1", 400, &["timeout_ms", "milliseconds"]),
        ("timeout_ms=99999999999", 400, &["timeout_ms", "600000"]),
        ("runner=none", 409, &["runner none", "process"]),
        ("interpreter=perl", 400, &["interpreter", "python3"]),
        ("colour=red", 400, &["colour", "file_name"]),
    ];
    for (query, status, words) in cases {
        let path = format!("/v1/verifications?{query}");
        let answer = stack.post(&stack.key, &path, &[], b"#!/bin/sh\n");
        assert_told(query, &answer, status, words);
    }
    for query in ["file_name=a%00.sh", "argument=%00"] {
        let answer =
            stack.post(&stack.key, &format!("/v1/verifications?{query}"), &[], b"#!/bin/sh\n");
        assert_told(query, &answer, 400, &[]);
    }
    let forms: [(&[u8], &[&str]); 5] = [
        (b"form-data; name=\"artifact\"; filename=\"\xff.sh\"", &["file_name", "UTF-8"]),
        (b"form-data; name=\"artifact\"; filename=\"../a.sh\"", &["file_name", "/"]),
        (b"form-data; name=\"colour\"", &["colour", "file_name"]),
        (b"form-data; name=\"file_name\"", &["artifact"]),
        (b"form-data", &["name"]),
    ];
    for (disposition, words) in forms {
        let what = String::from_utf8_lossy(disposition).into_owned();
        let content = if what.contains("file_name") { b"a.sh".as_slice() } else { b"#!/bin/sh\n" };
        assert_told(&what, &form(&stack, &multipart(disposition, content)), 400, words);
    }
    let kind = [("content-type", "multipart/form-data")];
    let answer = stack.post(&stack.key, SUBMIT, &kind, b"nothing");
    assert_told("no boundary", &answer, 400, &["boundary"]);
    assert!(kept(&stack).is_empty() && listed(&stack, &stack.key) == 0);
    assert_healthy(&stack);
}
