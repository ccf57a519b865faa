//! One TCP connection, seen from either end: a thread reads all that comes, tests look at it when they like.
//!
//! It knows nothing of HTTP beyond handing its bytes to [`crate::message`]. Entry point: [`Link`].

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::message::{Kind, Message, Parsed, parse};
use crate::{Bell, SOON};

/// How the other side ended the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// It sent a FIN.
    Closed,
    /// It sent a RST.
    Reset,
}

#[derive(Default, Debug)]
struct Inbox {
    unread: Vec<u8>,
    total: u64,
    end: Option<End>,
}

/// One TCP connection.
#[derive(Debug)]
pub struct Link {
    /// `None` after a reset.
    stream: Mutex<Option<Arc<TcpStream>>>,
    peer: Option<SocketAddr>,
    inbox: Arc<Mutex<Inbox>>,
    bell: Bell,
}

impl Link {
    /// Takes over a connection; `bell` rings whenever something comes in.
    pub fn new(stream: TcpStream, bell: &Bell) -> Link {
        stream.set_nodelay(true).unwrap();
        let inbox = Arc::<Mutex<Inbox>>::default();
        let (mut reader, ringing) = (stream.try_clone().unwrap(), bell.clone());
        let peer = stream.peer_addr().ok();
        let link = Link {
            stream: Mutex::new(Some(Arc::new(stream))),
            peer,
            inbox: Arc::clone(&inbox),
            bell: bell.clone(),
        };
        std::thread::spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            loop {
                let read = reader.read(&mut buffer);
                let mut inbox = inbox.lock().unwrap();
                match read {
                    Ok(0) => inbox.end = Some(End::Closed),
                    Ok(count) => {
                        inbox.unread.extend_from_slice(&buffer[..count]);
                        inbox.total += count as u64;
                    }
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                    Err(_) => inbox.end = Some(End::Reset),
                }
                let ended = inbox.end.is_some();
                drop(inbox);
                ringing.ring();
                if ended {
                    break;
                }
            }
        });
        link
    }

    /// The other side's address.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// The address of this side.
    ///
    /// # Panics
    ///
    /// After a reset.
    pub fn local(&self) -> SocketAddr {
        self.stream().unwrap().local_addr().unwrap()
    }

    fn stream(&self) -> Option<Arc<TcpStream>> {
        self.stream.lock().unwrap().clone()
    }

    /// Sends bytes. `false` if the connection has ended.
    pub fn send(&self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream().is_some_and(|stream| (&*stream).write_all(bytes.as_ref()).is_ok())
    }

    /// Sends nothing more (FIN); still reads.
    pub fn half_close(&self) {
        self.shutdown(Shutdown::Write);
    }

    /// Closes. The reading thread holds a descriptor of its own, so this shuts down both directions.
    pub fn close(&self) {
        self.shutdown(Shutdown::Both);
    }

    fn shutdown(&self, how: Shutdown) {
        if let Some(stream) = self.stream() {
            let _ = stream.shutdown(how);
        }
    }

    /// Ends the connection with a RST.
    pub fn reset(&self) {
        if let Some(stream) = self.stream.lock().unwrap().take() {
            let _ = socket2::SockRef::from(&*stream).set_linger(Some(Duration::ZERO));
            // Wakes the reading thread, so that the last descriptor is closed. Sends nothing by itself.
            let _ = stream.shutdown(Shutdown::Read);
        }
    }

    /// What came and was not taken yet.
    pub fn unread(&self) -> Vec<u8> {
        self.inbox.lock().unwrap().unread.clone()
    }

    /// How many bytes came in all.
    pub fn total(&self) -> u64 {
        self.inbox.lock().unwrap().total
    }

    /// How the other side ended the connection, if it did.
    pub fn end(&self) -> Option<End> {
        self.inbox.lock().unwrap().end
    }

    /// Waits until the other side ends the connection.
    pub fn wait_end(&self, limit: Duration) -> Option<End> {
        self.bell.wait(limit, || self.end())
    }

    /// Waits until `find` finds something in what came; it says how many bytes to take.
    pub fn wait_for<T>(
        &self,
        limit: Duration,
        mut find: impl FnMut(&[u8], Option<End>) -> Option<(T, usize)>,
    ) -> Option<T> {
        self.bell.wait(limit, || self.try_take(&mut find))
    }

    /// Takes what `find` finds in what came until now.
    pub fn try_take<T>(&self, find: impl FnOnce(&[u8], Option<End>) -> Option<(T, usize)>) -> Option<T> {
        let mut inbox = self.inbox.lock().unwrap();
        let end = inbox.end;
        let (found, taken) = find(&inbox.unread, end)?;
        inbox.unread.drain(..taken);
        Some(found)
    }

    /// Takes bytes up to and including `text`.
    pub fn wait_text(&self, text: &str) -> Option<Vec<u8>> {
        self.wait_for(SOON, |unread, _| {
            let at = unread.windows(text.len()).position(|window| window == text.as_bytes())?;
            Some((unread[..at + text.len()].to_vec(), at + text.len()))
        })
    }

    /// Reads one whole message. An error says what came instead.
    pub fn read(&self, kind: Kind, limit: Duration) -> Result<Message, String> {
        let read = self.wait_for(limit, |unread, end| match parse(unread, kind, end) {
            Ok(Parsed::Whole(message, length)) => Some((Ok(*message), length)),
            Ok(_) if end.is_none() => None,
            Ok(_) => Some((Err(format!("the connection ended ({end:?}) in the middle of a message")), 0)),
            Err(error) => Some((Err(error), 0)),
        });
        let read = read.unwrap_or_else(|| Err(format!("no whole message came within {limit:?}")));
        read.map_err(|error| format!("{error}; unread: {}", show(&self.unread())))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.close();
    }
}

/// Bytes for people, cut where there are too many.
pub(crate) fn show(bytes: &[u8]) -> String {
    let text: String = bytes.iter().take(2000).map(|&b| b as char).collect();
    let more = if bytes.len() > 2000 { format!(" … ({} bytes)", bytes.len()) } else { String::new() };
    format!("\"{}\"{more}", text.replace("\r\n", "\\r\\n\n  "))
}

#[cfg(test)]
mod tests {
    use crate::message::Kind;
    use crate::{Client, End, Origin, SOON, refused_address};

    #[test]
    fn a_client_and_a_service_talk() {
        let origin = Origin::scripted();
        let client = Client::connect(origin.address());
        client.send("POST /a HTTP/1.1\r\nHost: b\r\nContent-Length: 2\r\n\r\nhi");
        let (link, request) = origin.expect();
        assert_eq!((request.method(), request.target(), &request.text()[..]), ("POST", "/a", "hi"));
        link.send("HTTP/1.1 200 OK\r\n\r\nuntil the end");
        link.half_close();
        assert_eq!(client.response().text(), "until the end");
        client.half_close();
        assert_eq!(link.wait_end(SOON), Some(End::Closed));
    }

    #[test]
    fn a_reset_is_told_from_a_close() {
        let origin = Origin::scripted();
        let client = Client::connect(origin.address());
        client.send("GET / HTTP/1.1\r\nHost: b\r\n\r\n");
        let (link, _) = origin.expect();
        link.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab");
        client.read(Kind::Head, SOON).unwrap();
        client.wait_text("ab").unwrap();
        link.reset();
        assert_eq!(client.wait_end(SOON), Some(End::Reset));
    }

    #[test]
    fn a_serving_origin_answers_and_counts() {
        let origin = Origin::serving(|request| {
            Some(format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", request.target()).into_bytes())
        });
        let client = Client::connect(origin.address());
        assert_eq!(
            (client.get("/a").text(), client.get("/b").text(), origin.count()),
            ("/a".into(), "/b".into(), 2)
        );
    }

    #[test]
    fn nothing_listens_at_a_refused_address() {
        let (address, _held) = refused_address();
        let error = std::net::TcpStream::connect(address).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    }
}
