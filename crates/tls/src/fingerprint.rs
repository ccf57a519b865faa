//! What two settings are compared by: a digest over everything that they were made of.

use aws_lc_rs::digest::{Context, SHA256, digest};

/// A SHA-256 digest.
pub(crate) type Digest = [u8; 32];

/// The digest of some bytes.
pub(crate) fn of(bytes: &[u8]) -> Digest {
    narrow(digest(&SHA256, bytes).as_ref())
}

/// Takes in one input after the other; where one ends and the next begins counts too.
pub(crate) struct Fingerprint(Context);

impl Fingerprint {
    pub(crate) fn new() -> Fingerprint {
        Fingerprint(Context::new(&SHA256))
    }

    pub(crate) fn add(&mut self, bytes: &[u8]) -> &mut Fingerprint {
        self.0.update(&(bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
        self
    }

    pub(crate) fn flag(&mut self, flag: bool) -> &mut Fingerprint {
        self.add(&[u8::from(flag)])
    }

    pub(crate) fn finish(self) -> Digest {
        narrow(self.0.finish().as_ref())
    }
}

fn narrow(digest: &[u8]) -> Digest {
    let mut out = [0; 32];
    out.iter_mut().zip(digest).for_each(|(to, from)| *to = *from);
    out
}
