//! A service that does what a test says, and records what reaches it.
//!
//! Entry points: [`Origin::scripted`] only accepts and records, and a test plays the service step by step;
//! [`Origin::serving`] answers on its own; [`Origin::raw`] hands over the bare streams.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use crate::message::{Kind, Parsed, parse};
use crate::{Bell, Link, Message, SOON};

/// A service on a free port of 127.0.0.1.
pub struct Origin {
    address: SocketAddr,
    links: Arc<Mutex<Vec<Arc<Link>>>>,
    requests: Arc<Mutex<Vec<Message>>>,
    bell: Bell,
    stopped: Arc<AtomicBool>,
}

impl Origin {
    /// Accepts and records; answers nothing by itself.
    pub fn scripted() -> Origin {
        Origin::scripted_at("127.0.0.1:0")
    }

    /// The same at a given address.
    pub fn scripted_at(address: &str) -> Origin {
        let (origin, listener) = Origin::bind(address);
        let (links, bell) = (Arc::clone(&origin.links), origin.bell.clone());
        origin.accept(listener, move |stream| {
            let link = Arc::new(Link::new(stream, &bell));
            links.lock().unwrap().push(link);
            bell.ring();
        });
        origin
    }

    /// Answers each whole request with the bytes that `answer` makes of it; closes where there are none.
    pub fn serving(answer: impl Fn(&Message) -> Option<Vec<u8>> + Send + Sync + 'static) -> Origin {
        Origin::serving_at("127.0.0.1:0", answer)
    }

    /// The same at a given address.
    pub fn serving_at(
        address: &str,
        answer: impl Fn(&Message) -> Option<Vec<u8>> + Send + Sync + 'static,
    ) -> Origin {
        let (origin, listener) = Origin::bind(address);
        let (links, requests, bell) =
            (Arc::clone(&origin.links), Arc::clone(&origin.requests), origin.bell.clone());
        let answer = Arc::new(answer);
        origin.accept(listener, move |stream| {
            let link = Arc::new(Link::new(stream, &Bell::default()));
            links.lock().unwrap().push(Arc::clone(&link));
            let (requests, bell, answer) = (Arc::clone(&requests), bell.clone(), Arc::clone(&answer));
            std::thread::spawn(move || {
                while let Ok(request) = link.read(Kind::Request, std::time::Duration::from_secs(120)) {
                    let response = answer(&request);
                    requests.lock().unwrap().push(request);
                    bell.ring();
                    match response {
                        Some(response) => link.send(response),
                        None => {
                            link.close();
                            break;
                        }
                    };
                }
            });
        });
        origin
    }

    /// Answers 200 with a fixed text.
    pub fn saying(text: &str) -> Origin {
        let response = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len());
        Origin::serving(move |_| Some(response.clone().into_bytes()))
    }

    /// Hands each connection to `serve`, on a thread of its own.
    pub fn raw(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Origin {
        let (origin, listener) = Origin::bind("127.0.0.1:0");
        let serve = Arc::new(serve);
        origin.accept(listener, move |stream| {
            let _ = stream.set_nodelay(true);
            let serve = Arc::clone(&serve);
            std::thread::spawn(move || serve(stream));
        });
        origin
    }

    fn bind(address: &str) -> (Origin, TcpListener) {
        let listener = TcpListener::bind(address).unwrap();
        let origin = Origin {
            address: listener.local_addr().unwrap(),
            links: Arc::default(),
            requests: Arc::default(),
            bell: Bell::default(),
            stopped: Arc::default(),
        };
        (origin, listener)
    }

    fn accept(&self, listener: TcpListener, mut begin: impl FnMut(TcpStream) + Send + 'static) {
        let stopped = Arc::clone(&self.stopped);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                if let Ok(stream) = stream {
                    begin(stream);
                }
            }
        });
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All connections so far, in the order in which they were accepted.
    pub fn links(&self) -> Vec<Arc<Link>> {
        self.links.lock().unwrap().clone()
    }

    /// All requests that a serving origin has answered, in the order of their arrival.
    pub fn requests(&self) -> Vec<Message> {
        self.requests.lock().unwrap().clone()
    }

    /// How many they are.
    pub fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }

    /// Rings whenever something has happened.
    pub fn bell(&self) -> &Bell {
        &self.bell
    }

    /// Takes the next whole request from whichever connection has one (a scripted origin).
    pub fn expect(&self) -> (Arc<Link>, Message) {
        let taken = self.bell.wait(SOON, || {
            self.links().into_iter().find_map(|link| {
                let message = link.try_take(|unread, end| match parse(unread, Kind::Request, end) {
                    Ok(Parsed::Whole(message, length)) => Some((*message, length)),
                    Ok(_) => None,
                    Err(error) => panic!("the origin got no HTTP/1.1: {error}"),
                })?;
                Some((link, message))
            })
        });
        taken.unwrap_or_else(|| panic!("no request reached the origin; its connections: {:?}", self.links()))
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        for link in self.links.lock().unwrap().drain(..) {
            link.close();
        }
        // Wakes the accepting thread, which then closes the listening socket.
        let _ = TcpStream::connect_timeout(&self.address, SOON);
    }
}

/// An address where nothing listens, and nothing will as long as the socket is held.
pub fn refused_address() -> (SocketAddr, socket2::Socket) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (address, socket)
}

/// An address where something can listen, and which nobody else gets by chance: its port is below those that the
/// system gives out.
pub fn free_address() -> SocketAddr {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let mut candidates = std::iter::repeat_with(|| {
        let number = std::process::id().wrapping_mul(97) + COUNT.fetch_add(1, Ordering::Relaxed);
        SocketAddr::from(([127, 0, 0, 1], 10_000 + (number % 20_000) as u16))
    });
    candidates.find(|address| TcpListener::bind(address).is_ok()).unwrap()
}
