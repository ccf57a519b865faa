//! Where lines of the access log go, and what happens when something is in their way: whoever asks the gateway must
//! never notice, and no line may be lost without being counted. What a line says is in `access_log.rs`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a failed unwrap is a failed test"
)]

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use end_to_end::python::{json_lines, lines_of};
use end_to_end::{Client, Folder, Gateway, Load, SOON, Setup, binary, wait_until};
use serde_json::Value;

/// What a gateway may ever have for itself, whatever becomes of its log.
const MOST_MEMORY: u64 = 10_000_000;

/// A gateway that answers everything itself, with a log at `target`.
fn yaml(target: &str) -> String {
    format!(
        "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\ntelemetry: {{ access_log: {target} }}\n\
         routes: [{{ name: all, path: /*, respond: {{ body: ok }} }}]\n"
    )
}

/// Lines that were written and lines that were dropped, as a page of metrics says it.
fn counts_on(page: &str) -> (u64, u64) {
    let of = |result: &str| {
        let series = format!("gateward_access_log_lines_total{{result=\"{result}\"}} ");
        page.lines().find_map(|line| line.strip_prefix(&*series)).unwrap().parse().unwrap()
    };
    (of("written"), of("dropped"))
}

fn counts(gateway: &Gateway) -> (u64, u64) {
    counts_on(&gateway.ask_admin("/metrics").1)
}

/// Waits until so many lines were written or dropped, and returns how many were which.
fn settled(lines: u64, counts: impl Fn() -> (u64, u64)) -> (u64, u64) {
    let mut last = (0, 0);
    wait_until("every line is written or dropped", SOON, || {
        last = counts();
        last.0 + last.1 >= lines
    });
    assert_eq!(last.0 + last.1, lines, "{last:?}");
    last
}

/// Each request of a load is in one of these files, once, and nothing else is.
fn assert_each_once(files: &[PathBuf], asked: &[u64]) {
    let read = |file: &PathBuf| json_lines(&std::fs::read(file).unwrap());
    let files: Vec<Vec<Value>> = files.iter().map(read).collect();
    assert!(files.iter().all(|lines| !lines.is_empty()), "a file is empty");
    let mut paths = HashSet::new();
    for line in files.iter().flatten() {
        let path = line["path"].as_str().unwrap();
        assert!(paths.insert(path), "{path} is there twice");
    }
    for (client, count) in asked.iter().enumerate() {
        let lost = (0..*count).find(|number| !paths.contains(&*format!("/load/{client}/{number}")));
        assert_eq!(lost, None, "this request of client {client} is in no file");
    }
    assert_eq!(paths.len() as u64, asked.iter().sum::<u64>(), "there is more than was asked");
}

fn goes_on(load: &Load) {
    let before = load.answered();
    wait_until("the load goes on", SOON, || load.answered() > before + 500);
}

fn rotate_under_load(signal: &str) {
    let gateway = Setup { workers: Some(2), ..Setup::new(yaml("access.log")) }.start();
    let file = |name: &str| gateway.folder().path().join(name);
    let load = Load::start(gateway.address(), 4);
    let olds = ["access.log.1", "access.log.2", "access.log.3"].map(file);
    for old in &olds {
        goes_on(&load);
        std::fs::rename(file("access.log"), old).unwrap();
        gateway.signal(signal);
        wait_until("there is a new file", SOON, || file("access.log").exists());
    }
    goes_on(&load);
    let asked = load.finish();
    assert_eq!(settled(asked.iter().sum(), || counts(&gateway)).1, 0, "nothing was dropped");
    assert_each_once(&[&olds[..], &[file("access.log")]].concat(), &asked);
    let reloads = if signal == "HUP" { 3.0 } else { 0.0 };
    wait_until("SIGHUP reloads as well", SOON, || {
        gateway.metric("gateward_reloads_total{result=\"applied\"}") == reloads
    });
    gateway.stop();
}

#[test]
fn sigusr1_opens_the_file_anew_under_load() {
    rotate_under_load("USR1");
}

#[test]
fn sighup_opens_the_file_anew_under_load() {
    rotate_under_load("HUP");
}

#[test]
fn a_reload_moves_the_log_under_load_and_switches_it_off() {
    let gateway = Setup { workers: Some(2), ..Setup::new(yaml("a.log")) }.start();
    let file = |name: &str| gateway.folder().path().join(name);
    let load = Load::start(gateway.address(), 4);
    goes_on(&load);
    gateway.reload(&yaml("{ to: b.log, format: json }"));
    goes_on(&load);
    let asked = load.finish();
    settled(asked.iter().sum(), || counts(&gateway));
    assert_each_once(&[file("a.log"), file("b.log")], &asked);
    gateway.reload(&yaml("off"));
    let before = counts(&gateway);
    assert_eq!(gateway.connect().get("/nobody-sees-this").text(), "ok");
    let open = std::fs::read_dir(format!("/proc/{}/fd", gateway.id())).unwrap();
    let open: Vec<PathBuf> = open.filter_map(|entry| entry.unwrap().path().read_link().ok()).collect();
    assert!(open.iter().all(|path| path.extension().is_none_or(|ending| ending != "log")), "{open:?}");
    gateway.reload(&yaml("stdout"));
    assert_eq!(gateway.connect().get("/on-standard-output").text(), "ok");
    gateway.wait_for("\"path\":\"/on-standard-output\"", 0);
    // A line is counted when it has been written: whoever has read it may be faster.
    let after = settled(before.0 + 1, || counts(&gateway));
    assert_eq!(after, (before.0 + 1, 0), "what is asked while the log is off is in none");
    gateway.stop();
}

#[test]
fn a_log_that_cannot_be_opened_stops_the_start() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path().join("folder")).unwrap();
    for (target, advice) in [("missing/access.log", "Its folder must exist"), ("folder", "Is a directory")] {
        folder.write("gateward.yaml", &yaml(target));
        let mut command = Command::new(binary());
        let output =
            command.args(["run", "-c", "gateward.yaml"]).current_dir(folder.path()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains(target) && text.contains(advice) && !text.contains("listening on"), "{text}");
    }
}

#[test]
fn a_log_that_cannot_be_opened_stops_a_reload_and_nothing_else() {
    let gateway = Gateway::start(yaml("access.log"));
    let seen = gateway.rewrite(&yaml("missing/other.log").replace("body: ok", "body: other"));
    gateway.signal("HUP");
    gateway.wait_for("Its folder must exist", seen);
    assert!(gateway.log().contains("the one before stays in use"), "{}", gateway.log());
    assert_eq!(gateway.metric("gateward_reloads_total{result=\"rejected\"}"), 1.0);
    assert_eq!(gateway.connect().get("/still").text(), "ok");
    let lines = lines_of(&gateway.folder().path().join("access.log"), 1);
    assert_eq!(lines[0]["path"], "/still");
    gateway.stop();
}

#[test]
fn a_full_device_is_noticed_by_the_operator_alone() {
    let started = Instant::now();
    let gateway = Gateway::start(yaml("/dev/full"));
    Load::run(gateway.address(), 4, 250);
    assert_eq!(settled(1000, || counts(&gateway)), (0, 1000));
    gateway.wait_for("No space left on device", 0);
    let log = gateway.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("/dev/full")).collect();
    assert!(lines[0].contains("access log: lines to /dev/full are lost: No space left on device"), "{log}");
    let most = 1 + started.elapsed().as_secs() / 10;
    assert!(lines.len() as u64 <= most, "not a line for every request:\n{log}");
    gateway.stop();
}

/// A small file system of its own, which only root can make.
struct SmallDisk(Folder);

impl SmallDisk {
    fn mount() -> Option<SmallDisk> {
        let disk = SmallDisk(Folder::new());
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", "size=256k", "gateward-test"])
            .arg(disk.0.path())
            .stderr(Stdio::null());
        mount.status().is_ok_and(|status| status.success()).then_some(disk)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let mut unmount = Command::new("umount");
        // A gateway that a failed test has left behind may have a file open.
        let _ = unmount.arg("-l").arg(self.0.path()).stderr(Stdio::null()).status();
    }
}

#[test]
fn a_disk_that_fills_up_has_whole_lines_and_takes_more_when_there_is_room() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("log_sinks: NOT CHECKED: a disk that fills up (no file system can be mounted here)");
        return;
    };
    let (file, ballast) = (disk.0.path().join("access.log"), disk.0.path().join("ballast"));
    std::fs::write(&ballast, vec![b'x'; 128 * 1024]).unwrap();
    let gateway = Gateway::start(yaml(&file.display().to_string()));
    Load::run(gateway.address(), 2, 1000);
    let (written, dropped) = settled(2000, || counts(&gateway));
    assert!(written > 0 && dropped > 0, "the disk was to fill up: {written} written, {dropped} dropped");
    assert_eq!(lines_of(&file, written as usize).len() as u64, written);
    gateway.wait_for(&format!("lines to {} are lost: No space left on device", file.display()), 0);
    std::fs::remove_file(&ballast).unwrap();
    Load::run(gateway.address(), 2, 100);
    assert_eq!(settled(2200, || counts(&gateway)), (written + 200, dropped), "there is room again");
    lines_of(&file, written as usize + 200);
    gateway.stop();
}

/// A gateway whose standard output is a pipe that nobody reads, unless the test does.
struct Piped {
    child: Child,
    errors: Arc<Mutex<String>>,
    folder: Folder,
}

impl Piped {
    fn start() -> Piped {
        let folder = Folder::new();
        folder.write("gateward.yaml", &yaml("stdout"));
        let mut command = Command::new(binary());
        command.args(["run", "-c", "gateward.yaml", "--workers", "2"]).current_dir(folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let errors = Arc::<Mutex<String>>::default();
        let (lines, gathered) = (BufReader::new(child.stderr.take().unwrap()).lines(), Arc::clone(&errors));
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                *gathered.lock().unwrap() += &(line + "\n");
            }
        });
        let piped = Piped { child, errors, folder };
        wait_until("the gateway listens", SOON, || piped.errors().contains("the admin listener is at "));
        piped
    }

    fn errors(&self) -> String {
        self.errors.lock().unwrap().clone()
    }

    fn address_behind(&self, text: &str) -> SocketAddr {
        let errors = self.errors();
        errors.split(text).nth(1).unwrap().lines().next().unwrap().parse().unwrap()
    }

    fn address(&self) -> SocketAddr {
        self.address_behind("listening on ")
    }

    fn counts(&self) -> (u64, u64) {
        let admin = Client::connect(self.address_behind("the admin listener is at http://"));
        counts_on(&admin.ask("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").text())
    }

    /// The most resident memory that it ever had, in bytes, without what is there of its program: of that the system
    /// maps as much at a time as it likes.
    fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let bytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
        };
        bytes("VmHWM:").saturating_sub(bytes("RssFile:"))
    }

    fn terminate(&mut self, limit: Duration) {
        let id = self.child.id().to_string();
        assert!(Command::new("sh").args(["-c", "kill -s TERM \"$0\"", &id]).status().unwrap().success());
        wait_until("the gateway ends", limit, || self.child.try_wait().unwrap().is_some());
        assert!(self.child.wait().unwrap().success(), "{}", self.errors());
    }
}

impl Drop for Piped {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("── the gateway in {} printed ──\n{}", self.folder.path().display(), self.errors());
        }
    }
}

/// Reads a pipe on a thread of its own, and stops when it is told to.
struct Reader {
    paused: Arc<AtomicBool>,
    ended: Arc<AtomicBool>,
    bytes: Arc<Mutex<Vec<u8>>>,
}

impl Reader {
    fn of(mut pipe: impl Read + Send + 'static) -> Reader {
        let reader = Reader { paused: Arc::default(), ended: Arc::default(), bytes: Arc::default() };
        let (paused, ended, bytes) =
            (Arc::clone(&reader.paused), Arc::clone(&reader.ended), Arc::clone(&reader.bytes));
        std::thread::spawn(move || {
            let mut room = vec![0; 16 * 1024];
            while let Ok(count @ 1..) = pipe.read(&mut room) {
                bytes.lock().unwrap().extend_from_slice(&room[..count]);
                while paused.load(Ordering::Relaxed) {
                    std::thread::park_timeout(Duration::from_millis(5));
                }
            }
            ended.store(true, Ordering::Relaxed);
        });
        reader
    }

    fn whole_lines(&self) -> Vec<Value> {
        let bytes = self.bytes.lock().unwrap();
        json_lines(&bytes[..bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1)])
    }

    fn wait_for_lines(&self, count: usize) -> Vec<Value> {
        wait_until("the lines are read", SOON, || {
            self.bytes.lock().unwrap().iter().filter(|byte| **byte == b'\n').count() >= count
        });
        let lines = self.whole_lines();
        assert_eq!(lines.len(), count);
        lines
    }
}

#[test]
fn a_pipe_that_nobody_reads_costs_lines_and_nothing_else() {
    let mut gateway = Piped::start();
    assert_eq!(Load::run(gateway.address(), 4, 7500), 30_000);
    let (written, dropped) = gateway.counts();
    assert!(dropped > 5_000 && written < 5_000, "{written} written, {dropped} dropped");
    assert!(gateway.peak_memory() < MOST_MEMORY, "{} bytes resident", gateway.peak_memory());
    // Somebody reads: what waits comes out, and new lines too.
    let reader = Reader::of(gateway.child.stdout.take().unwrap());
    let (written, dropped) = settled(30_000, || gateway.counts());
    let lines = reader.wait_for_lines(written as usize);
    let paths: HashSet<&str> = lines.iter().map(|line| line["path"].as_str().unwrap()).collect();
    assert_eq!(paths.len(), lines.len(), "a line is there twice");
    Load::run(gateway.address(), 2, 50);
    assert_eq!(settled(30_100, || gateway.counts()), (written + 100, dropped), "the log goes on");
    // And stops again, which does not keep the gateway from ending.
    reader.paused.store(true, Ordering::Relaxed);
    assert_eq!(Load::run(gateway.address(), 4, 7500), 30_000);
    assert!(gateway.counts().1 > dropped, "the pipe is blocked again");
    gateway.terminate(Duration::from_secs(5));
    reader.paused.store(false, Ordering::Relaxed);
    wait_until("all is read", SOON, || reader.ended.load(Ordering::Relaxed));
    assert!(reader.whole_lines().len() as u64 > written + 100, "the last line may be cut, no other one");
}

#[test]
fn a_pipe_whose_reader_has_gone_is_reported() {
    let mut gateway = Piped::start();
    drop(gateway.child.stdout.take());
    Load::run(gateway.address(), 2, 50);
    assert_eq!(settled(100, || gateway.counts()), (0, 100));
    wait_until("it is said", SOON, || {
        gateway.errors().contains("lines to standard output are lost: Broken pipe")
    });
    gateway.terminate(SOON);
}

#[test]
fn a_named_pipe_needs_no_reader() {
    let folder = Folder::new();
    let pipe = folder.path().join("access.pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let gateway = Gateway::start(yaml(&pipe.display().to_string()));
    Load::run(gateway.address(), 1, 10);
    assert_eq!(settled(10, || counts(&gateway)), (10, 0));
    let reader = Reader::of(std::fs::File::open(&pipe).unwrap());
    reader.wait_for_lines(10);
    gateway.signal("USR1");
    Load::run(gateway.address(), 1, 10);
    reader.wait_for_lines(20);
    gateway.stop();
    wait_until("the pipe ends with the gateway", SOON, || reader.ended.load(Ordering::Relaxed));
}
