//! What is known of the request at hand, and what follows from it: where it may lead, whether a person waits.
//!
//! It must not know sessions or providers. Entry point: [`RequestFacts`].

use message::{Headers, Method};

/// A request, as far as logins and logouts depend on it.
#[derive(Clone, Copy, Debug)]
pub struct RequestFacts<'a> {
    /// Whether the client came by TLS, as a trusted proxy in front says or the connection itself.
    pub https: bool,
    /// `HOST[:PORT]` as the client sent it. The gateway has checked that it serves this host.
    pub authority: &'a [u8],
    /// The target as the client asked for it, before any rewriting.
    pub path_and_query: &'a [u8],
    /// The method.
    pub method: Method,
    /// All fields of the request, cookies included.
    pub headers: &'a Headers,
}

/// A longer target is not kept: after the login its user begins at `/`.
const LONGEST_TARGET: usize = 2048;

/// A target on the own host, or `None` for anything that a browser could take for another host: it begins with
/// one slash, is visible ASCII, and has no backslash, which browsers read as a slash.
pub(crate) fn local_target(target: &[u8]) -> Option<&str> {
    let mut bytes = target.iter();
    let begins = bytes.next() == Some(&b'/') && bytes.next() != Some(&b'/');
    let plain = |byte: &u8| byte.is_ascii_graphic() && !b"\\#\"<>".contains(byte);
    let fits = begins && target.len() <= LONGEST_TARGET && target.iter().all(plain);
    if fits { std::str::from_utf8(target).ok() } else { None }
}

impl RequestFacts<'_> {
    /// The host and port in lower case, if they are well-formed.
    pub(crate) fn host(&self) -> Option<String> {
        message::parse_authority(self.authority).ok()?;
        Some(std::str::from_utf8(self.authority).ok()?.to_ascii_lowercase())
    }

    /// `https://HOST[:PORT]`.
    pub(crate) fn origin(&self) -> Option<String> {
        Some(format!("{}://{}", if self.https { "https" } else { "http" }, self.host()?))
    }

    /// The query without its question mark.
    pub(crate) fn query(&self) -> &[u8] {
        let cut = self.path_and_query.iter().position(|byte| *byte == b'?');
        cut.and_then(|at| self.path_and_query.get(at + 1..)).unwrap_or_default()
    }

    /// The only value of a field. With several, nobody knows which one counts: that is `Some` of nothing.
    fn only<'n>(&'n self, name: &'n str) -> Option<&'n [u8]> {
        let mut values = self.headers.values(name.as_bytes());
        let first = values.next()?;
        Some(if values.next().is_some() { &[] } else { first })
    }

    /// Whether a person waits for a page. Scripts that fetch data could do nothing with a page to log in, and
    /// each of their requests would leave a cookie behind. Browsers say it (Fetch Metadata); from those that do
    /// not, a page is what accepts HTML.
    pub(crate) fn is_navigation(&self) -> bool {
        let accepts_html = self.headers.values(b"accept").any(|value| {
            value.split(|byte| *byte == b',').any(|range| {
                let kind = range.split(|byte| *byte == b';').next().unwrap_or_default();
                kind.trim_ascii().eq_ignore_ascii_case(b"text/html")
            })
        });
        matches!(self.method, Method::Get | Method::Head)
            && self.only("sec-fetch-mode").is_none_or(|mode| mode == b"navigate")
            && accepts_html
    }

    /// Whether the request was made on purpose by this site or its user, and not by another site, which could
    /// log people out or in. The rules, in order:
    ///
    /// 1. `Sec-Fetch-Site` (Fetch Metadata, sent by all present browsers over TLS) has to be `same-origin`,
    ///    `same-site` or `none`.
    /// 2. Without it, `Origin` has to be the own origin.
    /// 3. Without both, a POST is taken, because browsers send `Origin` with every POST from another site; a
    ///    GET needs a `Referer` of the own origin.
    ///
    /// A GET must also be a navigation, and not fetched in advance: neither an image nor a prefetched link logs out.
    pub(crate) fn is_own_initiative(&self) -> bool {
        match self.method {
            Method::Post => {}
            Method::Get => {
                let in_advance = ["sec-purpose", "purpose"]
                    .iter()
                    .any(|name| self.headers.values(name.as_bytes()).next().is_some());
                let navigates = self.only("sec-fetch-mode").is_none_or(|mode| mode == b"navigate");
                if in_advance || !navigates {
                    return false;
                }
            }
            _ => return false,
        }
        if let Some(site) = self.only("sec-fetch-site") {
            return matches!(site, b"same-origin" | b"same-site" | b"none");
        }
        let Some(own) = self.origin() else { return false };
        if let Some(origin) = self.only("origin") {
            return origin.eq_ignore_ascii_case(own.as_bytes());
        }
        self.method == Method::Post
            || self.only("referer").is_some_and(|referer| {
                referer.split_at_checked(own.len()).is_some_and(|(origin, rest)| {
                    origin.eq_ignore_ascii_case(own.as_bytes()) && rest.first() == Some(&b'/')
                })
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&str, &str)]) -> Headers {
        let mut headers = Headers::default();
        fields.iter().for_each(|(name, value)| headers.push(name.as_bytes(), value.as_bytes()));
        headers
    }

    fn facts(method: Method, headers: &Headers) -> RequestFacts<'_> {
        RequestFacts { https: true, authority: b"App.test", path_and_query: b"/a?b=1?", method, headers }
    }

    #[test]
    fn only_targets_on_the_own_host_are_kept() {
        for good in
            ["/", "/a", "/a?b=//c", "/a//b", "/?next=https://b.test", "/%2f%2fb.test", "/:80", "/@b.test"]
        {
            assert_eq!(local_target(good.as_bytes()), Some(good));
        }
        let long = format!("/{}", "a".repeat(LONGEST_TARGET));
        for bad in [
            "",
            "a",
            "*",
            "//b.test",
            "///b.test",
            "/\\b.test",
            "\\\\b.test",
            "/a\\b",
            "https://b.test/",
            "javascript:alert(1)",
            "/\t/b.test",
            "\t//b.test",
            " /a",
            "/a b",
            "/a\r\nset-cookie: b",
            "/a#b",
            "/é",
            "/\0",
            long.as_str(),
        ] {
            assert_eq!(local_target(bad.as_bytes()), None, "{bad:?}");
        }
        assert!(local_target(&long.as_bytes()[..LONGEST_TARGET]).is_some());
    }

    #[test]
    fn a_person_waits_only_where_a_page_is_asked_for() {
        const PAGE: &str = "text/html,application/xhtml+xml,*/*;q=0.8";
        for (method, fields, want) in [
            (Method::Get, &[("accept", PAGE)][..], true),
            (Method::Head, &[("accept", "application/json, TEXT/HTML;q=0.1")], true),
            (Method::Get, &[("accept", PAGE), ("sec-fetch-mode", "navigate")], true),
            (Method::Get, &[("accept", PAGE), ("sec-fetch-mode", "cors")], false),
            (
                Method::Get,
                &[("accept", PAGE), ("sec-fetch-mode", "navigate"), ("sec-fetch-mode", "cors")],
                false,
            ),
            (Method::Post, &[("accept", PAGE)], false),
            (Method::Get, &[("accept", "*/*")], false),
            (Method::Get, &[("accept", "text/html-not")], false),
            (Method::Get, &[], false),
        ] {
            assert_eq!(facts(method, &headers(fields)).is_navigation(), want, "{method:?} {fields:?}");
        }
    }

    #[test]
    fn other_sites_cannot_take_the_initiative() {
        use Method::{Get, Post, Put};
        for (method, fields, want) in [
            (Get, &[("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "navigate")][..], true),
            (Get, &[("sec-fetch-site", "same-site")], true),
            (Get, &[("sec-fetch-site", "none")], true),
            (Get, &[("sec-fetch-site", "cross-site")], false),
            (Get, &[("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "no-cors")], false),
            (Get, &[("sec-fetch-site", "same-origin"), ("sec-purpose", "prefetch")], false),
            (Get, &[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")], false),
            (Get, &[], false),
            (Get, &[("referer", "https://app.test/x")], true),
            (Get, &[("referer", "https://app.test")], false),
            (Get, &[("referer", "https://app.test.evil/x")], false),
            (Get, &[("referer", "http://app.test/x")], false),
            (Post, &[("sec-fetch-site", "same-origin")], true),
            (Post, &[("sec-fetch-site", "cross-site"), ("origin", "https://app.test")], false),
            (Post, &[("origin", "https://APP.test")], true),
            (Post, &[("origin", "https://evil.test")], false),
            (Post, &[("origin", "null")], false),
            (Post, &[], true),
            (Put, &[("sec-fetch-site", "same-origin")], false),
        ] {
            assert_eq!(facts(method, &headers(fields)).is_own_initiative(), want, "{method:?} {fields:?}");
        }
    }

    #[test]
    fn the_origin_is_of_the_host_that_was_asked_for() {
        let headers = Headers::default();
        let mut facts = facts(Method::Get, &headers);
        assert_eq!(facts.origin().as_deref(), Some("https://app.test"));
        assert_eq!(facts.query(), b"b=1?");
        facts = RequestFacts { https: false, authority: b"[::1]:8080", path_and_query: b"/", ..facts };
        assert_eq!((facts.origin().as_deref(), facts.query()), (Some("http://[::1]:8080"), &b""[..]));
        for bad in [&b"a/b"[..], b"a@b", b"", b"a b", b"\xff"] {
            facts.authority = bad;
            assert_eq!(facts.origin(), None);
        }
    }
}
