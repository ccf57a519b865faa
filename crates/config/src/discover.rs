//! `services.NAME.discover`: where the addresses of a service come from, if they are not written down.

use std::fmt;
use std::path::PathBuf;

use diagnostics::{Code, Diagnostic, Diagnostics, Spanned};
use document::{Decode, Node, Shape, section};

use crate::timeout::Timeout;

section! {
    /// Where the addresses of a service come from: one of `dns`, `srv` and `file`. Addresses that come and go cost no
    /// request, and what was known last stays in use while a source cannot be asked.
    pub struct Discover {
        /// A name and a port: `orders.internal:8080`. Each address of the name takes part.
        dns: Option<Spanned<NameAndPort>>,
        /// A name with SRV records (RFC 2782): `_http._tcp.orders.internal`. They say ports and weights too; of several
        /// priorities the first is used that has an address.
        srv: Option<Spanned<String>>,
        /// A file with a list of endpoints, relative to the file that names it: `10.0.0.1:8080`, or sections with
        /// `address`, `weight` and `zone`, in YAML or JSON; the form of `file_sd` of Prometheus is read as well. It is
        /// read again whenever it changes.
        file: Option<Spanned<WatchedFile>>,
        /// How often name servers are asked, at least `100ms`; without it when their answer expires.
        every: Option<Spanned<Timeout>>,
    }
    not_built {
        "consul" => "endpoints from Consul",
        "etcd" => "endpoints from etcd",
        "kubernetes" => "endpoints from Kubernetes",
    }
    check check
}

/// The shortest `every`, in milliseconds.
const SHORTEST: u128 = 100;

fn check(discover: &Discover, diagnostics: &mut Diagnostics) {
    let sources = [
        discover.dns.as_ref().map(|dns| dns.span),
        discover.srv.as_ref().map(|srv| srv.span),
        discover.file.as_ref().map(|file| file.span),
    ];
    let given: Vec<_> = sources.into_iter().flatten().collect();
    match given[..] {
        [] if !diagnostics.has_error_in(discover.span) => diagnostics.push(
            Diagnostic::error(Code::MissingKey, discover.span, "this does not say where to look")
                .help("name a source: `dns: orders.internal:8080`, `srv: _http._tcp.orders.internal` or `file: orders.yaml`"),
        ),
        [first, second, ..] => diagnostics.push(
            Diagnostic::error(Code::ConflictingKeys, second, "addresses come from one source")
                .related(first, "here is another one")
                .help("keep one of `dns`, `srv` and `file`"),
        ),
        _ => {}
    }
    if let Some(every) = &discover.every {
        let what = if discover.file.is_some() {
            Some(("`every` is about name servers: a file is read when it changes", "remove it"))
        } else if every.value.get().as_millis() < SHORTEST {
            Some(("this would keep name servers busy", "write at least `100ms`"))
        } else {
            None
        };
        if let Some((what, help)) = what {
            diagnostics.push(Diagnostic::error(Code::InvalidValue, every.span, what).help(help));
        }
    }
    if let Some(srv) = discover.srv.as_ref().filter(|srv| !is_name(srv)) {
        diagnostics.push(
            Diagnostic::error(Code::InvalidValue, srv.span, "this is no name of the domain name system")
                .help("write `_SERVICE._PROTOCOL.NAME`: `_http._tcp.orders.internal`"),
        );
    }
}

/// The longest name that the domain name system has, and the longest part of one, in bytes (RFC 1035 section 2.3.4).
const LONGEST_NAME: usize = 253;
const LONGEST_LABEL: usize = 63;

fn is_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=LONGEST_LABEL).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    name.len() <= LONGEST_NAME && name.trim_end_matches('.').split('.').all(is_label)
}

/// The path of a file that is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchedFile(pub PathBuf);

impl fmt::Display for WatchedFile {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(out)
    }
}

impl Decode for WatchedFile {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let Some(scalar) = node.scalar().filter(|scalar| !scalar.text.is_empty()) else {
            diagnostics.push(node.wrong_type("the path of a file"));
            return None;
        };
        // What is written is relative to the file that it is written in.
        let path =
            scalar.files.as_ref().map_or_else(|| PathBuf::from(&scalar.text), |files| files.path.clone());
        Some(Self(path))
    }

    fn shape() -> Shape {
        Shape::Text { format: Shape::WATCHED, example: "endpoints.yaml" }
    }
}

/// A name and a port: `orders.internal:8080`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameAndPort {
    /// The name, in lower case and without a dot at its end.
    pub name: String,
    /// The port.
    pub port: u16,
}

impl fmt::Display for NameAndPort {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.name, self.port)
    }
}

impl Decode for NameAndPort {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let text = node.text().unwrap_or_default();
        let parts = text.rsplit_once(':');
        let found = parts.and_then(|(name, port)| {
            let port = port.parse().ok().filter(|port| *port > 0)?;
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            let is_address = name.parse::<std::net::IpAddr>().is_ok();
            (is_name(&name) && !is_address).then_some(Self { name, port })
        });
        if found.is_none() {
            let shown = node.scalar().map_or_else(|| node.kind().to_owned(), document::Scalar::shown);
            diagnostics.push(
                Diagnostic::error(Code::InvalidValue, node.span, format!("{shown} is no name with a port"))
                    .help("write a name, `:` and a port: `orders.internal:8080`; an address stands in `endpoints`"),
            );
        }
        found
    }

    fn shape() -> Shape {
        Shape::Text { format: "name:port", example: "orders.internal:8080" }
    }
}
