//! Questions without an answer that counts: names, connections, times, sizes, nonsense.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Uri;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{Server, Speaks, local, say};
use crate::{Ask, Client, Trouble};

/// A server that sends these bytes on each connection once it has read something, and waits for the client's end.
async fn parrot(bytes: impl Into<Bytes>) -> Uri {
    let bytes = bytes.into();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    tokio::task::spawn_local(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            let bytes = bytes.clone();
            tokio::task::spawn_local(async move {
                let mut read = [0; 4096];
                let _ = tcp.read(&mut read).await;
                let _ = tcp.write_all(&bytes).await;
                while tcp.read(&mut read).await.is_ok_and(|count| count > 0) {}
            });
        }
    });
    url
}

async fn trouble(ask: Ask) -> Trouble {
    Client::new().ask(ask).await.unwrap_err()
}

#[test]
fn names_and_connections() {
    local(async {
        // No label is so long, so no server of names is asked.
        let uri: Uri = format!("http://{}.test/", "a".repeat(64)).parse().unwrap();
        assert_eq!(trouble(Ask::get(uri)).await, Trouble::Resolve);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri: Uri = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        drop(listener);
        assert_eq!(trouble(Ask::get(uri)).await, Trouble::Connect(ErrorKind::ConnectionRefused));
    });
}

#[test]
fn time_is_bounded_for_head_and_body_alike() {
    local(async {
        for begun in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc"] {
            let url = parrot(begun).await;
            let begin = Instant::now();
            let ask = Ask { timeout: Duration::from_millis(50), ..Ask::get(url) };
            assert_eq!(trouble(ask).await, Trouble::Timeout, "{begun}");
            assert!(begin.elapsed() >= Duration::from_millis(50));
        }
    });
}

#[test]
fn a_question_that_timed_out_closes_its_connection() {
    local(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url: Uri = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let ask = Ask { timeout: Duration::from_millis(50), ..Ask::get(url) };
        let server = async {
            let (mut tcp, _) = listener.accept().await.unwrap();
            let mut all = Vec::new();
            tcp.read_to_end(&mut all).await
        };
        let (asked, ended) = tokio::join!(trouble(ask), server);
        assert_eq!(asked, Trouble::Timeout);
        assert!(ended.unwrap() > 0, "the request came, and then the end");
    });
}

#[test]
fn sizes_are_bounded() {
    local(async {
        let exact = Server::start(Speaks::Http1, |_| say(200, vec![b'a'; 1000])).await;
        let ask = |most_body, uri: Uri| Ask { most_body, ..Ask::get(uri) };
        let answer = Client::new().ask(ask(1000, exact.url("/"))).await.unwrap();
        assert_eq!(answer.body.len(), 1000);
        assert_eq!(trouble(ask(999, exact.url("/"))).await, Trouble::TooLarge);
        // What says that it is too long is refused before it comes, ...
        let announced = parrot("HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n").await;
        assert_eq!(trouble(ask(1000, announced)).await, Trouble::TooLarge);
        // ... and what does not say so when it is too long.
        let chunks = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_owned();
        let chunked = parrot(chunks + "64\r\n" + &"a".repeat(100) + "\r\n").await;
        assert_eq!(trouble(ask(99, chunked)).await, Trouble::TooLarge);
        let second = Server::start(Speaks::Http2, |_| say(200, vec![b'a'; 200_000])).await;
        let ask = Ask { http2: true, ..ask(199_999, second.url("/")) };
        assert_eq!(trouble(ask).await, Trouble::TooLarge);
    });
}

#[test]
fn heads_are_bounded() {
    local(async {
        let line = format!("x: {}\r\n", "a".repeat(1000));
        // Many at once, and one without an end.
        let head = format!("HTTP/1.1 200 OK\r\n{}content-length: 0\r\n\r\n", line.repeat(400));
        assert_eq!(trouble(Ask::get(parrot(head).await)).await, Trouble::TooLarge);
        let head = format!("HTTP/1.1 200 OK\r\nx: {}", "a".repeat(300_000));
        assert_eq!(trouble(Ask::get(parrot(head).await)).await, Trouble::TooLarge);
        let head = format!("HTTP/1.1 200 OK\r\n{}content-length: 0\r\n\r\n", line.repeat(50));
        assert_eq!(Client::new().ask(Ask::get(parrot(head).await)).await.unwrap().status, 200);
        let large = "a".repeat(90_000);
        let second = Server::start(Speaks::Http2, move |_| say(200, "").with("x", large.clone())).await;
        let ask = Ask { http2: true, ..Ask::get(second.url("/")) };
        assert!(matches!(trouble(ask).await, Trouble::Malformed(_) | Trouble::TooLarge));
    });
}

#[test]
fn nonsense_is_no_answer() {
    local(async {
        for bytes in [
            "SSH-2.0-OpenSSH_9.6\r\n\r\n",
            "HTTP/1.1 99 Low\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\nbad header: 1\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nnonsense\r\n",
        ] {
            let got = trouble(Ask::get(parrot(bytes).await)).await;
            assert!(matches!(got, Trouble::Malformed(_)), "{bytes}: {got:?}");
        }
        // Versions that do not fit.
        let first = Server::start(Speaks::Http1, |_| say(200, "")).await;
        let ask = Ask { http2: true, ..Ask::get(first.url("/")) };
        assert!(matches!(trouble(ask).await, Trouble::Malformed(_) | Trouble::Closed));
        let second = Server::start(Speaks::Http2, |_| say(200, "")).await;
        assert!(matches!(trouble(Ask::get(second.url("/"))).await, Trouble::Malformed(_) | Trouble::Closed));
    });
}

#[test]
fn a_body_that_ends_early_is_no_answer() {
    local(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url: Uri = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        tokio::task::spawn_local(async move {
            let (mut tcp, _) = listener.accept().await.unwrap();
            let _ = tcp.read(&mut [0; 4096]).await;
            tcp.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{\"active\":true}").await.unwrap();
        });
        assert_eq!(trouble(Ask::get(url)).await, Trouble::Closed);
    });
}

#[test]
fn what_is_said_of_trouble_holds_no_secrets() {
    let ask = Ask::get(Uri::from_static("https://id.test/userinfo?access_token=secret"));
    assert_eq!(format!("{ask:?}"), "GET id.test/userinfo");
    let answer = crate::Answer { status: 200, body: Bytes::from_static(b"secret"), ..Default::default() };
    assert_eq!(format!("{answer:?}"), "200 with 6 bytes");
    for trouble in [
        Trouble::Address,
        Trouble::Busy,
        Trouble::Resolve,
        Trouble::Connect(ErrorKind::ConnectionRefused),
        Trouble::Timeout,
        Trouble::Closed,
        Trouble::TooLarge,
        Trouble::Malformed("why"),
        Trouble::Status(503),
        Trouble::Grpc(14),
    ] {
        let text = trouble.to_string();
        assert!(!text.is_empty() && !text.contains('\n') && !text.ends_with('.'), "{text}");
    }
}
