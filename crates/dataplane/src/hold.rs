//! Bodies that are held in memory because a policy looks into them: the exception to the rule that none is.
//!
//! A body is read into memory up to what the policy asks for, and passes on from there: as it was framed, as often as the
//! request is sent, with what follows it on the connection if it is longer. What all requests of a worker hold together is
//! bounded; who comes when there is no room is told to come again. Entry points: [`Held`], [`Filling`], [`request`].

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use message::{Fault, ResponseHead, Version};
use policy::HeldBody;
use wire::{ConnectionHeader, ResponseBody, ResponseFraming};

use crate::connection::Connection;
use crate::patience::Patience;
use crate::pump::Pump;
use crate::request::as_it_comes;
use crate::serving::{BodyState, Serving};

/// What the requests of a worker may hold together, in bytes.
pub(crate) const MOST_HELD: usize = 64 * 1024 * 1024;
/// The least room that is made for a body whose length is not known, in bytes.
const LEAST: usize = 4096;

/// A share of what a worker may hold, given back when it is dropped.
struct Share {
    total: Rc<Cell<usize>>,
    bytes: usize,
}

impl Share {
    /// Whether there is room for so much more.
    fn has_room(&self, bytes: usize) -> bool {
        self.total.get().saturating_add(bytes) <= MOST_HELD
    }

    fn grow(&mut self, bytes: usize) {
        self.total.set(self.total.get().saturating_add(bytes));
        self.bytes += bytes;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.total.set(self.total.get().saturating_sub(self.bytes));
    }
}

/// What was read of a body, and how much of it was sent.
pub(crate) struct Held {
    pub(crate) body: Rc<HeldBody>,
    pub(crate) sent: usize,
    share: Share,
}

impl Held {
    /// What is still to be sent.
    pub(crate) fn rest(&self) -> &[u8] {
        self.body.bytes.get(self.sent..).unwrap_or_default()
    }
}

/// A body that is being read.
pub(crate) struct Filling {
    bytes: Vec<u8>,
    share: Share,
    /// Of a body with more bytes only the begin is read.
    most: usize,
    /// The length that was announced, or the most that is possible.
    expected: usize,
    /// Without room the body is not refused: it is not read any further, and passes.
    lenient: bool,
    is_full: bool,
    /// Bytes taken from the sender, framing included.
    pub(crate) taken: u64,
}

impl Filling {
    /// For a body of this length, if it is known.
    pub(crate) fn new(total: &Rc<Cell<usize>>, most: usize, length: Option<u64>) -> Filling {
        let share = Share { total: Rc::clone(total), bytes: 0 };
        let expected = length.and_then(|length| usize::try_from(length).ok()).unwrap_or(usize::MAX);
        Filling { bytes: Vec::new(), share, most, expected, lenient: false, is_full: false, taken: 0 }
    }

    /// If there is no room, the body is to pass as it comes.
    pub(crate) fn lenient(mut self, lenient: bool) -> Filling {
        self.lenient = lenient;
        self
    }

    /// Goes on with a body of which less was read before.
    fn resume(held: Held, most: usize) -> Filling {
        let Held { body, share, .. } = held;
        let bytes = Rc::try_unwrap(body).map_or_else(|body| body.bytes.clone(), |body| body.bytes);
        Filling { bytes, share, most, expected: usize::MAX, lenient: false, is_full: false, taken: 0 }
    }

    /// Room grows with what comes, and not with what was announced: to announce much costs a client nothing.
    pub(crate) fn add(&mut self, piece: &[u8]) -> Result<(), Fault> {
        let wanted = self.bytes.len() + piece.len();
        if wanted > self.bytes.capacity() {
            let room = (self.bytes.capacity() * 2).max(LEAST).min(self.expected.max(wanted)).max(wanted);
            let more = room - self.bytes.capacity();
            if !self.share.has_room(more) {
                if !self.lenient {
                    return Err(Fault::Shed);
                }
                self.is_full = true;
            }
            self.share.grow(more);
            self.bytes.reserve_exact(room - self.bytes.len());
        }
        self.bytes.extend_from_slice(piece);
        Ok(())
    }

    /// Whether there is more of it than is wanted, or than there is room for.
    pub(crate) fn is_over(&self) -> bool {
        self.is_full || self.bytes.len() > self.most
    }

    /// What was read.
    pub(crate) fn finish(self, is_whole: bool) -> Held {
        Held { body: Rc::new(HeldBody { bytes: self.bytes, is_whole }), sent: 0, share: self.share }
    }
}

/// Reads the body of a request into memory; of one that has more than `most` bytes only the begin. It goes on from there
/// when the request is forwarded. A body that is not `needed` is not read any further when there is no room.
pub(crate) async fn request(s: &mut Serving<'_>, most: usize, needed: bool) -> Result<(), Fault> {
    let total = Rc::clone(&s.worker.held);
    let length = s.request.body_length();
    let most = s.request.state.body_limit.map_or(most, |limit| {
        // A body that the gateway does not take is not read to its end by anybody.
        usize::try_from(limit).map_or(most, |limit| limit.min(most))
    });
    s.request.state.body = None;
    let filling = match s.request.upload.release() {
        Some(held) => Filling::resume(held, most),
        None => {
            let framed = as_it_comes(s.request.meta.body, s.request.head.version.has_streams());
            s.request.upload = Pump::new(framed, false, None);
            Filling::new(&total, most, length)
        }
    };
    let mut filling = filling.lenient(!needed);
    let outcome = if length.is_some_and(|length| length > most as u64) {
        Ok(false)
    } else {
        permit(s);
        fill(s, &mut filling).await
    };
    s.request.record.received += filling.taken;
    let is_untouched = s.body == BodyState::Untouched && filling.taken == 0 && outcome.is_ok();
    s.body = match s.request.upload.is_received() {
        true => BodyState::Whole,
        false if is_untouched => BodyState::Untouched,
        false => BodyState::Partial,
    };
    let is_whole = outcome?;
    if s.request.state.body_limit.is_some_and(|limit| filling.bytes.len() as u64 > limit) {
        return Err(Fault::BodyTooLarge);
    }
    let held = filling.finish(is_whole);
    s.request.state.body = Some(Rc::clone(&held.body));
    s.request.upload.hold(held);
    Ok(())
}

/// Tells a client that waits for it that it may send its body (RFC 9110 §10.1.1).
fn permit(s: &mut Serving<'_>) {
    let waits = std::mem::take(&mut s.request.meta.expect_continue);
    if !waits || !s.down.inbox.is_empty() || s.request.head.version == Version::Http10 {
        return;
    }
    let head = ResponseHead { status: 100, ..ResponseHead::default() };
    let framing =
        ResponseFraming { body: ResponseBody::None, connection: ConnectionHeader::None, date: None };
    s.down.send_interim(&head, &framing);
}

/// Whether the body is whole.
async fn fill(s: &mut Serving<'_>, filling: &mut Filling) -> Result<bool, Fault> {
    let mut patience = Patience::new(s.listener.timeouts.body, s.listener.limits.min_rate);
    poll_fn(|cx| {
        if s.down.has_unsent() && matches!(s.down.poll_flush(cx), Poll::Ready(Err(_))) {
            return Poll::Ready(Err(Fault::ClientGone));
        }
        let polled = s.request.upload.poll_fill(cx, s.down, filling);
        if polled.is_ready() {
            return polled;
        }
        let now = s.timer.now();
        patience.progress(now, filling.taken);
        patience.wait(now);
        s.timer.arm(patience.deadline());
        s.timer.poll_expired(cx).map(|()| Err(Fault::BodyTimeout))
    })
    .await
}

impl Pump {
    /// Reads into memory what comes, and passes nothing on. Ready with whether that is the whole body, or only as much
    /// of it as is wanted.
    pub(crate) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Connection,
        filling: &mut Filling,
    ) -> Poll<Result<bool, Fault>> {
        loop {
            let piece = self.take_piece(from)?;
            filling.taken = self.taken;
            if let Some((mut buffer, payload)) = piece {
                filling.add(buffer.raw().get(payload).unwrap_or_default())?;
            }
            if self.is_received() {
                // What was taken counts from here on as if it had not come yet: all of it can be sent again.
                self.taken = 0;
                return Poll::Ready(Ok(true));
            }
            if filling.is_over() {
                self.taken = 0;
                return Poll::Ready(Ok(false));
            }
            match from.poll_fill(cx) {
                Poll::Ready(Ok(0)) => self.end_of_input()?,
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Fault::BodyCut)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_worker_holds_is_counted_and_bounded() {
        let total = Rc::new(Cell::new(0));
        let mut filling = Filling::new(&total, 10, Some(100));
        assert_eq!(total.get(), 0, "to announce a length takes nothing");
        filling.add(b"12345").unwrap();
        assert_eq!((total.get(), filling.is_over()), (100, false));
        filling.add(b"678901").unwrap();
        assert_eq!((total.get(), filling.is_over()), (100, true));
        let held = filling.finish(false);
        assert_eq!((held.rest(), held.body.is_whole), (&b"12345678901"[..], false));
        let mut filling = Filling::resume(held, 20);
        filling.add(&[b'x'; 1000]).unwrap();
        assert_eq!(total.get(), filling.bytes.capacity());
        drop(filling);
        assert_eq!(total.get(), 0);
        let mut large = Filling::new(&total, usize::MAX, None);
        let piece = vec![0; MOST_HELD / 4];
        assert!((0..4).all(|_| large.add(&piece).is_ok()));
        assert_eq!(total.get(), MOST_HELD);
        assert_eq!(Filling::new(&total, 10, None).add(b"1"), Err(Fault::Shed));
        let mut lenient = Filling::new(&total, 10, None).lenient(true);
        assert_eq!((lenient.add(b"1"), lenient.is_over()), (Ok(()), true), "what has come is not lost");
        drop((large, lenient));
        assert_eq!(Filling::new(&total, 10, None).add(b"1"), Ok(()));
    }
}
