//! Questions that get an answer: connections, versions, bodies, redirects.

use std::cell::Cell;
use std::rc::Rc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Uri};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::{Server, Speaks, local, say};
use crate::{Ask, Client, Trouble};

#[test]
fn a_connection_is_kept_and_the_whole_exchange_arrives() {
    local(async {
        let server = Server::start(Speaks::Http1, |request| {
            assert_eq!(request.headers()["user-agent"], "gateward");
            let body = format!("{} {} {:?}", request.method(), request.uri(), request.body());
            say(203, body).with("x-count", "1").with("x-count", "2")
        })
        .await;
        let client = Client::new();
        for at in 0..5 {
            let mut ask = Ask::post(server.url("/a?b=c"), Bytes::from(format!("body {at}")));
            ask.headers.insert("x-said", HeaderValue::from_static("yes"));
            let answer = client.clone().ask(ask).await.unwrap();
            assert_eq!(answer.status, 203);
            assert_eq!(answer.headers.get_all("x-count").iter().count(), 2);
            assert_eq!(answer.body, format!("POST /a?b=c b\"body {at}\""));
            assert_eq!(answer.trailers, None);
        }
        assert_eq!(server.connections(), 1);
    });
}

#[test]
fn http_2_without_tls_brings_trailers_and_needs_one_connection() {
    local(async {
        let server = Server::start(Speaks::Http2, |request| {
            assert_eq!(request.version(), http::Version::HTTP_2);
            let trailers = HeaderMap::from_iter([(
                http::HeaderName::from_static("grpc-status"),
                HeaderValue::from_static("0"),
            )]);
            super::Say { trailers: Some(trailers), ..say(200, request.body().clone()) }
        })
        .await;
        let client = Client::new();
        let mut asks = JoinSet::new();
        for at in 0..20 {
            let ask = Ask { http2: true, ..Ask::post(server.url("/"), Bytes::from(at.to_string())) };
            let client = client.clone();
            asks.spawn(async move { (at, client.ask(ask).await) });
        }
        while let Some(asked) = asks.join_next().await {
            let (at, answer) = asked.unwrap();
            let answer = answer.unwrap();
            assert_eq!(answer.body, at.to_string());
            assert_eq!(answer.trailers.unwrap()["grpc-status"], "0");
        }
        assert_eq!(server.connections(), 1);
    });
}

#[test]
fn redirects_are_answers() {
    local(async {
        let elsewhere = Server::start(Speaks::Http1, |_| say(200, "")).await;
        let target = elsewhere.url("/").to_string();
        let server =
            Server::start(Speaks::Http1, move |_| say(302, "").with("location", target.clone())).await;
        let answer = Client::new().ask(Ask::get(server.url("/"))).await.unwrap();
        assert_eq!(answer.status, 302);
        assert_eq!(elsewhere.connections(), 0);
    });
}

#[test]
fn addresses_that_cannot_be_asked_are_refused() {
    local(async {
        for uri in ["/path", "example.test:80", "ftp://example.test/", "http://me:secret@example.test/", "*"]
        {
            let ask = Ask::get(Uri::from_static(uri));
            assert_eq!(Client::new().ask(ask).await.unwrap_err(), Trouble::Address, "{uri}");
        }
    });
}

#[test]
fn the_number_of_questions_under_way_is_bounded() {
    local(async {
        // It accepts in its queue, and does not answer.
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url: Uri = format!("http://{}/", silent.local_addr().unwrap()).parse().unwrap();
        // A quarter of its places is for one server, and nobody else has to wait for that one.
        let client = Client::with_places(8);
        let mut asks = JoinSet::new();
        for _ in 0..2 {
            let (client, ask) = (client.clone(), Ask::get(url.clone()));
            asks.spawn(async move { client.ask(ask).await });
        }
        // Both are under way once they have connected.
        let (_first, _second) = (silent.accept().await.unwrap(), silent.accept().await.unwrap());
        assert_eq!(client.ask(Ask::get(url.clone())).await.unwrap_err(), Trouble::Busy);
        let server = Server::start(Speaks::Http1, |_| say(200, "")).await;
        assert_eq!(client.ask(Ask::get(server.url("/"))).await.unwrap().status, 200);
        // Who gives up a question gives its place back.
        asks.shutdown().await;
        let again = tokio::task::spawn_local({
            let (client, ask) = (client.clone(), Ask::get(url));
            async move { client.ask(ask).await }
        });
        let _third = silent.accept().await.unwrap();
        again.abort();
        // And there is a bound for all servers together.
        let none = Client::with_places(0);
        assert_eq!(none.ask(Ask::get(server.url("/"))).await.unwrap_err(), Trouble::Busy);
    });
}

/// Reads the head of one request without a body, or says that there is none.
async fn read_head(tcp: &mut TcpStream) -> bool {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match tcp.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return false,
        }
    }
    true
}

/// A server that answers the first request of the first connection, and closes it when the second has arrived.
async fn hasty(mut tells: tokio::sync::mpsc::Sender<&'static str>) -> Uri {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    tokio::task::spawn_local(async move {
        let tells = &mut tells;
        for answers in [1, 0, 9] {
            let Ok((mut tcp, _)) = listener.accept().await else { return };
            tells.send("connection").await.unwrap();
            for _ in 0..answers {
                if !read_head(&mut tcp).await {
                    return;
                }
                tells.send("answered").await.unwrap();
                tcp.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
            }
            if read_head(&mut tcp).await {
                tells.send("closed").await.unwrap();
            }
        }
    });
    url
}

#[test]
fn a_connection_that_closes_before_the_answer_is_replaced_once() {
    local(async {
        let (tells, mut told) = tokio::sync::mpsc::channel(64);
        let url = hasty(tells).await;
        let client = Client::new();
        assert_eq!(client.ask(Ask::get(url.clone())).await.unwrap().body, "ok");
        // The kept connection closes, and so does the next one: that was the one further attempt.
        assert_eq!(client.ask(Ask::get(url.clone())).await.unwrap_err(), Trouble::Closed);
        assert_eq!(client.ask(Ask::get(url)).await.unwrap().body, "ok");
        let mut happened = Vec::new();
        while let Ok(event) = told.try_recv() {
            happened.push(event);
        }
        let expected = ["connection", "answered", "closed", "connection", "closed", "connection", "answered"];
        assert_eq!(happened, expected);
    });
}

#[test]
fn a_question_that_must_not_be_asked_twice_is_not() {
    local(async {
        let (tells, _told) = tokio::sync::mpsc::channel(64);
        let url = hasty(tells).await;
        let client = Client::new();
        let once = || Ask { repeatable: false, ..Ask::get(url.clone()) };
        assert_eq!(client.ask(once()).await.unwrap().body, "ok");
        for _ in 0..2 {
            assert_eq!(client.ask(once()).await.unwrap_err(), Trouble::Closed);
        }
        assert_eq!(client.ask(once()).await.unwrap().body, "ok");
    });
}

#[test]
fn a_kept_connection_that_was_closed_meanwhile_is_replaced() {
    local(async {
        // It closes every connection after one answer, without saying so.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url: Uri = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let accepted = Rc::new(Cell::new(0));
        let counted = Rc::clone(&accepted);
        tokio::task::spawn_local(async move {
            while let Ok((mut tcp, _)) = listener.accept().await {
                counted.set(counted.get() + 1);
                if read_head(&mut tcp).await {
                    tcp.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
                }
            }
        });
        let client = Client::new();
        for _ in 0..50 {
            assert_eq!(client.ask(Ask::get(url.clone())).await.unwrap().body, "ok");
        }
        assert_eq!(accepted.get(), 50);
    });
}
