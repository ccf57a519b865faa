//! The control thread's own connection to the store that gateways share: for those who run the gateway.
//!
//! It asks how limits stand, and has the store forget. Requests go over connections of the workers. Entry point:
//! [`StoreView`].

use std::cell::RefCell;
use std::rc::Rc;

use store::{Ask, Decision, OwnAsk, Settings, Status, Store, Trouble};

/// What is known of the store of the configuration in use, and what can be asked of it.
#[derive(Clone, Default)]
pub struct StoreView(Rc<RefCell<Option<(Settings, Store)>>>);

impl std::fmt::Debug for StoreView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreView").finish_non_exhaustive()
    }
}

impl StoreView {
    /// Goes over to the store of a snapshot. One that stays the same keeps its connection.
    pub(crate) fn adopt(&self, settings: Option<&Settings>) {
        let same = self.0.borrow().as_ref().map(|(settings, _)| settings) == settings;
        if same {
            return;
        }
        let start = |settings: &Settings| {
            // The workers say how it is for them.
            let store = Store::start(settings.clone(), fastrand::Rng::new(), |_| {}).ok()?;
            Some((settings.clone(), store))
        };
        let started = settings.and_then(start);
        self.0.replace(started);
    }

    /// Where it is, without user and password, and how it is; `None` if there is none.
    pub fn status(&self) -> Option<(String, Status)> {
        let known = self.0.borrow();
        let (settings, store) = known.as_ref()?;
        Some((settings.address.to_string(), store.status()))
    }

    /// How a limit stands.
    ///
    /// # Errors
    /// The store has not said so in time.
    pub async fn look(&self, ask: &OwnAsk) -> Result<Decision, Trouble> {
        self.current()?.decide(&[Ask { cost: 0, ahead: 0, ..ask.ask() }]).await
    }

    /// Gives back what was charged to a limit.
    ///
    /// # Errors
    /// It is not known to have been given back.
    pub async fn give_back(&self, ask: &OwnAsk) -> Result<Decision, Trouble> {
        self.current()?.give_back(&[ask.ask()]).await
    }

    fn current(&self) -> Result<Store, Trouble> {
        self.0.borrow().as_ref().map(|(_, store)| store.clone()).ok_or(Trouble::Down)
    }
}
