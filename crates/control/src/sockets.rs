//! Listening sockets: one per worker and listener, on the same address.

use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that may wait to be accepted; the system lowers it to what it allows.
const BACKLOG: i32 = 4096;

/// An address that cannot be listened on.
#[derive(Debug)]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// Why.
    pub error: std::io::Error,
}

impl std::fmt::Display for BindError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cannot listen on {}: {}", self.address, self.error)?;
        match self.error.kind() {
            std::io::ErrorKind::AddrInUse => write!(
                f,
                "\n  Another process has this port (`ss -ltnp 'sport = :{}'` shows which). Stop it, or change `listen`.",
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
    let fail = |error| BindError { address: written, error };
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
}
