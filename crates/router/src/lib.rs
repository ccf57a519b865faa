//! Match tables: which route a request takes, by a documented precedence.
