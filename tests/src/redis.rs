//! A real store of shared state: `redis-server`. Entry points: [`installed`], [`Redis::start`].

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use crate::certificates::{Authority, Wish};
use crate::peer::missing;
use crate::{Folder, SOON, free_address, wait_until};

/// A server that keeps nothing on disk.
#[derive(Debug)]
pub struct Redis {
    /// Where it listens without encryption.
    pub address: SocketAddr,
    /// Where it listens with TLS, if it does.
    pub tls: SocketAddr,
    arguments: Vec<String>,
    folder: Folder,
    child: Child,
}

/// Whether it is there. Says so if not.
pub fn installed() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|folder| folder.join("redis-server").exists());
    if !found {
        missing("limits that gateways share", "redis-server is not installed: Debian package `redis-server`");
    }
    found
}

impl Redis {
    /// Starts one with further arguments, and waits until it listens. With an authority, it has a certificate of it.
    pub fn start(arguments: &[&str], authority: Option<&Authority>) -> Redis {
        let (folder, address, tls) = (Folder::new(), free_address(), free_address());
        let mut all: Vec<String> =
            ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"].map(str::to_owned).into();
        all.extend(["--port".to_owned(), address.port().to_string()]);
        if let Some(authority) = authority {
            let own = authority.sign(&Wish::server(&["localhost"]));
            let files = [
                ("--tls-cert-file", folder.write("own.pem", &own.cert)),
                ("--tls-key-file", folder.write("own.key", &own.key)),
                ("--tls-ca-cert-file", folder.write("ca.pem", authority.cert())),
            ];
            all.extend(
                files.into_iter().flat_map(|(name, path)| [name.to_owned(), path.display().to_string()]),
            );
            all.extend(["--tls-auth-clients", "no", "--tls-port"].map(str::to_owned));
            all.push(tls.port().to_string());
        }
        all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        let child = spawn(&all, &folder);
        let redis = Redis { address, tls, arguments: all, folder, child };
        redis.listens();
        redis
    }

    fn listens(&self) {
        wait_until("redis-server listens", SOON, || TcpStream::connect(self.address).is_ok());
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again, at the same place and without what it knew.
    pub fn restart(&mut self) {
        self.child = spawn(&self.arguments, &self.folder);
        self.listens();
    }

    /// What it answers to a command, in a line; of a list the first line.
    pub fn tell(&self, command: &str) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream.write_all(format!("{command}\r\n").as_bytes()).unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // The test may have ended it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(arguments: &[String], folder: &Folder) -> Child {
    let mut command = Command::new("redis-server");
    command.args(arguments).current_dir(folder.path());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}
