//! What a policy has to tell the store that gateways share, and nobody waits for.
//!
//! A policy opens no socket: it leaves errands with the request, and whoever runs the chain has them run. One that is
//! never run is as good as one that fails. Entry points: [`Errand`], [`Errands`].

use std::cell::RefCell;

use store::{Flight, OwnAsk};

/// What the store is to be told.
#[derive(Debug)]
pub enum Errand {
    /// Units are to be charged ahead of need.
    Fly(Flight),
    /// This was used besides, whether it fits or not.
    Charge(OwnAsk),
    /// This was charged and not used.
    GiveBack(OwnAsk),
}

/// The errands of one request. Policies leave them on the way there and on the way back.
#[derive(Debug, Default)]
pub struct Errands(RefCell<Vec<Errand>>);

/// A copy of a request has none: they are run once.
impl Clone for Errands {
    fn clone(&self) -> Self {
        Errands::default()
    }
}

impl Errands {
    /// Leaves an errand, if there is one.
    pub(crate) fn extend(&self, errand: Option<Errand>) {
        self.0.borrow_mut().extend(errand);
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    /// All of them, to be run.
    pub fn take(&self) -> Vec<Errand> {
        self.0.take()
    }
}
