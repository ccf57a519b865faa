//! What `cors` remembers of a request until its answer. The room for it is kept for the next request.

/// The longest origin that may read an answer, in bytes: a long scheme, a host name of 253 (RFC 1035 §2.3.4), a port.
const MAX_ORIGIN: usize = 288;

/// What `cors` remembers of a request.
#[derive(Clone, Default)]
pub struct CorsMemory {
    /// Empty for none.
    origin: Vec<u8>,
    preflight: bool,
}

impl std::fmt::Debug for CorsMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let origin = self.origin().map(String::from_utf8_lossy);
        f.debug_struct("CorsMemory").field("origin", &origin).field("preflight", &self.preflight).finish()
    }
}

impl CorsMemory {
    /// Back to the state before the first policy.
    pub fn clear(&mut self) {
        self.origin.clear();
        self.preflight = false;
    }

    /// The origin that may read the answer, as the browser has sent it.
    pub(crate) fn origin(&self) -> Option<&[u8]> {
        Some(self.origin.as_slice()).filter(|origin| !origin.is_empty())
    }

    /// This origin may read the answer. One that is too long to be an origin of a browser may not.
    pub(crate) fn grant(&mut self, origin: &[u8]) {
        if origin.len() <= MAX_ORIGIN {
            self.origin.clear();
            self.origin.extend_from_slice(origin);
        }
    }

    /// Whether the answer is the one to a preflight, in which everything has been said.
    pub(crate) fn is_preflight(&self) -> bool {
        self.preflight
    }

    /// The answer is the one to a preflight.
    pub(crate) fn answer_preflight(&mut self) {
        self.preflight = true;
    }
}
