//! A real ACME server (`pebble`) with a DNS server beside it, as child processes on free ports of this machine.

use std::fs::{self, File};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

/// A folder that is removed when dropped.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Folder {
        let path = std::env::temp_dir().join(format!("gateward-pebble-{:016x}", fastrand::u64(..)));
        fs::create_dir(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What a server is to be like.
pub(crate) struct Setup {
    /// Where it looks for answers to http-01.
    pub(crate) http_port: u16,
    /// Where it looks for answers to tls-alpn-01.
    pub(crate) tls_port: u16,
    /// How long its certificates are valid, in seconds.
    pub(crate) validity: u64,
    /// Where it listens; 0 for any free port.
    pub(crate) port: u16,
}

/// A running server.
pub(crate) struct Pebble {
    pub(crate) directory: String,
    /// What its own certificate is verified with.
    pub(crate) ca: String,
    pub(crate) port: u16,
    /// Where the DNS server takes records.
    pub(crate) dns_management: u16,
    children: Vec<Child>,
    folder: Folder,
}

/// Whether the programs are there. Says so if not.
pub(crate) fn installed() -> bool {
    let found = |program: &str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|folder| folder.join(program).exists())
    };
    let both = found("pebble") && found("pebble-challtestsrv");
    if !both {
        // Past the test runner, which hides what tests that pass print.
        let _ = writeln!(std::io::stderr(), "NOT TESTED: pebble is not installed (Debian package `pebble`)");
    }
    both
}

impl Pebble {
    /// Starts one, and waits until it listens. Its authority is another one each time.
    pub(crate) async fn start(setup: &Setup) -> Pebble {
        let folder = Folder::new();
        let ca = make_certificates(&folder.0);
        let port = if setup.port == 0 { free_port() } else { setup.port };
        let (dns, dns_management) = (free_port(), free_port());
        let at = |port: u16| format!("127.0.0.1:{port}");
        let config = serde_json::json!({ "pebble": {
            "listenAddress": at(port),
            "managementListenAddress": "",
            "certificate": folder.0.join("server.pem"),
            "privateKey": folder.0.join("server.key"),
            "httpPort": setup.http_port,
            "tlsPort": setup.tls_port,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": false,
            "certificateValidityPeriod": setup.validity,
        }});
        let file = folder.0.join("pebble.json");
        fs::write(&file, config.to_string()).unwrap();

        let mut names = Command::new("pebble-challtestsrv");
        names.args(["-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""]);
        names.args(["-dns01", &at(dns), "-management", &at(dns_management)]);
        let mut server = Command::new("pebble");
        server.args(["-dnsserver", &at(dns), "-config"]).arg(&file);
        server.env("PEBBLE_VA_NOSLEEP", "1").env("PEBBLE_AUTHZREUSE", "0");
        let children =
            vec![spawn(names, &folder.0.join("dns.log")), spawn(server, &folder.0.join("pebble.log"))];

        let pebble = Pebble {
            directory: format!("https://{}/dir", at(port)),
            ca,
            port,
            dns_management,
            children,
            folder,
        };
        for port in [dns, dns_management, port] {
            wait_until_it_listens(port).await;
        }
        pebble
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            for log in ["dns.log", "pebble.log"] {
                eprintln!("--- {log}\n{}", fs::read_to_string(self.folder.0.join(log)).unwrap_or_default());
            }
        }
    }
}

fn spawn(mut command: Command, log: &Path) -> Child {
    let log = File::create(log).unwrap();
    let errors = log.try_clone().unwrap();
    command.stdin(Stdio::null()).stdout(log).stderr(errors).spawn().unwrap()
}

async fn wait_until_it_listens(port: u16) {
    let begun = Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    while tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(30), "nothing listens on port {port}");
        ticks.tick().await;
    }
}

/// A port that is free for TCP and UDP.
fn free_port() -> u16 {
    loop {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = tcp.local_addr().unwrap().port();
        if UdpSocket::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).is_ok() {
            return port;
        }
    }
}

/// An authority for the server itself, as a private one has; its certificate is returned.
fn make_certificates(folder: &Path) -> String {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let ca = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let server =
        CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    fs::write(folder.join("server.pem"), server.pem()).unwrap();
    fs::write(folder.join("server.key"), key.serialize_pem()).unwrap();
    ca
}
