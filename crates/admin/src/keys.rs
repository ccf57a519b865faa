//! `/keys`: API keys that are made while the gateway runs.
//!
//! Who may ask is settled before. The secret of a key is in the answer that makes it, and nowhere else. Entry points:
//! [`concerns`], [`answer`].

mod asked;

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use control::{Keys, KeysError, View};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, HeaderValue, LOCATION};
use hyper::{Method, Request, Response, StatusCode};
use keys::{Id, Key, New, Refused, Secret, State};
use policy::Consumers;
use serde_json::{Value, json};

use crate::pages;
use crate::problem::Problem;
use asked::{Creation, Listing, Order, Target, Written};

/// No body that asks for something is longer, in bytes.
const LONGEST: usize = 16 * 1024;

/// Whether a path is about keys.
pub(crate) fn concerns(path: &str) -> bool {
    path == "/keys" || path.starts_with("/keys/")
}

/// Answers somebody who may ask, and who comes from this address.
pub(crate) async fn answer(view: &View, by: IpAddr, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let query = request.uri().query().unwrap_or_default().to_owned();
    let target = match Target::parse(&path) {
        Ok(target) => target,
        Err(problem) => return problem.into_response(),
    };
    if !target.takes(&method) {
        let detail = format!("{path} is asked for with {}.", target.methods());
        let mut reply =
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail).into_response();
        reply.headers_mut().insert(ALLOW, HeaderValue::from_static(target.methods()));
        return reply;
    }
    let Some(keys) = view.keys() else {
        let detail = "The gateway is starting: ask again in a moment.";
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "starting", detail).into_response();
    };
    let asker = Asker { view, keys, by };
    let answered = match (target, method == Method::DELETE) {
        (Target::All, _) if method == Method::POST => match body(request).await {
            Ok(written) => asker.create(&written).await,
            Err(problem) => Err(problem),
        },
        (Target::All, _) => asker.list(&query).await,
        (Target::One(id), true) => asker.delete(id).await,
        (Target::One(id), false) => asker.show(id).await,
        (Target::Order(id, order), _) => match body(request).await {
            Ok(written) => asker.order(id, order, &written).await,
            Err(problem) => Err(problem),
        },
    };
    answered.unwrap_or_else(Problem::into_response)
}

/// What was sent along: a JSON object, or nothing.
async fn body(request: Request<Incoming>) -> Result<Written, Problem> {
    let whole = Limited::new(request.into_body(), LONGEST).collect().await;
    let whole = whole.map_err(|_| {
        let detail = format!("The body has more than {LONGEST} bytes, or did not come whole.");
        Problem::new(StatusCode::BAD_REQUEST, "invalid-body", detail)
    })?;
    Written::parse(&whole.to_bytes())
}

type Answered = Result<Response<Full<Bytes>>, Problem>;

/// Whoever asks, and what about.
struct Asker<'v> {
    view: &'v View,
    keys: Rc<Keys>,
    by: IpAddr,
}

impl Asker<'_> {
    async fn create(&self, written: &Written) -> Answered {
        let now = now();
        let Creation { consumer, name, expires } = Creation::read(written, now)?;
        let consumers = Arc::clone(&self.view.active().snapshot.consumers);
        if consumers.find(&consumer).is_none() {
            return Err(no_consumer(&consumer, &consumers));
        }
        let made = self
            .keys
            .change(move |store, now| store.create(New { consumer: &consumer, name: &name, expires }, now));
        let (key, secret) = made.await.map_err(trouble)?;
        self.say(&format!("API key {} of {} was made", key.id, key.consumer));
        let mut reply = pages::json_reply(&self.shown(&key, Some(&secret)));
        *reply.status_mut() = StatusCode::CREATED;
        if let Ok(place) = HeaderValue::from_str(&format!("/keys/{}", key.id)) {
            reply.headers_mut().insert(LOCATION, place);
        }
        Ok(reply)
    }

    async fn list(&self, query: &str) -> Answered {
        let Listing { consumer, after, limit } = Listing::parse(query)?;
        // One more tells whether there are more.
        let found = self.keys.look(move |store| {
            store.map_or_else(Vec::new, |store| store.list(consumer.as_deref(), after, limit + 1))
        });
        let mut found = found.await.map_err(trouble)?;
        let next =
            (found.len() > limit).then(|| found.get(limit.saturating_sub(1)).map(|key| key.id)).flatten();
        found.truncate(limit);
        let shown: Vec<Value> = found.iter().map(|key| self.shown(key, None)).collect();
        Ok(pages::json_reply(&json!({ "keys": shown, "next": next.map(|id| id.as_str().to_owned()) })))
    }

    async fn show(&self, id: Id) -> Answered {
        let found = self.keys.look(move |store| store.and_then(|store| store.key(id).ok()));
        let key = found.await.map_err(trouble)?.ok_or_else(|| no_key(id.as_str()))?;
        Ok(pages::json_reply(&self.shown(&key, None)))
    }

    async fn delete(&self, id: Id) -> Answered {
        let key = self.keys.change(move |store, _| store.delete(id)).await.map_err(trouble)?;
        self.say(&format!("API key {id} of {} was deleted", key.consumer));
        let mut reply = Response::new(Full::default());
        *reply.status_mut() = StatusCode::NO_CONTENT;
        reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(reply)
    }

    async fn order(&self, id: Id, order: Order, written: &Written) -> Answered {
        let (key, secret, what) = match order {
            Order::Rotate => {
                let grace = written.grace()?;
                let rotated = self.keys.change(move |store, now| store.rotate(id, grace, now));
                let (key, secret) = rotated.await.map_err(trouble)?;
                let until = match key.old.iter().map(|old| old.until).max() {
                    Some(until) if until > now() => format!("; those before hold until {}", moment(until)),
                    _ => "; those before hold no more".to_owned(),
                };
                (key, Some(secret), format!("got another secret{until}"))
            }
            Order::Disable => {
                written.only(&[])?;
                (self.changed(move |store| store.disable(id)).await?, None, "was switched off".to_owned())
            }
            Order::Enable => {
                written.only(&[])?;
                (self.changed(move |store| store.enable(id)).await?, None, "was switched on".to_owned())
            }
            Order::Expire => {
                let at = written.end(now())?;
                let key = self.changed(move |store| store.expire(id, at)).await?;
                (key, None, at.map_or("never ends".to_owned(), |at| format!("ends at {}", moment(at))))
            }
        };
        self.say(&format!("API key {id} of {} {what}", key.consumer));
        Ok(pages::json_reply(&self.shown(&key, secret.as_ref())))
    }

    async fn changed(
        &self,
        change: impl FnOnce(&mut keys::Store) -> Result<Arc<Key>, keys::Error> + Send + 'static,
    ) -> Result<Arc<Key>, Problem> {
        self.keys.change(move |store, _| change(store)).await.map_err(trouble)
    }

    fn say(&self, what: &str) {
        self.keys.report(format!("{what}, as {} has asked", self.by));
    }

    /// What is known of a key.
    fn shown(&self, key: &Key, secret: Option<&Secret>) -> Value {
        let now = now();
        let mut seen = self.keys.seen(key);
        let last = seen.pop().flatten();
        let old = key.old.iter().zip(seen).filter(|(old, _)| old.until > now);
        let old = old.map(|(old, seen)| json!({ "until": moment(old.until), "last_seen": seen.map(moment) }));
        let state = match key.state(now) {
            State::Disabled => "disabled",
            State::Expired => "expired",
            State::Active if self.view.active().snapshot.consumers.find(&key.consumer).is_none() => {
                "no_consumer"
            }
            State::Active => "active",
        };
        let mut shown = json!({
            "id": key.id.as_str(),
            "consumer": &*key.consumer,
            "name": (!key.name.is_empty()).then_some(&*key.name),
            "state": state,
            "begins_with": &*key.start,
            "created": moment(key.created),
            "rotated": (key.rotated != key.created || !key.old.is_empty()).then(|| moment(key.rotated)),
            "expires": key.expires.map(moment),
            "last_seen": last.map(moment),
            "old_secrets": old.collect::<Vec<_>>(),
        });
        if let (Some(secret), Some(members)) = (secret, shown.as_object_mut()) {
            members.insert("secret".to_owned(), secret.expose().into());
        }
        shown
    }
}

fn no_key(id: &str) -> Problem {
    let id: String = diagnostics::visible(id).chars().take(64).collect();
    Problem::new(StatusCode::NOT_FOUND, "unknown-key", format!("There is no key `{id}`: /keys lists them."))
}

fn no_consumer(name: &str, consumers: &Consumers) -> Problem {
    let meant = diagnostics::closest(name, consumers.names());
    let meant = meant.map(|name| format!(" Did you mean `{name}`?")).unwrap_or_default();
    let name: String = diagnostics::visible(name).chars().take(128).collect();
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "unknown-consumer",
        format!(
            "The configuration in use has no consumer `{name}`.{meant} Add it first: consumers: [{{ name: … }}]."
        ),
    )
}

fn trouble(error: KeysError) -> Problem {
    let of = |status, code, detail: String| Problem::new(status, code, detail);
    match error {
        KeysError::NoFolder => of(
            StatusCode::CONFLICT,
            "no-state-dir",
            "There is nowhere to keep keys. Add a folder to the configuration: state_dir: /var/lib/gateward."
                .into(),
        ),
        KeysError::Thread => {
            of(StatusCode::INTERNAL_SERVER_ERROR, "bug", "This failed: it is a bug of Gateward.".into())
        }
        KeysError::Store(keys::Error::NoKey(id)) => no_key(id.as_str()),
        KeysError::Store(keys::Error::Refused(Refused::Name)) => of(
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid-name",
            format!(
                "This is no name for a key: it has at most {} bytes, no control or invisible characters, and no \
                 space at its ends.",
                keys::NAME_MOST
            ),
        ),
        KeysError::Store(keys::Error::Refused(Refused::OldSecrets(until))) => of(
            StatusCode::CONFLICT,
            "too-many-secrets",
            format!(
                "{} secrets of this key before its last one still hold, the first of them until {}. Wait until then, or \
                 end all of them now: \"grace\": \"0s\".",
                keys::MOST_OLD,
                moment(until)
            ),
        ),
        KeysError::Store(error @ keys::Error::Full) => {
            of(StatusCode::CONFLICT, "too-many-keys", format!("Delete some first: {error}."))
        }
        KeysError::Store(error @ keys::Error::Random) => {
            of(StatusCode::SERVICE_UNAVAILABLE, "no-randomness", format!("Nothing was changed: {error}."))
        }
        KeysError::Store(keys::Error::File(error)) => of(
            StatusCode::SERVICE_UNAVAILABLE,
            "keys-unavailable",
            format!("Nothing was changed. The keys cannot be used: {error}."),
        ),
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn moment(at: u64) -> String {
    // What lies beyond the calendar is its end.
    acme::written(UNIX_EPOCH + Duration::from_secs(at.min(asked::LATEST)))
}
