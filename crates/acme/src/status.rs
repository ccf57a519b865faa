//! What is remembered about the certificate of a host, beside the certificate itself.

use std::time::SystemTime;

use serde_json::{Map, Value};

use crate::{Error, moment};

/// What is remembered about the certificate of a host. It survives restarts, so that they lead to no storm of
/// orders, and operators can read it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// The directory that the certificate is from.
    pub directory: Option<String>,
    /// When it was obtained.
    pub obtained: Option<SystemTime>,
    /// When it expires. For the reader; what counts is the certificate.
    pub not_after: Option<SystemTime>,
    /// The last failure, if nothing was obtained since.
    pub failure: Option<Failure>,
}

/// A failure to obtain a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The directory that was asked.
    pub directory: String,
    /// How many there were in a row.
    pub count: u32,
    /// When it happened.
    pub at: SystemTime,
    /// Why.
    pub why: Error,
    /// When it is tried again.
    pub next: SystemTime,
}

impl Status {
    /// As JSON, to be read by people too.
    pub(crate) fn to_json(&self, host: &str) -> String {
        let mut fields = Map::new();
        let mut add = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                fields.insert(name.to_owned(), value);
            }
        };
        let at = |moment: Option<SystemTime>| moment.map(|at| Value::from(moment::written(at)));
        add("host", Some(host.into()));
        add("directory", self.directory.as_deref().map(Value::from));
        add("obtained", at(self.obtained));
        add("not_after", at(self.not_after));
        if let Some(failure) = &self.failure {
            add(
                "failure",
                Some(serde_json::json!({
                    "directory": failure.directory,
                    "count": failure.count,
                    "at": moment::written(failure.at),
                    "why": failure.why.0,
                    "next_try": moment::written(failure.next),
                })),
            );
        }
        format!("{:#}\n", Value::Object(fields))
    }

    /// From JSON. What cannot be read is left out: at worst something is tried once too often.
    pub(crate) fn from_json(text: &str) -> Status {
        let Ok(root) = serde_json::from_str::<Value>(text) else { return Status::default() };
        let words = |node: &Value, name: &str| node.get(name)?.as_str().map(str::to_owned);
        let at = |node: &Value, name: &str| moment::read(node.get(name)?.as_str()?);
        let failure = root.get("failure").and_then(|node| {
            Some(Failure {
                directory: words(node, "directory")?,
                count: node.get("count")?.as_u64()?.try_into().ok()?,
                at: at(node, "at")?,
                why: Error::new(words(node, "why")?),
                next: at(node, "next_try")?,
            })
        });
        Status {
            directory: words(&root, "directory"),
            obtained: at(&root, "obtained"),
            not_after: at(&root, "not_after"),
            failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let failure = Failure {
            directory: "https://b.example/".to_owned(),
            count: 3,
            at: moment::from_unix(1_700_000_000),
            why: Error::new("no \"luck\" ü"),
            next: moment::from_unix(1_700_000_960),
        };
        let whole = Status {
            directory: Some("https://a.example/".to_owned()),
            obtained: Some(moment::from_unix(1_600_000_000)),
            not_after: Some(moment::from_unix(1_650_000_000)),
            failure: Some(failure),
        };
        for status in [whole, Status::default()] {
            assert_eq!(Status::from_json(&status.to_json("a.example")), status);
        }
    }

    #[test]
    fn what_cannot_be_read_counts_for_nothing() {
        for text in
            ["", "[]", "nonsense", "{\"failure\": {\"count\": -1}}", "{\"obtained\": 5}", "{\"failure\": 1}"]
        {
            assert_eq!(Status::from_json(text), Status::default(), "{text}");
        }
        let deep = "[".repeat(100_000);
        assert_eq!(Status::from_json(&deep), Status::default());
    }
}
