//! A browser, as far as logins need one: cookies, redirects, forms, and what it says of where a request comes from.
//!
//! It keeps cookies by host and port, so that servers on one address are as different as hosts are. It knows nothing
//! of Gateward. Entry points: [`Browser::open`], [`Browser::submit`], [`Browser::log_in`], [`Browser::script`].

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use crate::message::{Kind, Parsed, parse};
use crate::oidc_provider::form;
use crate::{Client, End, Message};

/// More redirects than this are a loop.
const MOST_REDIRECTS: usize = 12;

/// A cookie that a server has set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cookie {
    origin: String,
    path: String,
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// What stands behind the first semicolon, as it was sent.
    pub attributes: String,
}

/// What a navigation has led to.
#[derive(Clone, Debug)]
pub struct Page {
    /// Every URL that was asked, or would have been: the last one is that of the page.
    pub urls: Vec<String>,
    /// The last answer.
    pub answer: Message,
}

impl Page {
    /// Its own URL.
    pub fn url(&self) -> &str {
        self.urls.last().unwrap()
    }

    /// Its status.
    pub fn status(&self) -> u16 {
        self.answer.status()
    }
}

/// A browser of one person.
#[derive(Clone, Default, Debug)]
pub struct Browser {
    /// Cookies, in the order in which they were set. Tests may change them.
    pub cookies: Vec<Cookie>,
    /// Whose word is taken for who a server is: a file. All names of `https` are on this machine.
    pub authorities: Option<PathBuf>,
    /// A URL that begins so is not asked when a redirect leads there.
    pub stop_before: Option<String>,
}

/// From where a request comes (Fetch Metadata Request Headers §2.3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Site {
    /// From the bar with the address.
    Nowhere,
    Own,
    Other,
}

impl Browser {
    /// Types a URL, and follows redirects.
    pub fn open(&mut self, url: &str) -> Page {
        self.navigate(Site::Nowhere, "GET", url, None)
    }

    /// Follows a link or a redirect of a page of this origin.
    pub fn follow(&mut self, from: &str, url: &str) -> Page {
        let site = if origin(from) == origin(url) { Site::Own } else { Site::Other };
        self.navigate(site, "GET", url, None)
    }

    /// Sends the first form of a page, with these fields besides its hidden ones, and follows redirects.
    ///
    /// # Panics
    ///
    /// If there is no form.
    pub fn submit(&mut self, page: &Page, fields: &[(&str, &str)]) -> Page {
        let html = page.answer.text();
        let action = tag(&html, "form").and_then(|tag| attribute(tag, "action"));
        let action = action.unwrap_or_else(|| panic!("no form at {}:\n{}", page.url(), page.answer));
        let url = absolute(page.url(), &action);
        let hidden = hidden_fields(&html);
        let all: Vec<(&str, &str)> =
            hidden.iter().map(|(name, value)| (&**name, &**value)).chain(fields.iter().copied()).collect();
        let site = if origin(page.url()) == origin(&url) { Site::Own } else { Site::Other };
        self.navigate(site, "POST", &url, Some(form(&all)))
    }

    /// Opens a page, and fills in what `oidc-provider` asks: who it is, and whether that is fine.
    pub fn log_in(&mut self, url: &str, name: &str) -> Page {
        let page = self.open(url);
        self.fill_in(page, name)
    }

    /// The second half of [`Browser::log_in`].
    pub fn fill_in(&mut self, mut page: Page, name: &str) -> Page {
        let mut urls = page.urls.clone();
        loop {
            let html = page.answer.text();
            let fields: &[(&str, &str)] = if html.contains("name=\"password\"") {
                &[("login", name), ("password", "any")]
            } else if html.contains("name=\"prompt\" value=\"consent\"") {
                &[]
            } else {
                page.urls = urls;
                return page;
            };
            page = self.submit(&page, fields);
            urls.extend_from_slice(&page.urls);
        }
    }

    /// Asks as a script of a page of the same origin does; no redirect is followed.
    pub fn script(&mut self, url: &str) -> Message {
        self.send(
            "GET",
            url,
            "Accept: application/json\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Site: same-origin\r\n",
            "",
        )
    }

    /// Sends one request with these fields besides the cookies, and takes the cookies of the answer.
    pub fn send(&mut self, method: &str, url: &str, fields: &str, body: &str) -> Message {
        let cookies = self.cookies_for(url);
        let cookies = if cookies.is_empty() { cookies } else { format!("Cookie: {cookies}\r\n") };
        let fields = format!("{fields}{cookies}");
        let answer = match url.strip_prefix("http://") {
            Some(_) => plainly(method, url, &fields, body),
            None => self.encrypted(method, url, &fields, body),
        };
        self.take_cookies(url, &answer);
        answer
    }

    /// What it sends in `cookie` to a URL.
    pub fn cookies_for(&self, url: &str) -> String {
        let path = path(url).split('?').next().unwrap_or_default();
        let fits = |cookie: &&Cookie| {
            let below = path.strip_prefix(&cookie.path);
            cookie.origin == origin(url)
                && below.is_some_and(|rest| {
                    rest.is_empty() || cookie.path.ends_with('/') || rest.starts_with('/')
                })
        };
        let pairs: Vec<String> = self
            .cookies
            .iter()
            .filter(fits)
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        pairs.join("; ")
    }

    /// Adds a cookie for all pages of an origin.
    pub fn add_cookie(&mut self, url: &str, name: &str, value: &str) {
        self.keep(url, &format!("{name}={value}; Path=/"));
    }

    fn navigate(&mut self, mut site: Site, method: &str, url: &str, body: Option<String>) -> Page {
        let (mut method, mut url, mut body) = (method, url.to_owned(), body.unwrap_or_default());
        let (mut urls, first) = (Vec::new(), origin(&url).to_owned());
        loop {
            assert!(urls.len() < MOST_REDIRECTS, "these redirects have no end: {urls:#?}");
            urls.push(url.clone());
            // Once a chain has left its origin it stays so, even if it comes back.
            if site != Site::Nowhere && origin(&url) != first {
                site = Site::Other;
            }
            let mut fields = format!(
                "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\nSec-Fetch-Mode: navigate\r\n\
                 Sec-Fetch-Dest: document\r\nSec-Fetch-Site: {}\r\n",
                match site {
                    Site::Nowhere => "none",
                    Site::Own => "same-origin",
                    Site::Other => "cross-site",
                }
            );
            if method == "POST" {
                fields += "Content-Type: application/x-www-form-urlencoded\r\n";
            }
            let answer = self.send(method, &url, &fields, &body);
            let location =
                answer.field("location").filter(|_| matches!(answer.status(), 301..=303 | 307 | 308));
            let Some(location) = location else { return Page { urls, answer } };
            let next = absolute(&url, location);
            if self.stop_before.as_ref().is_some_and(|stop| next.starts_with(stop)) {
                urls.push(next);
                return Page { urls, answer };
            }
            if answer.status() < 307 {
                (method, body) = ("GET", String::new());
            }
            url = next;
        }
    }

    fn encrypted(&self, method: &str, url: &str, fields: &str, body: &str) -> Message {
        let (host, port) = host_of(url).split_once(':').unwrap_or((host_of(url), "443"));
        let mut command = Command::new("curl");
        command.args(["-sSi", "--http1.1", "--max-time", "20", "--noproxy", "*", "-X", method]);
        command.args(["--resolve", &format!("{host}:{port}:127.0.0.1")]);
        if let Some(file) = &self.authorities {
            command.arg("--cacert").arg(file);
        }
        for field in fields.lines() {
            command.args(["-H", field]);
        }
        if method == "POST" {
            command.args(["--data-binary", body]);
        }
        let output = command.arg(url).output().unwrap();
        match parse(&output.stdout, Kind::Response, Some(End::Closed)) {
            Ok(Parsed::Whole(answer, _)) => *answer,
            other => panic!("{other:?}: {}", String::from_utf8_lossy(&output.stderr)),
        }
    }

    fn take_cookies(&mut self, url: &str, answer: &Message) {
        for written in set_cookies(answer) {
            self.keep(url, written);
        }
    }

    fn keep(&mut self, url: &str, written: &str) {
        let (pair, attributes) = written.split_once(';').unwrap_or((written, ""));
        let (name, value) = pair.split_once('=').unwrap();
        let attribute = |name: &str| {
            let pairs = attributes.split(';').filter_map(|attribute| attribute.trim().split_once('='));
            pairs.into_iter().find_map(|(known, value)| known.eq_ignore_ascii_case(name).then_some(value))
        };
        let (origin, path) = (origin(url).to_owned(), attribute("path").unwrap_or("/").to_owned());
        self.cookies.retain(|known| (&*known.name, &known.origin, &known.path) != (name, &origin, &path));
        let gone = attribute("max-age").is_some_and(|age| age.starts_with(['0', '-']))
            || attribute("expires").is_some_and(|date| date.contains(" 1970 "));
        if !gone {
            let (name, value, attributes) = (name.to_owned(), value.to_owned(), attributes.trim().to_owned());
            self.cookies.push(Cookie { origin, path, name, value, attributes });
        }
    }
}

/// Every `set-cookie` of an answer.
pub fn set_cookies(answer: &Message) -> Vec<&str> {
    let of_name = answer.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
    of_name.map(|(_, value)| value.as_str()).collect()
}

/// The parameters of a URL or of a form, decoded.
pub fn parameters(url: &str) -> Vec<(String, String)> {
    let query = url.split_once('?').map_or(url, |(_, query)| query);
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (decoded(name), decoded(value))).collect()
}

fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::new(), 0);
    while let Some(byte) = bytes.get(at) {
        let escaped = (*byte == b'%').then(|| u8::from_str_radix(&text[at + 1..at + 3], 16).unwrap());
        out.push(escaped.unwrap_or(if *byte == b'+' { b' ' } else { *byte }));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    String::from_utf8(out).unwrap()
}

fn plainly(method: &str, url: &str, fields: &str, body: &str) -> Message {
    let (host, path) = (host_of(url), path(url));
    let address: SocketAddr = host.parse().unwrap_or_else(|_| panic!("no way to {url}"));
    let length = if method == "POST" { format!("Content-Length: {}\r\n", body.len()) } else { String::new() };
    Client::connect(address).ask(format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{fields}{length}\r\n{body}"
    ))
}

/// `http://HOST:PORT` of a URL.
fn origin(url: &str) -> &str {
    let begin = url.find("://").map_or(0, |at| at + 3);
    let end = url[begin..].find(['/', '?', '#']).map_or(url.len(), |at| begin + at);
    &url[..end]
}

fn host_of(url: &str) -> &str {
    origin(url).split_once("://").map_or("", |(_, host)| host)
}

fn path(url: &str) -> &str {
    let path = url[origin(url).len()..].split('#').next().unwrap_or_default();
    if path.is_empty() { "/" } else { path }
}

/// What a reference of a page means, as browsers take it: a backslash is as good as a slash.
fn absolute(page: &str, reference: &str) -> String {
    let plain = reference.replace('\\', "/");
    if plain.contains("://") && !plain.starts_with('/') {
        plain
    } else if plain.starts_with("//") {
        format!("{}{plain}", page.split_once("//").unwrap().0)
    } else if plain.starts_with('/') {
        format!("{}{reference}", origin(page))
    } else {
        panic!("a relative reference: {reference}")
    }
}

/// The first tag of a name.
fn tag<'h>(html: &'h str, name: &str) -> Option<&'h str> {
    let begin = html.find(&format!("<{name} "))?;
    html[begin..].split('>').next()
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let begin = tag.find(&format!(" {name}=\""))? + name.len() + 3;
    let value = tag[begin..].split('"').next()?;
    Some(["&lt;<", "&gt;>", "&quot;\"", "&#39;'", "&#x3D;=", "&amp;&"].iter().fold(
        value.to_owned(),
        |text, pair| {
            let (escape, plain) = pair.split_at(pair.find(';').unwrap() + 1);
            text.replace(escape, plain)
        },
    ))
}

fn hidden_fields(html: &str) -> Vec<(String, String)> {
    let begins = html.match_indices("<input ").map(|(at, _)| html[at..].split('>').next().unwrap());
    let hidden = begins.filter(|tag| attribute(tag, "type").as_deref() == Some("hidden"));
    hidden.filter_map(|tag| Some((attribute(tag, "name")?, attribute(tag, "value")?))).collect()
}

#[cfg(test)]
mod tests {
    use super::{Browser, absolute, hidden_fields, parameters};

    #[test]
    fn cookies_are_kept_by_origin_and_path() {
        let mut browser = Browser::default();
        for written in
            ["a=1; path=/; HttpOnly", "b=2; Path=/sub", "c=; Max-Age=0", "d=4", "d=5; Path=/; Max-Age=9"]
        {
            browser.keep("http://one:1/x", written);
        }
        assert_eq!(browser.cookies_for("http://one:1/sub/x?y"), "a=1; b=2; d=5");
        assert_eq!(browser.cookies_for("http://one:1/submarine"), "a=1; d=5");
        assert_eq!(browser.cookies_for("http://one:2/sub"), "");
        browser.keep("http://one:1/", "a=; path=/; expires=Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(browser.cookies_for("http://one:1/"), "d=5");
    }

    #[test]
    fn references_are_read_as_browsers_read_them() {
        for (reference, want) in [
            ("/a?b=c", "http://one:1/a?b=c"),
            ("//evil/a", "http://evil/a"),
            ("/\\evil", "http://evil"),
            ("https://two/", "https://two/"),
        ] {
            assert_eq!(absolute("http://one:1/x", reference), want);
        }
        let html =
            "<form action=\"/x\"><input type=\"hidden\" name=\"n\" value=\"a&amp;b\"/><input name=\"o\">";
        assert_eq!(hidden_fields(html), [("n".to_owned(), "a&b".to_owned())]);
        assert_eq!(
            parameters("/p?a=b%2Fc+d&e="),
            [("a", "b/c d"), ("e", "")].map(|(a, b)| (a.into(), b.into()))
        );
    }
}
