//! Signed requests: what is accepted was signed as it is, covers what it must, and with any part of that changed it is
//! refused.
//!
//! The first byte chooses the form and who signs. Then come lines: what is covered, `METHOD TARGET`, and fields. What
//! is signed is put together here once more, from the lines alone and for what is covered most; for the rest there is
//! no genuine signature, so none may be accepted.

#![no_main]

use std::sync::LazyLock;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use fuzz::{HOST, lines, request};
use libfuzzer_sys::fuzz_target;
use message::RequestHead;
use signatures::{Accepted, Algorithm, Algorithms, Key, Refusal, Request, Rules, parse};

const SECRET: &[u8] = b"a secret that nobody guesses";
/// The time at which each is judged, and as a date.
const NOW: u64 = 1_618_884_475;
const DATE: &str = "date: Tue, 20 Apr 2021 02:07:55 GMT";
/// The digest of nothing, which every body has here.
const DIGEST: &[u8] = b"sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:";
/// Parameters with which everything else decides.
const PLAIN: &str = r#";created=1618884475;keyid="k""#;

static SHARED: LazyLock<Key> = LazyLock::new(|| Key::shared(SECRET, Algorithms::default()).unwrap());
/// A key with which nobody here signs (RFC 8037 §A.2).
static PUBLIC: LazyLock<Key> = LazyLock::new(|| {
    let point = b"\xd7Z\x98\x01\x82\xb1\n\xb7\xd5K\xfe\xd3\xc9d\x07:\x0e\xe1r\xf3\xda\xa6#%\xaf\x02\x1ah\xf7\x07Q\x1a";
    Key::public(Algorithm::Ed25519, point).unwrap()
});
static RULES: LazyLock<Rules> = LazyLock::new(Rules::default);

fuzz_target!(|bytes: &[u8]| {
    let Some((flags, mut lines)) = lines(bytes) else { return };
    let (Some(list), Some(first)) = (lines.next(), lines.next()) else { return };
    let fields: Vec<&[u8]> = lines.collect();
    if flags & 2 != 0 {
        // All is as the input has it, and nobody signs.
        let Some(head) = request(first, fields) else { return };
        let judged = judge(&head, flags & 4 != 0);
        assert!(!matches!(judged, Some(Ok(_))), "nobody has signed this");
        return;
    }
    let Ok(list) = str::from_utf8(list) else { return };
    let sent = Sent { first, fields, https: flags & 4 != 0, list, in_header: flags & 1 != 0 };
    check(&sent);
});

/// A request as lines, with what its signature says that it covers.
#[derive(Clone)]
struct Sent<'l> {
    first: &'l [u8],
    fields: Vec<&'l [u8]>,
    https: bool,
    list: &'l str,
    in_header: bool,
}

fn check(sent: &Sent<'_>) {
    let base = if sent.in_header { sent.header_base() } else { sent.message_base() };
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), base.as_deref().unwrap_or_default());
    let mac = BASE64_STANDARD.encode(mac);
    let Some(head) = sent.with(&mac) else { return };
    match judge(&head, sent.https) {
        Some(Ok(accepted)) => {
            assert!(base.is_some(), "nobody has signed this");
            check_accepted(sent, &accepted, &mac);
        }
        judged => assert!(base.is_none() || !sent.is_plain(), "{judged:?}"),
    }
}

/// The first known of the signatures, judged. `None` where there is none.
fn judge(head: &RequestHead, https: bool) -> Option<Result<Accepted, Refusal>> {
    let request = Request { head, https, body_length: None };
    let keys = |id: &str| match id {
        "k" => Some(&*SHARED),
        "e" => Some(&*PUBLIC),
        _ => None,
    };
    Some(parse(head, &RULES)?.and_then(|presented| {
        let (claim, key) = presented.choose(keys)?;
        claim.verify(key, &request, &RULES, NOW)
    }))
}

fn check_accepted(sent: &Sent<'_>, accepted: &Accepted, mac: &str) {
    assert_eq!(accepted.algorithm, Algorithm::HmacSha256);
    assert!(accepted.created.is_some_and(|created| created.abs_diff(NOW) <= 300));
    assert!(accepted.until > NOW && accepted.until <= NOW + 601);
    assert!(accepted.expires.is_none_or(|expires| expires > NOW));
    assert!(accepted.covers_digest(), "the body is not covered, and there may be one");
    let names = sent.names().unwrap();
    let covers = |some: &[&str]| names.iter().any(|name| some.contains(name));
    if sent.in_header {
        let is_date = |name: &&str| ["date", "x-date"].contains(&&*name.to_ascii_lowercase());
        assert!(covers(&["request-line", "@request-target"]) && names.iter().any(is_date));
    } else {
        assert!(covers(&["@method"]) && covers(&["@authority", "@target-uri"]));
        assert!(covers(&["@path", "@request-target", "@target-uri"]));
        assert!(covers(&["@query", "@request-target", "@target-uri"]));
    }

    // The same signature at a request that is another one.
    let blank = sent.first.iter().position(|&byte| byte == b' ').unwrap();
    let (method, target) = (&sent.first[..blank], &sent.first[blank + 1..]);
    let joint: &[u8] = if target.contains(&b'?') { b"&" } else { b"?" };
    for first in [
        [method, b"X ", target].concat(),
        [method, b" /x", target].concat(),
        [method, b" ", target, joint, b"x"].concat(),
    ] {
        refuse(&Sent { first: &first, ..sent.clone() }, mac);
    }
    for at in 0..sent.fields.len() {
        let (name, value) = field(sent.fields[at]);
        // That name stands for the line itself, never for a field.
        let is_line = sent.in_header && names.contains(&"request-line") && name == "request-line";
        if !is_line && names.iter().any(|covered| covered.eq_ignore_ascii_case(&name)) {
            let changed = [name.as_bytes(), b":", value, b"x"].concat();
            let mut fields = sent.fields.clone();
            fields[at] = &changed;
            refuse(&Sent { fields, ..sent.clone() }, mac);
            let mut fields = sent.fields.clone();
            fields.remove(at);
            refuse(&Sent { fields, ..sent.clone() }, mac);
        }
    }
}

fn refuse(changed: &Sent<'_>, mac: &str) {
    let judged = changed.with(mac).and_then(|head| judge(&head, changed.https));
    assert!(
        !matches!(judged, Some(Ok(_))),
        "accepted with another request: {}",
        changed.first.escape_ascii()
    );
}

impl Sent<'_> {
    /// The request with this as its signature.
    fn with(&self, mac: &str) -> Option<RequestHead> {
        let list = self.list;
        let made = if self.in_header {
            let words = r#"username="k", algorithm="hmac-sha256""#;
            [format!(r#"authorization: hmac {words}, headers="{list}", signature="{mac}""#), String::new()]
        } else {
            [format!("signature-input: sig={list}"), format!("signature: sig=:{mac}:")]
        };
        let made = made.iter().map(String::as_bytes);
        request(self.first, [DATE.as_bytes()].into_iter().chain(self.fields.iter().copied()).chain(made))
    }

    /// What is covered, where it is written in the simplest way.
    fn names(&self) -> Option<Vec<&str>> {
        if self.in_header {
            return Some(self.list.split(' ').collect());
        }
        let (names, _) = self.list.strip_prefix('(')?.split_once(')')?;
        names.split(' ').map(|name| name.strip_prefix('"')?.strip_suffix('"')).collect()
    }

    fn target(&self) -> Option<(&str, &str)> {
        let (method, target) = str::from_utf8(self.first).ok()?.split_once(' ')?;
        target.starts_with('/').then_some((method, target))
    }

    /// The lines of a field as one value.
    fn value(&self, name: &str) -> Option<String> {
        let own = match name {
            "date" => Some(&DATE.as_bytes()[5..]),
            "host" => Some(HOST.as_bytes()),
            // They would sign themselves.
            "signature" | "signature-input" | "authorization" => return None,
            _ => None,
        };
        let sent = self.fields.iter().map(|line| field(line)).filter(|(own, _)| own == name);
        let values: Option<Vec<&str>> = own
            .into_iter()
            .chain(sent.map(|(_, value)| value))
            .map(|value| str::from_utf8(value).ok().map(|text| text.trim_ascii()))
            .collect();
        values.filter(|values| !values.is_empty()).map(|values| values.join(", "))
    }

    /// RFC 9421 §2.5.
    fn message_base(&self) -> Option<Vec<u8>> {
        let (method, target) = self.target()?;
        let path = target.split('?').next()?;
        let scheme = if self.https { "https" } else { "http" };
        let mut base = String::new();
        for name in self.names()? {
            let value = match name {
                "@method" => method.to_owned(),
                "@authority" => HOST.to_owned(),
                "@path" => path.to_owned(),
                "@query" => {
                    target.strip_prefix(path).filter(|query| !query.is_empty()).unwrap_or("?").to_owned()
                }
                "@request-target" => target.to_owned(),
                "@target-uri" => format!("{scheme}://{HOST}{target}"),
                "@scheme" => scheme.to_owned(),
                _ if name.bytes().any(|byte| byte.is_ascii_uppercase()) => return None,
                _ => self.value(name)?,
            };
            base.push_str(&format!("\"{name}\": {value}\n"));
        }
        base.push_str(&format!("\"@signature-params\": {}", self.list));
        Some(base.into_bytes())
    }

    /// The form of Kong's `hmac-auth`.
    fn header_base(&self) -> Option<Vec<u8>> {
        let (method, target) = self.target()?;
        let line = |name: &str| match name {
            "request-line" => Some(format!("{method} {target} HTTP/1.1")),
            "@request-target" => Some(format!("{name}: {} {target}", method.to_ascii_lowercase())),
            _ => Some(format!("{name}: {}", self.value(&name.to_ascii_lowercase())?)),
        };
        let lines: Option<Vec<_>> = self.names()?.into_iter().map(line).collect();
        Some(lines?.join("\n").into_bytes())
    }

    /// Whether nothing speaks against it, so that a genuine signature has to be accepted.
    fn is_plain(&self) -> bool {
        let Some(names) = self.names() else { return false };
        let (method, target) = self.target().unwrap_or_default();
        let mut once = names.clone();
        once.sort_unstable();
        once.dedup();
        // Fields that no rule of HTTP takes away on the way here.
        let stays = ["host", "date", "content-digest", "accept", "x-a", "x-b"];
        let is_name = |name: &&str| name.starts_with('@') || *name == "request-line" || stays.contains(name);
        let is_text = |name: &&str| {
            self.value(name).is_none_or(|value| value.bytes().all(|byte| (b' '..=b'~').contains(&byte)))
        };
        let touches = |line: &&[u8]| {
            let (name, _) = field(line);
            ["signature", "authorization", "date", "digest", "connection"]
                .iter()
                .any(|part| name.contains(part))
        };
        let is_digest = |line: &&&[u8]| {
            let (name, value) = field(line);
            name == "content-digest" && value.trim_ascii() == DIGEST
        };
        let mut others = self.fields.iter().filter(|line| !is_digest(line));
        let covers = |name: &str| names.contains(&name);
        let enough = if self.in_header {
            covers("date") && covers("request-line") && !covers("@request-target")
        } else {
            let target = covers("@request-target") || (covers("@path") && covers("@query"));
            let is_plain = self.list.split_once(')').is_some_and(|(_, parameters)| parameters == PLAIN);
            covers("@method") && covers("@authority") && target && is_plain
        };
        enough
            && covers("content-digest")
            && self.fields.iter().filter(is_digest).count() == 1
            && !others.any(touches)
            && once.len() == names.len()
            && names.len() <= 60
            && names.iter().all(is_name)
            && names.iter().all(is_text)
            && method.bytes().all(|byte| byte.is_ascii_uppercase())
            && target.bytes().all(|byte| byte.is_ascii_graphic())
    }
}

/// Name in lower case and value of a line.
fn field(line: &[u8]) -> (String, &[u8]) {
    let at = line.iter().position(|&byte| byte == b':').unwrap_or(line.len());
    let (name, value) = line.split_at(at);
    (String::from_utf8_lossy(name).to_ascii_lowercase(), value.get(1..).unwrap_or_default())
}
