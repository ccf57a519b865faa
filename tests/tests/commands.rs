//! The command line: what it prints, how it ends, what signals do.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};

use end_to_end::{Folder, Gateway, Origin, SOON, binary, wait_until};

fn gateward(folder: &Folder, arguments: &[&str]) -> Output {
    Command::new(binary())
        .args(arguments)
        .current_dir(folder.path())
        .env_remove("GATEWARD_CONFIG")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

const SMALL: &str = "listen: 127.0.0.1:0\nroutes: [{ path: /*, respond: { status: 200, body: ok } }]\n";

#[test]
fn run_says_in_three_lines_what_it_does() {
    let gateway = Gateway::start(
        "listen: [127.0.0.1:0, 127.0.0.1:0]\n\
         services: { site: { endpoints: [http://127.0.0.1:9] } }\n\
         routes: [{ path: /*, service: site }]\n",
    );
    assert_eq!(gateway.addresses().len(), 2, "{}", gateway.log());
    assert!(gateway.addresses().iter().all(|address| address.port() != 0));
    wait_until("three lines are printed", SOON, || gateway.log().lines().count() == 3);
    let log = gateway.log();
    assert!(log.contains("1 route") && log.contains("1 service") && log.contains("1 worker"), "{log}");
    gateway.stop();
}

#[test]
fn every_listener_serves() {
    let gateway = Gateway::start(SMALL.replace("127.0.0.1:0", "[127.0.0.1:0, 127.0.0.1:0]"));
    for address in gateway.addresses() {
        assert_eq!(end_to_end::Client::connect(*address).get("/").text(), "ok");
    }
    gateway.stop();
}

#[test]
fn a_broken_configuration_is_not_served() {
    let folder = Folder::new();
    folder.write("gateward.yaml", "listen: 127.0.0.1:0\nroutes: [{ path: /*, service: nobody }]\n");
    let output = gateward(&folder, &["run"]);
    let text = printed(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("GW0301") && text.contains("gateward.yaml:2:") && !text.contains("listening"),
        "{text}"
    );
}

#[test]
fn an_address_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = Folder::new();
    folder.write("gateward.yaml", &SMALL.replace("127.0.0.1:0", &address));
    let output = gateward(&folder, &["run"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(printed(&output).contains(&address), "{}", printed(&output));
}

#[test]
fn wrong_usage_ends_with_2() {
    let folder = Folder::new();
    for arguments in [
        &[][..],
        &["serve"],
        &["run", "--wrokers", "2"],
        &["run", "--workers", "0"],
        &["check", "--format", "xml"],
    ] {
        let output = gateward(&folder, arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", printed(&output));
    }
}

#[test]
fn help_teaches() {
    let folder = Folder::new();
    let output = gateward(&folder, &["--help"]);
    let text = printed(&output);
    assert_eq!(output.status.code(), Some(0));
    for word in ["run", "check", "demo", "version", "Exit codes"] {
        assert!(text.contains(word), "{word} is not in\n{text}");
    }
    for command in ["run", "check", "demo"] {
        let output = gateward(&folder, &[command, "--help"]);
        assert!(output.status.success() && printed(&output).lines().count() > 5, "{command}");
    }
}

#[test]
fn version_and_completions() {
    let folder = Folder::new();
    assert!(printed(&gateward(&folder, &["version"])).contains(env!("CARGO_PKG_VERSION")));
    for shell in ["bash", "zsh", "fish"] {
        let output = gateward(&folder, &["completions", shell]);
        assert!(output.status.success() && printed(&output).contains("gateward"), "{shell}");
    }
}

#[test]
fn check_without_a_file_says_how_to_begin() {
    let folder = Folder::new();
    let output = gateward(&folder, &["check"]);
    let text = printed(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("listen:") && text.contains("services:") && text.contains("routes:"), "{text}");
    // What it offers to paste is right.
    let starter: String = text
        .lines()
        .skip_while(|line| !line.starts_with("# gateward.yaml"))
        .fold(String::new(), |all, line| if line.starts_with("Save") { all } else { all + line + "\n" });
    let until = starter
        .find("\n\nA configuration")
        .or_else(|| starter.find("\nA configuration"))
        .unwrap_or(starter.len());
    folder.write("gateward.yaml", &starter[..until]);
    let output = gateward(&folder, &["check"]);
    assert_eq!(output.status.code(), Some(0), "{starter}\n{}", printed(&output));
}

#[test]
fn a_folder_is_a_configuration() {
    let folder = Folder::new();
    folder.write("conf/gateward.yaml", SMALL);
    let output = gateward(&folder, &["check", "-c", "conf"]);
    assert_eq!(output.status.code(), Some(0), "{}", printed(&output));
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let folder = Folder::new();
    let output = gateward(&folder, &["check", "-c", "other.yaml"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(printed(&output).contains("other.yaml"), "{}", printed(&output));
}

fn slow_gateway(drain: &str) -> (Origin, Gateway) {
    let origin = Origin::scripted();
    let gateway = Gateway::start(format!(
        "listen: 127.0.0.1:0\nshutdown: {{ drain: {drain} }}\n\
         services: {{ site: {{ endpoints: [http://{}] }} }}\nroutes: [{{ path: /*, service: site }}]\n",
        origin.address()
    ));
    (origin, gateway)
}

#[test]
fn sigterm_lets_requests_finish() {
    let (origin, mut gateway) = slow_gateway("20s");
    let idle = gateway.connect();
    let client = gateway.connect();
    client.send("GET /slow HTTP/1.1\r\nHost: gw.test\r\n\r\n");
    let (link, _) = origin.expect();
    gateway.signal("TERM");
    assert!(idle.wait_end(SOON).is_some(), "an idle connection is closed");
    let address = gateway.address();
    wait_until("nobody is let in any more", SOON, || TcpStream::connect(address).is_err());
    assert!(gateway.ended().is_none(), "it did not wait for the request");
    link.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let response = client.response();
    assert_eq!((response.status(), response.field("connection")), (200, Some("close")));
    assert!(gateway.wait(SOON).success());
}

#[test]
fn whoever_has_just_connected_is_still_answered() {
    let gateway = Gateway::start(SMALL);
    let fresh: Vec<_> = (0..5).map(|_| gateway.connect()).collect();
    gateway.signal("TERM");
    gateway.wait_for("gateward: stopping", 0);
    for client in &fresh {
        assert_eq!(client.get("/").text(), "ok");
        assert!(client.wait_end(SOON).is_some());
    }
    let mut gateway = gateway;
    assert!(gateway.wait(SOON).success());
}

#[test]
fn the_drain_has_an_end() {
    let (origin, mut gateway) = slow_gateway("500ms");
    let client = gateway.connect();
    client.send("GET /for-ever HTTP/1.1\r\nHost: gw.test\r\n\r\n");
    let (_link, _) = origin.expect();
    gateway.signal("TERM");
    assert!(gateway.wait(SOON).success());
    assert!(client.wait_end(SOON).is_some());
}

#[test]
fn a_second_signal_hurries() {
    let (origin, mut gateway) = slow_gateway("60s");
    let client = gateway.connect();
    client.send("GET /for-ever HTTP/1.1\r\nHost: gw.test\r\n\r\n");
    let (_link, _) = origin.expect();
    gateway.signal("TERM");
    let address = gateway.address();
    wait_until("nobody is let in any more", SOON, || TcpStream::connect(address).is_err());
    gateway.signal("INT");
    assert!(gateway.wait(SOON).success());
}

/// A shell that ends the gateway as soon as its line is there: no other process has to be started in between.
const END_AT_ONCE: &str = r#"
while read -r line; do
    case "$line" in *"listening on "*) kill -s TERM "$0"; break ;; esac
done
cat > /dev/null
"#;

/// A child that is ended with the test, however that goes.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn sigterm_right_after_the_start_ends_well() {
    let folder = Folder::new();
    folder.write("gateward.yaml", SMALL);
    for number in 0..20 {
        let workers = if number % 2 == 0 { "1" } else { "2" };
        let mut command = Command::new(binary());
        command.args(["run", "-c", "gateward.yaml", "--workers", workers]).current_dir(folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut gateway = Ended(command.spawn().unwrap());
        let mut shell = Command::new("sh");
        shell.args(["-c", END_AT_ONCE, &gateway.0.id().to_string()]);
        shell.stdin(gateway.0.stderr.take().unwrap()).stdout(Stdio::null());
        let _shell = Ended(shell.spawn().unwrap());
        let mut status = None;
        wait_until("the gateway ends", SOON, || {
            status = gateway.0.try_wait().unwrap();
            status.is_some()
        });
        assert_eq!(status.unwrap().code(), Some(0), "number {number}: {status:?}");
    }
}

#[test]
fn the_demo_works_and_stops_cleanly() {
    let folder = Folder::new();
    let mut child = Command::new(binary())
        .args(["demo", "--quiet"])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (lines, printed) = std::sync::mpsc::sync_channel(1000);
    let pipes: [Box<dyn std::io::Read + Send>; 2] =
        [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
    for pipe in pipes {
        let lines = lines.clone();
        std::thread::spawn(move || {
            for line in std::io::BufRead::lines(std::io::BufReader::new(pipe)).map_while(Result::ok) {
                let _ = lines.send(line);
            }
        });
    }
    drop(lines);
    let mut tries = Vec::new();
    while tries.len() < 5 {
        let line = printed.recv_timeout(SOON).expect("fewer than five curl lines");
        if line.trim_start().starts_with("curl ") {
            tries.push(line);
        }
    }
    for line in &tries {
        let output = Command::new("sh").args(["-c", line]).output().unwrap();
        assert!(output.status.success() && !output.stdout.is_empty(), "{line}: {output:?}");
    }
    let id = child.id().to_string();
    assert!(Command::new("sh").args(["-c", "kill -s INT \"$0\"", &id]).status().unwrap().success());
    wait_until("the demo ends", SOON, || child.try_wait().unwrap().is_some());
    assert!(child.wait().unwrap().success());
}
