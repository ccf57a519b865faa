//! Many requests, of which each can be told from all others.
//!
//! It works on plain streams, because the point is how many there are. Entry point: [`Load`].

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::SOON;
use crate::message::{Kind, Parsed, parse};

/// Clients that ask one request after another, each on a connection of its own. Request N of client C asks for
/// `/load/C/N`, and every answer has to be 200.
pub struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    clients: Vec<JoinHandle<u64>>,
}

impl Load {
    /// Begins to ask, until it is told to stop.
    pub fn start(address: SocketAddr, clients: usize) -> Load {
        Load::begin(address, clients, u64::MAX)
    }

    /// Asks so many requests with each client, and returns when all were answered.
    pub fn run(address: SocketAddr, clients: usize, each: u64) -> u64 {
        let load = Load::begin(address, clients, each);
        load.clients.into_iter().map(|client| client.join().unwrap()).sum()
    }

    fn begin(address: SocketAddr, clients: usize, each: u64) -> Load {
        let (stop, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let client = |number| {
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            std::thread::spawn(move || {
                let mut client = Asker::connect(address);
                let mut asked = 0;
                while asked < each && !stop.load(Ordering::Relaxed) {
                    client.ask(&format!("/load/{number}/{asked}"));
                    asked += 1;
                    answered.fetch_add(1, Ordering::Relaxed);
                }
                asked
            })
        };
        let clients = (0..clients).map(client).collect();
        Load { stop, answered, clients }
    }

    /// How many requests were answered so far.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Stops asking. Returns how many requests each client has asked, all of them answered.
    ///
    /// # Panics
    ///
    /// If any of them was not, or not with 200.
    pub fn finish(self) -> Vec<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.clients.into_iter().map(|client| client.join().unwrap()).collect()
    }
}

/// A connection, and what came on it and was not read yet.
struct Asker {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Asker {
    fn connect(address: SocketAddr) -> Asker {
        let stream = TcpStream::connect_timeout(&address, SOON).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Asker { stream, unread: Vec::new() }
    }

    fn ask(&mut self, target: &str) {
        write!(self.stream, "GET {target} HTTP/1.1\r\nHost: gw.test\r\n\r\n").unwrap();
        let mut room = [0; 4096];
        loop {
            if let Ok(Parsed::Whole(answer, length)) = parse(&self.unread, Kind::Response, None) {
                assert_eq!(answer.status(), 200, "{target}: {answer}");
                self.unread.drain(..length);
                return;
            }
            let count = self.stream.read(&mut room).unwrap();
            assert!(count > 0, "the gateway closed the connection of {target}");
            self.unread.extend_from_slice(&room[..count]);
        }
    }
}
