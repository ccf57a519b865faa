//! Names of fields by which the gateway tells services of callers. Clients cannot send them, in heads or in trailers.
//!
//! Entry points: [`is_identity_field`], and [`reads_like`] for names that a configuration adds.

/// The field that names the consumer to services.
pub const CONSUMER_FIELD: &[u8] = b"x-consumer";

/// Whether a name is one that tells services about consumers, or what a service could take for one: many write `_`
/// for all that is neither letter nor digit. Clients cannot send such fields.
#[inline]
pub fn is_identity_field(name: &[u8]) -> bool {
    name.len() >= CONSUMER_FIELD.len() && reads_like(&name[..CONSUMER_FIELD.len()], CONSUMER_FIELD)
}

/// Whether a service could take a name for another one, which is in lower case.
pub fn reads_like(name: &[u8], wanted: &[u8]) -> bool {
    let same = |(&own, &wanted): (&u8, &u8)| match wanted {
        b'a'..=b'z' | b'0'..=b'9' => own.eq_ignore_ascii_case(&wanted),
        _ => !own.is_ascii_alphanumeric(),
    };
    name.len() == wanted.len() && name.iter().zip(wanted).all(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_read_like_ours_are_known() {
        for name in ["x-consumer", "X-Consumer", "X_CONSUMER", "x.consumer-groups", "x-consumer-id"] {
            assert!(is_identity_field(name.as_bytes()), "{name}");
        }
        for name in ["x-consume", "y-consumer", "xx-consumer", ""] {
            assert!(!is_identity_field(name.as_bytes()), "{name}");
        }
        assert!(reads_like(b"X.User", b"x-user") && !reads_like(b"x-users", b"x-user"));
    }
}
