//! `state`: what several gateways share.
//!
//! What a URL of a store may be is for the crates above. Entry point: [`State`].

use std::fmt;

use diagnostics::{Code, Diagnostic, Diagnostics, Span, Spanned};
use document::{Decode, DurationValue, File, Node, Shape, section};

/// What is said about state.
#[derive(Clone, Debug)]
pub enum State {
    /// `memory`: each gateway has its own.
    Memory,
    /// Gateways share it.
    Shared(Box<SharedState>),
}

section! {
    /// Where gateways share state: a server of Redis or Valkey, a master behind sentinels, or a cluster. The URL alone may
    /// stand for the section, `state: redis://HOST`.
    pub struct SharedState {
        /// `redis://USER:PASSWORD@HOST:6379/DB`, with `rediss` for TLS, `redis+sentinel://HOST,HOST/NAME` or
        /// `redis+cluster://HOST,HOST`. It is never shown.
        url: StoreUrl,
        /// How long a request waits for the store. After that `on_store_failure` of its limits says what becomes of it.
        timeout: Spanned<DurationValue> = "100ms",
        /// The authorities that are trusted, in a PEM file; those of the system without it.
        ca: Option<File>,
        /// The certificate that is shown to the store, with its chain, in a PEM file.
        cert: Option<File>,
        /// The private key of `cert`, in a PEM file without a passphrase.
        key: Option<File>,
        /// The name that is asked for and that the certificate must be for, in place of the host of the URL. A cluster
        /// does not take it.
        server_name: Option<Spanned<String>>,
    }
    short url
    check check_shared_state
}

/// A URL that may hold a password.
#[derive(Clone)]
pub struct StoreUrl {
    /// Where it is written.
    pub span: Span,
    text: String,
}

impl StoreUrl {
    /// As it was written.
    pub fn expose(&self) -> &str {
        &self.text
    }
}

/// Without the URL.
impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreUrl")
    }
}

impl Decode for StoreUrl {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let text = String::decode(node, diagnostics)?;
        Some(StoreUrl { span: node.span, text })
    }

    fn shape() -> Shape {
        Shape::Text { format: "url", example: "redis://127.0.0.1:6379" }
    }
}

impl Decode for State {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        match node.text() {
            Some("memory") => Some(State::Memory),
            _ => SharedState::decode(node, diagnostics).map(Box::new).map(State::Shared),
        }
    }

    fn shape() -> Shape {
        Shape::OneOf(vec![Shape::Keyword(&["memory"]), SharedState::shape()])
    }
}

fn check_shared_state(state: &SharedState, diagnostics: &mut Diagnostics) {
    let lonely = match (&state.cert, &state.key) {
        (Some(cert), None) => {
            Some((cert.span, "`cert` needs its `key`", "add `key`: the file of its private key"))
        }
        (None, Some(key)) => {
            Some((key.span, "`key` needs its `cert`", "add `cert`: the file of its certificate"))
        }
        _ => None,
    };
    if let Some((span, message, help)) = lonely {
        diagnostics.push(Diagnostic::error(Code::MissingKey, span, message).help(help));
    }
    let millis = state.timeout.value.get().as_millis();
    if !(1..=5000).contains(&millis) {
        diagnostics.push(
            Diagnostic::error(
                Code::InvalidValue,
                state.timeout.span,
                "requests wait for the store from 1 ms to 5 s",
            )
            .help("write a little more than an answer takes, such as `100ms`"),
        );
    }
}
