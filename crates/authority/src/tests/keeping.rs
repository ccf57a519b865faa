//! Documents that are kept fresh: rotation, failures, wishes, and the end.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use http::Uri;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{Say, Server, Speaks, local, say};
use crate::{Client, Event, Keeper, Kept, Pace, Plan, Source};

type Said = Rc<RefCell<HashMap<String, Say>>>;

/// A server whose paths say what they are told to, and 404 otherwise.
async fn publisher() -> (Server, Said, Rc<RefCell<Vec<String>>>) {
    let (said, log) = (Said::default(), Rc::<RefCell<Vec<String>>>::default());
    let (says, logs) = (Rc::clone(&said), Rc::clone(&log));
    let server = Server::start(Speaks::Http1, move |request| {
        logs.borrow_mut().push(request.uri().path().to_owned());
        says.borrow().get(request.uri().path()).cloned().unwrap_or(say(404, ""))
    })
    .await;
    (server, said, log)
}

fn publish(said: &Said, path: &str, body: &'static str) {
    said.borrow_mut().insert(path.to_owned(), say(200, body));
}

fn number(document: &[u8]) -> Result<u32, String> {
    str::from_utf8(document).ok().and_then(|text| text.parse().ok()).ok_or("it is no number".to_owned())
}

/// Fetches all the time.
fn restless() -> Pace {
    let moment = Duration::from_millis(5);
    Pace {
        shortest: moment,
        longest: moment,
        usual: moment,
        first_retry: moment,
        longest_retry: moment,
        between_asked: moment,
    }
}

/// Fetches at the start, and when asked.
fn lazy() -> Pace {
    Pace { between_asked: Duration::from_millis(5), ..Pace::default() }
}

#[derive(Debug, PartialEq)]
enum Heard {
    Refreshed { value: u32, document: Bytes, changed: bool },
    Failed(String),
}

fn run(keeper: Keeper<u32>) -> (mpsc::Receiver<Heard>, JoinHandle<()>) {
    let (sender, heard) = mpsc::channel(1_000_000);
    let task = tokio::spawn(keeper.run(Client::new(), Rng::with_seed(7), move |event| {
        let heard = match event {
            Event::Refreshed { value, document, changed } => {
                Heard::Refreshed { value: **value, document: document.clone(), changed }
            }
            Event::Failed { error, since } => {
                assert!(since > 1_700_000_000);
                Heard::Failed(error.to_owned())
            }
        };
        sender.try_send(heard).unwrap();
    }));
    (heard, task)
}

fn keeper(source: Source, pace: Pace) -> (Keeper<u32>, Kept<u32>) {
    Keeper::new(Plan { pace, ..Plan::new(source, number) })
}

/// The first event that is like this one.
async fn until(heard: &mut mpsc::Receiver<Heard>, wanted: impl Fn(&Heard) -> bool) -> Heard {
    loop {
        let event = heard.recv().await.expect("the keeper runs");
        if wanted(&event) {
            return event;
        }
    }
}

#[test]
fn a_document_is_followed_when_it_changes() {
    local(async {
        let (server, said, _) = publisher().await;
        publish(&said, "/keys", "1");
        let (keeper, kept) = keeper(Source::At(server.url("/keys")), restless());
        assert_eq!((kept.current(), kept.generation()), (None, 0));
        let (mut heard, _task) = run(keeper);
        kept.ready().await;
        let before = kept.generation();
        assert_eq!((kept.current().as_deref(), before == 0), (Some(&1), false));
        let first = heard.recv().await.unwrap();
        assert_eq!(first, Heard::Refreshed { value: 1, document: "1".into(), changed: true });
        let second = heard.recv().await.unwrap();
        assert_eq!(second, Heard::Refreshed { value: 1, document: "1".into(), changed: false });
        assert_eq!(kept.generation(), before, "what has not changed is no new generation");
        publish(&said, "/keys", "2");
        until(&mut heard, |event| {
            *event == Heard::Refreshed { value: 2, document: "2".into(), changed: true }
        })
        .await;
        assert_eq!((kept.load().as_deref(), kept.generation() == before), (Some(&2), false));
        assert_eq!(server.connections(), 1);
    });
}

#[test]
fn failures_leave_the_last_good_document_in_use() {
    local(async {
        let (server, said, _) = publisher().await;
        publish(&said, "/keys", "1");
        let (keeper, kept) = keeper(Source::At(server.url("/keys")), restless());
        let (mut heard, _task) = run(keeper);
        kept.ready().await;
        for (answer, expected) in [
            (say(503, "2"), "the server answers with status 503"),
            (say(204, ""), "the server answers with status 204"),
            (say(302, "").with("location", "/other"), "the server answers with status 302"),
            (say(200, "no number"), "it is no number"),
            (say(200, ""), "it is no number"),
            (say(200, vec![b'1'; 600_000]), "the answer is too large"),
        ] {
            said.borrow_mut().insert("/keys".to_owned(), answer);
            until(&mut heard, |event| *event == Heard::Failed(expected.to_owned())).await;
            assert_eq!((kept.current().as_deref(), kept.generation() == 0), (Some(&1), false));
            let status = kept.status();
            assert_eq!(status.last_error.as_deref(), Some(expected));
            assert!(status.failures > 0 && status.failing_since.is_some() && status.last_success.is_some());
        }
        publish(&said, "/keys", "3");
        until(&mut heard, |event| matches!(event, Heard::Refreshed { value: 3, .. })).await;
        let status = kept.status();
        assert_eq!((status.last_error, status.failing_since, status.failures), (None, None, 0));
        assert_eq!(kept.current().as_deref(), Some(&3));
    });
}

#[test]
fn who_asks_gets_a_fetch_and_who_does_not_gets_none() {
    local(async {
        let (server, said, log) = publisher().await;
        publish(&said, "/keys", "1");
        let (keeper, kept) = keeper(Source::At(server.url("/keys")), lazy());
        let (mut heard, _task) = run(keeper);
        kept.ready().await;
        let _first = heard.recv().await.unwrap();
        publish(&said, "/keys", "2");
        for _ in 0..1_000 {
            kept.ask_for_refresh();
        }
        let second = heard.recv().await.unwrap();
        assert_eq!(second, Heard::Refreshed { value: 2, document: "2".into(), changed: true });
        assert_eq!(log.borrow().len(), 2, "a thousand wishes are one");
        assert!(heard.try_recv().is_err());
        let next = kept.status().next.unwrap() - kept.status().last_success.unwrap();
        assert!((269..=301).contains(&next), "{next}");
    });
}

/// The pace of production: what is asked for right after a fetch has to wait, and nothing else comes before.
#[test]
fn wishes_are_limited() {
    local(async {
        let (server, said, log) = publisher().await;
        publish(&said, "/keys", "1");
        let (keeper, kept) = keeper(Source::At(server.url("/keys")), Pace::default());
        let (mut heard, _task) = run(keeper);
        let _first = heard.recv().await.unwrap();
        let regular = kept.status().next.unwrap();
        kept.ask_for_refresh();
        // The wish was heard when the next fetch has come nearer.
        while kept.status().next.unwrap() == regular {
            tokio::task::yield_now().await;
        }
        let status = kept.status();
        let next = status.next.unwrap() - status.last_success.unwrap();
        assert!((9..=11).contains(&next), "{next}");
        assert_eq!(log.borrow().len(), 1);
    });
}

#[test]
fn an_answer_says_for_how_long_it_is_fresh() {
    local(async {
        for (value, expected) in
            [("max-age=600", 540..=601), ("max-age=5", 54..=61), ("max-age=86400", 3240..=3601)]
        {
            let (server, said, _) = publisher().await;
            said.borrow_mut().insert("/keys".to_owned(), say(200, "1").with("cache-control", value));
            let (keeper, kept) = keeper(Source::At(server.url("/keys")), Pace::default());
            let (mut heard, _task) = run(keeper);
            let _first = heard.recv().await.unwrap();
            let next = kept.status().next.unwrap() - kept.status().last_success.unwrap();
            assert!(expected.contains(&next), "{value}: {next}");
        }
    });
}

fn discovery(server: &Server) -> Source {
    let base = server.url("/");
    Source::FoundBy {
        discovery: server.url("/.well-known/openid-configuration"),
        find: Box::new(move |document| {
            let path = str::from_utf8(document).map_err(|error| error.to_string())?;
            let found = if path.starts_with('/') {
                format!("http://{}{path}", base.authority().unwrap())
            } else {
                path.to_owned()
            };
            found.parse().map_err(|_| "it names no address".to_owned())
        }),
    }
}

#[test]
fn discovery_is_followed_anew_each_time() {
    local(async {
        let (server, said, _) = publisher().await;
        publish(&said, "/.well-known/openid-configuration", "/old");
        publish(&said, "/old", "1");
        publish(&said, "/new", "2");
        let (keeper, kept) = keeper(discovery(&server), restless());
        let (mut heard, _task) = run(keeper);
        kept.ready().await;
        assert_eq!(kept.current().as_deref(), Some(&1));
        publish(&said, "/.well-known/openid-configuration", "/new");
        until(&mut heard, |event| matches!(event, Heard::Refreshed { value: 2, .. })).await;
        for (document, expected) in [
            ("", "discovery: it names no address"),
            ("ftp://id.test/", "the address is no `http` or `https` URL that can be asked"),
            ("/gone", "the server answers with status 404"),
        ] {
            publish(&said, "/.well-known/openid-configuration", document);
            until(&mut heard, |event| *event == Heard::Failed(expected.to_owned())).await;
            assert_eq!(kept.current().as_deref(), Some(&2));
        }
        said.borrow_mut().remove("/.well-known/openid-configuration");
        let expected = "discovery: the server answers with status 404";
        until(&mut heard, |event| *event == Heard::Failed(expected.to_owned())).await;
    });
}

#[test]
fn a_document_of_an_earlier_time_serves_until_there_is_a_newer_one() {
    local(async {
        let (server, said, _) = publisher().await;
        let (mut keeper, kept) = keeper(Source::At(server.url("/keys")), restless());
        assert_eq!(keeper.start_from("nonsense".into()), Err("it is no number".to_owned()));
        assert_eq!(kept.generation(), 0);
        assert_eq!(keeper.start_from("7".into()), Ok(()));
        kept.ready().await;
        assert_eq!((kept.current().as_deref(), kept.generation() == 0), (Some(&7), false));
        let (mut heard, _task) = run(keeper);
        until(&mut heard, |event| matches!(event, Heard::Failed(_))).await;
        assert_eq!((kept.current().as_deref(), kept.status().last_success), (Some(&7), None));
        publish(&said, "/keys", "7");
        let expected = Heard::Refreshed { value: 7, document: "7".into(), changed: false };
        until(&mut heard, |event| *event == expected).await;
        publish(&said, "/keys", "8");
        until(&mut heard, |event| matches!(event, Heard::Refreshed { value: 8, changed: true, .. })).await;
    });
}

#[test]
fn it_ends_with_its_last_reader_even_while_it_fetches() {
    local(async {
        let (server, said, _) = publisher().await;
        publish(&said, "/keys", "1");
        let (waiting, kept) = keeper(Source::At(server.url("/keys")), Pace::default());
        let (mut heard, task) = run(waiting);
        let _first = heard.recv().await.unwrap();
        let clone = kept.clone();
        drop(kept);
        clone.ask_for_refresh();
        assert!(!task.is_finished());
        drop(clone);
        task.await.unwrap();

        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url: Uri = format!("http://{}/", silent.local_addr().unwrap()).parse().unwrap();
        // Longer than the test: the fetch does not end by itself.
        let timeout = super::PATIENCE * 10;
        let (fetching, kept) = Keeper::new(Plan { timeout, ..Plan::new(Source::At(url), number) });
        let (_heard, task) = run(fetching);
        let _connection = silent.accept().await.unwrap();
        drop(kept);
        task.await.unwrap();
    });
}
