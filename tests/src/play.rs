//! Carries out a case: starts the gateway and the services, and does step by step what the file says.
//!
//! Entry point: [`play`].

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::case::{Actor, Case, Step};
use crate::link::show;
use crate::message::{Kind, Message, Parsed, latin1, parse};
use crate::pattern::{Captures, Rules, bytes_of, match_message, matches, unescape};
use crate::{Client, End, Gateway, Link, Origin, QUIET, SOON, Setup, check, refused_address};

/// Carries out a case. Errors say at which line of the file what went wrong, and what the gateway printed.
pub fn play(case: &Case) -> Result<(), String> {
    let mut stage = Stage::new(case);
    for step in &case.steps {
        let done = stage.step(step);
        done.map_err(|error| format!("line {}: {}: {error}\n{}", step.line, step.heading(), stage.log()))?;
    }
    stage.end()
}

/// Everything a case has to do with.
struct Stage {
    setup: Setup,
    gateway: Option<Gateway>,
    origins: BTreeMap<String, Player>,
    clients: BTreeMap<String, Client>,
    captures: Captures,
    _refused: Vec<socket2::Socket>,
}

/// A service, and the connection it speaks on.
struct Player {
    origin: Origin,
    current: Option<Arc<Link>>,
    used: Vec<Arc<Link>>,
}

impl Stage {
    fn new(case: &Case) -> Stage {
        let mut places: Vec<(String, SocketAddr)> = Vec::new();
        let mut origins = BTreeMap::new();
        for name in case.names("origin") {
            let origin = Origin::scripted();
            places.push((placeholder("origin", &name), origin.address()));
            origins.insert(name, Player { origin, current: None, used: Vec::new() });
        }
        let mut refused = Vec::new();
        for name in case.names("refused") {
            let (address, socket) = refused_address();
            places.push((placeholder("refused", &name), address));
            refused.push(socket);
        }
        let fill = |text: &String| {
            places.iter().fold(text.clone(), |text, (from, to)| text.replace(from, &to.to_string()))
        };
        let setup = Setup {
            yaml: fill(&case.yaml),
            files: case.files.iter().map(|(name, text)| (name.clone(), fill(text))).collect(),
            environment: case.environment.clone(),
            workers: None,
        };
        Stage {
            setup,
            gateway: None,
            origins,
            clients: BTreeMap::new(),
            captures: Captures::new(),
            _refused: refused,
        }
    }

    fn log(&self) -> String {
        match &self.gateway {
            Some(gateway) => format!("── the gateway printed ──\n{}", gateway.log()),
            None => String::new(),
        }
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        if step.actor != Actor::Check && self.gateway.is_none() {
            self.gateway = Some(self.setup.start());
        }
        match &step.actor {
            Actor::Client(name) => self.client(step, name),
            Actor::Origin(name) => self.origin(step, name),
            Actor::Asks => step
                .lines
                .iter()
                .try_for_each(|line| self.ask(line).map_err(|error| format!("{line:?}: {error}"))),
            Actor::Check => self.check(step),
        }
    }

    fn connect(&self) -> Result<Client, String> {
        let gateway = self.gateway.as_ref().ok_or("there is no gateway")?;
        Ok(gateway.connect())
    }

    fn client(&mut self, step: &Step, name: &str) -> Result<(), String> {
        if step.has("new") || !self.clients.contains_key(name) {
            let client = self.connect()?;
            if let Some(old) = self.clients.insert(name.to_owned(), client) {
                nothing_unread(&old)?;
            }
        }
        let client = &self.clients[name];
        match step.words.first().map_or("sends", String::as_str) {
            "gets" => receive(step, client, Kind::Response, &mut self.captures),
            "sends" | "new" => {
                client.send(bytes_of(&step.lines)?);
                Ok(()) // whether the gateway still reads is seen by what it answers
            }
            _ => act(step, client),
        }
    }

    fn origin(&mut self, step: &Step, name: &str) -> Result<(), String> {
        let player = self.origins.get_mut(name).ok_or("no such origin in the configuration")?;
        match step.words.first().map_or("", String::as_str) {
            "expects" => player.expect(step, &mut self.captures),
            "sees" if step.has("nothing") => player.nothing(),
            verb => {
                let link = player.current.as_ref().ok_or("it has no connection yet")?;
                match verb {
                    "answers" => {
                        let sent = link.send(bytes_of(&step.lines)?);
                        if sent { Ok(()) } else { Err("the gateway has closed this connection".into()) }
                    }
                    _ => act(step, link),
                }
            }
        }
    }

    /// `METHOD [HOST]TARGET [| NAME: VALUE]… -> STATUS [BODY]`, or `-> forwards TARGET`
    fn ask(&mut self, line: &str) -> Result<(), String> {
        if line.trim().is_empty() {
            return Ok(());
        }
        let (request, answer) = line.rsplit_once(" -> ").ok_or("there is no ` -> `")?;
        let mut parts = request.split(" | ");
        let (method, place) =
            parts.next().and_then(|first| first.split_once(' ')).ok_or("no method and target")?;
        let place = place.trim();
        let slash = place.find('/').ok_or("no target")?;
        let (host, target) = match place {
            absolute if absolute.starts_with("http://") => ("gw.test", absolute),
            _ if slash == 0 => ("gw.test", place),
            _ => place.split_at(slash),
        };
        let mut bytes = Vec::new();
        unescape(&format!("{method} {target} HTTP/1.1\\r\\nHost: {host}\\r\\n"), &mut bytes)?;
        for field in parts {
            unescape(&format!("{}\\r\\n", field.trim()), &mut bytes)?;
        }
        bytes.extend_from_slice(b"\r\n");
        let client = self.connect()?;
        client.send(&bytes);
        let answer = answer.trim();
        let wanted = match answer.strip_prefix("forwards ") {
            None => answer,
            Some(target) => {
                let (link, request) = self.next_request()?;
                if request.target() != target.trim() {
                    return Err(format!("it was forwarded as {:?}", request.target()));
                }
                link.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
                "200"
            }
        };
        let kind = if method == "HEAD" { Kind::Bodiless } else { Kind::Response };
        let got = client.read(kind, SOON)?;
        let (status, body) =
            wanted.split_once(' ').map_or((wanted, None), |(status, body)| (status, Some(body)));
        if got.status().to_string() != status || body.is_some_and(|body| body != got.text()) {
            return Err(format!("the answer was {} {:?}", got.status(), got.text()));
        }
        Ok(())
    }

    /// The next whole request that reaches any of the services.
    fn next_request(&mut self) -> Result<(Arc<Link>, Message), String> {
        let player = self.origins.values_mut().next().ok_or("there is no origin")?;
        let found = player.origin.bell().wait(SOON, || take_request(&player.origin.links(), Kind::Request));
        let (link, request) = found.ok_or("nothing was forwarded")??;
        player.used.push(Arc::clone(&link));
        Ok((link, request))
    }

    fn check(&mut self, step: &Step) -> Result<(), String> {
        let json = step.has("json");
        let output = check(&self.setup, if json { &["--format", "json"] } else { &[] });
        let printed =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        let code = output.status.code().ok_or("it was killed")?;
        if !step.has(&format!("exit={code}")) {
            return Err(format!("it ended with {code}:\n{printed}"));
        }
        let mut lines = printed.lines();
        for wanted in step.lines.iter().filter(|line| !line.trim().is_empty()) {
            let pattern = format!("{{any}}{}{{any}}", wanted.trim());
            if !lines.any(|line| matches(&pattern, line, &mut self.captures)) {
                return Err(format!("there is no line (any more) with {wanted:?} in\n{printed}"));
            }
        }
        Ok(())
    }

    /// Nothing may be left over, and the gateway has to stop well.
    fn end(mut self) -> Result<(), String> {
        let left = self.clients.values().try_for_each(|client| nothing_unread(client));
        left.map_err(|error| format!("at the end: the client got more: {error}\n{}", self.log()))?;
        self.clients.clear();
        for player in self.origins.values() {
            let left = player.origin.links().iter().try_for_each(|link| nothing_unread(link));
            left.map_err(|error| format!("at the end: the origin got more: {error}\n{}", self.log()))?;
        }
        // Services that still hold something open would make the gateway wait for them.
        self.origins.clear();
        if let Some(gateway) = self.gateway.take() {
            gateway.stop();
        }
        Ok(())
    }
}

impl Player {
    fn expect(&mut self, step: &Step, captures: &mut Captures) -> Result<(), String> {
        if step.has("raw") || step.has("cut") {
            let unused = |link: &Arc<Link>| !self.used.iter().any(|used| Arc::ptr_eq(used, link));
            let newest = || self.origin.links().into_iter().find(unused);
            let link = match &self.current {
                Some(link) if !step.has("new") => Arc::clone(link),
                _ => self.origin.bell().wait(SOON, newest).ok_or("there is no connection")?,
            };
            self.speak_on(&link);
            return receive(step, &link, Kind::Request, captures);
        }
        let kind = if step.has("head") { Kind::Head } else { Kind::Request };
        let found = self.origin.bell().wait(SOON, || {
            let mut links = self.origin.links();
            if step.has("new") {
                links.retain(|link| !self.used.iter().any(|used| Arc::ptr_eq(used, link)));
            }
            if step.has("same") {
                links.retain(|link| self.current.as_ref().is_some_and(|current| Arc::ptr_eq(current, link)));
            }
            take_request(&links, kind)
        });
        let state = || {
            let links = self.origin.links();
            links
                .iter()
                .map(|link| format!("{:?} {}", link.end(), show(&link.unread())))
                .collect::<Vec<_>>()
                .join("; ")
        };
        let (link, request) =
            found.ok_or_else(|| format!("no such request came; connections: [{}]", state()))??;
        self.speak_on(&link);
        match_message(&step.lines, &request, rules(step), captures)
            .map_err(|error| format!("{error}\nthe request:\n{request}"))
    }

    fn speak_on(&mut self, link: &Arc<Link>) {
        self.current = Some(Arc::clone(link));
        self.used.push(Arc::clone(link));
    }

    fn nothing(&self) -> Result<(), String> {
        let came = self.origin.bell().wait(QUIET, || {
            self.origin.links().iter().map(|link| link.unread()).find(|unread| !unread.is_empty())
        });
        came.map_or(Ok(()), |bytes| Err(format!("it got {}", show(&bytes))))
    }
}

/// Takes a whole request from one of some connections, if there is one.
fn take_request(links: &[Arc<Link>], kind: Kind) -> Option<Result<(Arc<Link>, Message), String>> {
    links.iter().find_map(|link| {
        let taken = link.try_take(|unread, end| match parse(unread, kind, end) {
            Ok(Parsed::Whole(message, length)) => Some((Ok(*message), length)),
            Ok(_) => None,
            Err(error) => Some((Err(format!("{error} in {}", show(unread))), 0)),
        })?;
        Some(taken.map(|message| (Arc::clone(link), message)))
    })
}

fn rules(step: &Step) -> Rules {
    Rules { spelling: step.has("spelling"), json: step.has("json"), head_only: step.has("head") }
}

/// Reads what a step says that comes.
fn receive(step: &Step, link: &Link, kind: Kind, captures: &mut Captures) -> Result<(), String> {
    if step.has("raw") {
        let pattern = latin1(&bytes_of(&step.lines)?);
        let found = link.wait_for(SOON, |unread, _| {
            matches(&pattern, &latin1(unread), captures).then_some(((), unread.len()))
        });
        return found.ok_or_else(|| format!("it got {} (end: {:?})", show(&link.unread()), link.end()));
    }
    let message = if step.has("cut") {
        link.wait_end(SOON).ok_or("the connection does not end")?;
        let (unread, end) = (link.unread(), link.end());
        link.try_take(|unread, _| Some(((), unread.len())));
        match parse(&unread, kind, end)? {
            Parsed::Part(message) => *message,
            Parsed::Nothing => return Err(format!("not even a head came: {}", show(&unread))),
            Parsed::Whole(..) => return Err(format!("the message looks whole: {}", show(&unread))),
        }
    } else {
        let kind = if step.has("bodiless") { Kind::Bodiless } else { kind };
        link.read(if step.has("head") { Kind::Head } else { kind }, SOON)?
    };
    match_message(&step.lines, &message, rules(step), captures)
        .map_err(|error| format!("{error}\nthe message:\n{message}"))
}

/// The steps that both sides can do.
fn act(step: &Step, link: &Link) -> Result<(), String> {
    match step.words.first().map_or("", String::as_str) {
        "half-closes" => link.half_close(),
        "closes" => link.close(),
        "resets" => link.reset(),
        "sees" if step.has("nothing") => {
            nothing_unread(link)?;
            let came =
                link.wait_for(QUIET, |unread, end| (!unread.is_empty() || end.is_some()).then_some(((), 0)));
            if came.is_some() {
                return Err(format!("it got {} (end: {:?})", show(&link.unread()), link.end()));
            }
        }
        "sees" if step.has("cut") => {
            link.wait_end(SOON).ok_or("the connection does not end")?;
            let unread = link.unread();
            link.try_take(|unread, _| Some(((), unread.len())));
            if unread.ends_with(b"0\r\n\r\n") {
                return Err(format!("the message looks whole: {}", show(&unread)));
            }
        }
        "sees" => {
            let end = link
                .wait_end(SOON)
                .ok_or_else(|| format!("the connection does not end; unread: {}", show(&link.unread())))?;
            if step.has("reset") && end != End::Reset {
                return Err("it ended without a reset".into());
            }
            nothing_unread(link)?;
        }
        other => return Err(format!("unknown step {other:?}")),
    }
    Ok(())
}

fn nothing_unread(link: &Link) -> Result<(), String> {
    let unread = link.unread();
    if unread.is_empty() { Ok(()) } else { Err(format!("there are more bytes: {}", show(&unread))) }
}

fn placeholder(kind: &str, name: &str) -> String {
    if name.is_empty() { format!("{{{kind}}}") } else { format!("{{{kind}:{name}}}") }
}
