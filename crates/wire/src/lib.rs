//! The HTTP/1.1 codec, without I/O: bytes in, decisions and bytes out.
//!
//! Strict on both sides: what could be read in two ways is refused (RFC 9112, RFC 9110), so that the
//! gateway and the service behind it never disagree about where a message ends. Nothing here knows
//! sockets, clocks, routes or policies. Entry points: [`HeadScan`] finds the end of a head,
//! [`parse_request`] and [`parse_response`] read it, [`BodyDecoder`] reads the body behind it, and
//! [`write_request`], [`write_response`] and [`frame_chunk`] write the other side.

mod bytes;
mod chunk;
mod connection;
mod decoder;
mod encode;
mod fields;
mod framing;
mod limits;
mod request;
mod response;
mod scan;
mod trailers;

pub use chunk::{CHUNK_HEAD, CHUNK_TAIL, frame_chunk, write_last_chunk};
pub use decoder::{BodyDecoder, Decoded};
pub use encode::{
    ConnectionHeader, RequestFraming, ResponseBody, ResponseFraming, write_request, write_response,
};
pub use framing::BodyLength;
pub use limits::HeadLimits;
pub use request::{RequestMeta, parse_request};
pub use response::{ResponseMeta, parse_response};
pub use scan::{HeadScan, Kind};

#[cfg(test)]
mod tests;
