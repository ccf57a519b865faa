//! Passwords and their hashes: argon2 (RFC 9106), and bcrypt for those that come from elsewhere.
//!
//! All of this takes long on purpose: none of it is for the thread that serves requests.

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};

/// The most memory that a hash may ask for, in KiB: 256 MiB.
const MOST_MEMORY: u32 = 256 * 1024;
/// The most passes over that memory.
const MOST_PASSES: u32 = 16;
/// The greatest cost of bcrypt: about two seconds.
const MOST_COST: u32 = 15;

/// Whether a text is the hash of a password that can be verified at a cost that can be borne.
///
/// # Errors
/// In words for a message, which repeat nothing of it but what it costs.
pub fn check_password_hash(hash: &str) -> Result<(), String> {
    if is_bcrypt(hash) {
        let parts: bcrypt::HashParts =
            hash.parse().map_err(|_| "it is not a whole bcrypt hash".to_owned())?;
        return match parts.get_cost() {
            cost if cost <= MOST_COST => Ok(()),
            cost => Err(format!("a cost of {cost} takes too long; at most {MOST_COST} can be borne")),
        };
    }
    let parsed = PasswordHash::new(hash)
        .map_err(|_| "expected `$argon2id$v=19$m=…,t=…,p=…$salt$hash` or `$2b$cost$…`".to_owned())?;
    Algorithm::try_from(parsed.algorithm.as_str()).map_err(|_| "it is a hash of another kind".to_owned())?;
    let params = Params::try_from(&parsed).map_err(|_| "its parameters are not valid".to_owned())?;
    if params.m_cost() > MOST_MEMORY || params.t_cost() > MOST_PASSES {
        return Err(format!("it asks for too much; at most m={MOST_MEMORY}, t={MOST_PASSES} can be borne"));
    }
    if parsed.hash.is_none() || parsed.salt.is_none() {
        return Err("it has no salt, or no hash".to_owned());
    }
    Ok(())
}

fn is_bcrypt(hash: &str) -> bool {
    ["$2a$", "$2b$", "$2x$", "$2y$"].iter().any(|kind| hash.starts_with(kind))
}

/// Whether a password is the one of a hash. A hash that cannot be read is nobody's.
pub fn verify_password(password: &[u8], hash: &str) -> bool {
    if is_bcrypt(hash) {
        // Most implementations look at the first 72 bytes only, and hashes from elsewhere were made so.
        return bcrypt::verify(password, hash).unwrap_or(false);
    }
    PasswordHash::new(hash).is_ok_and(|parsed| Argon2::default().verify_password(password, &parsed).is_ok())
}

/// The hash of a password with what RFC 9106 and OWASP ask for at least: argon2id, 19 MiB, two passes.
///
/// # Errors
/// In words, if the password is too long or no salt can be had.
pub fn hash_password(password: &[u8]) -> Result<String, String> {
    let mut salt = [0; 16];
    aws_lc_rs::rand::fill(&mut salt).map_err(|_| "the system gives no random numbers".to_owned())?;
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::default());
    let hash: PasswordHash = argon
        .hash_password_with_salt(password, &salt)
        .map_err(|error| format!("the password cannot be hashed: {error}"))?;
    Ok(hash.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hashed_is_verified() {
        let hash = hash_password(b"open sesame").unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_eq!(check_password_hash(&hash), Ok(()));
        assert!(verify_password(b"open sesame", &hash) && !verify_password(b"open sesam", &hash));
        assert_ne!(hash_password(b"open sesame").unwrap(), hash, "each has a salt of its own");
    }

    /// Made by `htpasswd -nbBC 5 u secret` and by Python's `argon2-cffi`.
    #[test]
    fn hashes_from_elsewhere_are_verified() {
        let bcrypt = "$2y$05$bvIG6Nmid91Mu9RcmmWZfO5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe";
        assert_eq!(check_password_hash(bcrypt), Ok(()));
        assert!(!verify_password(b"secret2", bcrypt));
    }

    #[test]
    fn what_is_no_hash_or_costs_too_much_is_refused() {
        for hash in [
            "",
            "secret",
            "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ",
            "$argon2id$v=19$m=4000000,t=2,p=1$c2FsdHNhbHQ$9sTbSlTio3Biev89thdrlKKiCaYsjjYVJxGAL3swxpQ",
            "$argon2id$v=19$m=19456,t=99,p=1$c2FsdHNhbHQ$9sTbSlTio3Biev89thdrlKKiCaYsjjYVJxGAL3swxpQ",
            "$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E",
            "$2b$31$bvIG6Nmid91Mu9RcmmWZfO5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe",
            "$2b$05$short",
        ] {
            assert!(check_password_hash(hash).is_err(), "{hash}");
            if !hash.contains("m=4000000") && !hash.contains("$31$") {
                assert!(!verify_password(b"x", hash), "{hash}");
            }
        }
    }
}
