//! Programs that nobody here wrote, as children. Entry points: [`Peer`], [`output_of`], [`missing`].

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use crate::{Bell, SOON};

/// A child that is ended with the test.
#[derive(Debug)]
pub struct Peer(pub Child);

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where the scripts of the peers lie.
pub fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers")
}

/// Runs a program to its end; what it printed, if it went well.
///
/// # Panics
///
/// With all that it printed, if it did not.
pub fn output_of(program: &str, arguments: &[&str]) -> String {
    let (well, text) = outcome_of(program, arguments);
    assert!(well, "{program} {arguments:?} went wrong:\n{text}");
    text
}

/// Runs a program to its end; whether it went well, and what it printed.
pub fn outcome_of(program: &str, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("this test needs {program}: {error}"));
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text)
}

/// Says in a visible line what a test could not do on this machine.
pub fn missing(what: &str, why: &str) {
    use std::io::Write;
    // Not with `eprintln!`, which the runner of the tests captures.
    let _ = writeln!(std::io::stderr(), "peers: NOT CHECKED: {what} ({why})");
}

/// What a child prints, one JSON object a line, to be taken in any order.
#[derive(Debug)]
pub struct Events {
    inbox: Arc<Mutex<Vec<Value>>>,
    bell: Bell,
}

impl Events {
    /// Reads all that a child prints from now on.
    pub fn of(child: &mut Child) -> Events {
        let (inbox, bell) = (Arc::<Mutex<Vec<Value>>>::default(), Bell::default());
        let events = Events { inbox: Arc::clone(&inbox), bell: bell.clone() };
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        std::thread::spawn(move || {
            for line in lines {
                let event = serde_json::from_str(&line).unwrap_or(Value::String(line));
                inbox.lock().unwrap().push(event);
                bell.ring();
            }
            inbox.lock().unwrap().push(serde_json::json!({ "event": "gone" }));
            bell.ring();
        });
        events
    }

    /// Takes the first event of a name for which something holds, if one comes in time.
    pub fn find(&self, limit: Duration, name: &str, holds: impl Fn(&Value) -> bool) -> Option<Value> {
        self.bell.wait(limit, || {
            let mut inbox = self.inbox.lock().unwrap();
            let at = inbox.iter().position(|event| event["event"] == name && holds(event))?;
            Some(inbox.remove(at))
        })
    }

    /// Waits for the first event that is one of these, and takes it.
    pub fn find_any(&self, limit: Duration, is_one: impl Fn(&Value) -> bool) -> Option<Value> {
        self.bell.wait(limit, || {
            let mut inbox = self.inbox.lock().unwrap();
            let at = inbox.iter().position(&is_one)?;
            Some(inbox.remove(at))
        })
    }

    /// The same, soon.
    ///
    /// # Panics
    ///
    /// With the events that came, if none does.
    pub fn take(&self, name: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let found = self.find(SOON, name, holds);
        found.unwrap_or_else(|| panic!("there was no such event `{name}`, but these:\n{}", self.show()))
    }

    /// Takes the first thing that came on a stream of HTTP/2.
    pub(crate) fn next_of(&self, stream: u64) -> Option<Value> {
        let mut inbox = self.inbox.lock().unwrap();
        let is_part = |event: &Value| {
            event["stream"] == stream
                && ["headers", "data", "reset"].iter().any(|name| event["event"] == *name)
        };
        let at = inbox.iter().position(is_part)?;
        Some(inbox.remove(at))
    }

    /// How many events of a name are there now.
    pub fn count(&self, name: &str) -> usize {
        self.inbox.lock().unwrap().iter().filter(|event| event["event"] == name).count()
    }

    /// Takes all that came.
    pub fn drain(&self) -> Vec<Value> {
        std::mem::take(&mut *self.inbox.lock().unwrap())
    }

    /// The first events that nobody took, for people.
    pub fn show(&self) -> String {
        let inbox = self.inbox.lock().unwrap();
        let lines = inbox.iter().take(60).map(|event| format!("  {:.400}\n", event.to_string()));
        lines.collect::<String>() + &format!("  ({} events)", inbox.len())
    }
}
