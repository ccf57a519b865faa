//! Putting questions: connections that are kept, and bounds on time, size and number.
//!
//! It must not know what is asked, nor whether an answer is good news. Entry point: [`Client::ask`].

use std::collections::{HashMap, hash_map};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{Entry, USER_AGENT};
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Incoming};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{self, ResponseFuture};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tls::ClientSettings;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::{Answer, Ask, Trouble, Trust};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
const MOST_IDLE: usize = 32;
/// The library looks at it after each read, which can bring more than that in one piece.
const LONGEST_HEAD: usize = 64 * 1024;
/// How often a connection that carries many questions is tried while it owes an answer, and how long that may
/// take. Without it, questions would go on being put to a server that has left without a word.
const PROBE_EVERY: Duration = Duration::from_secs(10);
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// How many ways are remembered. There is one for each set of authorities that a configuration names, and those
/// of configurations that are gone fall out.
const MOST_WAYS: usize = 32;

/// Puts questions to servers. Cheap to clone; clones share connections and bounds.
///
/// Its connections live in the runtime that has asked first, so each thread makes its own. It follows no redirects
/// and no proxies of the environment: what is asked is the server that was named.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    /// The one used last is the first.
    ways: Mutex<Vec<(Key, Way)>>,
    places: Semaphore,
    /// How many questions are under way to each server.
    turns: Mutex<HashMap<Authority, usize>>,
    /// How many may be: one that is slow must not take the places of all others.
    most_turns: usize,
}

/// Counts a question to a server for as long as it is under way.
struct Turn<'c> {
    inner: &'c Inner,
    server: Authority,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut turns = self.inner.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if let hash_map::Entry::Occupied(mut entry) = turns.entry(self.server.clone()) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

#[derive(Clone, PartialEq)]
struct Key {
    /// `None` for no TLS.
    trust: Option<Trust>,
    http2: bool,
}

#[derive(Clone)]
enum Way {
    Plain(legacy::Client<HttpConnector, Full<Bytes>>),
    Tls(legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>),
}

impl Default for Client {
    fn default() -> Client {
        Client::new()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    /// How many questions may be under way, unless said otherwise.
    pub const MOST_ASKS: usize = 1024;

    /// One without connections.
    #[must_use]
    pub fn new() -> Client {
        Client::with_places(Client::MOST_ASKS)
    }

    /// One that puts at most so many questions at the same time, and a quarter of them to one server.
    #[must_use]
    pub fn with_places(places: usize) -> Client {
        let places = Semaphore::new(places.min(Semaphore::MAX_PERMITS));
        let most_turns = places.available_permits().div_ceil(4);
        Client {
            inner: Arc::new(Inner { ways: Mutex::default(), places, turns: Mutex::default(), most_turns }),
        }
    }

    /// Puts a question, and brings the whole answer, whatever its status. Dropping the future gives it up.
    ///
    /// # Errors
    /// Too many are under way, in all or to the same server, or there is no whole answer within the bounds of the question.
    pub async fn ask(&self, ask: Ask) -> Result<Answer, Trouble> {
        let _place = self.inner.places.try_acquire().map_err(|_| Trouble::Busy)?;
        let _turn = self.turn(&ask)?;
        let way = self.way(&ask)?;
        let patience = ask.timeout;
        timeout(patience, Box::pin(exchange(&way, ask))).await.unwrap_or(Err(Trouble::Timeout))
    }

    fn turn(&self, ask: &Ask) -> Result<Turn<'_>, Trouble> {
        let server = ask.uri.authority().ok_or(Trouble::Address)?.clone();
        let mut turns = self.inner.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let count = turns.entry(server.clone()).or_default();
        if *count >= self.inner.most_turns {
            return Err(Trouble::Busy);
        }
        *count += 1;
        Ok(Turn { inner: &self.inner, server })
    }

    fn way(&self, ask: &Ask) -> Result<Way, Trouble> {
        let names_user = ask.uri.authority().is_none_or(|authority| authority.as_str().contains('@'));
        if names_user {
            return Err(Trouble::Address);
        }
        let trust = match ask.uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => Some(ask.trust.clone()),
            Some(scheme) if *scheme == Scheme::HTTP => None,
            _ => return Err(Trouble::Address),
        };
        let key = Key { trust, http2: ask.http2 };
        let mut ways = self.inner.ways.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = ways.iter().position(|(known, _)| *known == key) {
            if let Some(used) = ways.get_mut(..=at) {
                used.rotate_right(1);
            }
        } else {
            let way = Way::new(&key)?;
            ways.truncate(MOST_WAYS - 1);
            ways.insert(0, (key, way));
        }
        ways.first().map(|(_, way)| way.clone()).ok_or(Trouble::Busy)
    }
}

impl Way {
    fn new(key: &Key) -> Result<Way, Trouble> {
        let mut tcp = HttpConnector::new();
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        tcp.set_nodelay(true);
        let mut builder = legacy::Client::builder(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(MOST_IDLE)
            .http1_max_buf_size(LONGEST_HEAD)
            .http2_only(key.http2)
            .http2_max_header_list_size(LONGEST_HEAD as u32)
            .http2_keep_alive_interval(PROBE_EVERY)
            .http2_keep_alive_timeout(PROBE_TIMEOUT);
        let Some(trust) = &key.trust else { return Ok(Way::Plain(builder.build(tcp))) };
        tcp.enforce_http(false);
        let authorities = match trust {
            Trust::System => tls::Authorities::of_system().map_err(|error| untrusting(&error))?,
            Trust::These(authorities) => authorities.clone(),
        };
        let protocol = if key.http2 { b"h2".to_vec() } else { b"http/1.1".to_vec() };
        let settings = ClientSettings { authorities, protocols: vec![protocol], ..ClientSettings::default() };
        let tls = tls::Client::new(settings).map_err(|error| untrusting(&error))?;
        let mut connector = HttpsConnector::from((tcp, Arc::clone(tls.config())));
        connector.enforce_https();
        Ok(Way::Tls(builder.build(connector)))
    }

    fn send(&self, request: Request<Full<Bytes>>) -> ResponseFuture {
        match self {
            Way::Plain(client) => client.request(request),
            Way::Tls(client) => client.request(request),
        }
    }
}

fn untrusting(error: &tls::Error) -> Trouble {
    Trouble::Tls(error.to_string())
}

async fn exchange(way: &Way, ask: Ask) -> Result<Answer, Trouble> {
    let repeatable = ask.repeatable;
    let most_body = ask.most_body;
    let again = repeatable.then(|| request(ask.clone()));
    let first = way.send(request(ask)).await.map_err(|error| Trouble::of_request(&error));
    let response = match (first, again) {
        (Err(Trouble::Closed), Some(request)) => {
            way.send(request).await.map_err(|error| Trouble::of_request(&error))?
        }
        (first, _) => first?,
    };
    whole(response, most_body).await
}

fn request(ask: Ask) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(ask.body));
    *request.method_mut() = ask.method;
    *request.uri_mut() = ask.uri;
    *request.headers_mut() = ask.headers;
    if let Entry::Vacant(vacant) = request.headers_mut().entry(USER_AGENT) {
        vacant.insert(HeaderValue::from_static("gateward"));
    }
    request
}

async fn whole(response: Response<Incoming>, most_body: usize) -> Result<Answer, Trouble> {
    let (parts, body) = response.into_parts();
    // What says that it is too long is not read.
    if body.size_hint().lower() > most_body as u64 {
        return Err(Trouble::TooLarge);
    }
    let body = Limited::new(body, most_body).collect().await;
    let body = body.map_err(|error| Trouble::of_exchange(error.as_ref()))?;
    let trailers = body.trailers().cloned();
    Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body: body.to_bytes(), trailers })
}

#[cfg(test)]
impl Client {
    pub(crate) fn ways(&self) -> usize {
        self.inner.ways.lock().unwrap().len()
    }
}
