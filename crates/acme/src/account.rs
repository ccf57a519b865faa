//! The account at a directory: made once, kept in the store, and found again after a restart.

use std::time::{Duration, Instant};

use instant_acme::{Account, AccountCredentials, NewAccount};
use serde_json::Value;
use tokio::sync::Mutex;

use crate::directory::Directory;
use crate::{Error, Store};

/// What a directory offers changes rarely; so often it is looked at again.
const FRESH: Duration = Duration::from_secs(86_400);

/// The account at a directory.
pub(crate) struct Accounts {
    pub(crate) directory: String,
    pub(crate) email: Option<String>,
    pub(crate) server: Directory,
    pub(crate) store: Store,
    /// Whoever needs the account first makes it, and others wait: there must not be two.
    open: Mutex<Option<(Account, Instant)>>,
}

impl Accounts {
    pub(crate) fn new(directory: String, email: Option<String>, server: Directory, store: Store) -> Accounts {
        Accounts { directory, email, server, store, open: Mutex::new(None) }
    }

    /// The account, made if there is none.
    ///
    /// # Errors
    /// The store cannot be read or written, or the server does not give one.
    pub(crate) async fn open(&self) -> Result<Account, Error> {
        let mut open = self.open.lock().await;
        if let Some((account, since)) = &*open
            && since.elapsed() < FRESH
        {
            return Ok(account.clone());
        }
        let account = match self.store.account(&self.directory)?.as_deref().map(credentials) {
            Some(Some((credentials, email))) => self.restore(credentials, email).await?,
            Some(None) => {
                // What is stored is of no use any more, but it may be the only trace of a key.
                self.store.put_account_aside(&self.directory)?;
                self.create().await?
            }
            None => self.create().await?,
        };
        *open = Some((account.clone(), Instant::now()));
        Ok(account)
    }

    /// The account did not work. What was learnt from the directory is forgotten; if the server does not know the
    /// account, the next order makes a new one.
    ///
    /// # Errors
    /// The store cannot be changed.
    pub(crate) async fn doubt(&self, unknown: bool) -> Result<(), Error> {
        let mut open = self.open.lock().await;
        // The first of several orders that failed puts it aside; those after it must not do so with the new one.
        let was_open = open.take().is_some();
        if unknown && was_open { self.store.put_account_aside(&self.directory) } else { Ok(()) }
    }

    async fn restore(
        &self,
        credentials: AccountCredentials,
        email: Option<String>,
    ) -> Result<Account, Error> {
        let text = serde_json::to_value(&credentials);
        let builder = Account::builder_with_http(Box::new(self.server.clone()));
        let account = builder.from_credentials(credentials).await.map_err(|error| self.failed(&error))?;
        if email != self.email {
            let contact = self.contact();
            let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
            // An authority that does not like the address must not end renewals. It is told again another day.
            if account.update_contacts(&contact).await.is_ok() {
                self.keep(text)?;
            }
        }
        Ok(account)
    }

    async fn create(&self) -> Result<Account, Error> {
        let contact = self.contact();
        let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
        let new =
            NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
        let builder = Account::builder_with_http(Box::new(self.server.clone()));
        let made = builder.create(&new, self.directory.clone(), None).await;
        let (account, credentials) = made.map_err(|error| self.failed(&error))?;
        self.keep(serde_json::to_value(&credentials))?;
        Ok(account)
    }

    fn keep(&self, credentials: Result<Value, serde_json::Error>) -> Result<(), Error> {
        let credentials = credentials.map_err(|error| Error::new(error.to_string()))?;
        let kept = serde_json::json!({ "email": self.email, "credentials": credentials });
        self.store.set_account(&self.directory, &format!("{kept:#}\n"))
    }

    fn contact(&self) -> Option<String> {
        self.email.as_ref().map(|email| format!("mailto:{email}"))
    }

    fn failed(&self, error: &instant_acme::Error) -> Error {
        Error::with_sources(error).after(format!("no account at {}", self.directory))
    }
}

/// What is stored: the key and URL of the account, and the address the authority knows.
fn credentials(text: &str) -> Option<(AccountCredentials, Option<String>)> {
    let root: Value = serde_json::from_str(text).ok()?;
    let email = root.get("email")?.as_str().map(str::to_owned);
    // Not from the tree: the library reads a borrowed text.
    let credentials = serde_json::from_str(&root.get("credentials")?.to_string()).ok()?;
    Some((credentials, email))
}
