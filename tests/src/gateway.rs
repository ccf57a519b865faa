//! The binary under test as a child process. It knows the command line and what `run` prints, nothing else.
//!
//! Entry points: [`Gateway::start`] for a configuration text, [`Setup`] for more, [`check`] for `gateward check`.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::{Bell, Client, SOON, wait_until};

/// Where the binary is: `GATEWARD_BIN`, or what a build left behind.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("GATEWARD_BIN") {
        // Children run in folders of their own, where a relative path would mean something else.
        return std::path::absolute(path).unwrap();
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let built = ["fast", "debug"].map(|profile| root.join("target").join(profile).join("gateward"));
    built.iter().find(|path| path.exists()).cloned().unwrap_or_else(|| {
        panic!("there is no gateward binary: build one with `make binary`, or name one in GATEWARD_BIN")
    })
}

/// A folder of its own below the system's one for temporary files, removed when dropped.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Makes an empty one.
    pub fn new() -> Folder {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("gateward-test-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file, and the folders above it.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Default for Folder {
    fn default() -> Folder {
        Folder::new()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What a gateway is started with.
#[derive(Clone, Default, Debug)]
pub struct Setup {
    /// The text of `gateward.yaml`.
    pub yaml: String,
    /// Further files beside it.
    pub files: Vec<(String, String)>,
    /// Environment variables.
    pub environment: Vec<(String, String)>,
    /// How many workers; one where nothing is said, so that pools and turns are predictable.
    pub workers: Option<usize>,
}

impl Setup {
    /// With this configuration and one worker.
    pub fn new(yaml: impl Into<String>) -> Setup {
        Setup { yaml: yaml.into(), ..Setup::default() }
    }

    fn lay_out(&self) -> Folder {
        let folder = Folder::new();
        folder.write("gateward.yaml", &self.yaml);
        for (name, text) in &self.files {
            folder.write(name, text);
        }
        folder
    }

    fn command(&self, folder: &Folder, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(arguments).current_dir(folder.path()).env("NO_COLOR", "1").env_remove("GATEWARD_CONFIG");
        command.envs(self.environment.iter().map(|(name, value)| (name, value))).stdin(Stdio::null());
        command
    }
}

/// What `gateward check` says where a build has not got what a configuration needs.
pub const LEFT_OUT: &str = "this build of gateward leaves out";

/// Runs `gateward check` with further arguments.
pub fn check(setup: &Setup, arguments: &[&str]) -> Output {
    let folder = setup.lay_out();
    let mut all = vec!["check", "-c", "gateward.yaml"];
    all.extend(arguments);
    setup.command(&folder, &all).output().unwrap()
}

/// A running gateway.
pub struct Gateway {
    child: Child,
    log: Arc<Mutex<String>>,
    bell: Bell,
    addresses: Vec<SocketAddr>,
    folder: Folder,
}

impl Gateway {
    /// Starts one with a configuration, and waits until it listens.
    pub fn start(yaml: impl Into<String>) -> Gateway {
        Setup::new(yaml).start()
    }

    /// Where it listens: the first address.
    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Where it listens: all addresses, in the order of the configuration.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// A new connection to it.
    pub fn connect(&self) -> Client {
        Client::connect(self.address())
    }

    /// What it printed so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits until a line that it printed holds a text, after the first `seen` bytes of the log. Returns how long the
    /// log is then.
    pub fn wait_for(&self, text: &str, seen: usize) -> usize {
        let found = self.bell.wait(SOON, || {
            let log = self.log.lock().unwrap();
            log.get(seen..).is_some_and(|rest| rest.contains(text)).then_some(log.len())
        });
        found.unwrap_or_else(|| panic!("`{text}` was not printed:\n{}", self.log()))
    }

    /// The folder of its configuration.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Writes another configuration, whole at once, as good editors and deployment tools do it. Returns how long the
    /// log is before it is noticed.
    pub fn rewrite(&self, yaml: &str) -> usize {
        let seen = self.log().len();
        let new = self.folder.write("gateward.yaml.new", yaml);
        std::fs::rename(new, self.folder.path().join("gateward.yaml")).unwrap();
        seen
    }

    /// Writes another configuration, and waits until it is in use.
    pub fn reload(&self, yaml: &str) {
        let seen = self.rewrite(yaml);
        self.signal("HUP");
        self.wait_for("gateward: reloaded: ", seen);
    }

    /// Where its admin listener is, as it says.
    pub fn admin(&self) -> SocketAddr {
        self.wait_for("the admin listener is at ", 0);
        let log = self.log();
        let (_, text) = log.rsplit_once("the admin listener is at http://").unwrap();
        text.lines().next().unwrap().parse().unwrap()
    }

    /// Asks the admin listener for a page, and returns its status and body.
    pub fn ask_admin(&self, path: &str) -> (u16, String) {
        let client = Client::connect(self.admin());
        let answer =
            client.ask(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"));
        (answer.status(), answer.text())
    }

    /// The value of one series of `/metrics`, named as it stands there; 0 if it is not there.
    pub fn metric(&self, series: &str) -> f64 {
        let (status, text) = self.ask_admin("/metrics");
        assert_eq!(status, 200, "{text}");
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Most resident memory it ever had, in bytes.
    pub fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// Sends a signal, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", name, &id]).status().unwrap();
        assert!(sent.success());
    }

    /// Whether it has ended, and how.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits for its end.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        wait_until("the gateway ends", limit, || self.child.try_wait().unwrap().is_some());
        self.child.wait().unwrap()
    }

    /// Tells it to stop, and checks that it ends well and never panicked.
    pub fn stop(mut self) {
        self.signal("TERM");
        let status = self.wait(SOON);
        assert!(status.success(), "SIGTERM ended the gateway with {status}");
        assert!(!self.log().contains("panicked"), "the gateway panicked:\n{}", self.log());
    }
}

impl Setup {
    /// Starts a gateway, and waits until it listens.
    ///
    /// # Panics
    ///
    /// With all that it printed, if it does not listen.
    pub fn start(&self) -> Gateway {
        let folder = self.lay_out();
        let workers = self.workers.unwrap_or(1).to_string();
        let mut arguments = vec!["run", "-c", "gateward.yaml", "--workers", &workers];
        // Many gateways run at a time, and only one of them could have the default address.
        if !self.yaml.contains("admin:") {
            arguments.extend(["--admin", "off"]);
        }
        let mut command = self.command(&folder, &arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (log, bell) = (Arc::<Mutex<String>>::default(), Bell::default());
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let open = Arc::new(());
        collect(stdout, &log, &bell, &open);
        collect(stderr, &log, &bell, &open);
        let found = bell.wait(SOON, || {
            let addresses = listening_on(&log.lock().unwrap());
            match addresses.is_empty() {
                false => Some(addresses),
                true if Arc::strong_count(&open) == 1 => Some(Vec::new()),
                true => None,
            }
        });
        let addresses = found.unwrap_or_default();
        let gateway = Gateway { child, log, bell, addresses, folder };
        assert!(!gateway.addresses.is_empty(), "the gateway does not listen");
        gateway
    }
}

/// Gathers what a child prints. `open` is held until it has closed the pipe.
fn collect(pipe: impl std::io::Read + Send + 'static, log: &Arc<Mutex<String>>, bell: &Bell, open: &Arc<()>) {
    let (log, bell, open) = (Arc::clone(log), bell.clone(), Arc::clone(open));
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
            let mut log = log.lock().unwrap();
            log.push_str(&String::from_utf8_lossy(&line));
            log.push('\n');
            drop(log);
            bell.ring();
        }
        drop(open);
        bell.ring();
    });
}

/// The addresses of every whole line that says `listening on`.
fn listening_on(log: &str) -> Vec<SocketAddr> {
    let lines = log.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    let texts = lines.filter_map(|line| line.split_once("listening on ")).map(|(_, text)| text);
    texts.flat_map(|text| text.split([',', ' ', '\n'])).filter_map(|text| text.parse().ok()).collect()
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("── the gateway printed ──\n{}─────────────────────────", self.log());
        }
    }
}
