//! Why a question has no answer that counts, and how the errors of the libraries are read.
//!
//! It must not know what was asked, so that it cannot tell: its texts hold no query, header or body. Entry point:
//! [`Trouble`].

use std::error::Error;
use std::io::ErrorKind;
use std::{fmt, io};

use http_body_util::LengthLimitError;

/// Why a question has no answer that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The URL is not an absolute `http` or `https` one, or names a user.
    Address,
    /// Too many questions are under way already.
    Busy,
    /// The name of the server has no address.
    Resolve,
    /// No connection.
    Connect(ErrorKind),
    /// The server is not believed, or not understood in the handshake. The text is for those who run the gateway.
    Tls(String),
    /// No whole answer in time.
    Timeout,
    /// The connection was closed before the answer was complete.
    Closed,
    /// The answer, or its head, is larger than allowed.
    TooLarge,
    /// The answer says nothing that can be understood; the text says what is wrong with it.
    Malformed(&'static str),
    /// The answer has this status of HTTP, and only 200 counts.
    Status(u16),
    /// The answer has this status of gRPC, and only 0 counts.
    Grpc(u32),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Address => f.write_str("the address is no `http` or `https` URL that can be asked"),
            Trouble::Busy => f.write_str("too many questions to servers are under way"),
            Trouble::Resolve => f.write_str("the name of the server cannot be resolved"),
            Trouble::Connect(kind) => write!(f, "the server cannot be reached: {kind}"),
            Trouble::Tls(why) => write!(f, "no TLS with the server: {why}"),
            Trouble::Timeout => f.write_str("no answer in time"),
            Trouble::Closed => {
                f.write_str("the server has closed the connection before the answer was complete")
            }
            Trouble::TooLarge => f.write_str("the answer is too large"),
            Trouble::Malformed(why) => write!(f, "the answer cannot be used: {why}"),
            Trouble::Status(status) => write!(f, "the server answers with status {status}"),
            Trouble::Grpc(code) => write!(f, "the server answers with gRPC status {code}"),
        }
    }
}

impl Error for Trouble {}

impl Trouble {
    /// Of a question that has no head of an answer.
    pub(crate) fn of_request(error: &hyper_util::client::legacy::Error) -> Trouble {
        if error.is_connect() { of_connecting(error) } else { Trouble::of_exchange(error) }
    }

    /// Of an exchange on a connection that stands.
    pub(crate) fn of_exchange(error: &(dyn Error + 'static)) -> Trouble {
        let mut found = Trouble::Malformed("it is not what HTTP allows");
        walk(error, &mut |cause| {
            let Some(trouble) = of_cause(cause) else { return false };
            found = trouble;
            true
        });
        found
    }
}

fn of_connecting(error: &(dyn Error + 'static)) -> Trouble {
    let mut found = Trouble::Connect(ErrorKind::Other);
    walk(error, &mut |cause| {
        if let Some(error) = cause.downcast_ref::<rustls::Error>() {
            found = Trouble::Tls(tls::explain_service(error));
            return true;
        }
        // The library tells it in words only; a test notices when they change.
        if cause.to_string() == "dns error" {
            found = Trouble::Resolve;
            return true;
        }
        if let Some(error) = cause.downcast_ref::<io::Error>() {
            found = Trouble::Connect(error.kind());
        }
        false
    });
    found
}

fn of_cause(cause: &(dyn Error + 'static)) -> Option<Trouble> {
    if cause.is::<LengthLimitError>() {
        return Some(Trouble::TooLarge);
    }
    if let Some(error) = cause.downcast_ref::<rustls::Error>() {
        return Some(Trouble::Tls(tls::explain_service(error)));
    }
    if let Some(error) = cause.downcast_ref::<hyper::Error>() {
        if error.is_parse_too_large() {
            return Some(Trouble::TooLarge);
        }
        let gone =
            error.is_incomplete_message() || error.is_closed() || error.is_canceled() || error.is_timeout();
        return gone.then_some(Trouble::Closed);
    }
    if let Some(error) = cause.downcast_ref::<h2::Error>() {
        let gone = matches!(
            error.reason(),
            Some(h2::Reason::NO_ERROR | h2::Reason::REFUSED_STREAM | h2::Reason::CANCEL)
        );
        return gone.then_some(Trouble::Closed);
    }
    // Other errors are often wrapped in one of I/O, and then say more than it.
    let error = cause.downcast_ref::<io::Error>()?;
    let gone = matches!(
        error.kind(),
        ErrorKind::UnexpectedEof
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
    );
    (gone || error.get_ref().is_none()).then_some(Trouble::Closed)
}

/// Calls `visit` with an error and what it came from, until it says that this is enough.
fn walk(error: &(dyn Error + 'static), visit: &mut dyn FnMut(&(dyn Error + 'static)) -> bool) {
    /// No chain is nearly as long.
    const DEEPEST: usize = 32;
    let mut next = Some(error);
    for _ in 0..DEEPEST {
        let Some(error) = next else { return };
        if visit(error) {
            return;
        }
        // `source` of an error of I/O leaves out the very error that it wraps.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match wrapped {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
}
