//! Counts requests that are under way, and refuses those over a limit.

use std::sync::{Arc, LazyLock};

use limits::{Key, Slot, Slots};
use message::{Problem, Reply};

use crate::subject::Whose;
use crate::trial::{DRY_RUN, tried};
use crate::{Flow, RequestCx, ResponseCx, Stage};

const KIND: &str = "concurrency";

/// A limit.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) most: u32,
    pub(crate) whose: Whose,
    pub(crate) slots: Arc<Slots>,
    pub(crate) dry_run: bool,
}

/// Ready to run.
#[derive(Debug)]
pub struct Ready {
    pub(crate) rules: Box<[Rule]>,
    /// Where it is written; empty for the gateway.
    pub(crate) place: String,
}

/// Places that a request holds until it is over. A copy of the request holds none.
#[derive(Debug, Default)]
pub(crate) struct Held(Vec<Slot>);

impl Clone for Held {
    fn clone(&self) -> Self {
        Held::default()
    }
}

impl Held {
    /// The request is over.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

impl Ready {
    /// When it is known who is calling and that it may.
    pub const STAGE: Stage = Stage::Limit;
    /// That is what it is for.
    pub const CAN_REFUSE: bool = true;

    /// Lets the request pass if all limits have a place for it, which it holds until it is over.
    pub fn on_request(&self, cx: &mut RequestCx<'_>) -> Flow {
        if cx.state.is_explained() {
            let words = self.in_words(cx);
            cx.state.remark(KIND, || words);
            return Flow::Continue;
        }
        match self.enter(KIND, cx) {
            Ok(()) => Flow::Continue,
            Err(reply) => Flow::Reply(reply),
        }
    }

    /// Which limits hold for a request, and whose they are.
    pub(crate) fn in_words(&self, cx: &RequestCx<'_>) -> String {
        let words = self.rules.iter().map(|rule| {
            format!("{} at once of {}{}", rule.most, rule.whose.in_words(cx), tried(rule.dry_run))
        });
        words.collect::<Vec<_>>().join("; ")
    }

    /// Takes a place in all limits, or in none: then with the answer of a policy of this kind.
    pub(crate) fn enter(&self, kind: &'static str, cx: &mut RequestCx<'_>) -> Result<(), Reply> {
        let before = cx.state.held.0.len();
        for rule in &self.rules {
            match rule.slots.take(rule.key(cx), rule.most) {
                Some(slot) => cx.state.held.0.push(slot),
                None if rule.dry_run => cx.state.tried = Some((kind, DRY_RUN)),
                None => {
                    cx.state.held.0.truncate(before);
                    return Err(rule.refuse(kind, cx));
                }
            }
        }
        Ok(())
    }

    /// Nothing to do: the places are given back when the request is over.
    pub fn on_response(&self, _: &mut ResponseCx<'_>) {}
}

impl Rule {
    fn key(&self, cx: &RequestCx<'_>) -> Key {
        self.slots.key(|out| self.whose.hash(cx, out))
    }

    /// Where all share the limit, nobody of them has done too much.
    fn refuse(&self, kind: &'static str, cx: &mut RequestCx<'_>) -> Reply {
        cx.state.stopped_by = Some((kind, "too_many_at_once"));
        if self.whose.is_route() { CROWDED.reply() } else { TOO_MANY.reply() }.retry_after(1)
    }
}

/// What is answered where all share the limit.
static CROWDED: LazyLock<Problem> = LazyLock::new(|| {
    let detail = "As many requests as may be are under way here. Try again in a moment.";
    Problem::new(503, "too-many-at-once", detail, "gateway", true)
});

/// What is answered to those who have the limit for themselves.
static TOO_MANY: LazyLock<Problem> = LazyLock::new(|| {
    let detail = "As many of your requests as may be are under way. Wait until one of them has its answer.";
    Problem::new(429, "too-many-at-once", detail, "client", true)
});
