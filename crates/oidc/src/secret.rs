//! Text that must not be seen: client secrets and tokens.
//!
//! Memory is wiped when it is dropped, and nothing here prints it. It must not know what the text is for. Entry
//! points: [`Secret::new`] and [`Secret::expose`].

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Text that is wiped when dropped, compared in constant time, and not shown by `Debug`.
#[derive(Clone, Default)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text over.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself. The name is meant to stand out where it is used.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        same(self.expose(), other.expose())
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Secret(..)")
    }
}

/// Whether two texts are equal, in a time that tells only whether their lengths are.
pub(crate) fn same(a: &str, b: &str) -> bool {
    a.as_bytes().ct_eq(b.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_equal_to_itself_alone_and_never_shown() {
        let secret = Secret::new("hunter2".to_owned());
        assert_eq!(format!("{secret:?}"), "Secret(..)");
        assert_eq!(secret, secret.clone());
        for other in ["hunter", "hunter3", ""] {
            assert!(secret != Secret::new(other.to_owned()), "{other}");
        }
    }
}
