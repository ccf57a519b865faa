//! Where the servers are, from the URL that users write.
//!
//! No I/O. Passwords are wiped when dropped, and appear in no text. Entry point: [`Address::parse`].

use std::error::Error;
use std::fmt;

use zeroize::Zeroizing;

/// Where the servers are, and who asks them.
///
/// | form | what it is |
/// |---|---|
/// | `redis://[[user]:password@]host[:6379][/db]` | one server |
/// | `redis+sentinel://…@a:26379,b:26379/NAME[/db]` | the server that sentinels call the master of `NAME` |
/// | `redis+cluster://…@a:6379,b:6379` | a cluster; the hosts are where to begin |
/// | `redis+unix://[[user]:password@]/path/to.sock` | one server of this machine |
///
/// `rediss` in place of `redis` stands for TLS (with sentinels, to all of them too), and `valkey` for `redis`. User
/// and password are those of the servers; sentinels get `?sentinel_user=…&sentinel_password=…`. What would be
/// mistaken for a part of the URL is written with percent signs (RFC 3986, section 2.1).
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    pub(crate) shape: Shape,
    pub(crate) tls: bool,
    pub(crate) login: Login,
    pub(crate) sentinel_login: Login,
    pub(crate) db: u16,
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Shape {
    One(Node),
    Sentinels(Vec<Node>, Box<str>),
    Cluster(Vec<Node>),
    Unix(Box<str>),
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Node {
    /// A name, or an address without brackets.
    pub(crate) host: Box<str>,
    pub(crate) port: u16,
}

/// Not shown by `Debug`: it has none.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) user: Option<Box<str>>,
    pub(crate) password: Option<Zeroizing<String>>,
}

/// Why a URL is none of these. The text does not repeat any of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed(&'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for Malformed {}

const MOST_NODES: usize = 64;

impl Address {
    /// Reads a URL.
    ///
    /// # Errors
    /// It has none of the forms.
    pub fn parse(url: &str) -> Result<Address, Malformed> {
        let (scheme, rest) =
            url.split_once("://").ok_or(Malformed("a store is a URL such as `redis://host`"))?;
        let (brand, kind) = scheme.split_once('+').unwrap_or((scheme, ""));
        let tls = match brand {
            "redis" | "valkey" => false,
            "rediss" | "valkeys" => true,
            _ => return Err(Malformed("the scheme of a store is `redis` or `rediss`")),
        };
        if rest.contains(|c: char| c.is_control() || c.is_whitespace() || c == '#') {
            return Err(Malformed("the URL holds a character that must be written with a percent sign"));
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        // A password may hold slashes that somebody forgot to encode; the last `@` is the end of it in any case.
        let (login, place) = match rest.rsplit_once('@') {
            Some((login, place)) => (Login::parse(login)?, place),
            None => (Login::default(), rest),
        };
        let (hosts, path) = place.split_once('/').map_or((place, None), |(hosts, path)| (hosts, Some(path)));
        let path = path.unwrap_or_default();
        let sentinel_login = if kind == "sentinel" {
            Login::of_query(query)?
        } else if query.is_empty() {
            Login::default()
        } else {
            return Err(Malformed("only `redis+sentinel://` takes something after `?`"));
        };
        let (shape, db) = match kind {
            "" => (Shape::One(only(nodes(hosts, 6379)?)?), path),
            "cluster" if path.is_empty() => (Shape::Cluster(nodes(hosts, 6379)?), ""),
            "cluster" => return Err(Malformed("a cluster has no databases: end the URL after the hosts")),
            "sentinel" => {
                let (name, db) = path.split_once('/').unwrap_or((path, ""));
                let name = decode(name)?;
                if name.is_empty() {
                    return Err(Malformed(
                        "name the master behind the sentinels: `redis+sentinel://host/NAME`",
                    ));
                }
                (Shape::Sentinels(nodes(hosts, 26379)?, name.as_str().into()), db)
            }
            "unix" if tls => return Err(Malformed("there is no TLS to a socket of this machine")),
            "unix" if !hosts.is_empty() || path.is_empty() => {
                return Err(Malformed("name the whole path of the socket: `redis+unix:///run/redis.sock`"));
            }
            "unix" => (Shape::Unix(format!("/{}", *decode(path)?).into()), ""),
            _ => return Err(Malformed("a store is one server, or `+cluster`, `+sentinel` or `+unix`")),
        };
        let db = if db.is_empty() { Ok(0) } else { db.parse() };
        let db = db.map_err(|_| Malformed("what follows the host is the number of a database"))?;
        Ok(Address { shape, tls, login, sentinel_login, db })
    }

    /// Whether it is to be reached by TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.tls
    }
}

/// Without user and password.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.tls { "rediss" } else { "redis" })?;
        let list = |nodes: &[Node]| nodes.iter().map(Node::to_string).collect::<Vec<_>>().join(",");
        match &self.shape {
            Shape::One(node) => write!(f, "://{node}/{}", self.db),
            Shape::Sentinels(nodes, name) => write!(f, "+sentinel://{}/{name}/{}", list(nodes), self.db),
            Shape::Cluster(nodes) => write!(f, "+cluster://{}", list(nodes)),
            Shape::Unix(path) => write!(f, "+unix://{path}"),
        }
    }
}

/// As `Display`.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl Login {
    /// Of `user:password`, `:password` or `user`.
    fn parse(text: &str) -> Result<Login, Malformed> {
        let (user, password) = text.split_once(':').map_or((text, None), |(user, word)| (user, Some(word)));
        let user = decode(user)?;
        Ok(Login {
            user: (!user.is_empty()).then(|| user.as_str().into()),
            password: password.filter(|word| !word.is_empty()).map(decode).transpose()?,
        })
    }

    fn of_query(query: &str) -> Result<Login, Malformed> {
        let mut login = Login::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("sentinel_user", user)) => login.user = Some(decode(user)?.as_str().into()),
                Some(("sentinel_password", word)) => login.password = Some(decode(word)?),
                _ => {
                    return Err(Malformed(
                        "after `?` stand `sentinel_user=` and `sentinel_password=`, if anything",
                    ));
                }
            }
        }
        Ok(login)
    }
}

fn only(nodes: Vec<Node>) -> Result<Node, Malformed> {
    let mut nodes = nodes.into_iter();
    match (nodes.next(), nodes.next()) {
        (Some(node), None) => Ok(node),
        _ => Err(Malformed(
            "several hosts are a cluster or sentinels: write `redis+cluster://` or `redis+sentinel://`",
        )),
    }
}

fn nodes(hosts: &str, port: u16) -> Result<Vec<Node>, Malformed> {
    let nodes: Vec<Node> = hosts.split(',').map(|host| node(host, port)).collect::<Result<_, _>>()?;
    if nodes.len() > MOST_NODES { Err(Malformed("there are more than 64 hosts")) } else { Ok(nodes) }
}

fn node(text: &str, default: u16) -> Result<Node, Malformed> {
    const WRONG: Malformed = Malformed("a host is a name or an address, and a port after a colon");
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, port)) => {
            host.parse::<std::net::Ipv6Addr>().map_err(|_| WRONG)?;
            if port.is_empty() { (host, None) } else { (host, Some(port.strip_prefix(':').ok_or(WRONG)?)) }
        }
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if host.is_empty() || host.len() > 253 || !host.chars().all(allowed) {
        return Err(WRONG);
    }
    let port = port.map_or(Ok(default), str::parse).map_err(|_| WRONG)?;
    if port == 0 { Err(WRONG) } else { Ok(Node { host: host.into(), port }) }
}

/// Percent signs and what follows them to what they stand for.
fn decode(text: &str) -> Result<Zeroizing<String>, Malformed> {
    const WRONG: Malformed = Malformed("after a percent sign stand two digits of a character in UTF-8");
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let (Some(high), Some(low)) = (digit(), digit()) else { return Err(WRONG) };
        bytes.push((high * 16 + low) as u8);
    }
    std::str::from_utf8(&bytes).map(|text| Zeroizing::new(text.to_owned())).map_err(|_| WRONG)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read() {
        for (url, shown) in [
            ("redis://cache", "redis://cache:6379/0"),
            ("valkeys://cache:6380/3", "rediss://cache:6380/3"),
            ("redis://:pw@[::1]:7000/", "redis://[::1]:7000/0"),
            ("redis+cluster://u:p@a,b:7001", "redis+cluster://a:6379,b:7001"),
            ("rediss+sentinel://a,b:1/main/2?sentinel_password=x", "rediss+sentinel://a:26379,b:1/main/2"),
            ("redis+unix://u:p@/run/redis.sock", "redis+unix:///run/redis.sock"),
        ] {
            assert_eq!(Address::parse(url).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn user_and_password_are_decoded() {
        let login = |url: &str| {
            let login = Address::parse(url).unwrap().login;
            (login.user.map(String::from), login.password.map(|word| word.to_string()))
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(login("redis://a"), (None, None));
        assert_eq!(login("redis://me@a"), (some("me"), None));
        assert_eq!(login("redis://:p%40s%2fs@a"), (None, some("p@s/s")));
        assert_eq!(login("redis://me:a:b@c@a"), (some("me"), some("a:b@c")));
        let sentinel = Address::parse("redis+sentinel://a/m?sentinel_user=s&sentinel_password=%70").unwrap();
        assert_eq!(sentinel.sentinel_login.user.as_deref(), Some("s"));
        assert_eq!(sentinel.sentinel_login.password.unwrap().as_str(), "p");
    }

    #[test]
    fn what_is_none_is_refused_without_repeating_it() {
        for url in [
            "",
            "cache:6379",
            "http://:hunter2@a",
            "redis+ring://:hunter2@a",
            "redis://",
            "redis://:hunter2@",
            "redis://:hunter2@a,b",
            "redis://:hunter2@a:0",
            "redis://:hunter2@a:65536",
            "redis://:hunter2@a/x",
            "redis://:hunter2@a/70000",
            "redis://:hunter2%2@a",
            "redis://:hunter2%ff@a",
            "redis://:hunter2@a b",
            "redis://:hunter2@a?x=1",
            "redis://:hunter2@[::g]",
            "redis://:hunter2@[::1]6379",
            "redis+cluster://:hunter2@a/1",
            "redis+sentinel://:hunter2@a",
            "redis+sentinel://a/m?password=hunter2",
            "rediss+unix://:hunter2@/a",
            "redis+unix://a/b",
        ] {
            let error = Address::parse(url).expect_err(url);
            assert!(!format!("{error} {error:?}").contains("hunter"), "{error}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        for url in ["redis://me:hunter2@a", "redis+sentinel://:hunter2@a/m?sentinel_password=hunter2"] {
            let address = Address::parse(url).unwrap();
            assert!(!format!("{address} {address:?} {address:#?}").contains("hunter"));
        }
    }
}
