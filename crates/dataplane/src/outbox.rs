//! What a worker has to send, short messages on many connections, leaves in a row.
//!
//! While the tasks that are ready run, each reads what has come on its connection and leaves what it has to say to it
//! here; when all of them have run, everything is sent. The system runs the same code again while it is in the near
//! caches, and a peer on the same machine is woken once for several messages in place of once for each. A task need not
//! be polled again for that, so what a message costs the gateway is little more than the system call. Where nothing
//! else is ready, nothing waits. It must not know what is sent. Entry points: [`Outbox`], [`Socket`].
//!
//! The system is asked directly and not by way of the C library, whose `send` and `recv` are points at which threads can
//! be cancelled: in a program with several threads they change the state of the thread by locked instructions, before
//! and behind each call.

use std::cell::{Cell, Ref, RefCell};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown};
use tokio::io::{AsyncRead, Interest, ReadBuf};
use tokio::net::TcpStream;

use crate::buffers::Buffers;

/// The longest message that waits for others, in bytes. One of 10 KiB gains nothing by it, and a MiB costs three times
/// as much, because it has left the near caches when its turn comes.
const SHORT: usize = 4 * 1024;

/// The connections of a worker on which something waits to be sent.
pub(crate) struct Outbox {
    lines: RefCell<Vec<Rc<Line>>>,
    /// Wakes the task that sends.
    sender: RefCell<Option<Waker>>,
    buffers: Rc<Buffers>,
}

impl Outbox {
    /// An empty one. What has been sent goes back to `buffers`.
    pub(crate) fn new(buffers: &Rc<Buffers>) -> Rc<Outbox> {
        Rc::new(Outbox { lines: RefCell::default(), sender: RefCell::default(), buffers: Rc::clone(buffers) })
    }

    /// Sends, whenever the tasks that were ready have run.
    pub(crate) async fn run(&self) {
        poll_fn(|cx| {
            self.sender.borrow_mut().get_or_insert_with(|| cx.waker().clone()).clone_from(cx.waker());
            self.send_all();
            Poll::<()>::Pending
        })
        .await;
    }

    /// Sends all that waits.
    pub(crate) fn send_all(&self) {
        let mut lines = self.lines.take();
        for line in lines.drain(..) {
            line.send(&self.buffers);
        }
        // Nobody is polled meanwhile, so nothing was added; the memory is kept.
        *self.lines.borrow_mut() = lines;
    }

    fn add(&self, line: &Rc<Line>) {
        let mut lines = self.lines.borrow_mut();
        if lines.is_empty()
            && let Some(sender) = &*self.sender.borrow()
        {
            sender.wake_by_ref();
        }
        lines.push(Rc::clone(line));
    }
}

/// How what was left to be sent stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// There is nothing.
    Empty,
    /// It is in the outbox.
    Posted,
    /// The peer did not take all of it: who uses the connection sends the rest.
    Stuck,
    /// The connection is broken, and what was not sent is gone.
    Lost,
}

struct Line {
    tcp: RefCell<TcpStream>,
    /// What is to be sent before anything else; empty in the states that have nothing.
    waiting: Cell<Vec<u8>>,
    state: Cell<State>,
    /// Wakes the task that has posted it, should it get stuck or lost.
    owner: Cell<Option<Waker>>,
}

impl Line {
    /// Sends what was posted.
    fn send(&self, buffers: &Buffers) {
        if self.state.get() != State::Posted {
            return; // who uses the connection did not want to wait
        }
        let (waiting, owner) = (self.waiting.take(), self.owner.take());
        match rustix::net::send(&*self.tcp.borrow(), &waiting, SendFlags::NOSIGNAL) {
            Ok(count) if count == waiting.len() => {
                buffers.give_text(waiting);
                self.state.set(State::Empty);
                return;
            }
            Ok(count @ 1..) => self.stick(waiting, count),
            Err(Errno::AGAIN | Errno::INTR) => self.stick(waiting, 0),
            Ok(0) | Err(_) => self.state.set(State::Lost),
        }
        owner.into_iter().for_each(Waker::wake);
    }

    /// So much was sent, and the rest has to wait.
    fn stick(&self, mut waiting: Vec<u8>, sent: usize) {
        waiting.drain(..sent);
        self.waiting.set(waiting);
        self.state.set(State::Stuck);
    }
}

/// A TCP connection, of which short messages wait in the outbox of the worker.
pub(crate) struct Socket {
    line: Rc<Line>,
    outbox: Rc<Outbox>,
    /// Nothing waits.
    urgent: bool,
}

impl Socket {
    /// For a connection of the worker with this outbox.
    pub(crate) fn new(tcp: TcpStream, outbox: &Rc<Outbox>) -> Socket {
        let line = Line {
            tcp: RefCell::new(tcp),
            waiting: Cell::default(),
            state: Cell::new(State::Empty),
            owner: Cell::default(),
        };
        Socket { line: Rc::new(line), outbox: Rc::clone(outbox), urgent: false }
    }

    /// The connection itself: nothing may be written to it.
    pub(crate) fn tcp(&self) -> Ref<'_, TcpStream> {
        self.line.tcp.borrow()
    }

    /// Whether what is written is sent at once.
    #[inline]
    pub(crate) fn set_urgent(&mut self, urgent: bool) {
        self.urgent = urgent;
    }

    /// Whether nothing waits, here or in the outbox.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.line.state.get() == State::Empty
    }

    /// Whether something has waited for its turn and was not taken then: [`Socket::poll_flush`] sends it.
    #[inline]
    pub(crate) fn is_stuck(&self) -> bool {
        self.line.state.get() == State::Stuck
    }

    /// Reads once. What is stuck is sent too, as far as that is possible: whoever waits for an answer, or for the next
    /// request, does nothing else.
    #[inline]
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        self.send_stuck(cx);
        let tcp = self.line.tcp.borrow();
        loop {
            ready!(tcp.poll_read_ready(cx))?;
            let mut read = Err(Errno::AGAIN);
            let _ = tcp.try_io(Interest::READABLE, || {
                read = rustix::net::recv(&*tcp, &mut *room, RecvFlags::empty()).map(|(count, _)| count);
                match read {
                    // There was no more, so whoever reads on has to wait: the runtime is told so now, and nobody asks
                    // the system in vain.
                    Ok(count @ 1..) if count < room.len() => Err(io::ErrorKind::WouldBlock.into()),
                    read => Ok(read?),
                }
            });
            match read {
                Ok(count) => return Poll::Ready(Ok(count)),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }

    /// The same for a room that nobody has initialised.
    pub(crate) fn poll_read_buf(
        &mut self,
        cx: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.send_stuck(cx);
        Pin::new(&mut *self.line.tcp.borrow_mut()).poll_read(cx, room)
    }

    #[inline]
    fn send_stuck(&mut self, cx: &mut Context<'_>) {
        if self.is_stuck() {
            // If it fails, so does reading.
            let _ = self.poll_drain(cx);
        }
    }

    /// Leaves a whole message to the outbox, if it is short and nothing else waits; then `text` is empty.
    #[inline]
    pub(crate) fn post(&mut self, cx: &Context<'_>, text: &mut Vec<u8>) -> bool {
        if self.urgent || !self.is_empty() || text.len() > SHORT {
            return false;
        }
        *text = self.line.waiting.replace(std::mem::take(text));
        self.posted(cx);
        true
    }

    fn posted(&self, cx: &Context<'_>) {
        self.line.state.set(State::Posted);
        self.line.owner.set(Some(cx.waker().clone()));
        self.outbox.add(&self.line);
    }

    /// Writes from several slices at once. What is short is left to the outbox.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let total = slices.iter().map(|slice| slice.len()).sum::<usize>();
        let state = self.line.state.get();
        let mut waiting = self.line.waiting.take();
        let joins = matches!(state, State::Empty | State::Posted) && waiting.len() + total <= SHORT;
        if joins && !self.urgent {
            if state == State::Empty {
                waiting = self.outbox.buffers.take_text();
            }
            slices.iter().for_each(|slice| waiting.extend_from_slice(slice));
            self.line.waiting.set(waiting);
            if state == State::Empty {
                self.posted(cx);
            }
            return Poll::Ready(Ok(total));
        }
        self.line.waiting.set(waiting);
        ready!(self.poll_drain(cx))?;
        poll_send(&self.line.tcp.borrow(), cx, slices)
    }

    /// Ready when nothing is stuck. What is in the outbox may be.
    #[inline]
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.line.state.get() {
            State::Empty | State::Posted => Poll::Ready(Ok(())),
            State::Stuck | State::Lost => self.poll_drain(cx),
        }
    }

    /// Sends what waits, without waiting for its turn.
    pub(crate) fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let line = &*self.line;
        match line.state.get() {
            State::Empty => return Poll::Ready(Ok(())),
            State::Lost => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            // From now on it is not the outbox that sends it.
            State::Posted | State::Stuck => line.state.set(State::Stuck),
        }
        let (waiting, mut sent) = (line.waiting.take(), 0);
        while sent < waiting.len() {
            let rest = waiting.get(sent..).unwrap_or_default();
            match poll_send(&line.tcp.borrow(), cx, &[IoSlice::new(rest)]) {
                Poll::Ready(Ok(count @ 1..)) => sent += count,
                Poll::Ready(wrote) => {
                    line.state.set(State::Lost);
                    return Poll::Ready(Err(wrote.err().unwrap_or(io::ErrorKind::WriteZero.into())));
                }
                Poll::Pending => {
                    line.stick(waiting, sent);
                    return Poll::Pending;
                }
            }
        }
        self.outbox.buffers.give_text(waiting);
        line.state.set(State::Empty);
        line.owner.take();
        Poll::Ready(Ok(()))
    }

    /// Sends bytes behind what waits, if that is possible without waiting; for last words.
    pub(crate) fn try_write(&mut self, bytes: &[u8]) {
        match self.line.state.get() {
            State::Empty => _ = self.line.tcp.borrow().try_write(bytes),
            State::Posted => {
                let mut waiting = self.line.waiting.take();
                waiting.extend_from_slice(bytes);
                self.line.waiting.set(waiting);
            }
            State::Stuck | State::Lost => {}
        }
    }

    /// Says that nothing more will be sent, behind what waits.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Poll::Ready(Ok(rustix::net::shutdown(&*self.tcp(), Shutdown::Write)?))
    }

    /// Makes closing a reset.
    pub(crate) fn reset_on_close(&self) {
        // Nothing to do about an error: the connection is closed either way.
        let _ = socket2::SockRef::from(&*self.tcp()).set_linger(Some(std::time::Duration::ZERO));
    }
}

/// Sends once, as far as the socket takes it.
fn poll_send(tcp: &TcpStream, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
    let total = slices.iter().map(|slice| slice.len()).sum::<usize>();
    loop {
        ready!(tcp.poll_write_ready(cx))?;
        let mut wrote = Err(Errno::AGAIN);
        let _ = tcp.try_io(Interest::WRITABLE, || {
            wrote = match slices {
                [one] => rustix::net::send(tcp, one, SendFlags::NOSIGNAL),
                many => {
                    rustix::net::sendmsg(tcp, many, &mut SendAncillaryBuffer::default(), SendFlags::NOSIGNAL)
                }
            };
            match wrote {
                // It takes no more for now, and whoever goes on has to wait: as for reading.
                Ok(count) if count < total => Err(io::ErrorKind::WouldBlock.into()),
                wrote => Ok(wrote?),
            }
        });
        match wrote {
            Ok(count) => return Poll::Ready(Ok(count)),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => return Poll::Ready(Err(error.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    /// Counts how often a task was woken.
    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Count {
        fn get(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    /// A socket that can be written to, and its peer, from which reading does not wait.
    async fn connect(outbox: &Rc<Outbox>) -> (Socket, std::net::TcpStream) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        stream.set_nonblocking(true).unwrap();
        let stream = TcpStream::from_std(stream).unwrap();
        stream.writable().await.unwrap();
        let peer = listener.accept().unwrap().0;
        peer.set_nonblocking(true).unwrap();
        (Socket::new(stream, outbox), peer)
    }

    fn arrived(peer: &mut std::net::TcpStream) -> Vec<u8> {
        let mut got = Vec::new();
        match peer.read_to_end(&mut got) {
            Ok(_) => got.extend_from_slice(b"<end>"),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => got.extend_from_slice(format!("<{:?}>", error.kind()).as_bytes()),
        }
        got
    }

    fn test(run: impl AsyncFnOnce(Rc<Outbox>, Arc<Count>)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        runtime.block_on(run(Outbox::new(&Rc::default()), Arc::default()));
    }

    #[test]
    fn short_messages_leave_together_and_in_their_order() {
        test(async |outbox, count| {
            let waker = Waker::from(Arc::clone(&count));
            let mut cx = Context::from_waker(&waker);
            let ((mut one, mut its), (mut two, mut other)) = (connect(&outbox).await, connect(&outbox).await);
            let mut text = b"a head".to_vec();
            assert!(one.post(&cx, &mut text) && text.is_empty() && !one.is_empty());
            assert!(!one.post(&cx, &mut b"another".to_vec()), "one at a time");
            let both = [IoSlice::new(b", a "), IoSlice::new(b"body")];
            assert!(matches!(one.poll_write(&mut cx, &both), Poll::Ready(Ok(8))));
            assert!(two.poll_write(&mut cx, &[IoSlice::new(b"second")]).is_ready());
            assert_eq!((arrived(&mut its), arrived(&mut other)), (vec![], vec![]));
            outbox.send_all();
            assert_eq!(
                (&*arrived(&mut its), &*arrived(&mut other)),
                (&b"a head, a body"[..], &b"second"[..])
            );
            assert!(one.is_empty() && !one.is_stuck() && count.get() == 0, "nobody has to be woken");

            // What is long, or urgent, takes what waits with it.
            assert!(one.poll_write(&mut cx, &[IoSlice::new(b"first ")]).is_ready());
            let long = vec![b'l'; SHORT + 1];
            assert!(one.poll_write(&mut cx, &[IoSlice::new(&long)]).is_ready() && one.is_empty());
            assert_eq!(arrived(&mut its), [b"first ", &*long].concat());
            two.set_urgent(true);
            assert!(two.poll_write(&mut cx, &[IoSlice::new(b"now")]).is_ready());
            assert!(!two.post(&cx, &mut b"also now".to_vec()));
            assert_eq!(arrived(&mut other), b"now");
            outbox.send_all();
            assert_eq!((arrived(&mut its), arrived(&mut other)), (vec![], vec![]));
        });
    }

    #[test]
    fn what_the_peer_does_not_take_is_sent_by_whoever_uses_the_connection() {
        test(async |outbox, count| {
            let waker = Waker::from(Arc::clone(&count));
            let mut cx = Context::from_waker(&waker);
            let (mut one, mut peer) = connect(&outbox).await;
            one.set_urgent(true);
            let (full, mut sent) = (vec![b'f'; 65_536], 0);
            while let Poll::Ready(count) = one.poll_write(&mut cx, &[IoSlice::new(&full)]) {
                sent += count.unwrap();
            }
            one.set_urgent(false);
            assert!(one.post(&cx, &mut b"stuck".to_vec()));
            assert!(one.poll_flush(&mut cx).is_ready(), "it waits for its turn");
            outbox.send_all();
            assert!(one.is_stuck() && !one.is_empty() && count.get() == 1);
            assert!(one.poll_flush(&mut cx).is_pending());
            assert!(one.poll_write(&mut cx, &[IoSlice::new(b", more")]).is_pending());
            outbox.send_all();
            assert!(one.is_stuck());

            let mut got = arrived(&mut peer);
            let mut room = [0; 8];
            while one.is_stuck() {
                poll_fn(|cx| one.line.tcp.borrow().poll_write_ready(cx)).await.unwrap();
                // Who waits for the next request reads, and does nothing else.
                assert!(one.poll_read(&mut cx, &mut room).is_pending());
                got.extend(arrived(&mut peer));
            }
            while got.len() < sent + 5 {
                got.extend(arrived(&mut peer));
            }
            assert_eq!((got.len(), &got[sent..]), (sent + 5, &b"stuck"[..]));
        });
    }

    #[test]
    fn what_is_posted_leaves_before_the_end_and_what_cannot_leave_is_told() {
        test(async |outbox, count| {
            let waker = Waker::from(Arc::clone(&count));
            let mut cx = Context::from_waker(&waker);
            let (mut one, mut peer) = connect(&outbox).await;
            assert!(one.post(&cx, &mut b"the last".to_vec()));
            drop(one);
            outbox.send_all();
            assert_eq!(arrived(&mut peer), b"the last<end>");

            let (mut one, mut peer) = connect(&outbox).await;
            assert!(one.post(&cx, &mut b"bye".to_vec()));
            one.try_write(b", really");
            assert!(one.poll_shutdown(&mut cx).is_ready());
            assert_eq!(arrived(&mut peer), b"bye, really<end>");

            let (mut one, peer) = connect(&outbox).await;
            socket2::SockRef::from(&peer).set_linger(Some(std::time::Duration::ZERO)).unwrap();
            drop(peer);
            assert!(one.post(&cx, &mut b"to nobody".to_vec()));
            outbox.send_all();
            assert_eq!((one.is_empty(), one.is_stuck(), count.get()), (false, false, 1));
            assert!(matches!(one.poll_flush(&mut cx), Poll::Ready(Err(_))));
            assert!(matches!(one.poll_write(&mut cx, &[IoSlice::new(b"x")]), Poll::Ready(Err(_))));
        });
    }
}
