//! The UDP sockets of HTTP/3, one per worker and listener, and how packets find the worker of their connection.
//!
//! The system spreads packets over the sockets of an address by where they come from. A client whose address changes
//! in the middle of a connection (RFC 9000 §9) then reaches the wrong worker. So connection identifiers begin with the
//! worker that made them, and a packet with that of another worker is handed to it, or lost if it has no room:
//! senders of UDP are prepared for that. It is an implementation of the traits by which `quinn` reaches a system.

use std::fmt;
use std::future::Future;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use quinn::udp::{RecvMeta, Transmit, UdpSocketState};
use quinn::{AsyncTimer, AsyncUdpSocket, ConnectionId, ConnectionIdGenerator, Runtime, UdpPoller};
use rustls::crypto::CryptoProvider;
use tokio::io::Interest;
use tokio::sync::mpsc;

/// Packets that may wait for a worker because they reached another one.
const STRAYS: usize = 256;
/// The length of a connection identifier: the worker, and what is random.
const IDENTIFIER: usize = 10;

/// A packet that reached the wrong worker.
#[derive(Debug)]
struct Stray {
    bytes: Vec<u8>,
    meta: RecvMeta,
}

/// The UDP socket of one worker for a listener.
#[derive(Debug)]
pub struct StagedUdp {
    socket: std::net::UdpSocket,
    worker: u16,
    strays: mpsc::Receiver<Stray>,
    /// The queues of all workers, by their number.
    workers: Arc<[mpsc::Sender<Stray>]>,
}

/// Makes a group of the sockets of an address, one for each worker.
pub fn udp_group(sockets: Vec<std::net::UdpSocket>) -> Vec<StagedUdp> {
    let (senders, receivers): (Vec<_>, Vec<_>) = sockets.iter().map(|_| mpsc::channel(STRAYS)).unzip();
    let workers: Arc<[_]> = senders.into();
    let numbered = (0u16..).zip(sockets.into_iter().zip(receivers));
    numbered
        .map(|(worker, (socket, strays))| StagedUdp { socket, worker, strays, workers: Arc::clone(&workers) })
        .collect()
}

impl StagedUdp {
    /// The socket for the library, and what makes its connection identifiers. Has to be called on the worker.
    pub(crate) fn open(self, random: Arc<CryptoProvider>) -> io::Result<(Arc<Udp>, Identifiers)> {
        let identifiers = Identifiers { worker: self.worker, random };
        let udp = Udp {
            state: UdpSocketState::new((&self.socket).into())?,
            io: tokio::net::UdpSocket::from_std(self.socket)?,
            worker: self.worker,
            strays: Mutex::new(self.strays),
            workers: self.workers,
        };
        Ok((Arc::new(udp), identifiers))
    }
}

/// The UDP socket of a worker.
#[derive(Debug)]
pub(crate) struct Udp {
    io: tokio::net::UdpSocket,
    state: UdpSocketState,
    worker: u16,
    /// Never waited for: only the thread of the worker takes from it. The library wants the type to be shareable.
    strays: Mutex<mpsc::Receiver<Stray>>,
    workers: Arc<[mpsc::Sender<Stray>]>,
}

impl Udp {
    /// Hands on what is for other workers, and closes the gaps. Returns how many buffers are left.
    fn hand_over(&self, buffers: &mut [IoSliceMut<'_>], metas: &mut [RecvMeta], count: usize) -> usize {
        let mut kept = 0;
        for index in 0..count {
            let (Some(buffer), Some(&meta)) = (buffers.get(index), metas.get(index)) else { break };
            let bytes = buffer.get(..meta.len).unwrap_or_default();
            match worker_of(bytes).filter(|&worker| worker != self.worker) {
                Some(worker) if usize::from(worker) < self.workers.len() => {
                    if let Some(queue) = self.workers.get(usize::from(worker)) {
                        let _ = queue.try_send(Stray { bytes: bytes.to_vec(), meta });
                    }
                }
                _ => {
                    if kept != index {
                        let moved = bytes.to_vec();
                        if let Some(room) = buffers.get_mut(kept).and_then(|room| room.get_mut(..moved.len()))
                        {
                            room.copy_from_slice(&moved);
                        }
                        if let Some(place) = metas.get_mut(kept) {
                            *place = meta;
                        }
                    }
                    kept += 1;
                }
            }
        }
        kept
    }

    /// Packets that reached other workers.
    fn poll_strays(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> usize {
        let mut strays = self.strays.lock().unwrap_or_else(PoisonError::into_inner);
        let mut count = 0;
        for (buffer, meta) in buffers.iter_mut().zip(metas) {
            let Poll::Ready(Some(stray)) = strays.poll_recv(cx) else { break };
            if let Some(room) = buffer.get_mut(..stray.bytes.len()) {
                room.copy_from_slice(&stray.bytes);
                *meta = stray.meta;
                count += 1;
            }
        }
        count
    }
}

/// The worker whose connection a packet belongs to. `None` where it does not say: the packets of a handshake stay where
/// they come in (RFC 9000 §17.2 and §17.3.1).
fn worker_of(packet: &[u8]) -> Option<u16> {
    match packet {
        &[first, high, low, ..] if first & 0x80 == 0 => Some(u16::from_be_bytes([high, low])),
        _ => None,
    }
}

impl AsyncUdpSocket for Udp {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Writable { udp: self, waiting: None })
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.io.try_io(Interest::WRITABLE, || self.state.send((&self.io).into(), transmit))
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        if self.workers.len() > 1 {
            let strays = self.poll_strays(cx, buffers, metas);
            if strays > 0 {
                return Poll::Ready(Ok(strays));
            }
        }
        loop {
            ready!(self.io.poll_recv_ready(cx))?;
            let received =
                self.io.try_io(Interest::READABLE, || self.state.recv((&self.io).into(), buffers, metas));
            // Only that it would have to wait: then the runtime knows, and the next round waits.
            let Ok(count) = received else { continue };
            let count = if self.workers.len() > 1 { self.hand_over(buffers, metas, count) } else { count };
            if count > 0 {
                return Poll::Ready(Ok(count));
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.state.gro_segments()
    }

    fn may_fragment(&self) -> bool {
        self.state.may_fragment()
    }
}

type Waiting = Pin<Box<dyn Future<Output = io::Result<()>> + Send + Sync>>;

/// Waits until a socket can be written to, for one connection of several.
struct Writable {
    udp: Arc<Udp>,
    waiting: Option<Waiting>,
}

impl fmt::Debug for Writable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writable").field("udp", &self.udp).finish_non_exhaustive()
    }
}

impl UdpPoller for Writable {
    fn poll_writable(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let udp = Arc::clone(&self.udp);
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(async move { udp.io.writable().await }));
        let outcome = ready!(waiting.as_mut().poll(cx));
        self.waiting = None;
        Poll::Ready(outcome)
    }
}

/// The runtime of a worker, for the library.
#[derive(Debug)]
pub(crate) struct OnWorker;

impl Runtime for OnWorker {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        Box::pin(Sleep(Box::pin(tokio::time::sleep_until(at.into()))))
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        tokio::task::spawn_local(future);
    }

    fn wrap_udp_socket(&self, _: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        // Sockets are opened by `StagedUdp::open` and by nobody else.
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[derive(Debug)]
struct Sleep(Pin<Box<tokio::time::Sleep>>);

impl AsyncTimer for Sleep {
    fn reset(mut self: Pin<&mut Self>, at: Instant) {
        self.0.as_mut().reset(at.into());
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}

/// Makes connection identifiers that begin with the worker. What follows is random, so that nobody outside can tell
/// that two of them are of one connection (RFC 9000 §5.1).
#[derive(Clone, Debug)]
pub(crate) struct Identifiers {
    worker: u16,
    random: Arc<CryptoProvider>,
}

impl ConnectionIdGenerator for Identifiers {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut bytes = [0; IDENTIFIER];
        let (worker, random) = bytes.split_at_mut(2);
        worker.copy_from_slice(&self.worker.to_be_bytes());
        if self.random.secure_random.fill(random).is_err() {
            // Without a source of randomness there was no handshake either. What matters is that it is not used twice.
            random.fill_with(|| fastrand::u8(..));
        }
        ConnectionId::new(&bytes)
    }

    fn cid_len(&self) -> usize {
        IDENTIFIER
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_of_other_workers_are_told_by_their_identifier() {
        assert_eq!(worker_of(&[0x40, 0, 3, 9, 9]), Some(3));
        assert_eq!(worker_of(&[0xc0, 0, 0, 0, 1]), None);
        assert_eq!(worker_of(&[0x40, 0]), None);
    }
}
