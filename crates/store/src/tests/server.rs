//! Servers for tests: started on a free port of the loopback, ended with the test.

use std::cell::RefCell;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::{Address, Ask, Limit, Settings, Status, Store};

/// A redis-server, or a sentinel.
pub(super) struct Server {
    child: Child,
    pub(super) port: u16,
    pub(super) folder: PathBuf,
    arguments: Vec<String>,
}

impl Server {
    /// One that keeps nothing on disk. `None`, loudly, where no redis-server is installed.
    pub(super) fn start(arguments: &[&str]) -> Option<Server> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let port = free_port();
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("gateward-store-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let child = match spawn(&arguments, port, &folder) {
            Ok(child) => child,
            Err(error) => {
                // Past the harness, which keeps what a test that passes prints.
                let _ = writeln!(std::io::stderr(), "store: NOT CHECKED: redis-server ({error})");
                return None;
            }
        };
        let server = Server { child, port, folder, arguments };
        server.wait();
        Some(server)
    }

    fn wait(&self) {
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(began.elapsed() < Duration::from_secs(10), "redis-server does not listen");
            std::thread::yield_now();
        }
    }

    pub(super) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Again, on the same port and without what it knew.
    pub(super) fn restart(&mut self) {
        self.child = spawn(&self.arguments, self.port, &self.folder).unwrap();
        self.wait();
    }

    /// `STOP` makes it a black hole: the system goes on to take connections for it.
    pub(super) fn signal(&self, signal: &str) {
        let status = Command::new("kill").arg(format!("-{signal}")).arg(self.child.id().to_string()).status();
        assert!(status.unwrap().success());
    }

    /// A command of somebody else.
    pub(super) async fn tell(&self, command: &[&str]) -> redis::Value {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}", self.port)).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        redis::cmd(command[0]).arg(&command[1..]).query_async(&mut connection).await.unwrap()
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(super) fn store(&self) -> Watched {
        Watched::start(&self.url())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have been ended by the test.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A file that is there for a test.
pub(super) struct File(pub(super) String);

impl File {
    pub(super) fn new(name: &str, text: &str) -> File {
        let path = std::env::temp_dir().join(format!("gateward-store-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        File(path.to_str().unwrap().to_owned())
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn spawn(arguments: &[String], port: u16, folder: &PathBuf) -> std::io::Result<Child> {
    let mut command = Command::new("redis-server");
    // A sentinel is told by a file, which comes first.
    let (file, rest) = match arguments {
        [file, rest @ ..] if file.ends_with(".conf") => (Some(file), rest),
        rest => (None, rest),
    };
    command.args(file).args(["--port", &port.to_string(), "--bind", "127.0.0.1"]);
    if file.is_none() {
        command.args(["--save", "", "--appendonly", "no"]);
    }
    command.args(rest).current_dir(folder).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
}

pub(super) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A store, and each status that it has told.
pub(super) struct Watched {
    pub(super) store: Store,
    pub(super) told: Rc<RefCell<Vec<Status>>>,
}

impl Watched {
    /// With a timeout that a busy machine does not reach.
    pub(super) fn start(url: &str) -> Watched {
        Watched::hasty(url, Duration::from_secs(10))
    }

    pub(super) fn hasty(url: &str, timeout: Duration) -> Watched {
        Watched::with(Settings { timeout, ..Settings::new(Address::parse(url).unwrap()) })
    }

    pub(super) fn with(settings: Settings) -> Watched {
        let told = Rc::new(RefCell::new(Vec::new()));
        let tell = Rc::clone(&told);
        let on_change = move |status: &Status| tell.borrow_mut().push(status.clone());
        Watched { store: Store::start(settings, Rng::with_seed(7), on_change).unwrap(), told }
    }

    /// Waits until the store is as wanted, and says how long that took.
    pub(super) async fn until(&self, wanted: impl Fn(&Status) -> bool) -> Duration {
        let began = Instant::now();
        while !wanted(&self.store.status()) {
            assert!(began.elapsed() < Duration::from_secs(15), "still {}", self.store.status());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        began.elapsed()
    }

    pub(super) async fn up(&self) -> Duration {
        self.until(|status| *status == Status::Up).await
    }

    pub(super) async fn down(&self) -> Duration {
        self.until(|status| matches!(status, Status::Down(_))).await
    }
}

pub(super) fn ask(name: &str, limit: Limit, cost: u64) -> Ask<'_> {
    Ask { identity: [1; 16], name, limit, cost, ahead: 0 }
}

/// So slow that nothing comes back during a test.
pub(super) fn slow(burst: u64) -> Limit {
    Limit::Gcra { period_ns: 3_600_000_000_000, limit: 1, burst }
}

/// Runs a test as a worker runs its requests.
pub(super) fn local(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default())
        .unwrap();
    runtime.block_on(test);
}
