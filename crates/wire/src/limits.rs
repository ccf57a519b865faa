//! How large a head may be.

/// The longest method that is accepted.
pub(crate) const METHOD_BYTES: usize = 64;

/// How large a head may be.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// Bytes of the whole head, with line ends.
    pub bytes: usize,
    /// Number of fields.
    pub fields: usize,
    /// Bytes of the request target; not used for responses.
    pub target: usize,
}
