//! One operation: what its requests and responses must look like.
//!
//! Entry points: [`Operation::check_request`], [`Operation::check_response`].

use message::Headers;

use super::description::Description;
use super::dialect::Direction;
use super::documents::At;
use super::media::{Body, Content, MAX_PAIRS};
use super::parameter::{Parameter, Sent};
use super::text::pairs;
use crate::MAX_VIOLATIONS;
use crate::violation::{Place, Violation};

/// The most bytes of a query that are looked at.
const MAX_QUERY: usize = 64 << 10;
/// The longest name of a parameter that was sent and is repeated, in bytes.
const MAX_NAME: usize = 100;

/// A request, as far as it is judged.
#[derive(Clone, Copy, Debug)]
pub struct RequestView<'r> {
    /// The parameters in the path, as [`super::Api::find`] gives them.
    pub path_parameters: &'r [(&'r str, &'r [u8])],
    /// The query without `?`, as it was sent.
    pub query: &'r [u8],
    /// The header fields, cookies among them.
    pub headers: &'r Headers,
    /// The body.
    pub body: Body<'r>,
}

/// What was found in a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// What is wrong, at most [`MAX_VIOLATIONS`].
    pub violations: Vec<Violation>,
    /// The body has a media type that is not described, so nothing was said about it; or there is a body where
    /// none is described.
    pub unknown_content_type: bool,
    /// The status of the response is not described, so nothing was said about it.
    pub unknown_status: bool,
}

impl Findings {
    /// Whether all is as described.
    pub fn is_clean(&self) -> bool {
        *self == Findings::default()
    }
}

/// Which responses a description is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Status {
    Exact(u16),
    /// `2XX` is 2.
    Class(u16),
    Default,
}

#[derive(Debug)]
struct Response {
    status: Status,
    headers: Vec<Parameter>,
    content: Content,
}

/// One operation.
#[derive(Debug)]
pub struct Operation {
    name: String,
    parameters: Vec<Parameter>,
    /// Whether a body must be there, and its types.
    body: Option<(bool, Content)>,
    responses: Vec<Response>,
    /// Names in the query that others look at; `None`: what no parameter takes is no mistake.
    known_in_query: Option<Vec<String>>,
}

impl Operation {
    /// Reads an operation of a path.
    pub(super) fn read(
        from: &mut Description,
        path: &At,
        at: &At,
        name: String,
        known_in_query: Option<Vec<String>>,
    ) -> Operation {
        let mut parameters: Vec<Parameter> = Vec::new();
        for owner in [at, path] {
            let list = owner.member("parameters");
            for index in 0..from.get(&list).and_then(|value| value.as_array()).map_or(0, Vec::len) {
                let place = list.element(index);
                let Some(parameter) = Parameter::read(from, &place, None, Direction::Request) else {
                    continue;
                };
                // HTTP says what these mean (OpenAPI 3.1 §4.8.12.2.1).
                let is_reserved = parameter.place == Place::Header
                    && ["accept", "content-type", "authorization"]
                        .iter()
                        .any(|it| parameter.name.eq_ignore_ascii_case(it));
                let is_known =
                    |other: &Parameter| other.place == parameter.place && other.name == parameter.name;
                if !is_reserved && !parameters.iter().any(is_known) {
                    parameters.push(parameter);
                }
            }
        }
        let body = at.member("requestBody");
        let body = from.get(&body).is_some().then(|| from.settle(&body)).flatten();
        let body =
            body.map(|at| (from.is_true(&at, "required"), Content::read(from, &at, Direction::Request)));
        let responses = read_responses(from, at);
        Operation { name, parameters, body, responses, known_in_query }
    }

    /// Method and path as the description has them: for logs and metrics.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The names of the parameters in its path.
    pub(super) fn path_parameters(&self) -> impl Iterator<Item = &str> {
        self.parameters.iter().filter(|it| it.place == Place::Path).map(|it| it.name.as_str())
    }

    /// Whether the content of a body of a request is looked at: a schema describes it, as JSON or a form. Otherwise
    /// [`Body::Unseen`] tells as much.
    pub fn wants_body(&self) -> bool {
        self.body.as_ref().is_some_and(|(_, content)| content.looks_inside())
    }

    /// The same for responses.
    pub fn wants_response_body(&self) -> bool {
        self.responses.iter().any(|response| response.content.looks_inside())
    }

    /// Whether the content of the body of a request with these fields is looked at.
    pub fn looks_into(&self, headers: &Headers) -> bool {
        let of = |(_, content): &(bool, Content)| content.looks_into(media_type(headers, &mut Vec::new()));
        self.body.as_ref().is_some_and(of)
    }

    /// The same for a response with this status.
    pub fn looks_into_response(&self, status: u16, headers: &Headers) -> bool {
        let of = |found: &Response| found.content.looks_into(media_type(headers, &mut Vec::new()));
        self.response(status).is_some_and(of)
    }

    fn response(&self, status: u16) -> Option<&Response> {
        let wanted = [Status::Exact(status), Status::Class(status / 100), Status::Default];
        wanted.iter().find_map(|wanted| self.responses.iter().find(|it| it.status == *wanted))
    }

    /// What is wrong with a request. Header fields and bodies of any size may be given.
    pub fn check_request(&self, request: &RequestView<'_>) -> Findings {
        let mut findings = Findings::default();
        let out = &mut findings.violations;
        match Some(request.query)
            .filter(|query| query.len() <= MAX_QUERY)
            .and_then(|query| pairs(query, MAX_PAIRS))
        {
            Some(query) => self.check_parameters(request, &query, out),
            None => out.push(Violation::new(Place::Query, "", "syntax", "cannot be read, or is too long")),
        }
        let media_type = media_type(request.headers, out);
        match (&self.body, request.body) {
            (Some((true, _)), Body::Absent | Body::Bytes([])) => {
                out.push(Violation::new(Place::Body, "", "required", "must be there"));
            }
            (_, Body::Absent | Body::Bytes([])) => {}
            (Some((_, content)), body) => {
                findings.unknown_content_type = !content.check(media_type, body, out);
            }
            (None, _) => findings.unknown_content_type = true,
        }
        findings.violations.truncate(MAX_VIOLATIONS);
        findings
    }

    fn check_parameters(
        &self,
        request: &RequestView<'_>,
        query: &[super::text::Pair<'_>],
        out: &mut Vec<Violation>,
    ) {
        let is_free = |name: &str| !self.parameters.iter().any(|parameter| parameter.takes(name));
        let unclaimed: Vec<bool> = query.iter().map(|(name, _)| is_free(name)).collect();
        let sent =
            Sent { path: request.path_parameters, query, unclaimed: &unclaimed, headers: request.headers };
        for parameter in &self.parameters {
            parameter.check(&sent, out);
        }
        let Some(known) = &self.known_in_query else { return };
        if self.parameters.iter().any(Parameter::takes_the_rest) {
            return;
        }
        for ((name, _), _) in query.iter().zip(&unclaimed).filter(|(_, unclaimed)| **unclaimed) {
            if out.len() >= MAX_VIOLATIONS {
                return;
            }
            if !known.iter().any(|known| known == name) {
                let name = &name[..name.floor_char_boundary(MAX_NAME)];
                out.push(Violation::new(Place::Query, name, "unknown", "is not described"));
            }
        }
    }

    /// What is wrong with a response. For an answer to HEAD, give [`Body::Absent`].
    pub fn check_response(&self, status: u16, headers: &Headers, body: Body<'_>) -> Findings {
        let mut findings = Findings::default();
        let Some(response) = self.response(status) else {
            findings.unknown_status = true;
            return findings;
        };
        let out = &mut findings.violations;
        let sent = Sent { path: &[], query: &[], unclaimed: &[], headers };
        for header in &response.headers {
            header.check(&sent, out);
        }
        let media_type = media_type(headers, out);
        let is_there = !matches!(body, Body::Absent | Body::Bytes([]));
        // Where no type is described, nothing is said of the body.
        if is_there && !response.content.is_empty() {
            findings.unknown_content_type = !response.content.check(media_type, body, out);
        }
        findings.violations.truncate(MAX_VIOLATIONS);
        findings
    }
}

/// The media type that a message says it has. Two are a mistake: the service might take the other one.
fn media_type<'h>(headers: &'h Headers, out: &mut Vec<Violation>) -> Option<&'h [u8]> {
    let mut fields = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(b"content-type"));
    let first = fields.next().map(|(_, value)| value);
    if fields.next().is_some() {
        out.push(Violation::new(Place::Header, "content-type", "unique", "must not be there more than once"));
    }
    first
}

fn read_responses(from: &mut Description, at: &At) -> Vec<Response> {
    let mut responses = Vec::new();
    for code in from.names(at, "responses") {
        if code.starts_with("x-") {
            continue;
        }
        let place = at.member("responses").member(&code);
        let status = match code.as_bytes() {
            b"default" => Some(Status::Default),
            [class @ b'1'..=b'5', b'X' | b'x', b'X' | b'x'] => Some(Status::Class(u16::from(class - b'0'))),
            [b'1'..=b'9', _, _] => code.parse().ok().map(Status::Exact),
            _ => None,
        };
        let Some(status) = status else {
            from.complain(&place, "must be a status such as 200, 2XX or default");
            continue;
        };
        let Some(place) = from.settle(&place) else { continue };
        let mut headers = Vec::new();
        for name in from.names(&place, "headers") {
            if !name.eq_ignore_ascii_case("content-type") {
                let header = place.member("headers").member(&name);
                headers.extend(Parameter::read(from, &header, Some(&name), Direction::Response));
            }
        }
        responses.push(Response {
            status,
            headers,
            content: Content::read(from, &place, Direction::Response),
        });
    }
    responses
}
