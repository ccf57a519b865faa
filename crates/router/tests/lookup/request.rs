//! A request and a short notation for matches, shared by the tests of the router.

use router::{HostPattern, Match, PathPattern, Subject, ValuePattern};

/// A request in canonical form.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) host: Option<String>,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) query: Option<String>,
}

impl Request {
    pub(crate) fn new(method: &str, host: &str, path: &str) -> Self {
        let host = Some(host.to_owned());
        Self { method: method.into(), host, path: path.into(), headers: Vec::new(), query: None }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub(crate) fn query(mut self, query: &str) -> Self {
        self.query = Some(query.into());
        self
    }
}

impl Subject for Request {
    fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    fn path(&self) -> &[u8] {
        self.path.as_bytes()
    }

    fn method(&self) -> &[u8] {
        self.method.as_bytes()
    }

    fn header(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.headers.iter().any(|(n, value)| n == name && test(value))
    }

    fn query(&self) -> Option<&[u8]> {
        self.query.as_deref().map(str::as_bytes)
    }
}

/// `host=a.com path=/a/* method=GET header=x-a query=q=1 priority=2`: words in any order and number.
pub(crate) fn of(text: &str) -> Match {
    let mut of = Match::default();
    for word in text.split_whitespace() {
        let (key, value) = word.split_once('=').unwrap();
        let condition = |text: &str| match text.split_once('=') {
            Some((name, value)) => (name.into(), ValuePattern::parse(value).unwrap()),
            None => (text.into(), ValuePattern::Present),
        };
        match key {
            "host" => of.hosts.push(HostPattern::parse(value).unwrap()),
            "path" => of.path = Some(PathPattern::parse(value).unwrap()),
            "method" => of.methods.push(value.into()),
            "header" => of.headers.push(condition(value)),
            "query" => of.query.push(condition(value)),
            "priority" => of.priority = value.parse().unwrap(),
            _ => panic!("{word}"),
        }
    }
    of
}
