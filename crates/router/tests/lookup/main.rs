//! The router as its callers see it: precedence, equivalence with a plain scan, reachability, ways around,
//! and scale.

#[cfg(test)]
mod around;
#[cfg(test)]
mod equivalence;
#[cfg(test)]
mod precedence;
#[cfg(test)]
mod reachability;
#[cfg(test)]
mod request;
#[cfg(test)]
mod scale;
