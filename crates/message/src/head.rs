//! The head of a request and of a response.

use crate::{Fault, Headers, Method, Name, Span, canonical_path, parse_authority, push_status_line};

/// The HTTP version of a message on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Version {
    /// HTTP/1.0: no chunks, no interim responses, closes by default.
    Http10,
    /// HTTP/1.1
    #[default]
    Http11,
    /// HTTP/2
    Http2,
    /// HTTP/3
    Http3,
}

impl Version {
    /// Every version.
    pub const ALL: [Version; 4] = [Version::Http10, Version::Http11, Version::Http2, Version::Http3];

    /// The name, as logs and metrics have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Version::Http10 => "HTTP/1.0",
            Version::Http11 => "HTTP/1.1",
            Version::Http2 => "HTTP/2",
            Version::Http3 => "HTTP/3",
        }
    }

    /// Whether a message travels on a stream of its own: frames delimit it, and nothing is said about connections.
    #[inline]
    pub fn has_streams(self) -> bool {
        matches!(self, Version::Http2 | Version::Http3)
    }
}

/// The head of a request: what a codec parsed, and after [`RequestHead::normalize`] its canonical form.
#[derive(Debug, Clone)]
pub struct RequestHead {
    /// The recognised method.
    pub method: Method,
    /// The method as it was written.
    pub method_text: Span,
    /// The request target as it was written.
    pub target: Span,
    /// The version that the client speaks.
    pub version: Version,
    /// The header fields.
    pub headers: Headers,
    path: Span,
    asked: Span,
    query: Option<Span>,
    host: Option<Span>,
    authority: Option<Span>,
    upstream_authority: Option<Span>,
}

impl Default for RequestHead {
    fn default() -> Self {
        RequestHead {
            method: Method::Get,
            method_text: Span::default(),
            target: Span::default(),
            version: Version::Http11,
            headers: Headers::default(),
            path: Span::default(),
            asked: Span::default(),
            query: None,
            host: None,
            authority: None,
            upstream_authority: None,
        }
    }
}

impl RequestHead {
    /// Forgets everything, keeps the memory.
    pub fn clear(&mut self) {
        // All of it is named, so that nothing is forgotten; made anew, it would be moved and dropped.
        let RequestHead {
            method,
            method_text,
            target,
            version,
            headers,
            path,
            asked,
            query,
            host,
            authority,
            upstream_authority,
        } = self;
        headers.clear();
        (*method, *version) = (Method::Get, Version::Http11);
        [*method_text, *target, *path, *asked] = [Span::default(); 4];
        [*query, *host, *authority, *upstream_authority] = [None; 4];
    }

    /// The method as text.
    #[inline]
    pub fn method_bytes(&self) -> &[u8] {
        self.headers.slice(self.method_text)
    }

    /// The canonical path. Empty until [`RequestHead::normalize`] has succeeded; `*` for `OPTIONS *`.
    #[inline]
    pub fn path(&self) -> &[u8] {
        self.headers.slice(self.path)
    }

    /// The canonical path that the client asked for, whatever it was rewritten to since.
    #[inline]
    pub fn asked_path(&self) -> &[u8] {
        self.headers.slice(self.asked)
    }

    /// The query without its question mark.
    #[inline]
    pub fn query(&self) -> Option<&[u8]> {
        self.query.map(|span| self.headers.slice(span))
    }

    /// The canonical host: lower case, without port and trailing dot. `None` only for HTTP/1.0 without one.
    #[inline]
    pub fn host(&self) -> Option<&str> {
        self.host.and_then(|span| std::str::from_utf8(self.headers.slice(span)).ok())
    }

    /// The canonical host with the port that the client gave.
    #[inline]
    pub fn client_authority(&self) -> Option<&[u8]> {
        self.authority.map(|span| self.headers.slice(span))
    }

    /// What the upstream request names as its Host: what the client named, unless a policy set another.
    #[inline]
    pub fn authority(&self) -> Option<&[u8]> {
        self.upstream_authority.or(self.authority).map(|span| self.headers.slice(span))
    }

    /// Brings host, path and query into the one form that is matched, authorised and forwarded.
    ///
    /// Sources: request-target forms RFC 9112 §3.2, Host §3.2 and §7.2 of RFC 9110, normalisation
    /// RFC 3986 §6.2.2. Errors are the client's faults; nothing of such a request may be forwarded.
    pub fn normalize(&mut self) -> Result<(), Fault> {
        let authority = self.split_target()?;
        self.asked = self.path;
        self.settle_host(authority)
    }

    /// Splits the target into (authority of an absolute form), path and query.
    fn split_target(&mut self) -> Result<Option<Span>, Fault> {
        match self.method {
            Method::Trace => return Err(Fault::MethodNotImplemented),
            Method::Connect => return self.split_authority_form(),
            _ => {}
        }
        let target = self.headers.slice(self.target);
        let (authority, rest) = match target.first() {
            Some(b'/') => (None, self.target),
            Some(b'*') if target.len() == 1 && self.method == Method::Options => {
                self.path = self.target;
                self.query = None;
                return Ok(None);
            }
            _ => {
                let (authority, rest) = split_absolute_form(target, self.target).ok_or(Fault::BadTarget)?;
                (Some(authority), rest)
            }
        };
        let bytes = self.headers.slice(rest);
        if bytes.is_empty() {
            self.path = self.headers.append_text(b"/");
            return Ok(authority);
        }
        let path_len = memchr::memchr(b'?', bytes).unwrap_or(bytes.len());
        let path = Span { start: rest.start, len: path_len as u32 };
        let query = (path_len < bytes.len()).then(|| Span {
            start: rest.start + path_len as u32 + 1,
            len: (bytes.len() - path_len - 1) as u32,
        });
        self.path = match canonical_path(self.headers.slice(path)).map_err(|_| Fault::BadTarget)? {
            None => path,
            Some(rewritten) => self.headers.append_text(&rewritten),
        };
        self.query = match query {
            None => None,
            Some(span) => {
                match crate::uri::canonical_query(self.headers.slice(span)).map_err(|_| Fault::BadTarget)? {
                    None => Some(span),
                    Some(rewritten) => Some(self.headers.append_text(&rewritten)),
                }
            }
        };
        Ok(authority)
    }

    /// The target of a CONNECT is a host and a port, and nothing else (RFC 9112 §3.2.3).
    fn split_authority_form(&mut self) -> Result<Option<Span>, Fault> {
        let target = self.headers.slice(self.target);
        let parsed = parse_authority(target).map_err(|_| Fault::BadTarget)?;
        let port = target.get(parsed.host_len..).and_then(|rest| rest.strip_prefix(b":"));
        if port.is_none_or(<[u8]>::is_empty) {
            return Err(Fault::BadTarget);
        }
        self.path = self.headers.append_text(b"/");
        self.query = None;
        Ok(Some(self.target))
    }

    /// Checks Host and sets host and authority (RFC 9112 §3.2: exactly one in HTTP/1.1).
    fn settle_host(&mut self, absolute: Option<Span>) -> Result<(), Fault> {
        let mut fields = self.headers.fields().iter().filter(|field| field.known == Name::Host);
        let field = fields.next().map(|field| field.value);
        if fields.next().is_some() {
            return Err(Fault::BadHost);
        }
        if field.is_none() && self.version != Version::Http10 {
            return Err(Fault::BadHost);
        }
        // RFC 9112 §3.2.2: the target wins, and what is forwarded names it alone.
        let Some(source) = absolute.or(field) else {
            (self.host, self.authority) = (None, None);
            return Ok(());
        };
        if let (Some(_), Some(field)) = (absolute, field)
            && parse_authority(self.headers.slice(field)).is_err()
        {
            return Err(Fault::BadHost);
        }
        let parsed = parse_authority(self.headers.slice(source)).map_err(|_| Fault::BadHost)?;
        let (host_len, authority_len) = (parsed.host_len as u32, source.len);
        if parsed.is_canonical {
            self.host = Some(Span { start: source.start, len: host_len });
            self.authority = Some(source);
            return Ok(());
        }
        let bytes = self.headers.slice(source);
        let (host, port) = bytes.split_at(parsed.host_len.min(bytes.len()));
        let mut text = host.to_ascii_lowercase();
        if text.last() == Some(&b'.') {
            text.pop();
        }
        let host_len = text.len() as u32;
        text.extend_from_slice(port);
        debug_assert!(text.len() as u32 <= authority_len);
        let span = self.headers.append_text(&text);
        self.host = Some(Span { start: span.start, len: host_len });
        self.authority = Some(span);
        Ok(())
    }

    /// Replaces what the upstream request names as its Host. The caller vouches for a valid authority.
    pub fn set_authority(&mut self, authority: &[u8]) {
        self.upstream_authority = Some(self.headers.append_text(authority));
    }

    /// Removes every parameter of a name from the query, however it is escaped.
    pub fn remove_query(&mut self, name: &[u8]) {
        let Some(query) = self.query() else { return };
        let is_meant = |pair: &[u8]| {
            let key = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
            decoded(key).eq(name.iter().copied())
        };
        if !query.split(|byte| *byte == b'&').any(is_meant) {
            return;
        }
        let mut left = Vec::with_capacity(query.len());
        for pair in query.split(|byte| *byte == b'&').filter(|pair| !is_meant(pair)) {
            if !left.is_empty() {
                left.push(b'&');
            }
            left.extend_from_slice(pair);
        }
        self.query = (!left.is_empty()).then(|| self.headers.append_text(&left));
    }

    /// Adds a parameter to the query, whose name and value are those before they are encoded.
    pub fn add_query(&mut self, name: &[u8], value: &[u8]) {
        let mut query = self.query().map(|query| [query, b"&"].concat()).unwrap_or_default();
        for (text, end) in [(name, &b"="[..]), (value, b"")] {
            for byte in text {
                if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
                    query.push(*byte);
                } else {
                    query.extend_from_slice(format!("%{byte:02X}").as_bytes());
                }
            }
            query.extend_from_slice(end);
        }
        self.query = Some(self.headers.append_text(&query));
    }

    /// Replaces path and query after a rewrite. The path is normalised again, so that a rewrite can
    /// never produce what a client could not have asked for.
    pub fn rewrite(&mut self, path: &[u8], query: Option<&[u8]>) -> Result<(), Fault> {
        let canonical = canonical_path(path).map_err(|_| Fault::BadTarget)?;
        self.path = self.headers.append_text(canonical.as_deref().unwrap_or(path));
        if let Some(query) = query {
            self.query = Some(self.headers.append_text(query));
        }
        Ok(())
    }
}

/// The bytes that a part of a query stands for: `+` is a space, `%41` is `A`, a broken escape stands for itself.
fn decoded(raw: &[u8]) -> impl Iterator<Item = u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut rest = raw;
    std::iter::from_fn(move || {
        let (&byte, tail) = rest.split_first()?;
        rest = tail;
        Some(match (byte, tail) {
            (b'+', _) => b' ',
            (b'%', &[high, low, ref behind @ ..]) => match (digit(high), digit(low)) {
                (Some(high), Some(low)) => {
                    rest = behind;
                    high << 4 | low
                }
                _ => b'%',
            },
            _ => byte,
        })
    })
}

/// Splits `http://authority/path?query`; `None` where it is no such thing.
fn split_absolute_form(target: &[u8], whole: Span) -> Option<(Span, Span)> {
    let scheme = [&b"http://"[..], b"https://"]
        .into_iter()
        .find(|scheme| target.len() >= scheme.len() && target[..scheme.len()].eq_ignore_ascii_case(scheme))?;
    let rest = &target[scheme.len()..];
    let authority_len = rest.iter().position(|b| matches!(b, b'/' | b'?')).unwrap_or(rest.len());
    if authority_len == 0 || rest.get(authority_len) == Some(&b'?') {
        return None;
    }
    let start = whole.start + scheme.len() as u32;
    let authority = Span { start, len: authority_len as u32 };
    let path = Span { start: start + authority_len as u32, len: (rest.len() - authority_len) as u32 };
    Some((authority, path))
}

/// The head of a response.
#[derive(Clone, Debug, Default)]
pub struct ResponseHead {
    /// The status code, 100–999.
    pub status: u16,
    /// The reason phrase as it was written.
    pub reason: Span,
    /// The version that the service speaks.
    pub version: Version,
    /// The header fields.
    pub headers: Headers,
}

impl ResponseHead {
    /// Begins a head that is empty with its status line, as HTTP/1.1 has it: so it can be sent from where it stands.
    pub fn begin(&mut self, status: u16) {
        self.status = status;
        self.headers.begin_with(|text| push_status_line(text, status, b""));
    }

    /// Forgets everything, keeps the memory.
    pub fn clear(&mut self) {
        self.headers.clear();
        self.status = 0;
        self.reason = Span::default();
        self.version = Version::Http11;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(target: &str, host: Option<&str>) -> RequestHead {
        let mut head = RequestHead::default();
        head.target = head.headers.append_text(target.as_bytes());
        if let Some(host) = host {
            head.headers.push(b"Host", host.as_bytes());
        }
        head
    }

    #[test]
    fn normalisation_yields_one_form() {
        for (target, host, want) in [
            ("/a/b?x=1", "Ex.Test:80", ("ex.test", "ex.test:80", "/a/b", Some("x=1"))),
            ("/a/../%61dmin", "a.test.", ("a.test", "a.test", "/admin", None)),
            ("http://b.test:81/", "a.test", ("b.test", "b.test:81", "/", None)),
            ("http://a.test", "a.test", ("a.test", "a.test", "/", None)),
            ("HTTP://A.test/x?", "a.test", ("a.test", "a.test", "/x", Some(""))),
            ("/%2f?%2e", "[::1]:8080", ("[::1]", "[::1]:8080", "/%2F", Some("%2e"))),
        ] {
            let mut head = head(target, Some(host));
            head.normalize().unwrap_or_else(|fault| panic!("{target} {host}: {fault:?}"));
            let got = (
                head.host().unwrap(),
                std::str::from_utf8(head.authority().unwrap()).unwrap(),
                std::str::from_utf8(head.path()).unwrap(),
                head.query().map(|q| std::str::from_utf8(q).unwrap()),
            );
            assert_eq!(got, want, "{target}");
        }
    }

    #[test]
    fn targets_and_hosts_in_doubt_are_refused() {
        for target in [
            "foo",
            "?x",
            "@evil/",
            "*",
            "http:///x",
            "http://u@a.test/",
            "ftp://a.test/",
            "/a#b",
            "/a b",
            ":80/x",
            "http://a.test?x",
        ] {
            assert!(head(target, Some("a.test")).normalize().is_err(), "{target}");
        }
        assert_eq!(head("http://b.test/", Some("a b")).normalize(), Err(Fault::BadHost));
        assert_eq!(head("/", None).normalize(), Err(Fault::BadHost));
        let mut twice = head("/", Some("a"));
        twice.headers.push(b"host", b"a");
        assert_eq!(twice.normalize(), Err(Fault::BadHost));
    }

    #[test]
    fn a_connect_names_a_host_and_a_port() {
        let connect = |target| {
            let mut head = head(target, Some("a.test:443"));
            head.method = Method::Connect;
            head.normalize().map(|()| (head.host().unwrap().to_owned(), head.path().to_vec()))
        };
        assert_eq!(connect("A.test:443"), Ok(("a.test".to_owned(), b"/".to_vec())));
        for target in ["a.test", "a.test:", "/x", "http://a.test:443/", "u@a.test:1", "*", ""] {
            assert!(connect(target).is_err(), "{target}");
        }
    }

    #[test]
    fn http_1_0_may_come_without_host() {
        let mut head = head("/", None);
        head.version = Version::Http10;
        assert_eq!(head.normalize(), Ok(()));
        assert_eq!(head.host(), None);
    }

    #[test]
    fn a_parameter_is_removed_wherever_it_stands() {
        for (query, want) in [
            ("key=1&a=2", Some("a=2")),
            ("a=2&key=1&b&key=3", Some("a=2&b")),
            ("%6bey=1&k%65y&keys=2", Some("keys=2")),
            ("key", None),
            ("a=key", Some("a=key")),
            ("a=%zz", Some("a=%zz")),
        ] {
            let mut head = head(&format!("/?{query}").replace("%zz", "%25zz"), Some("h"));
            head.normalize().unwrap();
            head.remove_query(b"key");
            let want = want.map(|text| text.replace("%zz", "%25zz").into_bytes());
            assert_eq!(head.query().map(<[u8]>::to_vec), want, "{query}");
        }
    }

    #[test]
    fn a_rewrite_is_normalised_again() {
        let mut head = head("/a?x", Some("h"));
        head.normalize().unwrap();
        head.rewrite(b"/v2/../%7e", None).unwrap();
        assert_eq!((head.path(), head.query()), (&b"/~"[..], Some(&b"x"[..])));
        assert!(head.rewrite(b"relative", None).is_err());
    }
}
