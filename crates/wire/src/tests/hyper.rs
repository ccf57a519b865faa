//! Against another implementation: whatever this codec accepts, hyper must accept, and understand alike.
//!
//! hyper stands for the service behind the gateway: a request that the two read differently would be a
//! hole. It may be stricter only about targets that `normalize` refuses as well.

use std::cell::{Cell, OnceCell};

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use message::RequestHead;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestError, TestRunner};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{LIMITS, read_request};
use crate::{
    BodyDecoder, BodyLength, CHUNK_HEAD, CHUNK_TAIL, RequestFraming, RequestMeta, frame_chunk, write_request,
};

/// A request as one of the two understood it.
#[derive(Debug, PartialEq, Eq)]
struct Understood {
    method: String,
    target: String,
    /// Lower-case names with values, sorted by name; values of one name in order.
    fields: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

/// What hyper makes of the first request in `bytes`; `None` if it refuses it or its body.
fn hyper_reads(runtime: &tokio::runtime::Runtime, bytes: &[u8]) -> Option<Understood> {
    let found = OnceCell::new();
    let service = service_fn(async |request: hyper::Request<Incoming>| {
        let (head, body) = request.into_parts();
        let body = body.collect().await;
        if let Ok(body) = body {
            let mut fields: Vec<_> =
                head.headers.iter().map(|(n, v)| (n.as_str().to_owned(), v.as_bytes().to_vec())).collect();
            fields.sort_by(|a, b| a.0.cmp(&b.0));
            // A second call is the request behind the first one.
            let _ = found.set(Understood {
                method: head.method.as_str().to_owned(),
                target: head.uri.path_and_query().map_or("", |path| path.as_str()).to_owned(),
                fields,
                body: body.to_bytes().to_vec(),
            });
        }
        let response = hyper::Response::builder().header("connection", "close").body(Empty::<Bytes>::new());
        response.map_err(std::io::Error::other)
    });
    runtime.block_on(async {
        let (mut client, server) = tokio::io::duplex(64 * 1024);
        client.write_all(bytes).await.unwrap();
        client.shutdown().await.unwrap();
        let serve = http1::Builder::new().half_close(true).serve_connection(TokioIo::new(server), service);
        let mut answer = Vec::new();
        let (_, read) = tokio::join!(serve, client.read_to_end(&mut answer));
        read.unwrap();
    });
    found.into_inner()
}

/// What this codec makes of the first request; `None` if it refuses it, or `normalize` does.
fn we_read(bytes: &[u8]) -> Option<(Understood, RequestMeta, RequestHead)> {
    let (meta, mut head, end) = read_request(bytes, &LIMITS).ok().flatten()?;
    let mut buffer = bytes[end..].to_vec();
    let mut decoder = BodyDecoder::new(meta.body);
    let len = buffer.len();
    let decoded = decoder.decode(&mut buffer, 0..len).ok()?;
    if !decoder.is_done() {
        return None;
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut fields: Vec<_> =
        head.headers.iter().map(|(n, v)| (text(&n.to_ascii_lowercase()), v.to_vec())).collect();
    fields.sort_by(|a, b| a.0.cmp(&b.0));
    let understood = Understood {
        method: text(head.method_bytes()),
        target: text(head.headers.slice(head.target)),
        fields,
        body: buffer[decoded.payload].to_vec(),
    };
    head.normalize().ok()?;
    Some((understood, meta, head))
}

/// The request as the gateway would send it on.
fn forwarded(understood: &Understood, meta: &RequestMeta, head: &RequestHead) -> Vec<u8> {
    let framing = RequestFraming { body: meta.body, ..RequestFraming::default() };
    let mut out = Vec::new();
    write_request(&mut out, head, b"default", &framing);
    if meta.body == BodyLength::Chunked {
        let len = understood.body.len();
        let mut buffer = vec![0; CHUNK_HEAD + len + CHUNK_TAIL];
        buffer[CHUNK_HEAD..CHUNK_HEAD + len].copy_from_slice(&understood.body);
        let framed = frame_chunk(&mut buffer, CHUNK_HEAD..CHUNK_HEAD + len, true);
        out.extend_from_slice(&buffer[framed]);
    } else {
        out.extend_from_slice(&understood.body);
    }
    out
}

/// Requests, mostly valid ones, and some mistakes in them.
fn requests() -> impl Strategy<Value = Vec<u8>> {
    let line = (
        select(vec!["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "x!-Y"]),
        select(vec![
            "/",
            "/a/b?c=d&e",
            "/%41;x=1/..",
            "/~a'(b)*?q=1?2/3",
            "//x",
            "http://h.test/a",
            "/a{b}|",
            "*",
        ]),
        select(vec!["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0"]),
    );
    let fields = prop::collection::vec(
        select(vec![
            "A: b",
            "a:c",
            "X-Long: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, bbbbbbbbbbbbbbbbbb",
            "Empty:",
            "Tab:\tx\ty\t",
            "Connection: close",
            "Connection: keep-alive, x",
            "TE: trailers",
            "Accept: */*",
            "Cookie: a=b; c=\"d\"",
            "Expect: 100-continue",
            "!#$%&'*+-.^_`|~: x",
            "Upgrade: websocket",
        ]),
        0..6,
    );
    let body = select(vec![
        "\r\n",
        "Content-Length: 5\r\n\r\nhello",
        "Content-Length: 005\r\n\r\nhello",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "transfer-encoding: Chunked\r\n\r\n1;a=b\r\nx\r\n00A\r\n0123456789\r\n0\r\nX-T: 1\r\n\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ]);
    let mistakes =
        prop::collection::vec((any::<Index>(), 0..4u8, select(MISTAKES.to_vec()), any::<u8>()), 0..3);
    (line, fields, body, mistakes).prop_map(|((method, target, version), fields, body, mistakes)| {
        let mut bytes = format!("{method} {target} {version}\r\nHost: h.test\r\n").into_bytes();
        for field in fields {
            bytes.extend_from_slice(field.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(body.as_bytes());
        bytes.extend_from_slice(b"GET /next HTTP/1.1\r\nHost: h.test\r\n\r\n");
        for (place, kind, mistake, random) in mistakes {
            let at = place.index(bytes.len());
            match kind {
                0 => bytes[at] = mistake,
                1 => bytes.insert(at, mistake),
                2 => drop(bytes.remove(at)),
                _ => bytes[at] = random,
            }
        }
        bytes
    })
}

const MISTAKES: &[u8] = b"\r\n\t :;,0159afAF/?#%\"\\\0\x0b\x7f\x80\xa0-_+=x";

/// Whether a target is one that hyper takes too: it has an opinion on some characters of its own.
fn ours_and_theirs(target: &str) -> bool {
    target.bytes().all(|b| b.is_ascii_graphic() && !b"\"<>^`{|}\\".contains(&b))
}

#[test]
fn hyper_understands_what_is_accepted_in_the_same_way() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (accepted, refused) = (Cell::new(0), Cell::new(0));
    let config = Config { cases: 6000, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&requests(), |bytes| {
        let shown = String::from_utf8_lossy(&bytes).into_owned();
        let Some((mut ours, meta, head)) = we_read(&bytes) else {
            refused.set(refused.get() + 1);
            return Ok(());
        };
        accepted.set(accepted.get() + 1);
        let canonical = match head.query() {
            None => String::from_utf8_lossy(head.path()).into_owned(),
            Some(query) => String::from_utf8_lossy(&[head.path(), b"?", query].concat()).into_owned(),
        };
        if !ours_and_theirs(&canonical) {
            return Ok(());
        }
        let sent = forwarded(&ours, &meta, &head);
        let theirs = hyper_reads(&runtime, &sent);
        prop_assert!(theirs.is_some(), "hyper refuses what is sent on: {}", String::from_utf8_lossy(&sent));
        let theirs = theirs.unwrap();
        prop_assert_eq!((&theirs.method, &theirs.body), (&ours.method, &ours.body), "sent on: {}", &shown);
        prop_assert_eq!(&theirs.target, &canonical, "sent on: {}", &shown);

        // hyper knows no later minor versions.
        let line = bytes.trim_ascii_start().split(|&b| b == b'\r').next().unwrap_or_default();
        let known_version = line.ends_with(b"HTTP/1.0") || line.ends_with(b"HTTP/1.1");
        if !known_version || !ours_and_theirs(&ours.target) {
            return Ok(());
        }
        let theirs = hyper_reads(&runtime, &bytes);
        prop_assert!(theirs.is_some(), "hyper refuses {}", &shown);
        if !ours.target.starts_with('/') {
            ours.target = theirs.as_ref().map(|theirs| theirs.target.clone()).unwrap_or_default();
        }
        prop_assert_eq!(theirs, Some(ours), "{}", &shown);
        Ok(())
    });
    match outcome {
        // The input is a list of numbers; the reason shows it as text.
        Err(TestError::Fail(reason, _)) => panic!("{reason}"),
        Err(TestError::Abort(reason)) => panic!("{reason}"),
        Ok(()) => {}
    }
    // Both kinds must be frequent, or nothing was tested.
    assert!(accepted.get() > 1000 && refused.get() > 1000, "{} and {}", accepted.get(), refused.get());
}
