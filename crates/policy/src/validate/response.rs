//! Whether a response is as its operation describes it.
//!
//! It is judged as the service has sent it, before other policies change it. Whoever passes the body on holds it as long as
//! [`ResponseCheck::most`] says, and asks [`ResponseCheck::judge`]. Entry point: [`ResponseCheck`].

use std::fmt;
use std::sync::Arc;

use message::{Headers, Method, RequestHead};
use schema::{Body, Operation};

use super::run::KIND;
use crate::bodies::{Hidden, in_bytes, uncoded};

/// The reason of a response that is not as described.
const REASON: &str = "response";
/// The status of a response that says that nothing has changed: nobody describes it, and it has no body.
const NOT_MODIFIED: u16 = 304;
/// How many violations a line for operators has.
const IN_A_LINE: usize = 5;

/// How a response is to be judged.
#[derive(Clone)]
pub struct ResponseCheck {
    operation: Arc<Operation>,
    most: usize,
    enforces: bool,
}

impl fmt::Debug for ResponseCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseCheck").field("operation", &self.operation.name()).finish_non_exhaustive()
    }
}

/// What is known of the body of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseBody<'b> {
    /// There is none.
    Absent,
    /// There is one that nobody looks into.
    Unseen,
    /// All of it, as it came.
    Whole(&'b [u8]),
    /// It has more bytes than are held.
    TooLarge,
}

impl ResponseCheck {
    pub(super) fn new(operation: Arc<Operation>, most: usize, enforces: bool) -> ResponseCheck {
        ResponseCheck { operation, most, enforces }
    }

    /// Asks the service for what can be looked into: a coding that is known here, and a whole rather than a part.
    pub(super) fn prepare(&self, head: &mut RequestHead) {
        if !self.operation.wants_response_body() {
            return;
        }
        let accepted: Vec<u8> = head.headers.values(b"accept-encoding").fold(Vec::new(), |mut all, value| {
            let known = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|one| {
                let name = one.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
                [&b"gzip"[..], b"deflate", b"identity"].iter().any(|known| name.eq_ignore_ascii_case(known))
            });
            for one in known {
                if !all.is_empty() {
                    all.extend_from_slice(b", ");
                }
                all.extend_from_slice(one);
            }
            all
        });
        // Without the field the service may send any.
        let accepted = if accepted.is_empty() { b"identity".to_vec() } else { accepted };
        head.headers.set(b"accept-encoding", &accepted);
        if self.enforces && head.method == Method::Get {
            head.headers.remove(b"range");
            head.headers.remove(b"if-range");
        }
    }

    /// Whether what is not as described is kept from the client.
    pub fn enforces(&self) -> bool {
        self.enforces
    }

    /// The kind of the policy and the reason in a word, for logs.
    pub fn reason(&self) -> (&'static str, &'static str) {
        (KIND, REASON)
    }

    /// How many bytes of the body of a response with this head are to be held; `None` where it is not looked into.
    pub fn most(&self, status: u16, headers: &Headers) -> Option<usize> {
        (status != NOT_MODIFIED && self.operation.looks_into_response(status, headers)).then_some(self.most)
    }

    /// What is wrong with a response, in words for operators. Nothing that was sent is repeated.
    pub fn judge(&self, status: u16, headers: &Headers, body: ResponseBody<'_>) -> Option<String> {
        if status == NOT_MODIFIED {
            return None;
        }
        let of = |what: String| Some(format!("the response {status} to {} {what}", self.operation.name()));
        let unseen;
        let body = match body {
            ResponseBody::Absent => Body::Absent,
            ResponseBody::Unseen => Body::Unseen,
            ResponseBody::TooLarge => {
                return of(format!("was not validated: it is larger than {}", in_bytes(self.most)));
            }
            ResponseBody::Whole(bytes) => match uncoded(headers, bytes, self.most) {
                Ok(bytes) => {
                    unseen = bytes;
                    Body::Bytes(&unseen)
                }
                Err(Hidden::TooLarge) => {
                    return of(format!("was not validated: it is larger than {}", in_bytes(self.most)));
                }
                Err(Hidden::Coded) => return of("was not validated: its coding is not known".to_owned()),
                Err(Hidden::Broken) => return of("is not what Content-Encoding says".to_owned()),
            },
        };
        let findings = self.operation.check_response(status, headers, body);
        if findings.unknown_status {
            return of("has a status that is not described".to_owned());
        }
        let mut wrong: Vec<String> = Vec::new();
        if findings.unknown_content_type {
            wrong.push("has a media type that is not described".to_owned());
        }
        let told = findings.violations.iter().take(IN_A_LINE);
        wrong.extend(told.map(|one| {
            let place = if one.name.is_empty() { &one.pointer } else { &one.name };
            format!("{} {place} {}", one.place.as_str(), one.message)
        }));
        if findings.violations.len() > IN_A_LINE {
            wrong.push(format!("and {} more", findings.violations.len() - IN_A_LINE));
        }
        if wrong.is_empty() { None } else { of(diagnostics::visible(&wrong.join("; ")).into_owned()) }
    }
}
