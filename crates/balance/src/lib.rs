//! Choosing an endpoint: balancing algorithms and the retry budget, pure.
