//! Heads and trailers of HTTP/2 and HTTP/3 messages (RFC 9113 §8, RFC 9114 §4).
//!
//! Frames, header compression and flow control are the business of the `h2` and `h3` crates, which deliver
//! and take types of the `http` crate. Here those become the types of `message` and back, under the same
//! strictness as HTTP/1.1: what is malformed on a stream never becomes a head of another version. The
//! crates check much of it too, but not the same things, so nothing here relies on them. Entry points:
//! [`read_request`], [`read_response`], [`request_message`], [`response_message`].

mod fields;
mod frames;
mod meter;
mod pseudo;
mod read;
mod trailers;
mod write;

pub use frames::{FrameError, FrameReader};
pub use meter::FrameMeter;
pub use read::{read_request, read_response};
pub use trailers::{read_trailers, trailers_message};
pub use write::{request_message, response_message};
