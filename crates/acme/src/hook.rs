//! The command that sets and removes a DNS record for dns-01.
//!
//! It is run without a shell, as `<hook> set|remove NAME VALUE`, and with the same three in the environment. It
//! ends when the record can be seen by everybody. Entry point: [`Hook::run`].

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout};

use crate::Error;

/// DNS is slow: a hook may have to wait until all servers know the record.
pub(crate) const LONGEST: Duration = Duration::from_secs(300);
/// How long the output is waited for when the command has ended but something it started goes on.
const GRACE: Duration = Duration::from_secs(1);
/// As much of the output is kept; the rest is read and forgotten.
const KEPT: usize = 2048;

/// A record, and the command that sets and removes it.
#[derive(Debug, Clone)]
pub(crate) struct Hook {
    /// The program with its first arguments.
    pub(crate) command: Vec<String>,
    /// The name of the record.
    pub(crate) name: String,
    /// The text of the record.
    pub(crate) value: String,
}

impl Hook {
    /// Runs the command with `action`, which is `set` or `remove`.
    ///
    /// # Errors
    /// It cannot be started, does not end in time, or does not succeed.
    pub(crate) async fn run(&self, action: &str, longest: Duration) -> Result<(), Error> {
        let Some((program, arguments)) = self.command.split_first() else {
            return Err(Error::new("there is no hook"));
        };
        let tried = format!("the hook `{program} … {action}`");
        let child = Command::new(program)
            .args(arguments)
            .args([action, &self.name, &self.value])
            .env("GATEWARD_ACME_ACTION", action)
            .env("GATEWARD_ACME_NAME", &self.name)
            .env("GATEWARD_ACME_VALUE", &self.value)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let child = child.map_err(|error| Error::new(format!("{tried} cannot be started: {error}")))?;
        let mut said = Vec::new();
        let ended = timeout(longest, wait(child, &mut said)).await;
        let said = String::from_utf8_lossy(&said);
        let said = if said.trim().is_empty() { "it said nothing" } else { said.trim() };
        match ended {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(Error::new(format!("{tried} failed ({status}): {said}"))),
            Ok(Err(error)) => Err(Error::new(format!("{tried} was lost: {error}"))),
            Err(_) => Err(Error::new(format!("{tried} did not end within {} s: {said}", longest.as_secs()))),
        }
    }
}

/// Waits for the end of the command, and reads what it says meanwhile: a full pipe would stop it.
async fn wait(mut child: Child, said: &mut Vec<u8>) -> std::io::Result<ExitStatus> {
    let (mut output, mut errors) = (child.stdout.take(), child.stderr.take());
    let (mut from_output, mut from_errors) = ([0; 1024], [0; 1024]);
    let mut ended = None;
    loop {
        let grace = async {
            match ended {
                Some((_, until)) => tokio::time::sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            status = child.wait(), if ended.is_none() => ended = Some((status?, Instant::now() + GRACE)),
            count = read(&mut output, &mut from_output), if output.is_some() => {
                if !keep(said, &from_output, count) { output = None; }
            }
            count = read(&mut errors, &mut from_errors), if errors.is_some() => {
                if !keep(said, &from_errors, count) { errors = None; }
            }
            () = grace => { output = None; errors = None; }
        }
        if let Some((status, _)) = ended
            && output.is_none()
            && errors.is_none()
        {
            return Ok(status);
        }
    }
}

async fn read(from: &mut Option<impl AsyncRead + Unpin>, into: &mut [u8]) -> usize {
    match from {
        Some(from) => from.read(into).await.unwrap_or(0),
        None => 0,
    }
}

/// Whether there may be more.
fn keep(said: &mut Vec<u8>, piece: &[u8], count: usize) -> bool {
    let room = KEPT.saturating_sub(said.len());
    said.extend(piece.iter().take(count.min(room)));
    count > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(script: &str, longest: Duration) -> Result<(), String> {
        let command = ["/bin/sh", "-c", script, "hook"].map(str::to_owned).to_vec();
        let hook =
            Hook { command, name: "_acme-challenge.a.example".to_owned(), value: "v; exit 9".to_owned() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(hook.run("set", longest)).map_err(|why| why.0)
    }

    #[test]
    fn it_is_told_by_arguments_and_by_the_environment() {
        let script = r#"[ "$1,$2,$3" = "set,_acme-challenge.a.example,v; exit 9" ] &&
            [ "$GATEWARD_ACME_ACTION,$GATEWARD_ACME_NAME,$GATEWARD_ACME_VALUE" = "$1,$2,$3" ]"#;
        assert_eq!(run(script, LONGEST), Ok(()));
    }

    #[test]
    fn what_it_says_is_in_the_error() {
        let why = run("echo one; echo two >&2; exit 3", LONGEST).unwrap_err();
        assert!(why.contains("exit status: 3") && why.contains("one") && why.contains("two"), "{why}");
        let why = run("exit 1", LONGEST).unwrap_err();
        assert!(why.contains("it said nothing"), "{why}");
    }

    #[test]
    fn much_output_neither_stops_it_nor_is_kept() {
        assert_eq!(run("head -c 3000000 /dev/zero", LONGEST), Ok(()));
        let why = run("head -c 3000000 /dev/zero | tr '\\0' x; exit 1", LONGEST).unwrap_err();
        assert!(why.len() < 1000, "{} bytes", why.len());
    }

    #[test]
    fn it_must_end_in_time() {
        let begun = Instant::now();
        let why = run("echo slow; exec sleep 60", Duration::from_secs(1)).unwrap_err();
        assert!(why.contains("did not end within 1 s: slow"), "{why}");
        // What it leaves behind is not waited for.
        assert_eq!(run("sleep 5 & exit 0", LONGEST), Ok(()));
        assert!(begun.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn a_missing_program_is_named() {
        let hook =
            Hook { command: vec!["/nonexistent/hook".to_owned()], name: String::new(), value: String::new() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let why = runtime.block_on(hook.run("set", LONGEST)).unwrap_err();
        assert!(why.0.contains("`/nonexistent/hook … set` cannot be started"), "{why}");
    }
}
