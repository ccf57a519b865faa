//! What becomes of the header fields of a request, step by step, and whose doing it is.
//!
//! It compares, and decides nothing. Entry point: [`Trail`].

use message::{ForwardingInfo, Headers, forward_request_field, is_certificate_field};

use crate::request::Request;

/// Header fields as text, in order.
pub type Fields = Vec<(String, String)>;

/// A field that is not what it was. One of both sides may be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The name in lower case.
    pub name: String,
    /// Its values before.
    pub before: Vec<String>,
    /// Its values afterwards.
    pub after: Vec<String>,
    /// Who changed it last.
    pub cause: Cause,
    /// Why what the client sent did not travel on, if it did not.
    pub dropped: Option<Cause>,
}

/// Who changes a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It is about one connection only.
    Connection,
    /// Only trusted proxies are believed.
    Untrusted,
    /// Many services take the `_` in its name for a `-`.
    Underscore,
    /// Only the gateway says who has shown which certificate.
    Certificate,
    /// The policy at this position.
    Policy(usize),
    /// The gateway, for what it knows itself.
    Gateway,
}

/// The fields of a request at every step of its way.
pub(super) struct Trail {
    /// As the client sent them, then after each step. Without a cause: what may travel on was settled.
    stages: Vec<(Option<Cause>, Fields)>,
    /// Names, and why such a field may not travel on if it did not.
    barred: Vec<(String, Cause)>,
}

impl Trail {
    /// Begins with what the client sent.
    pub(super) fn of(request: &Request, info: &ForwardingInfo) -> Trail {
        let headers = &request.head.headers;
        let mut believed = headers.clone();
        believed.strip_request(request.meta.connection, true);
        let barred = headers.fields().iter().map(|field| {
            let name = text(field.name.of(headers.text())).to_ascii_lowercase();
            let only_trusted = believed.values(name.as_bytes()).next().is_some()
                && !forward_request_field(field, headers.text(), false);
            let cause = match name.as_bytes() {
                bytes if is_certificate_field(bytes) => Cause::Certificate,
                bytes if bytes.contains(&b'_') => Cause::Underscore,
                _ if only_trusted && !info.trusted => Cause::Untrusted,
                _ => Cause::Connection,
            };
            (name, cause)
        });
        let barred = barred.collect();
        Trail { stages: vec![(None, fields(headers))], barred }
    }

    /// Takes down what is left after a step.
    pub(super) fn note(&mut self, cause: Option<Cause>, headers: &Headers) {
        self.stages.push((cause, fields(headers)));
    }

    /// What the client sent.
    pub(super) fn sent(&self) -> &[(String, String)] {
        self.stages.first().map_or(&[], |(_, fields)| fields)
    }

    /// What one step has changed.
    pub(super) fn changes_by(&self, cause: Cause) -> Vec<Change> {
        // A policy that has asked something is seen twice, and so is the last of those that know callers.
        let mut own = self.stages.windows(2).filter_map(|pair| match pair {
            [(_, before), (by, after)] if *by == Some(cause) => Some((before, after)),
            _ => None,
        });
        let Some((before, first)) = own.next() else { return Vec::new() };
        let after = own.next_back().map_or(first, |(_, after)| after);
        compare(before, after, |_| (cause, None))
    }

    /// What is different in the end.
    pub(super) fn changes(&self) -> Vec<Change> {
        let after = self.stages.last().map_or(&[][..], |(_, fields)| fields);
        compare(self.sent(), after, |name| self.causes(name))
    }

    /// Who has changed a field last, and why what the client sent did not travel on.
    fn causes(&self, name: &str) -> (Cause, Option<Cause>) {
        let mut last = Cause::Gateway;
        let mut dropped = None;
        for pair in self.stages.windows(2) {
            let [(_, before), (cause, after)] = pair else { continue };
            if values(before, name) == values(after, name) {
                continue;
            }
            if cause.is_none() && values(after, name).is_empty() {
                dropped = self.barred.iter().find(|(barred, _)| barred == name).map(|(_, cause)| *cause);
            }
            last = cause.or(dropped).unwrap_or(Cause::Gateway);
        }
        (last, dropped)
    }
}

fn compare(
    before: &[(String, String)],
    after: &[(String, String)],
    causes: impl Fn(&str) -> (Cause, Option<Cause>),
) -> Vec<Change> {
    let mut names: Vec<String> = Vec::new();
    for name in before.iter().chain(after).map(|(name, _)| name.to_ascii_lowercase()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let changed = names.into_iter().filter_map(|name| {
        let (before, after) = (values(before, &name), values(after, &name));
        let (cause, dropped) = causes(&name);
        (before != after).then_some(Change { name, before, after, cause, dropped })
    });
    changed.collect()
}

/// The values of a name, in order.
pub(super) fn values(fields: &[(String, String)], name: &str) -> Vec<String> {
    let own = fields.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name));
    own.map(|(_, value)| value.clone()).collect()
}

/// The fields as text.
pub(super) fn fields(headers: &Headers) -> Fields {
    headers.iter().map(|(name, value)| (text(name), text(value))).collect()
}

/// Bytes as text; what is no UTF-8 is replaced.
pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
