//! What is said to a directory, and what follows from its answers.
//!
//! A user is right if the directory takes the gateway for the user with that password. All else is asked as somebody whom
//! the operator has named. Entry point: [`ask`].

use std::cell::Cell;
use std::fmt;
use std::io;

use ldap3::{
    Ldap, LdapConnAsync, LdapConnSettings, LdapResult, Scope, SearchEntry, SearchOptions, StdStream,
};
use policy::ldap::{Account, AskDirectory, Directory, Entry, UserSearch, Who};
use tokio::net::UnixStream;

use super::connect::{Wire, connect};
use super::guard;

/// Results of binding that say that it is another password, or that nobody is let in by any: constraintViolation (locked,
/// with some), noSuchObject, invalidDNSyntax, inappropriateAuthentication (there is no password), invalidCredentials,
/// unwillingToPerform (inactive, with some). RFC 4511, appendix A.2.
const NO: &[u32] = &[19, 32, 34, 48, 49, 53];
const SUCCESS: u32 = 0;
/// What is not asked for: a search for nobody's attributes.
const EVERYBODY: &str = "(objectClass=*)";
/// The most groups of a user, by what a directory is asked for.
const MOST_GROUPS: i32 = 1000;
/// The longest text of a directory that is told to operators, in characters.
const LONGEST_TEXT: usize = 200;

/// Connects, asks, and says goodbye.
pub(super) async fn ask(ask: AskDirectory, tls: Option<tls::Client>) -> Result<Option<Entry>, String> {
    let wire = Box::pin(connect(&ask.directory, tls)).await?;
    let cannot = |error: io::Error| format!("no pipe to the library: {error}");
    // The library reads from a pipe: what comes is looked at before.
    let (ours, its) = std::os::unix::net::UnixStream::pair().map_err(cannot)?;
    ours.set_nonblocking(true).map_err(cannot)?;
    let ours = UnixStream::from_std(ours).map_err(cannot)?;
    let settings = LdapConnSettings::new().set_std_stream(StdStream::Unix(its));
    let (connection, mut ldap) =
        LdapConnAsync::with_settings(settings, "ldapi://pipe").await.map_err(|error| error.to_string())?;
    let talk = async {
        let said = talk(&mut ldap, &ask).await;
        // It closes the connection in any case.
        _ = ldap.unbind().await;
        drop(ldap);
        said
    };
    let (_, relayed, said) = tokio::join!(connection.drive(), Box::pin(relay(wire, ours)), Box::pin(talk));
    match (said, relayed) {
        (Err(Failed::Library(_)), Err(trouble)) => Err(trouble.to_string()),
        (said, _) => said.map_err(|failed| failed.to_string()),
    }
}

/// Carries what the library says to the directory, and what the directory answers to the library.
async fn relay(wire: Wire, mut library: UnixStream) -> Result<(), guard::Trouble> {
    let (from_directory, to_directory) = tokio::io::split(wire);
    let (from_library, to_library) = library.split();
    let asked = Cell::default();
    let there = guard::pass_questions(tokio::io::BufReader::new(from_library), to_directory, &asked);
    let back = guard::pass_answers(tokio::io::BufReader::new(from_directory), to_library, &asked);
    tokio::select! {
        biased;
        done = there => done,
        done = back => done,
    }
}

/// Why there is neither a yes nor a no.
enum Failed {
    /// There was no answer.
    Library(ldap3::LdapError),
    /// The directory does not do what it is asked for.
    Refused(&'static str, LdapResult),
    /// What it answers is of no use.
    Useless(String),
}

impl From<ldap3::LdapError> for Failed {
    fn from(error: ldap3::LdapError) -> Failed {
        Failed::Library(error)
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failed::Library(error) => write!(f, "no answer: {error}"),
            Failed::Refused(what, result) => {
                write!(f, "it refuses {what}: result {}", result.rc)?;
                let text: String = result.text.chars().take(LONGEST_TEXT).collect();
                if text.is_empty() { Ok(()) } else { write!(f, ", {text:?}") }
            }
            Failed::Useless(why) => f.write_str(why),
        }
    }
}

async fn talk(ldap: &mut Ldap, ask: &AskDirectory) -> Result<Option<Entry>, Failed> {
    let directory = &*ask.directory;
    let found = match &directory.who {
        Who::Named(name) => {
            let dn = name.fill(&ask.username, "");
            if !is_user(ldap, &dn, &ask.password).await? {
                return Ok(None);
            }
            own(ldap, directory, &dn).await?
        }
        Who::Found(search) => {
            if let Some(account) = &search.account {
                become_account(ldap, Some(account)).await?;
            }
            let Some(found) = find(ldap, directory, search, &ask.username).await? else {
                // Whoever does not exist is tried as well, as nobody, so that the number of answers tells no names.
                is_user(ldap, &format!("cn=nobody,{}", search.base), &ask.password).await?;
                return Ok(None);
            };
            if !is_user(ldap, &found.dn, &ask.password).await? {
                return Ok(None);
            }
            found
        }
    };
    let mut entry = entry(directory, &found)?;
    if let Some(groups) = &directory.groups {
        if let Who::Found(search) = &directory.who {
            become_account(ldap, search.account.as_ref()).await?;
        }
        let filter = groups.filter.fill(&entry.name, &entry.dn);
        let attributes = [&*groups.attribute];
        let (found, result) =
            look(ldap, &groups.base, Scope::Subtree, &filter, &attributes, MOST_GROUPS).await?;
        // Some of the groups are not the groups.
        if result.rc != SUCCESS {
            return Err(Failed::Refused("to look for groups", result));
        }
        entry.groups = found.iter().flat_map(|group| values(group, &groups.attribute)).cloned().collect();
    }
    Ok(Some(entry))
}

/// Whether the directory takes the gateway for an entry with a password.
async fn is_user(ldap: &mut Ldap, dn: &str, password: &str) -> Result<bool, Failed> {
    let result = ldap.simple_bind(dn, password).await?;
    match result.rc {
        SUCCESS => Ok(true),
        rc if NO.contains(&rc) => Ok(false),
        _ => Err(Failed::Refused("to verify a password", result)),
    }
}

/// Asks as the account of the gateway, or as nobody in particular, from now on.
async fn become_account(ldap: &mut Ldap, account: Option<&Account>) -> Result<(), Failed> {
    let (dn, password) = account.map_or(("", ""), |account| (&account.dn, account.password.expose()));
    let result = ldap.simple_bind(dn, password).await?;
    match result.rc {
        SUCCESS => Ok(()),
        _ => Err(Failed::Refused("the account of `search`", result)),
    }
}

/// The entry of somebody who is in.
async fn own(ldap: &mut Ldap, directory: &Directory, dn: &str) -> Result<SearchEntry, Failed> {
    let (mut found, result) = look(ldap, dn, Scope::Base, EVERYBODY, &wanted(directory), 1).await?;
    match found.pop() {
        Some(entry) => Ok(entry),
        None if result.rc == SUCCESS || result.rc == 32 || result.rc == 50 => Err(Failed::Useless(
            "users cannot read their own entries there: let them, or use `search`".to_owned(),
        )),
        None => Err(Failed::Refused("to show the entry of a user", result)),
    }
}

/// The one entry that a search finds.
async fn find(
    ldap: &mut Ldap,
    directory: &Directory,
    search: &UserSearch,
    username: &str,
) -> Result<Option<SearchEntry>, Failed> {
    let filter = search.filter.fill(username, "");
    let (mut found, result) =
        look(ldap, &search.base, Scope::Subtree, &filter, &wanted(directory), 2).await?;
    if found.len() > 1 {
        return Err(Failed::Useless("`filter` of `search` fits several entries for one name".to_owned()));
    }
    if result.rc != SUCCESS {
        return Err(Failed::Refused("to look for users", result));
    }
    let found = found.pop();
    // By no name anybody could get in, whatever the password is (RFC 4513 §5.1.1).
    if found.as_ref().is_some_and(|entry| entry.dn.is_empty()) {
        return Err(Failed::Useless("the entry of a user has no name there".to_owned()));
    }
    Ok(found)
}

/// Searches, and brings at most so many entries.
async fn look(
    ldap: &mut Ldap,
    base: &str,
    scope: Scope,
    filter: &str,
    attributes: &[&str],
    most: i32,
) -> Result<(Vec<SearchEntry>, LdapResult), Failed> {
    let options = SearchOptions::new().sizelimit(most);
    let found = ldap.with_search_options(options).search(base, scope, filter, attributes.to_vec()).await?;
    Ok((found.0.into_iter().map(SearchEntry::construct).collect(), found.1))
}

fn wanted(directory: &Directory) -> Vec<&str> {
    std::iter::once(&*directory.name_attribute).chain(directory.consumer_attribute.as_deref()).collect()
}

/// What is known of a user whose entry was found.
fn entry(directory: &Directory, found: &SearchEntry) -> Result<Entry, Failed> {
    // One name for one user, whichever was shown: the order of values means nothing (RFC 4511 §4.1.7).
    let Some(name) = values(found, &directory.name_attribute).min() else {
        let what = format!("it does not show the attribute `{}` of a user", directory.name_attribute);
        return Err(Failed::Useless(what));
    };
    let mut consumers = directory.consumer_attribute.iter().flat_map(|name| values(found, name));
    let consumer = consumers.next().filter(|_| consumers.next().is_none());
    Ok(Entry { dn: found.dn.clone(), name: name.clone(), consumer: consumer.cloned(), groups: Vec::new() })
}

/// The values of an attribute. Names of attributes are in any case (RFC 4512 §2.5).
fn values<'e>(entry: &'e SearchEntry, attribute: &str) -> impl Iterator<Item = &'e String> {
    let found = entry.attrs.iter().find(|(name, _)| name.eq_ignore_ascii_case(attribute));
    found.map(|(_, values)| values).into_iter().flatten()
}
