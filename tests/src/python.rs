//! Python as a second opinion: programs that nobody here wrote read what Gateward writes.
//!
//! Entry points: [`json_lines`] for an access log, [`python_with`] for a package of `peers/requirements.txt`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use serde_json::Value;

use crate::{SOON, wait_until};

fn peers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers")
}

/// The lines of an access log as Python's `json` reads them.
///
/// # Panics
///
/// If any line is not a whole JSON object with the fields that a line has, in their order.
pub fn json_lines(log: &[u8]) -> Vec<Value> {
    let script = peers().join("access_log.py");
    let printed = pipe_through(Path::new("python3"), &script, log);
    printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The lines of an access log that is a file, once there are so many.
///
/// # Panics
///
/// If there are not, or if there are more; and as [`json_lines`] does.
pub fn lines_of(path: &Path, count: usize) -> Vec<Value> {
    let mut log = Vec::new();
    wait_until(&format!("{} has {count} lines", path.display()), SOON, || {
        log = std::fs::read(path).unwrap_or_default();
        log.iter().filter(|byte| **byte == b'\n').count() >= count
    });
    let lines = json_lines(&log);
    assert_eq!(lines.len(), count, "there are more lines than requests");
    lines
}

/// Runs a script of `peers/` with a text as its input, and returns what it prints.
///
/// # Panics
///
/// With all that it printed, if it ends with anything but 0.
pub fn pipe_through(python: &Path, script: &Path, input: &[u8]) -> String {
    let mut command = Command::new(python);
    command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("this test needs python3: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // On a thread of its own: the script prints while it reads. It may end early, and says why.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {}\n{errors}", script.display(), output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// Python with a module from `peers/requirements.txt`, in a folder of its own that is made once; `None` where it
/// cannot be had.
pub fn python_with(module: &str) -> Option<PathBuf> {
    // Several tests may ask at a time.
    static MAKING: Mutex<()> = Mutex::new(());
    let _guard = MAKING.lock();
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = here.join(".venv/bin/python");
    let has_it = || {
        let mut command = Command::new(&python);
        command.args(["-c", &format!("import {module}")]).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    if !has_it() {
        let run = |program: &Path, arguments: &[&str]| {
            let mut command = Command::new(program);
            command.args(arguments).current_dir(here).stdout(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        };
        let _ = run(Path::new("python3"), &["-m", "venv", ".venv"])
            && run(&python, &["-m", "pip", "install", "--quiet", "--requirement", "peers/requirements.txt"]);
    }
    has_it().then_some(python)
}

/// The numbers of a page of metrics, as PyPI's `prometheus_client` reads them.
#[derive(Debug)]
pub struct Samples(Vec<Sample>);

/// Its name, its labels, its value.
type Sample = (String, Vec<(String, String)>, f64);

impl Samples {
    /// Reads a page with a Python that has `prometheus_client`.
    ///
    /// # Panics
    ///
    /// If the page breaks the format, or a histogram does not add up.
    pub fn read(python: &Path, page: &str) -> Samples {
        let printed = pipe_through(python, &peers().join("metrics.py"), page.as_bytes());
        Samples(printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
    }

    /// The sum of all series of a name that have these labels, among others.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.of(name, labels).map(|(_, _, value)| value).sum()
    }

    /// How many series of a name have these labels, among others.
    pub fn count(&self, name: &str, labels: &[(&str, &str)]) -> usize {
        self.of(name, labels).count()
    }

    /// Every series: its name and its labels.
    pub fn series(&self) -> impl Iterator<Item = (&str, &[(String, String)])> {
        self.0.iter().map(|(name, labels, _)| (name.as_str(), labels.as_slice()))
    }

    fn of(&self, name: &str, labels: &[(&str, &str)]) -> impl Iterator<Item = &Sample> {
        self.0.iter().filter(move |(known, has, _)| {
            known == name
                && labels.iter().all(|(label, value)| has.iter().any(|(l, v)| l == label && v == value))
        })
    }
}
