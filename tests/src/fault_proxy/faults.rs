//! What a [`super::FaultProxy`] may do to a connection. Entry point: [`Faults`].

use std::time::Duration;

/// What happens to a connection. By default nothing.
#[derive(Clone, Copy, Default, Debug)]
pub struct Faults {
    /// From the gateway to the service.
    pub request: Way,
    /// From the service to the gateway.
    pub response: Way,
}

/// What happens to the bytes of one direction.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    /// How long what was read is held before it is passed on. Nothing more is read meanwhile.
    pub delay: Duration,
    /// The most bytes that are passed on at a time.
    pub piece: usize,
    /// How long nothing is passed on after each piece.
    pub pause: Duration,
    /// What happens after so many bytes, counted from when this was set.
    pub stop: Option<(u64, Then)>,
}

/// What happens to a connection when so many bytes have passed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Then {
    /// It is closed on both sides, by a FIN, as by a process that closes it or ends. (What still comes on it is
    /// answered by a RST, as usual.)
    Close,
    /// It is reset on both sides. What the receiver has not read by then is lost to it.
    Reset,
    /// Only the receiver of this direction gets a FIN. The other direction goes on, and what still comes in this one is
    /// read and dropped.
    HalfClose,
    /// Nothing more is read or passed on in this direction, not even its end.
    Stall,
}

impl Default for Way {
    fn default() -> Way {
        Way { delay: Duration::ZERO, piece: usize::MAX, pause: Duration::ZERO, stop: None }
    }
}

impl Faults {
    /// Something happens after so many bytes from the gateway; with 0 at once.
    pub fn after_request(bytes: u64, then: Then) -> Faults {
        Faults { request: Way::until(bytes, then), ..Faults::default() }
    }

    /// Something happens after so many bytes from the service; with 0 at once.
    pub fn after_response(bytes: u64, then: Then) -> Faults {
        Faults { response: Way::until(bytes, then), ..Faults::default() }
    }

    /// The connection is accepted, and then nothing ever happens on it. Not even its end is noticed.
    pub fn black_hole() -> Faults {
        Faults { request: Way::until(0, Then::Stall), response: Way::until(0, Then::Stall) }
    }

    /// Everything takes so much longer, in each direction.
    pub fn late(delay: Duration) -> Faults {
        let way = Way { delay, ..Way::default() };
        Faults { request: way, response: way }
    }
}

impl Way {
    /// Untouched for so many bytes.
    pub fn until(bytes: u64, then: Then) -> Way {
        Way { stop: Some((bytes, then)), ..Way::default() }
    }

    /// So many bytes at a time, with a pause behind each.
    pub fn trickle(piece: usize, pause: Duration) -> Way {
        Way { piece, pause, ..Way::default() }
    }
}
