//! Refuses requests by User-Agent (RFC 9110 §10.1.5). It keeps out programs that say what they are, and no others.

use message::{Headers, Reply};
use regex_automata::dfa::{Automaton, dense};
use regex_automata::{Input, PatternID};

use crate::{Flow, RequestCx, ResponseCx, Stage};

/// The kind, as logs have it.
const KIND: &str = "bots";
/// The stable name of a refusal, in its problem document.
const CODE: &str = "bot-refused";
/// What a reader of the refusal is told.
const DETAIL: &str = "Programs like this one are not served here.";

/// Programs, as an automaton over what they say of themselves in lower case.
#[derive(Debug)]
pub(crate) struct Programs {
    pub(crate) automaton: Box<dense::DFA<Vec<u32>>>,
    /// The regular expressions, in the order of the patterns of the automaton. One more pattern is all of `plain`.
    pub(crate) regexes: Box<[Box<str>]>,
    /// Parts of names, as they were written: to say which one it was.
    pub(crate) plain: Box<[Box<str>]>,
}

impl Programs {
    /// Which pattern names a program, in any case; `None` if none does.
    ///
    /// # Errors
    ///
    /// It cannot be told.
    fn name(&self, agent: &[u8]) -> Result<Option<PatternID>, Unclear> {
        let automaton = &self.automaton;
        let mut state = automaton.start_state_forward(&Input::new(agent)).map_err(|_| Unclear)?;
        for byte in agent {
            state = automaton.next_state(state, byte.to_ascii_lowercase());
            if automaton.is_special_state(state) {
                if automaton.is_match_state(state) {
                    return Ok(Some(automaton.match_pattern(state, 0)));
                }
                if automaton.is_dead_state(state) {
                    return Ok(None);
                }
                if automaton.is_quit_state(state) {
                    return Err(Unclear);
                }
            }
        }
        let end = automaton.next_eoi_state(state);
        Ok(automaton.is_match_state(end).then(|| automaton.match_pattern(end, 0)))
    }

    /// The entry that a pattern is of, as it was written.
    fn entry(&self, pattern: PatternID, agent: &[u8]) -> String {
        let agent = agent.to_ascii_lowercase();
        let names = |part: &str| {
            let part = part.to_ascii_lowercase();
            agent.windows(part.len().max(1)).any(|own| own == part.as_bytes())
        };
        match self.regexes.get(pattern.as_usize()) {
            Some(regex) => format!("~{regex}"),
            None => {
                self.plain.iter().find(|part| names(part)).map_or_else(String::new, |part| part.to_string())
            }
        }
    }
}

/// Whether a program is named cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Unclear;

/// Why a request is refused.
enum Objection<'h> {
    /// It does not say what has sent it.
    Nameless,
    /// This is denied, by a pattern; or nobody can tell.
    Denied(&'h [u8], Result<PatternID, Unclear>),
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
        let Some(objection) = self.objection(&cx.head.headers) else { return Flow::Continue };
        let reason = if matches!(objection, Objection::Nameless) { "no_user_agent" } else { "user_agent" };
        cx.state.stopped_by = Some((KIND, reason));
        cx.state.remark(KIND, || self.words(&objection));
        Flow::Reply(
            Reply::problem(403, CODE, DETAIL, "client", false, cx.request_id())
                .header("cache-control", "no-store"),
        )
    }

    /// Nothing to do on the way back.
    pub fn on_response(&self, _: &mut ResponseCx<'_>) {}

    /// Looks at every field of the name: which one counts is for the service to say.
    fn objection<'h>(&self, headers: &'h Headers) -> Option<Objection<'h>> {
        let mut agents =
            headers.values(b"user-agent").filter(|agent| !agent.trim_ascii().is_empty()).peekable();
        if agents.peek().is_none() {
            return self.refuse_empty.then_some(Objection::Nameless);
        }
        agents.find_map(|agent| {
            let denied = match self.deny.as_ref()?.name(agent) {
                Ok(pattern) => Ok(pattern?),
                Err(unclear) => Err(unclear),
            };
            let is_allowed =
                self.allow.as_ref().is_some_and(|allow| matches!(allow.name(agent), Ok(Some(_))));
            (!is_allowed).then_some(Objection::Denied(agent, denied))
        })
    }

    /// Why a request is refused, for people.
    fn words(&self, objection: &Objection<'_>) -> String {
        match objection {
            Objection::Nameless => "it has no user-agent".to_owned(),
            Objection::Denied(agent, denied) => {
                let agent = String::from_utf8_lossy(agent);
                match (&self.deny, denied) {
                    (Some(deny), Ok(pattern)) => {
                        format!("user-agent {agent} has {} of deny", deny.entry(*pattern, agent.as_bytes()))
                    }
                    _ => format!("it cannot be told whether user-agent {agent} is in deny"),
                }
            }
        }
    }
}
