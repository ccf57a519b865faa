//! A service that is a process of its own: nginx. Entry point: [`Process`].

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::peer::Peer;
use crate::{Folder, SOON, free_address, wait_until};

/// One process, and no other that would go on without it.
pub struct Process {
    folder: Folder,
    address: SocketAddr,
    peer: Peer,
}

impl Process {
    /// Starts one that answers everything with its target, and its name in `x-served-by`.
    pub fn named(name: &str) -> Process {
        Process::serving(
            "",
            &format!("location / {{ add_header X-Served-By {name} always; return 200 $request_uri; }}"),
        )
    }

    /// Starts one with further words behind `listen ADDRESS` (`http2`, `ssl`), and the inside of its `server` block.
    /// `ROOT` in it stands for its folder.
    ///
    /// # Panics
    ///
    /// If there is no nginx, or if it does not start.
    pub fn serving(listen: &str, server: &str) -> Process {
        Process::with_files(&[], listen, server)
    }

    /// The same, with files in its folder.
    pub fn with_files(files: &[(&str, &str)], listen: &str, server: &str) -> Process {
        for _ in 0..5 {
            let (folder, address) = (Folder::new(), free_address());
            for (name, text) in files {
                folder.write(name, text);
            }
            let root = folder.path().display().to_string();
            let server = server.replace("ROOT", &root);
            folder.write(
                "nginx.conf",
                &format!(
                    "daemon off; master_process off; worker_processes 1; pid {root}/pid; error_log {root}/errors;\n\
                     events {{ worker_connections 512; }}\n\
                     http {{ access_log off; client_body_temp_path {root}/b; proxy_temp_path {root}/p;\n\
                     fastcgi_temp_path {root}/f; uwsgi_temp_path {root}/u; scgi_temp_path {root}/s;\n\
                     keepalive_requests 1000000; server {{ listen {address} {listen}; {server} }} }}\n"
                ),
            );
            if let Some(peer) = spawn(&folder, address) {
                return Process { folder, address, peer };
            }
        }
        panic!("nginx does not start");
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops it (SIGSTOP): its system goes on accepting connections and bytes, and it answers nothing.
    pub fn stop(&self) {
        self.signal("STOP");
    }

    /// Lets it go on (SIGCONT).
    pub fn go_on(&self) {
        self.signal("CONT");
    }

    /// Kills it (SIGKILL), and waits until it is gone.
    pub fn kill(&mut self) {
        self.peer.0.kill().unwrap();
        self.peer.0.wait().unwrap();
    }

    /// Starts it again at the same address, after [`Process::kill`].
    pub fn start_again(&mut self) {
        self.peer = spawn(&self.folder, self.address).expect("nginx does not start again");
    }

    fn signal(&self, name: &str) {
        let id = self.peer.0.id().to_string();
        let sent = Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", name, &id]).status().unwrap();
        assert!(sent.success());
    }
}

/// Starts nginx with the configuration in a folder. `None` if it ends at once: somebody else may have taken the port.
fn spawn(folder: &Folder, address: SocketAddr) -> Option<Peer> {
    let program = ["/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/sbin/nginx"];
    let program = program.iter().find(|path| Path::new(path).exists()).expect("this test needs nginx");
    let mut command = Command::new(program);
    command.arg("-c").arg(folder.path().join("nginx.conf")).arg("-p").arg(folder.path());
    let mut peer = Peer(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let mut failed = false;
    wait_until("nginx listens", SOON, || {
        failed = peer.0.try_wait().unwrap().is_some();
        failed || TcpStream::connect(address).is_ok()
    });
    (!failed).then_some(peer)
}
