//! What is asked of a signature, beside that it is genuine.
//!
//! Entry point: [`Rules`].

use std::time::Duration;

use crate::{Algorithms, Refusal, Requirement};

/// What is asked of a signature.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Whether HTTP Message Signatures (RFC 9421) are looked at.
    pub message_form: bool,
    /// Whether the header form is looked at: `Authorization: hmac …`.
    pub header_form: bool,
    /// How far the time of a signature may be from ours, in both directions; whole seconds count. It is also how
    /// long a signature may be used. 5 minutes, as Kong has it.
    pub max_skew: Duration,
    /// The algorithms that are allowed: all but `hmac-sha1`.
    pub algorithms: Algorithms,
    /// What a signature of RFC 9421 must cover: method, authority, path and query. With less, one that was made for
    /// one request could be used for another (RFC 9421 §7.2.1).
    pub required: Vec<Requirement>,
    /// What a signature of the header form must cover, beside the time, which it must cover always: method, path
    /// and query.
    pub required_in_header: Vec<Requirement>,
    /// The label of the signature to look at (RFC 9421 §4). Others are left alone.
    pub label: Option<String>,
    /// The tag of the signatures to look at (RFC 9421 §2.3). Others are left alone.
    pub tag: Option<String>,
    /// Whether `created` must be there: yes. Without, `expires` must be, and no further away than
    /// [`Rules::max_skew`].
    pub require_created: bool,
    /// Whether a nonce must be there: no. The header form has none, so this refuses it.
    pub require_nonce: bool,
    /// Whether a request with a body must cover a digest of it: yes. Whoever sets this to `false` says that the body
    /// may be replaced by anybody on the way.
    pub require_digest: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Rules {
            message_form: true,
            header_form: true,
            max_skew: Duration::from_secs(300),
            algorithms: Algorithms::default(),
            required: Requirement::message_default(),
            required_in_header: Requirement::header_default(),
            label: None,
            tag: None,
            require_created: true,
            require_nonce: false,
            require_digest: true,
        }
    }
}

impl Rules {
    /// For how many seconds from now on a signature can still be good, at most: what a
    /// [`ReplayGuard`](crate::ReplayGuard) has to remember.
    #[must_use]
    pub fn horizon(&self) -> u64 {
        self.max_skew.as_secs().saturating_mul(2).saturating_add(1)
    }

    /// Checks the times of a signature, in seconds since 1970, and tells the first second at which it is not good
    /// any more.
    pub(crate) fn check_times(
        &self,
        created: Option<u64>,
        expires: Option<u64>,
        now: u64,
    ) -> Result<u64, Refusal> {
        let skew = self.max_skew.as_secs();
        if expires.is_some_and(|expires| expires <= now || created.is_some_and(|created| expires < created)) {
            return Err(Refusal::Expired);
        }
        match (created, expires) {
            (Some(created), _) if created > now.saturating_add(skew) => Err(Refusal::NotYetValid),
            (Some(created), _) if now > created.saturating_add(skew) => Err(Refusal::TooOld),
            (Some(created), expires) => {
                let end = created.saturating_add(skew).saturating_add(1);
                Ok(expires.map_or(end, |expires| expires.min(end)))
            }
            (None, _) if self.require_created => Err(Refusal::NoTime),
            (None, Some(expires)) if expires > now.saturating_add(skew) => Err(Refusal::EndsTooLate),
            (None, Some(expires)) => Ok(expires),
            (None, None) => Err(Refusal::NoTime),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_good_up_to_the_edge() {
        let strict = Rules::default();
        let lax = Rules { require_created: false, ..Rules::default() };
        let now = 10_000;
        for (rules, created, expires, want) in [
            (&strict, Some(now), None, Ok(now + 301)),
            (&strict, Some(now - 300), None, Ok(now + 1)),
            (&strict, Some(now - 301), None, Err(Refusal::TooOld)),
            (&strict, Some(now + 300), None, Ok(now + 601)),
            (&strict, Some(now + 301), None, Err(Refusal::NotYetValid)),
            (&strict, Some(u64::MAX), None, Err(Refusal::NotYetValid)),
            (&strict, Some(0), None, Err(Refusal::TooOld)),
            (&strict, None, None, Err(Refusal::NoTime)),
            (&strict, None, Some(now + 1), Err(Refusal::NoTime)),
            (&strict, Some(now), Some(now + 1), Ok(now + 1)),
            (&strict, Some(now), Some(now), Err(Refusal::Expired)),
            (&strict, Some(now), Some(now + 9_999), Ok(now + 301)),
            (&strict, Some(now + 10), Some(now + 9), Err(Refusal::Expired)),
            (&lax, None, None, Err(Refusal::NoTime)),
            (&lax, None, Some(now), Err(Refusal::Expired)),
            (&lax, None, Some(now + 1), Ok(now + 1)),
            (&lax, None, Some(now + 300), Ok(now + 300)),
            (&lax, None, Some(now + 301), Err(Refusal::EndsTooLate)),
            (&lax, Some(now - 301), Some(now + 1), Err(Refusal::TooOld)),
        ] {
            let got = rules.check_times(created, expires, now);
            assert_eq!(got, want, "{created:?} {expires:?}");
            assert!(got.is_err() || got.is_ok_and(|end| end > now && end <= now + rules.horizon()));
        }
    }
}
