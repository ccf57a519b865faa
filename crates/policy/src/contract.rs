//! What every policy agrees to: when it runs, what it may see, and what it may answer.

use std::net::IpAddr;
use std::time::Instant;

use message::{Encryption, Fault, Headers, Reply, RequestHead};

use crate::authenticate::Refused;
use crate::{Answer, Caller, Consumers, Identity, Question, RequestState, Verified};

/// When a policy runs. The order is fixed, because a wrong order is a security hole.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Stage {
    /// First: what holds for every request, known or not. Request ids (so that every refusal has one),
    /// address rules, CORS (so that browsers can read the refusals that follow), sizes.
    Edge,
    /// Who is calling. Before anything that depends on an identity.
    Authenticate,
    /// What this caller may do. Needs an identity that was verified.
    Authorize,
    /// How often and how much. After authorisation, so that a limit keyed by a consumer counts only
    /// requests that are really theirs.
    Limit,
    /// Whether the request is well formed for the service. After limits: validation costs time.
    Validate,
    /// Answers from the cache. After authentication and authorisation: a cache in front of them leaks.
    Cache,
    /// Last: what changes the request on its way to the service, and first on the way back.
    Transform,
}

impl Stage {
    /// The name used in documentation and `explain`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Stage::Edge => "edge",
            Stage::Authenticate => "authenticate",
            Stage::Authorize => "authorize",
            Stage::Limit => "limit",
            Stage::Validate => "validate",
            Stage::Cache => "cache",
            Stage::Transform => "transform",
        }
    }
}

/// What a policy says to a request.
#[derive(Debug)]
pub enum Flow {
    /// Go on with the next policy.
    Continue,
    /// Answer with this; the request is not forwarded.
    Reply(Reply),
    /// It would have to be known who is calling, and the request does not say so.
    Unauthenticated,
    /// The request cannot be served.
    Fault(Fault),
    /// It cannot tell before this is answered; then it is asked again.
    Ask(Box<Question>),
}

/// What a policy that knows callers says of a request.
#[derive(Debug)]
pub enum Verdict {
    /// The caller is this one.
    Known(Caller),
    /// The request shows nothing that this policy could judge.
    Missing,
    /// What the request shows is not genuine, or does not hold any more.
    Refused(Refused),
    /// Answer with this, whatever else the request shows: a step of a login.
    Reply(Reply),
    /// Who is calling cannot be told.
    Fault(Fault),
    /// It cannot tell before this is answered; then it is asked again.
    Ask(Box<Question>),
}

/// What a policy sees of a request, and may change.
#[derive(Debug)]
pub struct RequestCx<'a> {
    /// The head: normalised, without hop-by-hop fields.
    pub head: &'a mut RequestHead,
    /// The length of the body where the client announced one; `Some(0)` for no body, `None` for chunked.
    pub body_length: Option<u64>,
    /// The address of the client, seen through trusted proxies.
    pub client: IpAddr,
    /// What its connection has told about the client, if it is encrypted. Behind a trusted proxy that is the proxy.
    pub encryption: Option<&'a Encryption>,
    /// Whether the peer is a trusted proxy.
    pub trusted_peer: bool,
    /// What policies remember about this request.
    pub state: &'a mut RequestState,
    /// Randomness of the worker.
    pub rng: &'a mut fastrand::Rng,
    /// The time, in seconds since 1970.
    pub now: u64,
    /// When the request began.
    pub at: Instant,
    /// The name of the route.
    pub route: &'a str,
    /// The consumers of the configuration.
    pub consumers: &'a Consumers,
    /// What this worker has verified lately.
    pub verified: &'a mut Verified,
    /// The answer to what the policy has asked, if it has asked.
    pub answer: Option<Answer>,
}

impl RequestCx<'_> {
    /// The id of the request; made now if nobody has needed one before.
    pub fn request_id(&mut self) -> &str {
        self.state.id.or_generate(self.rng).as_str()
    }

    /// Whether the client came by HTTPS, to the gateway or to a proxy that is believed.
    pub fn is_encrypted(&self) -> bool {
        self.encryption.is_some() || self.state.https
    }

    /// Who is calling, if that is known.
    #[inline]
    pub fn identity(&self) -> Option<&Identity> {
        self.state.caller().identity(self.consumers)
    }
}

/// What a policy sees of a response or of a reply of the gateway, and may change.
#[derive(Debug)]
pub struct ResponseCx<'a> {
    /// The status code.
    pub status: u16,
    /// The header fields, without hop-by-hop fields.
    pub headers: &'a mut Headers,
    /// What policies remember about the request.
    pub state: &'a RequestState,
}
