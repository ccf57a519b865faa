//! Value types of the language: durations, sizes, shares, addresses, secrets.
//!
//! Each is made of a single value, says exactly what is wrong with another one, and shows a right one. They
//! know nothing of where they are used.

mod address;
mod binary;
mod duration;
mod file;
mod linked;
mod percent;
mod secret;
mod size;

pub use address::{Cidr, SocketAddress};
pub use binary::{BinaryFile, FileBytes};
pub use duration::DurationValue;
pub use file::{File, FileText, Files};
pub use linked::{LinkedFiles, MAX_LINKED, read_linked};
pub use percent::Percent;
pub use secret::Secret;
pub use size::ByteSize;

use diagnostics::{Code, Diagnostic, Diagnostics, Words};

use crate::node::{Node, Scalar};

/// The single value of a node, or a message that reads on from "expected".
fn scalar_of<'a>(node: &'a Node, wanted: &str, diagnostics: &mut Diagnostics) -> Option<&'a Scalar> {
    let scalar = node.scalar();
    if scalar.is_none() {
        diagnostics.push(node.wrong_type(wanted));
    }
    scalar
}

/// Says that a value is not a `what`, and what to do. Returns `None`, for the end of a decoder.
fn refuse<T>(
    code: Code,
    node: &Node,
    what: &str,
    help: impl Into<Words>,
    diagnostics: &mut Diagnostics,
) -> Option<T> {
    let message = Words::fixed(format!("{} is not {what}", node.kind()));
    let label = Words::fixed(format!("expected {what}"));
    diagnostics.push(Diagnostic::error(code, node.span, message).label(label).help(help));
    None
}

#[cfg(test)]
mod tests;
