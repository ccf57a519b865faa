//! The compiled, immutable form of a configuration that requests use.
