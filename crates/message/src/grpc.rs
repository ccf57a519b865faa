//! What gRPC says in the head and the trailers of a message: content types, deadlines, statuses.
//!
//! After "gRPC over HTTP2" (`doc/PROTOCOL-HTTP2.md` of grpc/grpc), "gRPC Web" (`doc/PROTOCOL-WEB.md`) and "HTTP to
//! gRPC Status Code Mapping" (`doc/http-grpc-status-mapping.md`). Which status a fault has is decided here, and
//! nowhere else. Knows no bodies: `wire` does.

use std::borrow::Cow;
use std::time::Duration;

use crate::reply::NO_STORE;
use crate::{Fault, Reply, is_token_byte, reason_phrase};

/// Which of the three forms a body of gRPC has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrpcForm {
    /// gRPC itself: messages, then trailers.
    Native,
    /// gRPC-Web: trailers are the last frame of the body.
    Web,
    /// gRPC-Web, all of it in base64.
    WebText,
}

impl GrpcForm {
    /// The content type without subtype and parameters.
    const fn base(self) -> &'static str {
        match self {
            GrpcForm::Native => "application/grpc",
            GrpcForm::Web => "application/grpc-web",
            GrpcForm::WebText => "application/grpc-web-text",
        }
    }
}

/// A content type of gRPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrpcContentType<'a> {
    /// The form of the body.
    pub form: GrpcForm,
    /// What stands behind: `+proto` or `+json`, parameters, or nothing.
    pub suffix: &'a [u8],
}

impl<'a> GrpcContentType<'a> {
    /// Recognises `application/grpc`, `-web` and `-web-text`, with or without `+subtype` and parameters; nothing else
    /// that begins so, such as `application/grpcX`.
    pub fn of(content_type: &'a [u8]) -> Option<GrpcContentType<'a>> {
        let forms = [GrpcForm::WebText, GrpcForm::Web, GrpcForm::Native];
        forms.into_iter().find_map(|form| {
            let (base, suffix) = content_type.split_at_checked(form.base().len())?;
            let is_it = base.eq_ignore_ascii_case(form.base().as_bytes()) && is_suffix(suffix);
            is_it.then_some(GrpcContentType { form, suffix })
        })
    }

    /// The content type of the same messages in another form.
    pub fn in_form(&self, form: GrpcForm) -> Vec<u8> {
        [form.base().as_bytes(), self.suffix].concat()
    }
}

/// Whether bytes may follow the base of a content type: `["+" subtype] [OWS ";" anything]`.
fn is_suffix(suffix: &[u8]) -> bool {
    let rest = match suffix.strip_prefix(b"+") {
        None => suffix,
        Some(subtype) => {
            let len = subtype.iter().take_while(|&&b| is_token_byte(b)).count();
            if len == 0 {
                return false;
            }
            &subtype[len..]
        }
    };
    matches!(rest.trim_ascii_start().first(), None | Some(b';'))
}

/// Whether a message of this content type is gRPC, not gRPC-Web.
pub fn is_grpc(content_type: &[u8]) -> bool {
    GrpcContentType::of(content_type).is_some_and(|found| found.form == GrpcForm::Native)
}

/// The content type, if it is one of gRPC-Web.
pub fn is_grpc_web(content_type: &[u8]) -> Option<GrpcContentType<'_>> {
    GrpcContentType::of(content_type).filter(|found| found.form != GrpcForm::Native)
}

/// The longest deadline there is: what asks for more gets this. No clock overflows by it.
const MOST_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 3600);

/// Reads `grpc-timeout`: one to eight digits and a unit. `None` where it is anything else.
///
/// At most a year; zero is a deadline that has passed.
pub fn parse_grpc_timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if !(1..=8).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let amount = digits.iter().fold(0, |amount, digit| amount * 10 + u64::from(digit - b'0'));
    let timeout = match unit {
        b'H' => Duration::from_secs(amount * 3600),
        b'M' => Duration::from_secs(amount * 60),
        b'S' => Duration::from_secs(amount),
        b'm' => Duration::from_millis(amount),
        b'u' => Duration::from_micros(amount),
        b'n' => Duration::from_nanos(amount),
        _ => return None,
    };
    Some(timeout.min(MOST_TIMEOUT))
}

/// Adds the value of `grpc-timeout` for the time that is left, in the finest unit that has room for it. Rounded
/// down, so that a service never takes longer than its client waits.
pub fn write_grpc_timeout(out: &mut Vec<u8>, left: Duration) {
    const MOST_AMOUNT: u128 = 99_999_999;
    let nanos = left.min(MOST_TIMEOUT).as_nanos();
    let units = [(b'n', 1), (b'u', 1_000), (b'm', 1_000_000), (b'S', 1_000_000_000)];
    // A year in seconds has eight digits.
    let (unit, size) = units.into_iter().find(|(_, size)| nanos / size <= MOST_AMOUNT).unwrap_or(units[3]);
    out.extend_from_slice((nanos / size).to_string().as_bytes());
    out.push(unit);
}

macro_rules! statuses {
    ($($variant:ident = $number:literal $text:literal,)*) => {
        /// How a call ended (`doc/statuscodes.md` of grpc/grpc).
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        #[repr(u8)]
        pub enum GrpcStatus {
            $(#[doc = concat!("`", $text, "`")] $variant = $number,)*
        }

        impl GrpcStatus {
            /// Reads `grpc-status`: a number without leading zeros. What is not in the list is none.
            pub fn parse(value: &[u8]) -> Option<GrpcStatus> {
                $(if value == stringify!($number).as_bytes() { return Some(GrpcStatus::$variant); })*
                None
            }

            /// The number, as `grpc-status` has it.
            pub const fn as_str(self) -> &'static str {
                match self { $(GrpcStatus::$variant => stringify!($number),)* }
            }

            /// The status of a name, in any case.
            pub fn of_name(name: &str) -> Option<GrpcStatus> {
                $(if name.eq_ignore_ascii_case($text) { return Some(GrpcStatus::$variant); })*
                None
            }

            /// The name.
            pub const fn name(self) -> &'static str {
                match self { $(GrpcStatus::$variant => $text,)* }
            }
        }
    };
}

statuses! {
    Ok = 0 "OK",
    Cancelled = 1 "CANCELLED",
    Unknown = 2 "UNKNOWN",
    InvalidArgument = 3 "INVALID_ARGUMENT",
    DeadlineExceeded = 4 "DEADLINE_EXCEEDED",
    NotFound = 5 "NOT_FOUND",
    AlreadyExists = 6 "ALREADY_EXISTS",
    PermissionDenied = 7 "PERMISSION_DENIED",
    ResourceExhausted = 8 "RESOURCE_EXHAUSTED",
    FailedPrecondition = 9 "FAILED_PRECONDITION",
    Aborted = 10 "ABORTED",
    OutOfRange = 11 "OUT_OF_RANGE",
    Unimplemented = 12 "UNIMPLEMENTED",
    Internal = 13 "INTERNAL",
    Unavailable = 14 "UNAVAILABLE",
    DataLoss = 15 "DATA_LOSS",
    Unauthenticated = 16 "UNAUTHENTICATED",
}

impl GrpcStatus {
    /// What a client makes of an answer that is not gRPC. A success is none: it lacks the status of the call.
    pub const fn of_http(status: u16) -> GrpcStatus {
        match status {
            400 => GrpcStatus::Internal,
            401 => GrpcStatus::Unauthenticated,
            403 => GrpcStatus::PermissionDenied,
            404 => GrpcStatus::Unimplemented,
            429 | 502 | 503 | 504 => GrpcStatus::Unavailable,
            _ => GrpcStatus::Unknown,
        }
    }

    /// How a call ends by a fault: as its HTTP status says, but for those of which more is known.
    pub const fn of_fault(fault: Fault) -> GrpcStatus {
        match fault {
            Fault::HeaderTimeout | Fault::BodyTimeout | Fault::ResponseTimeout | Fault::RequestTimeout => {
                GrpcStatus::DeadlineExceeded
            }
            Fault::BodyTooLarge | Fault::UriTooLong | Fault::HeadersTooLarge => GrpcStatus::ResourceExhausted,
            Fault::TooEarly | Fault::Misdirected => GrpcStatus::Unavailable,
            Fault::BodyCut | Fault::ClientGone | Fault::SendTimeout => GrpcStatus::Cancelled,
            Fault::MethodNotImplemented | Fault::UnknownTransferCoding | Fault::UnsupportedVersion => {
                GrpcStatus::Unimplemented
            }
            // UNAVAILABLE asks clients to try again, and that would change nothing here.
            Fault::UpstreamMalformed
            | Fault::InvalidResponse
            | Fault::NoUpgrade
            | Fault::Internal
            | Fault::LoopDetected
            | Fault::UnknownExpectation => GrpcStatus::Internal,
            other => GrpcStatus::of_http(other.status()),
        }
    }
}

/// Text as the value of `grpc-message`: UTF-8, with `%`, controls, and what is not ASCII escaped. So are spaces
/// at both ends, which a field value would lose.
pub fn grpc_message(text: &str) -> Cow<'_, str> {
    let is_plain = |b: u8| matches!(b, 0x20..=0x7e) && b != b'%';
    if text.bytes().all(is_plain) && !text.starts_with(' ') && !text.ends_with(' ') {
        return Cow::Borrowed(text);
    }
    let last = text.len() - 1;
    let mut out = String::with_capacity(text.len() + 16);
    for (at, b) in text.bytes().enumerate() {
        if is_plain(b) && !(b == b' ' && (at == 0 || at == last)) {
            out.push(char::from(b));
        } else {
            out.push('%');
            for digit in [b >> 4, b & 15] {
                out.extend(char::from_digit(u32::from(digit), 16).map(|digit| digit.to_ascii_uppercase()));
            }
        }
    }
    Cow::Owned(out)
}

impl Reply {
    /// An answer that consists of nothing but how the call ended ("Trailers-Only"): a head that ends the
    /// stream. `content_type` is one of gRPC or gRPC-Web, like that of the request.
    pub fn grpc(status: GrpcStatus, message: &str, content_type: impl Into<Cow<'static, str>>) -> Reply {
        let reply =
            Reply::status(200).header("content-type", content_type).header("grpc-status", status.as_str());
        if message.is_empty() {
            return reply;
        }
        reply.header("grpc-message", grpc_message(message).into_owned())
    }

    /// [`Reply::grpc`] for a fault.
    pub fn grpc_fault(fault: Fault, content_type: impl Into<Cow<'static, str>>) -> Reply {
        let message = format!("{}: {}", fault.code(), fault.detail());
        Reply::grpc(GrpcStatus::of_fault(fault), &message, content_type)
    }

    /// The same answer for a client that speaks gRPC: its status becomes one of a call, its body is left out, and
    /// fields that are not about the body stay.
    #[must_use]
    pub fn into_grpc(self, content_type: impl Into<Cow<'static, str>>) -> Reply {
        let mut reply =
            Reply::grpc(GrpcStatus::of_http(self.status), reason_phrase(self.status), content_type);
        let is_content =
            |name: &str| name.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("content-"));
        reply.headers.extend(self.headers.into_iter().filter(|(name, _)| !is_content(name)));
        if self.problem.is_some() {
            reply = reply.header(NO_STORE.0, NO_STORE.1);
        }
        reply.retry_after = self.retry_after;
        reply
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_refusal_keeps_what_is_not_about_its_body() {
        let problem = Box::leak(Box::new(crate::Problem::new(429, "rate-limited", "Wait.", "client", true)));
        let reply = problem.reply().retry_after(3).into_grpc("application/grpc");
        let mut head = crate::ResponseHead::default();
        reply.write_head(&mut head);
        let told = String::from_utf8_lossy(head.headers.text()).into_owned();
        assert!(told.contains("cache-control: no-store\r\nretry-after: 3\r\n"), "{told}");
        assert_eq!((told.matches("content-type").count(), reply.body_len(b"id")), (1, 0));
    }

    #[test]
    fn content_types() {
        use GrpcForm::{Native, Web, WebText};
        for (text, want) in [
            ("application/grpc", Some((Native, ""))),
            ("Application/GRPC+proto", Some((Native, "+proto"))),
            ("application/grpc;charset=utf-8", Some((Native, ";charset=utf-8"))),
            ("application/grpc ; a", Some((Native, " ; a"))),
            ("application/grpc+json;a=b", Some((Native, "+json;a=b"))),
            ("application/grpc-web", Some((Web, ""))),
            ("application/grpc-web+proto", Some((Web, "+proto"))),
            ("application/grpc-web-text", Some((WebText, ""))),
            ("application/grpc-web-text+proto", Some((WebText, "+proto"))),
            ("application/grpcX", None),
            ("application/grpc-", None),
            ("application/grpc-webby", None),
            ("application/grpc-web-texts", None),
            ("application/grpc+", None),
            ("application/grpc+;a", None),
            ("application/grpc+proto x", None),
            ("application/json", None),
            ("application/grp", None),
            ("", None),
        ] {
            let got = GrpcContentType::of(text.as_bytes());
            let want = want.map(|(form, suffix)| GrpcContentType { form, suffix: suffix.as_bytes() });
            assert_eq!(got, want, "{text}");
            assert_eq!(is_grpc(text.as_bytes()), want.is_some_and(|want| want.form == Native), "{text}");
            assert_eq!(is_grpc_web(text.as_bytes()), want.filter(|want| want.form != Native), "{text}");
            if let Some(got) = got {
                for form in [Native, Web, WebText] {
                    let other = got.in_form(form);
                    assert_eq!(GrpcContentType::of(&other), Some(GrpcContentType { form, ..got }), "{text}");
                }
            }
        }
    }

    #[test]
    fn timeouts() {
        let year = 365 * 24 * 3600;
        for (text, want) in [
            ("1H", Some(Duration::from_secs(3600))),
            ("3M", Some(Duration::from_secs(180))),
            ("007S", Some(Duration::from_secs(7))),
            ("250m", Some(Duration::from_millis(250))),
            ("99999999u", Some(Duration::from_micros(99_999_999))),
            ("5n", Some(Duration::from_nanos(5))),
            ("0S", Some(Duration::ZERO)),
            ("99999999H", Some(Duration::from_secs(year))),
            ("999999999S", None),
            ("-1S", None),
            ("+1S", None),
            ("1x", None),
            ("1s", None),
            ("1", None),
            ("S", None),
            ("", None),
            ("1 S", None),
            ("1.5S", None),
            ("1S, 2S", None),
        ] {
            assert_eq!(parse_grpc_timeout(text.as_bytes()), want, "{text}");
        }
        for (left, want) in [
            (Duration::ZERO, "0n"),
            (Duration::from_nanos(99_999_999), "99999999n"),
            (Duration::from_nanos(100_000_999), "100000u"),
            (Duration::from_secs(1), "1000000u"),
            (Duration::from_secs(3600), "3600000m"),
            (Duration::from_secs(1_000_000), "1000000S"),
            (Duration::MAX, "31536000S"),
        ] {
            let mut out = Vec::new();
            write_grpc_timeout(&mut out, left);
            assert_eq!(String::from_utf8(out).unwrap(), want);
        }
    }

    #[test]
    fn statuses_of_faults_and_of_http() {
        use GrpcStatus::{
            Cancelled, DeadlineExceeded, Internal, ResourceExhausted, Unavailable, Unimplemented,
        };
        for (fault, want) in [
            (Fault::BadHeader, Internal),
            (Fault::BadGrpc, Internal),
            (Fault::BodyCut, Cancelled),
            (Fault::BodyTimeout, DeadlineExceeded),
            (Fault::BodyTooLarge, ResourceExhausted),
            (Fault::HeadersTooLarge, ResourceExhausted),
            (Fault::MethodNotImplemented, Unimplemented),
            (Fault::NoRoute, Unimplemented),
            (Fault::Overloaded, Unavailable),
            (Fault::QueueFull, Unavailable),
            (Fault::QueueTimeout, Unavailable),
            (Fault::CircuitOpen, Unavailable),
            (Fault::Shed, Unavailable),
            (Fault::ShuttingDown, Unavailable),
            (Fault::NoEndpoint, Unavailable),
            (Fault::ConnectFailed, Unavailable),
            (Fault::ConnectTimeout, Unavailable),
            (Fault::UpstreamReset, Unavailable),
            (Fault::UpstreamCut, Unavailable),
            (Fault::UpstreamMalformed, Internal),
            (Fault::ResponseTimeout, DeadlineExceeded),
            (Fault::RequestTimeout, DeadlineExceeded),
            (Fault::Internal, Internal),
        ] {
            assert_eq!(GrpcStatus::of_fault(fault), want, "{fault:?}");
        }
        for fault in Fault::ALL {
            let status = GrpcStatus::of_fault(*fault);
            assert!(!matches!(status, GrpcStatus::Ok | GrpcStatus::Unknown), "{fault:?} needs a status");
            assert!(status != Unavailable || fault.is_retryable(), "{fault:?}: trying again changes nothing");
        }
        for (http, want) in [
            (200, GrpcStatus::Unknown),
            (401, GrpcStatus::Unauthenticated),
            (403, GrpcStatus::PermissionDenied),
            (404, Unimplemented),
            (413, GrpcStatus::Unknown),
            (429, Unavailable),
            (503, Unavailable),
        ] {
            assert_eq!(GrpcStatus::of_http(http), want, "{http}");
        }
        assert_eq!(GrpcStatus::parse(b"16"), Some(GrpcStatus::Unauthenticated));
        for text in ["17", "999", "01", "-1", "", "1 "] {
            assert_eq!(GrpcStatus::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn messages_are_escaped() {
        for (text, want) in [
            ("a: b~", "a: b~"),
            ("", ""),
            (" ", "%20"),
            (" a b ", "%20a b%20"),
            ("50%", "50%25"),
            ("a\r\nb\u{7f}", "a%0D%0Ab%7F"),
            ("\u{e9}", "%C3%A9"),
        ] {
            assert_eq!(grpc_message(text), want);
        }
    }

    #[test]
    fn replies_end_a_call() {
        let reply = Reply::grpc_fault(Fault::NoRoute, "application/grpc+proto");
        let want = [
            ("content-type", "application/grpc+proto"),
            ("grpc-status", "12"),
            ("grpc-message", "no-route: No route of the configuration matches this request."),
        ];
        let headers: Vec<_> = reply.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!((reply.status, headers, reply.body.len()), (200, want.to_vec(), 0));

        let mut reply =
            Reply::status(401).header("www-authenticate", "Basic").header("Content-Type", "text/html");
        reply.body = Cow::Borrowed(b"<p>");
        let reply = reply.into_grpc("application/grpc");
        let want = [
            ("content-type", "application/grpc"),
            ("grpc-status", "16"),
            ("grpc-message", "Unauthorized"),
            ("www-authenticate", "Basic"),
        ];
        let headers: Vec<_> = reply.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!((reply.status, headers, reply.body.len()), (200, want.to_vec(), 0));
    }

    proptest! {
        #[test]
        fn a_deadline_never_grows_on_the_way(secs in 0u64..40_000_000, nanos in 0u32..1_000_000_000) {
            let left = Duration::new(secs, nanos);
            let mut out = Vec::new();
            write_grpc_timeout(&mut out, left);
            let read = parse_grpc_timeout(&out).unwrap();
            prop_assert!(read <= left && out.len() <= 9);
            prop_assert!(left.min(MOST_TIMEOUT) - read <= left / 10_000 + Duration::from_secs(u64::from(secs >= 100_000)));
        }

        #[test]
        fn messages_never_break_a_field(text: String) {
            let message = grpc_message(&text);
            prop_assert!(crate::Headers::is_valid_value(message.as_bytes()));
            prop_assert_eq!(message.trim(), &*message);
        }

        #[test]
        fn statuses_have_one_spelling(number in 0u32..1000) {
            let text = number.to_string();
            let status = GrpcStatus::parse(text.as_bytes());
            prop_assert_eq!(status.is_some(), number <= 16);
            prop_assert!(status.is_none_or(|status| status as u32 == number && status.as_str() == text));
        }
    }
}
