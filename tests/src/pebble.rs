//! A real authority that speaks ACME: `pebble`, with its DNS server beside it. Entry points: [`installed`],
//! [`Pebble::start`].

use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::certificates::{Authority, Wish};
use crate::peer::{Peer, missing, output_of};
use crate::{Folder, SOON, free_address, wait_until};

/// Where it finds the gateway, and how it is.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Where it listens itself.
    pub address: SocketAddr,
    /// Where answers to http-01 are.
    pub http: SocketAddr,
    /// Where answers to tls-alpn-01 are.
    pub tls: SocketAddr,
    /// How long its certificates are valid, in seconds.
    pub validity: u64,
}

/// A running authority.
pub struct Pebble {
    /// The URL of its directory.
    pub directory: String,
    /// What certificates that it gives out are verified with.
    pub roots: PathBuf,
    /// Where its DNS server takes records.
    pub dns: SocketAddr,
    folder: Folder,
    _server: Peer,
    _names: Peer,
}

/// Whether it is there. Says so if not.
pub fn installed() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = |program: &str| std::env::split_paths(&path).any(|folder| folder.join(program).exists());
    let both = found("pebble") && found("pebble-challtestsrv");
    if !both {
        missing("certificates by ACME", "pebble is not installed: Debian package `pebble`");
    }
    both
}

impl Pebble {
    /// Starts one whose own certificate is from `authority`, and waits until it listens. What it signs with is
    /// another key each time.
    pub fn start(authority: &Authority, setup: &Setup) -> Pebble {
        let folder = Folder::new();
        let own = authority.sign(&Wish::server(&["127.0.0.1"]));
        let (cert, key) = (folder.write("server.pem", &own.cert), folder.write("server.key", &own.key));
        let (dns_server, dns, management) = (free_address(), free_address(), free_address());
        let config = serde_json::json!({ "pebble": {
            "listenAddress": setup.address.to_string(),
            "managementListenAddress": management.to_string(),
            "certificate": cert,
            "privateKey": key,
            "httpPort": setup.http.port(),
            "tlsPort": setup.tls.port(),
            "ocspResponderURL": "",
            "externalAccountBindingRequired": false,
            "certificateValidityPeriod": setup.validity,
        }});
        let config = folder.write("pebble.json", &config.to_string());
        let mut names = Command::new("pebble-challtestsrv");
        names.args(["-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""]);
        names.args(["-dns01", &dns_server.to_string(), "-management", &dns.to_string()]);
        let mut server = Command::new("pebble");
        server.args(["-dnsserver", &dns_server.to_string(), "-config"]).arg(config);
        server.env("PEBBLE_VA_NOSLEEP", "1").env("PEBBLE_AUTHZREUSE", "0");
        let names = begin(names, &folder.path().join("names.log"));
        let server = begin(server, &folder.path().join("pebble.log"));
        for address in [dns_server, dns, management, setup.address] {
            wait_until("pebble listens", SOON, || TcpStream::connect(address).is_ok());
        }
        let ca = folder.write("ca.pem", authority.cert());
        let url = format!("https://{management}/roots/0");
        let roots = output_of("curl", &["-sS", "--noproxy", "*", "--cacert", ca.to_str().unwrap(), &url]);
        let roots = folder.write("roots.pem", &roots);
        let directory = format!("https://{}/dir", setup.address);
        Pebble { directory, roots, dns, folder, _server: server, _names: names }
    }

    /// What it printed.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("pebble.log")).unwrap()
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("── pebble printed ──\n{}────────────────────", self.log());
        }
    }
}

fn begin(mut command: Command, log: &Path) -> Peer {
    let log = File::create(log).unwrap();
    let errors = log.try_clone().unwrap();
    Peer(command.stdin(Stdio::null()).stdout(log).stderr(errors).spawn().unwrap())
}
