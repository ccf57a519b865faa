//! Spans, codes and diagnostics of a configuration, and their rendering as text and JSON.
//!
//! A [`Diagnostic`] says what is wrong, where, and what to do about it. [`Diagnostics`] gathers them, so that
//! one run shows every mistake. This crate knows nothing of YAML, of the language or of the gateway: it only
//! knows texts, places in them, and the closed list of things that can be said about them ([`Code`]).
//!
//! Entry points: [`Sources`], [`Diagnostic::error`], [`Diagnostics::push`], [`render_text`], [`render_json`].

mod clean;
mod code;
mod diagnostic;
mod hidden;
mod json;
mod source;
mod suggest;
mod text;
mod veil;

pub use clean::visible;
pub use code::Code;
pub use diagnostic::{Diagnostic, Diagnostics, Severity, counted};
pub use hidden::{Hidden, Words};
pub use json::render_json;
pub use source::{Position, SourceId, Sources, Span, Spanned};
pub use suggest::closest;
pub use text::render_text;
pub use veil::{Veil, is_harmless_key};
