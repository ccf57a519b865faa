//! Policies: one folder each, the stages they run in, and the list that registers them.
