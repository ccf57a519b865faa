//! What is known of one request when it is over.

use std::time::{Duration, Instant};

use message::{Fault, Method, Version};

/// What is known of one request when it is over. The data plane fills it in on the way; it is owned by the
/// request and reused with it.
#[derive(Debug, Clone)]
pub struct Record {
    /// When its first byte was seen.
    pub started: Instant,
    /// The method; `None` where no head could be read.
    pub method: Option<Method>,
    /// The version of HTTP that it came in; `None` where no head could be read.
    pub version: Option<Version>,
    /// The status of the answer; 499 where the client had gone before there was one.
    pub status: u16,
    /// Why it could not be served normally, if so.
    pub fault: Option<Fault>,
    /// Bytes that came from the client: head and body, as they were on the wire.
    pub received: u64,
    /// Bytes that went to the client: head and body, as they were on the wire.
    pub sent: u64,
    /// Attempts after the first.
    pub retries: u32,
    /// How long it took to open a connection to the service; `None` if a kept one was used.
    pub connect: Option<Duration>,
    /// From the first byte of the request to the head of the service's response.
    pub first_byte: Option<Duration>,
}

impl Record {
    /// Of a request that begins now.
    pub fn begin(started: Instant) -> Record {
        Record {
            started,
            method: None,
            version: None,
            status: 0,
            fault: None,
            received: 0,
            sent: 0,
            retries: 0,
            connect: None,
            first_byte: None,
        }
    }
}
