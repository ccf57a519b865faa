//! What the user writes.

use diagnostics::Spanned;
use document::{DurationValue, File, Map, Secret, section};

use crate::claims::Needed;

section! {
    /// Recognises callers by user names and passwords (HTTP Basic, RFC 7617) that a directory verifies (LDAP, RFC 4511). Use
    /// it with HTTPS only: the password is sent along with each request.
    pub struct Raw {
        /// Where the directory is: `ldaps://HOST`, or `ldap://HOST` with `start_tls`. The port is 636 or 389 without one.
        url: Spanned<String>,
        /// Whether encryption is asked for on a connection of `ldap://`, before anything else is said.
        start_tls: bool = "false",
        /// Whether passwords may be sent without encryption to a directory that is not on this machine.
        allow_plaintext: bool = "false",
        /// Authorities that vouch for the directory, PEM; those of the system without it.
        ca: Option<File>,
        /// The entry of a user, with the name in the place of `{username}`: `"uid={username},ou=people,dc=example,dc=com"`.
        /// This or `search`.
        bind_dn: Option<Spanned<String>>,
        /// How the entry of a user is found where it cannot be told from the name.
        search: Option<Search>,
        /// How the groups of a user are found. Nobody has any without it.
        groups: Option<Groups>,
        /// The attribute of an entry that holds the `name` of a consumer. Users who could change it themselves could be
        /// anybody. A user is no consumer without it.
        consumer_attribute: Option<Spanned<String>>,
        /// Whether it has to be a consumer of the configuration.
        consumer: Needed = "optional",
        /// What the service is told, by the header that it finds it in: `sub` is the name of the user, `dn` that of the
        /// entry, `groups` the groups: `{ x-user: sub }`.
        claims_to_headers: Option<Map<Spanned<String>>>,
        /// What browsers show when they ask for a password.
        realm: String = "gateward",
        /// How long a password that was right is believed without asking again, in whole seconds. `0s` asks for each
        /// request. Somebody who is removed from the directory gets in for as long as that.
        cache: DurationValue = "5m",
        /// How long the directory may take for all that it is asked.
        timeout: Spanned<DurationValue> = "3s",
        /// Whether the service gets the password too.
        forward: bool = "false",
    }
}

section! {
    /// How the entry of a user is found. There has to be one and no more.
    pub struct Search {
        /// The entry below which users are: `ou=people,dc=example,dc=com`.
        base: Spanned<String>,
        /// What holds for the entry of a user, with the name in the place of `{username}` (RFC 4515).
        filter: Spanned<String> = "(uid={username})",
        /// The entry by whose name the gateway searches. Without it the directory has to let anybody search.
        bind_dn: Option<Spanned<String>>,
        /// Its password: take it from outside, `"${env:NAME}"` or `"${file:path}"`.
        bind_password: Option<Spanned<Secret>>,
    }
}

section! {
    /// How the groups of a user are found. The user looks for them, or whoever searches for users.
    pub struct Groups {
        /// The entry below which groups are: `ou=groups,dc=example,dc=com`.
        base: Spanned<String>,
        /// What holds for the groups of a user, with the entry in the place of `{dn}`, and the name of the user in that of
        /// `{username}`: `"(memberUid={username})"`.
        filter: Spanned<String> = "(member={dn})",
        /// The attribute that holds what a group is called.
        attribute: Spanned<String> = "cn",
    }
}
