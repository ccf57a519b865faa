//! House rules as tests: layers, module docs, budgets, generated references.
fn main() {}
