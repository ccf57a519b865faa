//! A question and its answer, as values.
//!
//! Nothing is sent here. Entry points: [`Ask`], [`Answer`].

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Uri};

/// Whose word is taken for who a server is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Trust {
    /// The authorities that this system trusts. They are read when they are first needed.
    #[default]
    System,
    /// These authorities, and no others.
    These(tls::Authorities),
}

/// One question to a server. It has no `Debug` of its own that shows headers, query or body: they hold secrets.
#[derive(Clone)]
pub struct Ask {
    /// The method.
    pub method: Method,
    /// An absolute `http` or `https` URL without user information.
    pub uri: Uri,
    /// What is sent along. `Host`, `Content-Length` and `User-Agent` are added if they are not there.
    pub headers: HeaderMap,
    /// The body; empty for none.
    pub body: Bytes,
    /// From the wait for a connection to the last byte of the answer.
    pub timeout: Duration,
    /// How many bytes the body of the answer may have.
    pub most_body: usize,
    /// Speak HTTP/2: agreed on in the handshake where there is one, without asking where there is none.
    pub http2: bool,
    /// Asking twice does no harm: it is asked once more if the connection closes before there is an answer, which
    /// happens to a kept connection that the server gives up at the same moment. What was certainly not sent is
    /// sent again in any case. A code that can be used once (RFC 6749, section 4.1.2) must not be repeatable.
    pub repeatable: bool,
    /// Whose word is taken for who the server is.
    pub trust: Trust,
}

impl Ask {
    /// The default of `timeout`.
    pub const TIMEOUT: Duration = Duration::from_secs(5);
    /// The default of `most_body`, in bytes.
    pub const MOST_BODY: usize = 64 * 1024;

    /// `GET`, repeatable, over HTTP/1.1, with the defaults.
    #[must_use]
    pub fn get(uri: Uri) -> Ask {
        Ask {
            method: Method::GET,
            uri,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            timeout: Ask::TIMEOUT,
            most_body: Ask::MOST_BODY,
            http2: false,
            repeatable: true,
            trust: Trust::System,
        }
    }

    /// `POST`, not repeatable, over HTTP/1.1, with the defaults.
    #[must_use]
    pub fn post(uri: Uri, body: Bytes) -> Ask {
        Ask { method: Method::POST, body, repeatable: false, ..Ask::get(uri) }
    }
}

impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{}", self.method, self.uri.host().unwrap_or_default(), self.uri.path())
    }
}

/// What a server has answered, whatever its status. Redirects are answers: nobody follows them.
#[derive(Clone, Default)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
    /// What came behind the body.
    pub trailers: Option<HeaderMap>,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with {} bytes", self.status, self.body.len())
    }
}
