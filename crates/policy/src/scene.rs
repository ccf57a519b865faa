//! A request with everything around it, for the tests of policies.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Instant;

use diagnostics::{Code, Diagnostics, SourceId, Span};
use message::{Encryption, Reply, RequestHead};

use crate::{
    Answer, Chain, Compiling, Consumers, Halt, Link, Policy, Refusal, RequestCx, RequestState, Verified,
};

/// A request, and what a worker has besides.
pub(crate) struct Scene {
    pub(crate) head: RequestHead,
    pub(crate) body_length: Option<u64>,
    pub(crate) client: IpAddr,
    pub(crate) encryption: Option<Encryption>,
    pub(crate) trusted_peer: bool,
    pub(crate) state: RequestState,
    pub(crate) rng: fastrand::Rng,
    pub(crate) now: u64,
    pub(crate) at: Instant,
    pub(crate) route: &'static str,
    pub(crate) consumers: Arc<Consumers>,
    pub(crate) verified: Verified,
    pub(crate) answer: Option<Answer>,
}

impl Scene {
    /// A request for this target with these fields; `host` is a.test.
    pub(crate) fn get(target: &str, fields: &[(&str, &str)]) -> Scene {
        let mut head = RequestHead::default();
        head.method_text = head.headers.append_text(b"GET");
        head.target = head.headers.append_text(target.as_bytes());
        head.headers.push(b"host", b"a.test");
        fields.iter().for_each(|(name, value)| head.headers.push(name.as_bytes(), value.as_bytes()));
        head.normalize().unwrap();
        Scene {
            head,
            body_length: Some(100),
            client: IpAddr::V4(Ipv4Addr::LOCALHOST),
            encryption: None,
            trusted_peer: false,
            state: RequestState::default(),
            rng: fastrand::Rng::with_seed(1),
            now: 1_000_000,
            at: Instant::now(),
            route: "r",
            consumers: Arc::default(),
            verified: Verified::default(),
            answer: None,
        }
    }

    /// What a policy sees of it.
    pub(crate) fn cx(&mut self) -> RequestCx<'_> {
        RequestCx {
            head: &mut self.head,
            body_length: self.body_length,
            client: self.client,
            encryption: self.encryption.as_ref(),
            trusted_peer: self.trusted_peer,
            state: &mut self.state,
            rng: &mut self.rng,
            now: self.now,
            at: self.at,
            route: self.route,
            consumers: &self.consumers,
            verified: &mut self.verified,
            answer: self.answer.take(),
        }
    }

    /// What a chain says to it: nothing, or the answer; what is asked is answered with `answer`.
    pub(crate) fn run(&mut self, chain: &Chain, mut answer: impl FnMut() -> Answer) -> Option<Reply> {
        loop {
            match chain.run_request(&mut self.cx(), |_, _, _| {}) {
                Ok(_) => return None,
                Err(Halt::Refused(Refusal::Reply(reply))) => return Some(reply),
                Err(Halt::Refused(Refusal::Fault(fault))) => return Some(Reply::fault(fault, "")),
                Err(Halt::Ask(..)) => self.answer = Some(answer()),
            }
        }
    }
}

/// A policy, or the codes and messages of what is wrong with it.
pub(crate) fn policy(
    kind: &str,
    written: &str,
    consumers: &Arc<Consumers>,
) -> Result<Policy, Vec<(Code, String)>> {
    let mut diagnostics = Diagnostics::new();
    let node = document::parse(SourceId(0), written, &mut diagnostics);
    let policy = node.and_then(|node| {
        crate::compile(
            kind,
            &node,
            &mut Compiling::new(&mut diagnostics, consumers, &crate::Providers::default()),
        )
    });
    let mistakes: Vec<_> = diagnostics.iter().map(|one| (one.code, one.message.clone())).collect();
    policy.filter(|_| mistakes.is_empty()).ok_or(mistakes)
}

/// A chain of these policies, in whatever order they are written.
pub(crate) fn chain(policies: &[(&str, &str)], consumers: &Arc<Consumers>) -> Chain {
    let link = |(kind, written): &(&str, &str)| Link {
        policy: Arc::new(policy(kind, written, consumers).unwrap()),
        source: Span::default(),
    };
    Chain::new(policies.iter().map(link).collect())
}

/// Shows a head to `run`, as a request of this client.
pub(crate) fn see<T>(
    head: &mut RequestHead,
    state: &mut RequestState,
    client: IpAddr,
    run: impl FnOnce(&mut RequestCx<'_>) -> T,
) -> T {
    let mut rng = fastrand::Rng::with_seed(1);
    run(&mut RequestCx {
        head,
        body_length: Some(0),
        client,
        encryption: None,
        trusted_peer: false,
        state,
        rng: &mut rng,
        now: 1_000_000,
        at: Instant::now(),
        route: "r",
        consumers: &Consumers::default(),
        verified: &mut Verified::default(),
        answer: None,
    })
}
