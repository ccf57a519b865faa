//! A client that sends what a test says, byte for byte. Entry point: [`Client`].

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::ops::Deref;

use crate::message::Kind;
use crate::{Bell, Link, Message, SOON};

/// A connection to the gateway.
#[derive(Debug)]
pub struct Client(Link);

impl Client {
    /// Connects.
    pub fn connect(address: SocketAddr) -> Client {
        Client::try_connect(address).unwrap()
    }

    /// Connects to where connections may end at once: a reset can come before this has looked, and is an error then.
    pub fn try_connect(address: SocketAddr) -> io::Result<Client> {
        let stream = TcpStream::connect_timeout(&address, SOON)?;
        Ok(Client(Link::new(stream, &Bell::default())))
    }

    /// Reads the next response.
    pub fn response(&self) -> Message {
        self.0.read(Kind::Response, SOON).unwrap_or_else(|error| panic!("no response: {error}"))
    }

    /// Sends bytes and reads the response.
    pub fn ask(&self, bytes: impl AsRef<[u8]>) -> Message {
        assert!(self.0.send(bytes), "the connection has ended: {:?}", self.0.end());
        self.response()
    }

    /// Sends `GET target` and reads the response.
    pub fn get(&self, target: &str) -> Message {
        self.ask(format!("GET {target} HTTP/1.1\r\nHost: gw.test\r\n\r\n"))
    }
}

impl Deref for Client {
    type Target = Link;

    fn deref(&self) -> &Link {
        &self.0
    }
}
