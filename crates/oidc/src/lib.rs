//! Login with OpenID Connect: what to ask, what to believe, and the sealed session; pure.
//!
//! This crate owns the side of the client of OpenID Connect: the authorization code flow with PKCE, the session
//! that is kept in sealed cookies, its renewal, and both ways of logout. It knows no socket, no clock and no
//! signature: requests to the provider are handed out as [`FormPost`], the time is passed in as `now` (seconds
//! since 1970), random bytes come from a [`Random`], and claims are taken only as [`Verified`], after the caller
//! has checked the signature of their token.
//!
//! Entry points, in the order of their use: [`Provider::parse`], [`Client::new`], [`Session::open`], [`begin`],
//! [`callback()`], [`Session::needs_refresh`], [`logout()`], [`ended`] and [`Revocations`].

mod backchannel;
mod callback;
mod claims;
mod client;
mod codec;
mod cookies;
mod facts;
mod form;
mod login;
mod logout;
mod provider;
mod refresh;
mod revocations;
mod seal;
mod secret;
mod session;
#[cfg(test)]
mod testing;
mod tokens;

pub use backchannel::{BACKCHANNEL_EVENT, Ended, LogoutTokenError, ended, logout_token_of};
pub use callback::{CallbackError, CompleteError, Completed, NeedsVerification, Pending, callback};
pub use claims::{ClaimError, Verified};
pub use client::{AuthMethod, Client, SameSite, Settings, SettingsMistake};
pub use cookies::hide_cookies;
pub use facts::RequestFacts;
pub use form::FormPost;
pub use login::{Login, LoginError, begin};
pub use logout::{Logout, LogoutError, logout};
pub use provider::{Mistake, Plaintext, Provider, keys_url, well_known_url};
pub use refresh::{Refresh, RefreshError};
pub use revocations::{Revocations, Room};
pub use seal::{Keys, NoRandomness, Random};
pub use secret::Secret;
pub use session::{Opened, Session, SessionError};
pub use tokens::TokenError;
