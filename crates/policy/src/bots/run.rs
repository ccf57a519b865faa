//! Refuses requests by User-Agent (RFC 9110 §10.1.5). It keeps out programs that say what they are, and no others.

use message::{Headers, Reply};
use regex_automata::Input;
use regex_automata::dfa::{Automaton, dense};

use crate::{Flow, RequestCx, ResponseCx, Stage};

/// The stable name of a refusal, in its problem document.
const CODE: &str = "bot-refused";
/// What a reader of the refusal is told.
const DETAIL: &str = "Programs like this one are not served here.";

/// Programs, as an automaton over what they say of themselves in lower case.
#[derive(Debug)]
pub(crate) struct Programs(pub(crate) Box<dense::DFA<Vec<u32>>>);

impl Programs {
    /// Whether one of them is named, in any case. `None` where it cannot be told.
    fn name(&self, agent: &[u8]) -> Option<bool> {
        let automaton = &self.0;
        let mut state = automaton.start_state_forward(&Input::new(agent)).ok()?;
        for byte in agent {
            state = automaton.next_state(state, byte.to_ascii_lowercase());
            if automaton.is_special_state(state) {
                if automaton.is_match_state(state) {
                    return Some(true);
                }
                if automaton.is_dead_state(state) {
                    return Some(false);
                }
                if automaton.is_quit_state(state) {
                    return None;
                }
            }
        }
        Some(automaton.is_match_state(automaton.next_eoi_state(state)))
    }
}

/// Ready to run.
#[derive(Debug)]
pub struct Ready {
    pub(crate) deny: Option<Programs>,
    pub(crate) allow: Option<Programs>,
    pub(crate) refuse_empty: bool,
}

impl Ready {
    /// At the edge: who is not served costs nothing further.
    pub const STAGE: Stage = Stage::Edge;
    /// It refuses requests.
    pub const CAN_REFUSE: bool = true;

    /// Refuses what is denied and no exception.
    pub fn on_request(&self, cx: &mut RequestCx<'_>) -> Flow {
        if !self.refuses(&cx.head.headers) {
            return Flow::Continue;
        }
        Flow::Reply(
            Reply::problem(403, CODE, DETAIL, "client", false, cx.request_id())
                .header("cache-control", "no-store"),
        )
    }

    /// Nothing to do on the way back.
    pub fn on_response(&self, _: &mut ResponseCx<'_>) {}

    /// Looks at every field of the name: which one counts is for the service to say.
    fn refuses(&self, headers: &Headers) -> bool {
        let mut agents =
            headers.values(b"user-agent").filter(|agent| !agent.trim_ascii().is_empty()).peekable();
        if agents.peek().is_none() {
            return self.refuse_empty;
        }
        agents.any(|agent| {
            let is_denied = self.deny.as_ref().is_some_and(|deny| deny.name(agent) != Some(false));
            let is_allowed = || self.allow.as_ref().is_some_and(|allow| allow.name(agent) == Some(true));
            is_denied && !is_allowed()
        })
    }
}
