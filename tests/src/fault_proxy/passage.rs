//! One connection through a [`super::FaultProxy`]: two sides, and a thread for each direction.
//!
//! It must not know how connections come in. Entry points: [`run`], and [`Passage`] for tests.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Faults, Then, Way};
use crate::{Bell, End, SOON};

/// Longer than any test.
pub(super) const FOREVER: Duration = Duration::from_secs(3600);
/// How often a thread whose receiver takes nothing looks whether the connection is over.
const LOOK: Duration = Duration::from_millis(20);

/// A direction; its number is that of the side it comes from.
#[derive(Clone, Copy, Debug)]
enum Lane {
    Request,
    Response,
}

/// A connection to the proxy, and the one that the proxy has made for it.
#[derive(Debug)]
pub struct Passage {
    /// The gateway and the service; `None` once it is over. Threads hold them too, and the last one closes.
    sides: [Mutex<Option<Arc<TcpStream>>>; 2],
    state: Mutex<State>,
    bell: Bell,
}

#[derive(Default, Debug)]
struct State {
    faults: Faults,
    /// How often they were set.
    epoch: u64,
    /// Bytes passed since then, in each direction.
    since: [u64; 2],
    /// Bytes passed in all.
    total: [u64; 2],
    /// The receiver has got a FIN, whatever still comes.
    finished: [bool; 2],
    /// How the sender has ended it.
    ends: [Option<End>; 2],
    over: bool,
}

impl State {
    fn way(&self, lane: Lane) -> Way {
        match lane {
            Lane::Request => self.faults.request,
            Lane::Response => self.faults.response,
        }
    }

    /// How many bytes may pass before something happens.
    fn room(&self, lane: Lane) -> usize {
        match self.way(lane).stop {
            Some((after, _)) if !self.finished[lane as usize] => {
                usize::try_from(after.saturating_sub(self.since[lane as usize])).unwrap_or(usize::MAX)
            }
            _ => usize::MAX,
        }
    }
}

/// Connects to the service and passes bytes, until both directions have come to their end.
pub(super) fn run(passage: Arc<Passage>, service: SocketAddr) {
    if passage.is_over() {
        return;
    }
    std::thread::spawn(move || {
        match TcpStream::connect_timeout(&service, SOON) {
            Ok(stream) => passage.put(Lane::Response, stream),
            Err(_) => return passage.end(Then::Reset),
        }
        let other = Arc::clone(&passage);
        let requests = std::thread::spawn(move || other.carry(Lane::Request));
        passage.carry(Lane::Response);
        let _ = requests.join();
        passage.end(Then::Close);
    });
}

impl Passage {
    pub(super) fn new(gateway: TcpStream, faults: Faults) -> Passage {
        let sides = [Mutex::default(), Mutex::default()];
        let passage = Passage { sides, state: Mutex::default(), bell: Bell::default() };
        passage.put(Lane::Request, gateway);
        passage.set(faults);
        passage
    }

    /// What happens to it from now on. Bytes are counted from here.
    pub fn set(&self, faults: Faults) {
        let mut state = self.state.lock().unwrap();
        state.faults = faults;
        state.epoch += 1;
        state.since = [0; 2];
        drop(state);
        self.bell.ring();
        self.act(Lane::Request);
        self.act(Lane::Response);
    }

    /// Ends it at once. What is not an end of both sides happens to what the service sends.
    pub fn end(&self, how: Then) {
        match how {
            Then::Close | Then::Reset => self.finish(how),
            Then::HalfClose | Then::Stall => self.set(Faults::after_response(0, how)),
        }
    }

    /// Whether it has ended, or was ended, on both sides.
    pub fn is_over(&self) -> bool {
        self.state.lock().unwrap().over
    }

    /// How many bytes have passed from the gateway to the service.
    pub fn requested(&self) -> u64 {
        self.state.lock().unwrap().total[Lane::Request as usize]
    }

    /// How many bytes have passed from the service to the gateway.
    pub fn responded(&self) -> u64 {
        self.state.lock().unwrap().total[Lane::Response as usize]
    }

    /// Waits until the gateway has ended it. It cannot be seen behind a stall, nor after the proxy itself has closed.
    pub fn wait_end(&self, limit: Duration) -> Option<End> {
        self.bell.wait(limit, || self.state.lock().unwrap().ends[Lane::Request as usize])
    }

    /// Waits until so many bytes have passed from the gateway to the service.
    pub fn wait_requested(&self, bytes: u64, limit: Duration) -> bool {
        self.bell.wait(limit, || (self.requested() >= bytes).then_some(())).is_some()
    }

    fn put(&self, from: Lane, stream: TcpStream) {
        stream.set_nodelay(true).unwrap();
        stream.set_write_timeout(Some(LOOK)).unwrap();
        let mut side = self.sides[from as usize].lock().unwrap();
        let state = self.state.lock().unwrap();
        if state.finished[1 - from as usize] {
            let _ = stream.shutdown(Shutdown::Write);
        }
        if !state.over {
            *side = Some(Arc::new(stream));
        }
    }

    fn stream(&self, side: usize) -> Option<Arc<TcpStream>> {
        self.sides[side].lock().unwrap().clone()
    }

    /// Does what is due after so many bytes.
    fn act(&self, lane: Lane) {
        let mut state = self.state.lock().unwrap();
        let Some((_, then)) = state.way(lane).stop.filter(|_| state.room(lane) == 0) else { return };
        state.finished[lane as usize] |= then == Then::HalfClose;
        drop(state);
        match then {
            Then::Close | Then::Reset => self.finish(then),
            Then::HalfClose => self.shut(1 - lane as usize, Shutdown::Write),
            Then::Stall => {}
        }
    }

    fn shut(&self, side: usize, how: Shutdown) {
        if let Some(stream) = self.stream(side) {
            let _ = stream.shutdown(how);
        }
    }

    fn finish(&self, how: Then) {
        self.state.lock().unwrap().over = true;
        for side in &self.sides {
            if let Some(stream) = side.lock().unwrap().take() {
                if how == Then::Reset {
                    let _ = socket2::SockRef::from(&*stream).set_linger(Some(Duration::ZERO));
                } else {
                    let _ = stream.shutdown(Shutdown::Write);
                }
                // Wakes the thread that reads, which then closes it. Sends nothing by itself.
                let _ = stream.shutdown(Shutdown::Read);
            }
        }
        self.bell.ring();
    }

    fn carry(&self, lane: Lane) {
        let sides = (self.stream(lane as usize), self.stream(1 - lane as usize));
        let (Some(from), Some(to)) = sides else { return };
        let mut buffer = vec![0; 64 * 1024];
        while let Some(room) = self.wait_for_room(lane) {
            let most = room.min(buffer.len());
            let read = (&*from).read(&mut buffer[..most]);
            match read {
                // This side was shut down to wake this thread.
                Ok(0) if self.is_over() => break,
                Ok(0) => {
                    self.note_end(lane, End::Closed);
                    let _ = to.shutdown(Shutdown::Write);
                    return;
                }
                Ok(count) => {
                    if !self.pass(lane, &buffer[..count], &to) {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => {
                    self.note_end(lane, End::Reset);
                    self.finish(Then::Reset);
                    return;
                }
            }
        }
        // A system that closes with something unread sends a RST, and a close was asked for.
        while (&*from).read(&mut buffer).is_ok_and(|count| count > 0) {}
    }

    fn note_end(&self, lane: Lane, end: End) {
        let mut state = self.state.lock().unwrap();
        if !state.over {
            state.ends[lane as usize].get_or_insert(end);
        }
        drop(state);
        self.bell.ring();
    }

    /// Waits until something may pass, and says how much. `None` when it is over.
    fn wait_for_room(&self, lane: Lane) -> Option<usize> {
        let found = self.bell.wait(FOREVER, || {
            let state = self.state.lock().unwrap();
            let room = state.room(lane);
            (state.over || room > 0).then_some((!state.over).then_some(room))
        });
        found.flatten()
    }

    /// Passes bytes on, as slowly and as far as the faults allow. `false` when it is over.
    fn pass(&self, lane: Lane, bytes: &[u8], to: &TcpStream) -> bool {
        let delay = self.state.lock().unwrap().way(lane).delay;
        if !self.pause(delay) {
            return false;
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let Some(room) = self.wait_for_room(lane) else { return false };
            let (way, drops, epoch) = {
                let state = self.state.lock().unwrap();
                (state.way(lane), state.finished[lane as usize], state.epoch)
            };
            let (piece, more) = rest.split_at(rest.len().min(room).min(way.piece.max(1)));
            rest = more;
            if drops {
                continue;
            }
            if !self.write(lane, piece, epoch, to) {
                return false;
            }
            self.act(lane);
            if !self.pause(way.pause) {
                return false;
            }
        }
        true
    }

    /// `epoch` is that of the faults under which the piece was cut.
    fn write(&self, lane: Lane, piece: &[u8], epoch: u64, mut to: &TcpStream) -> bool {
        let mut rest = piece;
        while !rest.is_empty() {
            if self.is_over() {
                return false;
            }
            match to.write(rest) {
                Ok(count) => {
                    rest = &rest[count..];
                    let mut state = self.state.lock().unwrap();
                    if state.epoch == epoch {
                        state.since[lane as usize] += count as u64;
                    }
                    state.total[lane as usize] += count as u64;
                    drop(state);
                    self.bell.ring();
                }
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                    ) => {}
                Err(_) => {
                    // Who does not take it any more has gone.
                    self.finish(Then::Reset);
                    return false;
                }
            }
        }
        true
    }

    /// Lets time pass. `false` when it is over meanwhile.
    fn pause(&self, time: Duration) -> bool {
        time.is_zero() || self.bell.wait(time, || self.is_over().then_some(())).is_none()
    }
}
