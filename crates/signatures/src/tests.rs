//! Tests of whole requests, and what they have in common: requests as text, and signatures made independently of
//! what is tested.

mod header;
mod hostile;
mod limits;
mod message;
mod tampering;
mod vectors;

use ::message::{Method, RequestHead};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::{Accepted, Algorithms, Key, Refusal, Request, Requirement, Rules, parse};

/// The time of the examples of RFC 9421.
const CREATED: u64 = 1_618_884_473;

const SECRET: &[u8] = b"secret of the tests";

/// A request as it is written in HTTP/1.1, normalised.
fn head(text: &str) -> RequestHead {
    let mut lines = text.trim().lines().map(str::trim);
    let mut first = lines.next().unwrap().split(' ');
    let mut head = RequestHead::default();
    let method = first.next().unwrap().as_bytes();
    head.method = Method::of(method);
    head.method_text = head.headers.append_text(method);
    head.target = head.headers.append_text(first.next().unwrap().as_bytes());
    for line in lines {
        let (name, value) = line.split_once(':').unwrap();
        head.headers.push(name.as_bytes(), value.trim().as_bytes());
    }
    head.normalize().unwrap_or_else(|fault| panic!("{text}: {fault:?}"));
    head
}

fn requirements(names: &[&str]) -> Vec<Requirement> {
    names.iter().map(|name| Requirement::of(name).unwrap()).collect()
}

/// Rules that ask for nothing but a genuine signature of the right time.
fn lenient() -> Rules {
    Rules { required: Vec::new(), required_in_header: Vec::new(), require_digest: false, ..Rules::default() }
}

fn shared(secret: &[u8]) -> Key {
    Key::shared(secret, Algorithms::default()).unwrap()
}

/// Judges a request whose only known key is this one, whatever its id.
fn judge(head: &RequestHead, key: &Key, rules: &Rules, now: u64) -> Result<Accepted, Refusal> {
    judge_request(&Request { head, https: true, body_length: Some(0) }, key, rules, now)
}

fn judge_request(request: &Request<'_>, key: &Key, rules: &Rules, now: u64) -> Result<Accepted, Refusal> {
    let presented = parse(request.head, rules).expect("a signature")?;
    let (claim, ()) = presented.choose(|_| Some(()))?;
    claim.verify(key, request, rules, now)
}

/// HMAC with SHA-256 in base64.
fn mac(secret: &[u8], base: &str) -> String {
    STANDARD.encode(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), base.as_bytes()))
}

/// The head of a request that is signed over `lines` (in full, as they stand in the signature base), which `list`
/// names.
fn signed(request: &str, lines: &[&str], list: &str) -> RequestHead {
    let mut base: String = lines.iter().map(|line| format!("{line}\n")).collect();
    base.push_str(&format!("\"@signature-params\": {list}"));
    let mac = mac(SECRET, &base);
    head(&format!("{}\nSignature-Input: sig={list}\nSignature: sig=:{mac}:", request.trim()))
}
