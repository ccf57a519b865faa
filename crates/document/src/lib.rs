//! Text to a tree of spanned nodes, and typed extraction that reports every mistake at once.
