//! `services.NAME.health`: how the endpoints of a service are probed.

use std::fmt;

use diagnostics::{Code, Diagnostic, Diagnostics, Spanned};
use document::{Decode, Node, OneOrMany, Shape, section};

use crate::timeout::Timeout;

section! {
    /// Probes of the endpoints of a service. An address that fails gets no requests until it is well again. One of
    /// `path`, `grpc` and `tcp` says what is asked; without any of them it is `path: /`.
    pub struct Health {
        /// Asks for this path by GET, in the version of HTTP that the service speaks.
        path: Option<Spanned<String>>,
        /// Asks by the health service of gRPC (`grpc.health.v1`): `true` for the server as a whole, or the name of one
        /// of its services. An address that answers that it does not serve gets no requests, whatever the others do.
        grpc: Option<Spanned<GrpcHealth>>,
        /// `true`: it is enough that a connection is accepted.
        tcp: Option<Spanned<bool>>,
        /// From the begin of one probe of an address to the next, at least `100ms`; up to a tenth more or less, so that
        /// probes spread out.
        every: Spanned<Timeout> = "5s",
        /// How long a probe may take, connecting included.
        timeout: Timeout = "1s",
        /// How many probes in a row must pass before an address that failed gets requests again.
        healthy_after: Threshold = "2",
        /// How many probes in a row must fail before an address gets no requests any more.
        unhealthy_after: Threshold = "3",
        /// The status that `path` must be answered with: numbers and ranges; without it `200-299`.
        expect: Option<Spanned<OneOrMany<StatusRange>>>,
        /// A text that the answer must contain, within its first 64 KiB; without it the body is not read.
        body: Option<Spanned<String>>,
    }
    check check
}

/// The shortest `every`, in milliseconds: probes are there to protect a service, not to keep it busy.
const SHORTEST: u128 = 100;

fn check(health: &Health, diagnostics: &mut Diagnostics) {
    let kinds = [
        health.path.as_ref().map(|path| path.span),
        health.grpc.as_ref().map(|grpc| grpc.span),
        health.tcp.as_ref().map(|tcp| tcp.span),
    ];
    let given: Vec<_> = kinds.into_iter().flatten().collect();
    if let [first, second, ..] = given[..] {
        diagnostics.push(
            Diagnostic::error(Code::ConflictingKeys, second, "a probe asks in one way only")
                .related(first, "here is another one")
                .help("keep one of `path`, `grpc` and `tcp`"),
        );
    }
    if let Some(tcp) = health.tcp.as_ref().filter(|tcp| !tcp.value) {
        diagnostics.push(
            Diagnostic::error(Code::InvalidValue, tcp.span, "`tcp` is `true` or not there")
                .help("remove the key: `health: {}` probes the path `/`"),
        );
    }
    let of_a_path = [
        (health.expect.as_ref().map(|expect| expect.span), "`expect`"),
        (health.body.as_ref().map(|body| body.span), "`body`"),
    ];
    for (span, key) in of_a_path {
        if let (Some(span), [other]) = (span, &given[..])
            && health.path.is_none()
        {
            diagnostics.push(
                Diagnostic::error(
                    Code::ConflictingKeys,
                    span,
                    "only a `path` is answered with a status and a body",
                )
                .related(*other, "this probe asks for no path")
                .help(format!("remove {key}")),
            );
        }
    }
    if let Some(body) = health.body.as_ref().filter(|body| body.is_empty()) {
        diagnostics.push(
            Diagnostic::error(Code::InvalidValue, body.span, "every answer contains this")
                .help("write a text that only a good answer has, or remove the key"),
        );
    }
    if health.every.value.get().as_millis() < SHORTEST {
        diagnostics.push(
            Diagnostic::error(Code::InvalidValue, health.every.span, "probes would keep the service busy")
                .label("must be at least `100ms`")
                .help("write a longer one: `every: 1s`"),
        );
    }
    if let Some(path) = &health.path {
        check_path(path, diagnostics);
    }
}

/// It is sent as it is written.
fn check_path(path: &Spanned<String>, diagnostics: &mut Diagnostics) {
    let odd = |b: u8| !b.is_ascii_graphic() || b"#\"<>\\^`{|}".contains(&b);
    let (what, help) = if !path.value.starts_with('/') {
        ("a path begins with `/`", format!("write `path: /{}`", path.value.trim_start()))
    } else if path.value.len() > 1024 {
        ("the path is too long", "a path of at most 1024 bytes is sent".to_owned())
    } else if path.value.bytes().any(odd) {
        (
            "the path has characters that cannot be sent",
            "write them percent-encoded: a space is `%20`".to_owned(),
        )
    } else {
        return;
    };
    diagnostics.push(Diagnostic::error(Code::InvalidValue, path.span, what).help(help));
}

/// What the health service of gRPC is asked about: the name of a service, empty for the server as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcHealth(pub String);

impl Decode for GrpcHealth {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let Some(text) = node.text() else {
            diagnostics.push(node.wrong_type("`true`, or the name of a service of gRPC"));
            return None;
        };
        match text {
            "true" => return Some(Self(String::new())),
            "false" => diagnostics.push(
                Diagnostic::error(Code::InvalidValue, node.span, "`grpc` is `true`, a name, or not there")
                    .help("remove the key: `health: {}` probes the path `/`"),
            ),
            name if (1..=256).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic()) => {
                return Some(Self(name.to_owned()));
            }
            _ => diagnostics.push(
                Diagnostic::error(Code::InvalidValue, node.span, "this is no name of a service of gRPC")
                    .help("write it with its package: `shop.v1.Orders`; `true` asks about the server as a whole"),
            ),
        }
        None
    }

    fn shape() -> Shape {
        Shape::OneOf(vec![Shape::Boolean, Shape::TEXT])
    }
}

/// How many probes in a row settle something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold(pub u32);

/// More than these are a mistake: nothing would ever be settled.
const MOST_PROBES: u32 = 1000;

impl Decode for Threshold {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let number = u32::decode(node, diagnostics)?;
        if number == 0 {
            diagnostics.push(
                Diagnostic::error(Code::InvalidValue, node.span, "no probe at all cannot settle anything")
                    .label("must be at least 1")
                    .help("write `1` to believe a single probe, or remove `health` to probe nothing"),
            );
            return None;
        }
        if number > MOST_PROBES {
            diagnostics.push(
                Diagnostic::error(Code::InvalidValue, node.span, format!("`{number}` is out of range"))
                    .label(format!("must be 1 to {MOST_PROBES}")),
            );
            return None;
        }
        Some(Self(number))
    }

    fn shape() -> Shape {
        Shape::Integer { min: 1, max: u64::from(MOST_PROBES) }
    }
}

/// Statuses from one to another, both included: `200-299`, or `204`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusRange {
    /// The first.
    pub first: u16,
    /// The last.
    pub last: u16,
}

impl fmt::Display for StatusRange {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StatusRange { first, last } if first == last => first.fmt(out),
            StatusRange { first, last } => write!(out, "{first}-{last}"),
        }
    }
}

impl Decode for StatusRange {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let Some(text) = node.text() else {
            diagnostics.push(node.wrong_type("a status such as `204`, or a range such as `200-299`"));
            return None;
        };
        let status = |text: &str| {
            let digits = text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit());
            // Below 200 nothing is final (RFC 9110 section 15.2).
            text.parse().ok().filter(|status| digits && (200..=599).contains(status))
        };
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let range = status(first.trim()).zip(status(last.trim())).filter(|(first, last)| first <= last);
        if range.is_none() {
            let shown = node.scalar().map_or_else(String::new, document::Scalar::shown);
            diagnostics.push(
                Diagnostic::error(Code::InvalidValue, node.span, format!("{shown} is no status and no range"))
                    .help("write a status from 200 to 599, or two with `-` between, the smaller one first: `200-299`"),
            );
        }
        range.map(|(first, last)| Self { first, last })
    }

    fn shape() -> Shape {
        let status = Shape::Integer { min: 200, max: 599 };
        Shape::OneOf(vec![status, Shape::Text { format: "range", example: "200-299" }])
    }
}
