//! Listening sockets: one per worker and listener, on the same address.

use std::net::{SocketAddr, TcpListener, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that may wait to be accepted; the system lowers it to what it allows.
const BACKLOG: i32 = 4096;
/// Bytes of datagrams that may wait in a socket; the system lowers it to what it allows.
const DATAGRAMS: usize = 2 * 1024 * 1024;
/// How many ports of the system are tried until one is free for TCP and for UDP.
const MOST_TRIES: usize = 16;

/// An address that cannot be listened on.
#[derive(Debug)]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// Whether it is about UDP, which HTTP/3 needs.
    pub udp: bool,
    /// Why.
    pub error: std::io::Error,
}

impl std::fmt::Display for BindError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let protocol = if self.udp { " (UDP, for HTTP/3)" } else { "" };
        write!(f, "cannot listen on {}{protocol}: {}", self.address, self.error)?;
        match self.error.kind() {
            std::io::ErrorKind::AddrInUse => write!(
                f,
                "\n  Another process has this port (`ss -l{}np 'sport = :{}'` shows which). Stop it, or change `listen`.",
                if self.udp { 'u' } else { 't' },
                self.address.port()
            ),
            std::io::ErrorKind::PermissionDenied => write!(
                f,
                "\n  Ports below 1024 need a privilege: use a higher port, or grant CAP_NET_BIND_SERVICE."
            ),
            std::io::ErrorKind::AddrNotAvailable => {
                write!(f, "\n  This machine has no such address. Use 0.0.0.0 or [::] for all addresses.")
            }
            _ => Ok(()),
        }
    }
}

impl std::error::Error for BindError {}

/// Binds an address once per worker. Returns the sockets and the address they are really on. `ours` says that this
/// process listens on the port already, on an address that is about to go.
pub(crate) fn bind(
    mut address: SocketAddr,
    workers: usize,
    ours: bool,
) -> Result<(Vec<TcpListener>, SocketAddr), BindError> {
    let written = address;
    let fail = |error| BindError { address: written, udp: false, error };
    if address.port() != 0 && !ours {
        // Sockets that share a port would join those of any other process of the same user, and take
        // half of its connections. A first socket that does not share finds such a process.
        drop(open(address, false).map_err(fail)?);
    }
    let mut sockets = Vec::with_capacity(workers);
    for _ in 0..workers {
        let socket = open(address, true).map_err(fail)?;
        if address.port() == 0 {
            address = socket.local_addr().map_err(fail)?;
        }
        sockets.push(socket);
    }
    for socket in &sockets {
        socket2::SockRef::from(socket).listen(BACKLOG).map_err(fail)?;
    }
    Ok((sockets, address))
}

/// Binds the UDP side of an address that is bound for TCP, once per worker.
pub(crate) fn bind_udp(address: SocketAddr, workers: usize, ours: bool) -> Result<Vec<UdpSocket>, BindError> {
    let fail = |error| BindError { address, udp: true, error };
    if !ours {
        drop(open_udp(address, false).map_err(fail)?);
    }
    (0..workers).map(|_| open_udp(address, true).map_err(fail)).collect()
}

/// Binds an address for both. Where the system chooses the port, it has to be free for both.
pub(crate) fn bind_both(
    address: SocketAddr,
    workers: usize,
    ours: bool,
) -> Result<(Vec<TcpListener>, Vec<UdpSocket>, SocketAddr), BindError> {
    let mut tries = 0;
    loop {
        tries += 1;
        let (tcp, real) = bind(address, workers, ours)?;
        match bind_udp(real, workers, ours) {
            Ok(udp) => return Ok((tcp, udp, real)),
            Err(_) if address.port() == 0 && tries < MOST_TRIES => {}
            Err(error) => return Err(error),
        }
    }
}

fn open_udp(address: SocketAddr, share: bool) -> std::io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_port(share)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // What does not fit is lost and sent again: more room only makes that rarer.
    let _ = socket.set_recv_buffer_size(DATAGRAMS);
    let _ = socket.set_send_buffer_size(DATAGRAMS);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

fn open(address: SocketAddr, share: bool) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(share)?;
    if address.is_ipv6() {
        // [::] means every address of the machine, IPv4 too, as with most servers.
        socket.set_only_v6(false)?;
    }
    // Accepted sockets inherit it, which saves a system call for each connection.
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn workers_share_a_port_and_others_cannot_join() {
        let (sockets, address) = bind("127.0.0.1:0".parse().unwrap(), 3, false).unwrap();
        assert!(sockets.len() == 3 && address.port() != 0);
        assert!(sockets.iter().all(|socket| socket.local_addr().unwrap() == address));
        let error = bind(address, 2, false).unwrap_err();
        assert_eq!(error.error.kind(), std::io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains("Another process has this port"));
    }

    #[test]
    fn udp_gets_the_port_that_tcp_got_and_others_cannot_join() {
        let (tcp, udp, address) = bind_both("127.0.0.1:0".parse().unwrap(), 3, false).unwrap();
        assert_eq!((tcp.len(), udp.len()), (3, 3));
        assert!(udp.iter().all(|socket| socket.local_addr().unwrap() == address));
        let error = bind_udp(address, 2, false).unwrap_err();
        assert_eq!(error.error.kind(), std::io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains("(UDP, for HTTP/3)") && error.to_string().contains("ss -lunp"));
        drop(udp);
        let held = UdpSocket::bind(address).unwrap();
        drop(tcp);
        let error = bind_both(held.local_addr().unwrap(), 1, false).unwrap_err();
        assert!(error.udp);
    }
}
