//! What is asked about keys: paths, queries and bodies, read strictly.
//!
//! It must not know the keys that there are. Entry points: [`Target::parse`], [`Written::parse`], [`Listing::parse`].

use std::time::UNIX_EPOCH;

use hyper::{Method, StatusCode};
use keys::Id;
use serde_json::{Map, Value};

use super::no_key;
use crate::problem::Problem;

/// The end of the calendar that is written here, in seconds since 1970.
pub(super) const LATEST: u64 = 253_402_300_799;
/// How long a replaced secret holds where nothing is said, in seconds.
const GRACE: u64 = 86_400;
/// How many keys a page has where nothing is said, and at most.
const PAGE: (usize, usize) = (100, 1_000);

/// What a path stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    All,
    One(Id),
    Order(Id, Order),
}

/// What can be done to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Rotate,
    Disable,
    Enable,
    Expire,
}

impl Target {
    pub(super) fn parse(path: &str) -> Result<Target, Problem> {
        let Some(rest) = path.strip_prefix("/keys/") else { return Ok(Target::All) };
        let (id, order) = match rest.split_once('/') {
            None => (rest, None),
            Some((id, order)) => (id, Some(order)),
        };
        let id = Id::parse(id).ok_or_else(|| no_key(id))?;
        let order = match order {
            None => return Ok(Target::One(id)),
            Some("rotate") => Order::Rotate,
            Some("disable") => Order::Disable,
            Some("enable") => Order::Enable,
            Some("expire") => Order::Expire,
            Some(_) => {
                return Err(Problem::new(
                    StatusCode::NOT_FOUND,
                    "unknown-order",
                    "A key can be asked to `rotate`, `disable`, `enable` or `expire`: POST /keys/ID/rotate.",
                ));
            }
        };
        Ok(Target::Order(id, order))
    }

    pub(super) fn methods(self) -> &'static str {
        match self {
            Target::All => "GET, HEAD, POST",
            Target::One(_) => "GET, HEAD, DELETE",
            Target::Order(..) => "POST",
        }
    }

    pub(super) fn takes(self, method: &Method) -> bool {
        self.methods().split(", ").any(|known| known == method.as_str())
    }
}

/// A list that is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Listing {
    pub(super) consumer: Option<String>,
    pub(super) after: Option<Id>,
    pub(super) limit: usize,
}

impl Listing {
    /// From a query such as `consumer=mobile&limit=50&after=k_7f3a0001020304ff`.
    pub(super) fn parse(query: &str) -> Result<Listing, Problem> {
        let mut listing = Listing { consumer: None, after: None, limit: PAGE.0 };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = String::from_utf8_lossy(&router::decoded_query(value.as_bytes())).into_owned();
            match name {
                "consumer" => listing.consumer = Some(value),
                "after" => listing.after = Some(Id::parse(&value).ok_or_else(|| no_key(&value))?),
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=PAGE.1).contains(limit));
                    listing.limit = limit.ok_or_else(|| invalid("limit", "a number from 1 to 1000"))?;
                }
                _ => {
                    return Err(invalid(
                        name,
                        "no part of this query: it has `consumer`, `limit` and `after`",
                    ));
                }
            }
        }
        Ok(listing)
    }
}

/// What was sent along.
#[derive(Debug, Default)]
pub(super) struct Written(Map<String, Value>);

/// A key that is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Creation {
    pub(super) consumer: String,
    pub(super) name: String,
    pub(super) expires: Option<u64>,
}

impl Creation {
    pub(super) fn read(written: &Written, now: u64) -> Result<Creation, Problem> {
        written.only(&["consumer", "name", "expires"])?;
        let consumer =
            written.text("consumer")?.ok_or_else(|| invalid("consumer", "needed: the name of a consumer"))?;
        let name = written.text("name")?.unwrap_or_default().to_owned();
        let expires = written.text("expires")?.map(|text| end("expires", text, now)).transpose()?.flatten();
        if expires.is_some_and(|end| end <= now) {
            return Err(invalid("expires", "over already: name a later time"));
        }
        Ok(Creation { consumer: consumer.to_owned(), name, expires })
    }
}

impl Written {
    pub(super) fn parse(body: &[u8]) -> Result<Written, Problem> {
        if body.is_empty() {
            return Ok(Written::default());
        }
        match serde_json::from_slice(body) {
            Ok(Value::Object(members)) => Ok(Written(members)),
            _ => Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "invalid-body",
                "The body is no JSON object, such as {\"consumer\": \"mobile\"}.",
            )),
        }
    }

    /// Refuses what has no meaning here: it was meant to have one.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), Problem> {
        let Some(other) = self.0.keys().find(|name| !known.contains(&name.as_str())) else { return Ok(()) };
        let known = if known.is_empty() {
            "nothing is asked for besides".into()
        } else {
            format!("there are {}", known.join(", "))
        };
        Err(invalid(other, &format!("not known here: {known}")))
    }

    fn text(&self, name: &str) -> Result<Option<&str>, Problem> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(invalid(name, "no text")),
        }
    }

    /// How long secrets before the new one hold, in seconds.
    pub(super) fn grace(&self) -> Result<u64, Problem> {
        self.only(&["grace"])?;
        let Some(text) = self.text("grace")? else { return Ok(GRACE) };
        span(text).ok_or_else(|| invalid("grace", "no length of time: write `24h`, `7d`, or `0s` for none"))
    }

    /// When a key ends, in seconds since 1970: now where nothing is said; `None` for never.
    pub(super) fn end(&self, now: u64) -> Result<Option<u64>, Problem> {
        self.only(&["at"])?;
        self.text("at")?.map_or(Ok(Some(now)), |text| end("at", text, now))
    }
}

fn invalid(name: &str, what: &str) -> Problem {
    let name: String = diagnostics::visible(name).chars().take(64).collect();
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-value", format!("`{name}` is {what}."))
}

/// A moment: a day, a point in time, a length of time from now, or `never`.
fn end(name: &str, text: &str, now: u64) -> Result<Option<u64>, Problem> {
    if text == "never" {
        return Ok(None);
    }
    let whole = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    let named = humantime::parse_rfc3339(&whole).ok();
    let named = named.map(|at| at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()));
    let at = span(text).map(|span| now.saturating_add(span)).or(named).filter(|at| *at <= LATEST);
    let help = "no time: write `90d`, `2027-01-31`, `2027-01-31T12:00:00Z` or `never`";
    at.map(Some).ok_or_else(|| invalid(name, help))
}

/// A length of time in seconds: `30s`, `15m`, `24h`, `90d`, at most a hundred years.
fn span(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_lowercase());
    let unit = match text.get(digits.len()..)? {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = digits.parse::<u64>().ok().filter(|_| is_number)?.checked_mul(unit)?;
    (seconds <= 36_525 * 86_400).then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000_000;

    #[test]
    fn paths_name_keys_and_what_is_to_become_of_them() {
        let id = Id::parse("k_7f3a0001020304ff").unwrap();
        for (path, want) in [
            ("/keys", Ok(Target::All)),
            ("/keys/k_7f3a0001020304ff", Ok(Target::One(id))),
            ("/keys/k_7f3a0001020304ff/rotate", Ok(Target::Order(id, Order::Rotate))),
            ("/keys/k_7f3a0001020304ff/disable", Ok(Target::Order(id, Order::Disable))),
            ("/keys/k_7f3a0001020304ff/enable", Ok(Target::Order(id, Order::Enable))),
            ("/keys/k_7f3a0001020304ff/expire", Ok(Target::Order(id, Order::Expire))),
            ("/keys/k_7f3a0001020304ff/", Err(404)),
            ("/keys/k_7f3a0001020304ff/rotate/", Err(404)),
            ("/keys/k_7f3a0001020304ff/explode", Err(404)),
            ("/keys/", Err(404)),
            ("/keys//", Err(404)),
            ("/keys/k_7f3a00010203%2fff", Err(404)),
            ("/keys/k_7f3a0001020304ff%2frotate", Err(404)),
            ("/keys/../config", Err(404)),
        ] {
            let got = Target::parse(path).map_err(|problem| problem.into_response().status().as_u16());
            assert_eq!(got, want, "{path}");
        }
        assert!(Target::All.takes(&Method::POST) && !Target::All.takes(&Method::DELETE));
        assert!(Target::One(id).takes(&Method::DELETE) && !Target::One(id).takes(&Method::POST));
        assert!(!Target::Order(id, Order::Rotate).takes(&Method::GET));
    }

    #[test]
    fn ends_are_days_moments_and_lengths_of_time() {
        for (text, want) in [
            ("90d", Some(Some(NOW + 90 * 86_400))),
            ("0s", Some(Some(NOW))),
            ("15m", Some(Some(NOW + 900))),
            ("1970-01-02", Some(Some(86_400))),
            ("1970-01-01T00:01:00Z", Some(Some(60))),
            ("never", Some(None)),
            ("", None),
            ("90", None),
            ("d", None),
            ("-1d", None),
            ("+1d", None),
            ("1.5h", None),
            ("36526d", None),
            ("99999999999999999999d", None),
            ("2027-13-01", None),
            ("tomorrow", None),
            ("９0d", None),
        ] {
            assert_eq!(end("at", text, NOW).ok(), want, "{text}");
        }
    }

    #[test]
    fn bodies_are_read_strictly() {
        let read =
            |text: &str| Written::parse(text.as_bytes()).and_then(|written| Creation::read(&written, NOW));
        let whole = read(r#"{"consumer": "mobile", "name": "ci", "expires": "1d"}"#);
        let want = Creation { consumer: "mobile".into(), name: "ci".into(), expires: Some(NOW + 86_400) };
        assert_eq!(whole, Ok(want));
        assert!(read(r#"{"consumer": "mobile", "name": null}"#).is_ok());
        for wrong in [
            "",
            "[]",
            "{",
            "consumer=mobile",
            r#"{"consumer": 7}"#,
            r#"{"name": "ci"}"#,
            r#"{"consumer": "mobile", "expire": "1d"}"#,
            r#"{"consumer": "mobile", "expires": "1970-01-02"}"#,
            r#"{"consumer": "mobile", "expires": 86400}"#,
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        let written = |text: &str| Written::parse(text.as_bytes()).unwrap();
        assert_eq!(written("").grace(), Ok(86_400));
        assert_eq!(written(r#"{"grace": "0s"}"#).grace(), Ok(0));
        assert!(written(r#"{"grace": "soon"}"#).grace().is_err());
        assert_eq!(written("{}").end(NOW), Ok(Some(NOW)));
        assert_eq!(written(r#"{"at": "never"}"#).end(NOW), Ok(None));
        assert!(written(r#"{"grace": "1h"}"#).end(NOW).is_err() && written(r#"{"a": 1}"#).only(&[]).is_err());
    }

    #[test]
    fn lists_have_pages() {
        let id = Id::parse("k_7f3a0001020304ff");
        for (query, want) in [
            ("", Some((None, None, 100))),
            ("consumer=a%20b&limit=7&after=k_7f3a0001020304ff", Some((Some("a b"), id, 7))),
            ("limit=0", None),
            ("limit=1001", None),
            ("limit=x", None),
            ("after=k_", None),
            ("offset=7", None),
        ] {
            let got = Listing::parse(query).ok();
            let want = want.map(|(consumer, after, limit): (Option<&str>, _, _)| Listing {
                consumer: consumer.map(str::to_owned),
                after,
                limit,
            });
            assert_eq!(got, want, "{query}");
        }
    }
}
