//! The codecs, without I/O: HTTP/1.1, heads on streams, the PROXY protocol, bodies of gRPC-Web.
//!
//! Strict on both sides: what could be read in two ways is refused (RFC 9112, RFC 9110), so that the
//! gateway and the service behind it never disagree about where a message ends. Nothing here knows
//! sockets, clocks, routes or policies.
//!
//! Entry points, for HTTP/1.1: [`HeadScan`] finds the end of a head, [`parse_request`] and [`parse_response`]
//! read it, [`BodyDecoder`] reads the body behind it, and [`write_request`], [`write_response`] and
//! [`frame_chunk`] write the other side. For HTTP/2 and HTTP/3: [`read_request`] and [`read_response`] take what
//! came on a stream, [`request_message`] and [`response_message`] make what leaves on one. In front of a
//! connection: [`parse_proxy_header`]. For bodies of gRPC: [`GrpcMessageScan`], [`GrpcTextDecoder`] and
//! [`GrpcTextEncoder`].

mod bytes;
mod chunk;
mod connection;
mod decoder;
mod encode;
mod fields;
mod framing;
mod grpc;
mod limits;
mod proxy_protocol;
mod request;
mod response;
mod scan;
mod streams;
mod trailers;

pub use chunk::{CHUNK_HEAD, CHUNK_TAIL, frame_chunk, write_last_chunk};
pub use decoder::{BodyDecoder, Decoded};
pub use encode::{
    ConnectionHeader, RequestFraming, ResponseBody, ResponseFraming, end_response, write_request,
    write_response,
};
pub use framing::BodyLength;
pub use grpc::{GrpcMessageScan, GrpcTextDecoder, GrpcTextEncoder, write_grpc_web_trailers};
pub use limits::HeadLimits;
pub use proxy_protocol::{
    PROXY_V1_LOCAL, PROXY_V2_LOCAL, ProxyHeaderError, ProxySource, parse_proxy_header, write_proxy_v1,
    write_proxy_v2,
};
pub use request::{RequestMeta, parse_request};
pub use response::{ResponseMeta, parse_response};
pub use scan::{HeadScan, Kind};
pub use streams::{
    FrameError, FrameMeter, FrameReader, read_request, read_response, read_trailers, request_message,
    response_message, trailers_message,
};

#[cfg(test)]
mod tests;
