//! Model to snapshot, with every diagnostic at once: pure, without network or clock.
