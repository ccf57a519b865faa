//! What the fuzz targets share: second opinions about requests, requests as lines, and ways to cut bytes into pieces.
//!
//! The second opinion about whole requests is hyper's: its parser is reached through its server, on a connection that
//! lives in memory. The one about queries, cookies and JSON is as simple as can be, so that it can be seen to be right.
//! Of Gateward's codec only [`request`] knows, beside the targets. Entry points: [`hyper_reads`], [`pieces`],
//! [`request`], [`cookies`], [`query_pairs`], [`Members`].

mod lines;
mod pieces;
mod simple;

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::service::service_fn;
use hyper::{Request, Response, Version};

pub use lines::{HOST, lines, request};
pub use pieces::pieces;
pub use simple::{Members, cookies, query_pairs, unescaped};

/// A whole request, as one parser understood it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The method as it was written.
    pub method: Vec<u8>,
    /// The request target as it was written; empty where it was not in origin form.
    pub target: Vec<u8>,
    /// Whether it speaks HTTP/1.0.
    pub is_http_10: bool,
    /// Names in lower case, values without blanks around them; see [`sort_fields`].
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
    /// The body without its framing.
    pub body: Vec<u8>,
}

/// Sorts fields by name. The order of values under one name carries meaning and stays.
pub fn sort_fields(fields: &mut [(Vec<u8>, Vec<u8>)]) {
    fields.sort_by(|a, b| a.0.cmp(&b.0));
}

/// The first request in `bytes` as hyper reads it; `None` where hyper refuses it or the bytes end too early.
pub fn hyper_reads(bytes: &[u8]) -> Option<Reading> {
    let seen: RefCell<Option<Reading>> = RefCell::new(None);
    let service = service_fn(async |request: Request<Incoming>| {
        let reading = read(request).await;
        if let Some(reading) = reading {
            seen.borrow_mut().get_or_insert(reading);
        }
        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.keep_alive(false).half_close(true).max_headers(4096);
    let mut connection = pin!(builder.serve_connection(Memory { unread: bytes.to_vec() }, service));
    let mut context = Context::from_waker(Waker::noop());
    // Nothing here waits for the outside, so a connection that is not done by then never will be.
    for _ in 0..1000 {
        if connection.as_mut().poll(&mut context).is_ready() {
            break;
        }
    }
    seen.take()
}

async fn read(request: Request<Incoming>) -> Option<Reading> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.ok()?.to_bytes().to_vec();
    let origin_form = head.uri.authority().is_none();
    let target = head.uri.path_and_query().filter(|_| origin_form);
    let mut fields: Vec<(Vec<u8>, Vec<u8>)> = head
        .headers
        .iter()
        .map(|(name, value)| (name.as_str().as_bytes().to_vec(), value.as_bytes().to_vec()))
        .collect();
    sort_fields(&mut fields);
    Some(Reading {
        method: head.method.as_str().as_bytes().to_vec(),
        target: target.map(|target| target.as_str().as_bytes().to_vec()).unwrap_or_default(),
        is_http_10: head.version == Version::HTTP_10,
        fields,
        body,
    })
}

/// A connection in memory: what was sent is there at once, and then it ends.
struct Memory {
    unread: Vec<u8>,
}

impl Read for Memory {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut to: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let length = to.remaining().min(self.unread.len());
        let rest = self.unread.split_off(length);
        to.put_slice(&self.unread);
        self.unread = rest;
        Poll::Ready(Ok(()))
    }
}

impl Write for Memory {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_requests_are_read() {
        let reading =
            hyper_reads(b"POST /a?b HTTP/1.1\r\nHost: x\r\nB: 2\r\nA: 1\r\nContent-Length: 3\r\n\r\nabcGET")
                .unwrap();
        assert_eq!(
            (&*reading.method, &*reading.target, reading.is_http_10),
            (&b"POST"[..], &b"/a?b"[..], false)
        );
        assert_eq!(reading.fields[0], (b"a".to_vec(), b"1".to_vec()));
        assert_eq!(reading.body, b"abc");
        let chunked = b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nab\r\n1\r\nc\r\n0\r\nT: 1\r\n\r\n";
        assert_eq!(hyper_reads(chunked).unwrap().body, b"abc");
    }

    #[test]
    fn what_is_cut_or_refused_is_nothing() {
        for bytes in [
            &b""[..],
            b"GET / HTTP/1.1\r\n",
            b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nab",
            b"GET / HTTP/1.1\r\nA B: c\r\n\r\n",
            b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
        ] {
            assert_eq!(hyper_reads(bytes), None, "{:?}", String::from_utf8_lossy(bytes));
        }
    }
}
