//! Where the addresses of endpoints come from: one folder per source.
