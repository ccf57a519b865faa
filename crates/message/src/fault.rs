//! Why a request could not be served normally: one closed list, one table.
//!
//! A fault becomes a reply here and nowhere else. Every fault says whose it is, which layer failed,
//! whether the request may be repeated, and what to tell the client. What a policy refuses on purpose
//! is a reply of that policy, not a fault.

/// Whose fault it is, which is also the layer that failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Blame {
    /// The client sent something wrong, or went silent.
    Client,
    /// Gateward: its configuration or its limits.
    Gateway,
    /// The service behind it.
    Service,
}

impl Blame {
    /// The word used in replies and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Blame::Client => "client",
            Blame::Gateway => "gateway",
            Blame::Service => "service",
        }
    }
}

macro_rules! faults {
    ($($variant:ident => $status:literal $code:literal $blame:ident retry:$retry:literal $detail:literal;)*) => {
        /// Why a request could not be served normally.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        pub enum Fault {
            $(#[doc = concat!("`", $code, "` (", stringify!($status), "): ", $detail)] $variant,)*
        }

        impl Fault {
            /// Every fault, in the order of the table.
            pub const ALL: &'static [Fault] = &[$(Fault::$variant,)*];

            /// The status of the reply.
            pub const fn status(self) -> u16 { match self { $(Fault::$variant => $status,)* } }
            /// The stable name, for programs, logs and metrics.
            pub const fn code(self) -> &'static str { match self { $(Fault::$variant => $code,)* } }
            /// Whose fault it is.
            pub const fn blame(self) -> Blame { match self { $(Fault::$variant => Blame::$blame,)* } }
            /// Whether the same request may succeed if it is sent again.
            pub const fn is_retryable(self) -> bool { match self { $(Fault::$variant => $retry,)* } }
            /// What the client is told.
            pub const fn detail(self) -> &'static str { match self { $(Fault::$variant => $detail,)* } }
        }
    };
}

faults! {
    BadRequestLine => 400 "bad-request-line" Client retry:false "The request line is not valid HTTP/1.1.";
    BadHeader => 400 "bad-header" Client retry:false "A header field is not valid: a name must be a token, a value must not hold control characters, and lines end with CR LF.";
    BadTarget => 400 "bad-target" Client retry:false "The request target is not a valid path: it holds a control character, a space, a backslash, a fragment or a broken escape, or it does not begin with a slash.";
    AmbiguousPath => 400 "ambiguous-path" Client retry:false "The path can be read in two ways that are under different rules. Send it without encoded slashes, backslashes and path parameters.";
    BadHost => 400 "bad-host" Client retry:false "The request needs exactly one valid Host.";
    BadFraming => 400 "bad-framing" Client retry:false "The length of the body is in doubt: send one valid Content-Length, or Transfer-Encoding: chunked, not both.";
    BadChunk => 400 "bad-chunk" Client retry:false "The chunked body is not valid.";
    BadGrpc => 400 "bad-grpc" Client retry:false "The body is not a valid sequence of gRPC messages, or for gRPC-Web in text form not valid base64.";
    DigestMismatch => 400 "digest-mismatch" Client retry:false "The body is not the one whose digest was signed.";
    BodyCut => 400 "body-cut" Client retry:true "The connection ended before the body was complete.";
    HeaderTimeout => 408 "header-timeout" Client retry:true "The head of the request did not arrive in time.";
    BodyTimeout => 408 "body-timeout" Client retry:true "The body of the request did not arrive in time.";
    BodyTooLarge => 413 "body-too-large" Client retry:false "The body is larger than this route allows.";
    UriTooLong => 414 "uri-too-long" Client retry:false "The request target is longer than this listener allows.";
    UnknownExpectation => 417 "unknown-expectation" Client retry:false "The only expectation that can be met is 100-continue.";
    HeadersTooLarge => 431 "headers-too-large" Client retry:false "The header fields are more or larger than this listener allows.";
    MethodNotImplemented => 501 "method-not-implemented" Client retry:false "CONNECT and TRACE are not served, and a method must be a token of at most 64 characters.";
    UnknownTransferCoding => 501 "unknown-transfer-coding" Client retry:false "The only transfer coding that is understood is chunked.";
    TooEarly => 425 "too-early" Client retry:true "The request came before the handshake was done, when anybody could repeat it. Send it again.";
    Misdirected => 421 "misdirected" Client retry:true "The request names another host than the encrypted connection was opened for. Send it on a connection of its own.";
    UnsupportedVersion => 505 "unsupported-version" Client retry:false "This version of HTTP is not spoken here.";
    ClientGone => 499 "client-gone" Client retry:true "The client closed the connection before it had its answer.";
    SendTimeout => 499 "send-timeout" Client retry:true "The client did not take the response in time.";
    NoRoute => 404 "no-route" Gateway retry:false "No route of the configuration matches this request.";
    LoopDetected => 508 "loop-detected" Gateway retry:false "The request has passed this gateway too often: a service sends it back.";
    QueueFull => 503 "queue-full" Gateway retry:true "Too many requests wait for this service already. Try again later.";
    QueueTimeout => 503 "queue-timeout" Gateway retry:true "The request would have to wait for too long until this service has room for it. Try again later.";
    CircuitOpen => 503 "circuit-open" Service retry:true "Too much of what was sent to this service has failed, and it is left alone for a moment. Try again later.";
    Shed => 503 "gateway-overloaded" Gateway retry:true "The gateway has more to do than it can. Try again later.";
    Overloaded => 503 "overloaded" Gateway retry:true "As many connections as allowed are open. Try again later.";
    Internal => 500 "internal" Gateway retry:false "Gateward failed to serve this request. This is a bug.";
    ShuttingDown => 503 "shutting-down" Gateway retry:true "This instance is shutting down. Try again.";
    AuthorityUnavailable => 503 "authority-unavailable" Service retry:true "Whoever vouches for callers, or decides about them, cannot be asked at the moment. Try again later.";
    NoEndpoint => 503 "no-endpoint" Service retry:true "The service has no endpoint that can be used now.";
    ConnectFailed => 502 "connect-failed" Service retry:true "No connection to the service could be opened.";
    TlsFailed => 502 "tls-failed" Service retry:true "No encrypted connection to the service could be made, or it did not prove who it is.";
    NoUpgrade => 502 "no-upgrade" Service retry:false "The service speaks a version of HTTP in which this connection cannot be upgraded.";
    ConnectTimeout => 504 "connect-timeout" Service retry:true "The service did not accept a connection in time.";
    UpstreamReset => 502 "upstream-reset" Service retry:true "The service closed the connection before it answered.";
    UpstreamMalformed => 502 "upstream-malformed" Service retry:false "The service answered something that is not valid HTTP/1.1.";
    InvalidResponse => 502 "invalid-response" Service retry:false "The service answered something that its description does not allow.";
    UpstreamCut => 502 "upstream-cut" Service retry:true "The service ended the connection in the middle of its response.";
    ResponseTimeout => 504 "response-timeout" Service retry:true "The service did not answer in time.";
    RequestTimeout => 504 "request-timeout" Service retry:true "The request was not done within the time allowed for it.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_keeps_its_promises() {
        let mut codes = std::collections::HashSet::new();
        for fault in Fault::ALL {
            assert!(codes.insert(fault.code()), "{} twice", fault.code());
            assert!(fault.code().bytes().all(|b| b.is_ascii_lowercase() || b == b'-'));
            assert!((400..600).contains(&fault.status()));
            assert!(fault.detail().ends_with('.'));
            if fault.blame() == Blame::Service {
                assert!(matches!(fault.status(), 502..=504), "{}", fault.code());
            }
        }
    }
}
