//! Status codes: their reason phrases and status lines.

macro_rules! reasons {
    ($($code:literal $reason:literal,)*) => {
        /// The reason phrase of a status code (RFC 9110 §15); empty for codes without a registered one.
        pub const fn reason_phrase(status: u16) -> &'static str {
            match status {
                $($code => $reason,)*
                _ => "",
            }
        }

        /// The first line of a response in HTTP/1.1 with its end; `None` for codes without a registered reason.
        const fn status_line(status: u16) -> Option<&'static str> {
            match status {
                $($code => Some(concat!("HTTP/1.1 ", $code, " ", $reason, "\r\n")),)*
                _ => None,
            }
        }
    };
}

/// Appends the first line of a response in HTTP/1.1 with its end (RFC 9112 §4). Without a reason it gets the registered
/// one. `status` is a code of three digits.
#[inline]
pub fn push_status_line(out: &mut Vec<u8>, status: u16, reason: &[u8]) {
    if let (true, Some(line)) = (reason.is_empty(), status_line(status)) {
        return out.extend_from_slice(line.as_bytes());
    }
    debug_assert!((100..1000).contains(&status));
    let digit = |place: u16| b'0' + (status / place % 10) as u8;
    let mut line = *b"HTTP/1.1 000 ";
    [line[9], line[10], line[11]] = [digit(100), digit(10), digit(1)];
    out.extend_from_slice(&line);
    out.extend_from_slice(reason);
    out.extend_from_slice(b"\r\n");
}

reasons! {
    100 "Continue",
    101 "Switching Protocols",
    103 "Early Hints",
    200 "OK",
    201 "Created",
    202 "Accepted",
    203 "Non-Authoritative Information",
    204 "No Content",
    205 "Reset Content",
    206 "Partial Content",
    300 "Multiple Choices",
    301 "Moved Permanently",
    302 "Found",
    303 "See Other",
    304 "Not Modified",
    307 "Temporary Redirect",
    308 "Permanent Redirect",
    400 "Bad Request",
    401 "Unauthorized",
    402 "Payment Required",
    403 "Forbidden",
    404 "Not Found",
    405 "Method Not Allowed",
    406 "Not Acceptable",
    408 "Request Timeout",
    409 "Conflict",
    410 "Gone",
    411 "Length Required",
    412 "Precondition Failed",
    413 "Content Too Large",
    414 "URI Too Long",
    415 "Unsupported Media Type",
    416 "Range Not Satisfiable",
    417 "Expectation Failed",
    421 "Misdirected Request",
    422 "Unprocessable Content",
    425 "Too Early",
    426 "Upgrade Required",
    428 "Precondition Required",
    429 "Too Many Requests",
    431 "Request Header Fields Too Large",
    451 "Unavailable For Legal Reasons",
    499 "Client Closed Request",
    500 "Internal Server Error",
    501 "Not Implemented",
    502 "Bad Gateway",
    503 "Service Unavailable",
    504 "Gateway Timeout",
    505 "HTTP Version Not Supported",
    507 "Insufficient Storage",
    508 "Loop Detected",
    511 "Network Authentication Required",
}
