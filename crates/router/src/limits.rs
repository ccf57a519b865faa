//! How large a pattern may be.

/// Longest pattern, in bytes: a request with a longer path would be refused before.
pub(crate) const MAX_PATTERN_BYTES: usize = 4096;
/// Most segments of a template or prefix. It bounds how deep the trie is.
pub(crate) const MAX_SEGMENTS: usize = 64;
