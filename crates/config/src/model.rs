//! The whole configuration, and its small sections.

use std::net::SocketAddr;
use std::time::Duration;

use diagnostics::{Code, Diagnostic, Diagnostics, Words};
use document::{
    Cidr, Decode, DurationValue, Map, Node, OneOrMany, Shape, SocketAddress, Switch, Value, section,
};

use crate::acme::StateDir;
use crate::admin::AdminSetting;
use crate::consumers::Consumer;
use crate::listen::Listen;
use crate::overload::Overload;
use crate::plans::Plan;
use crate::policies::Policies;
use crate::route::Route;
use crate::service::Service;
use crate::state::State;
use crate::telemetry::{AccessLog, AccessLogSetting, Telemetry};

section! {
    /// What the files say, all of them together.
    pub struct Config {
        /// Addresses that connections are accepted on: one, or a list.
        listen: Listeners = "[]",
        /// How many threads serve requests: a number, or `auto` for one per core.
        workers: Workers = "auto",
        /// When requests are refused because the gateway itself has too much to do; `off` for never.
        overload: Switch<Overload> = "{}",
        /// What happens when the gateway is told to stop.
        shutdown: Shutdown = "{}",
        /// Networks of proxies in front of the gateway. Only these may say where a request came from.
        trusted_proxies: Vec<Cidr> = "[]",
        /// How names are looked up.
        dns: Option<Dns>,
        /// Where the gateway is: endpoints of the same `zone` are preferred. `"${env:ZONE}"` takes it from outside.
        zone: Option<String>,
        /// What stands behind the gateway, by name.
        services: Map<Service> = "{}",
        /// Who is calling: names, and how each is recognised.
        consumers: Vec<Consumer> = "[]",
        /// What a consumer may use, by the name of the plan.
        plans: Map<Plan> = "{}",
        /// Policies that hold for every route. A service or a route may set a kind again, or switch it `off`.
        policies: Option<Policies>,
        /// What matches a request, and what is done with it.
        routes: Vec<Route> = "[]",
        /// Where the gateway answers those who run it: an address, a section, or `off`. Without it,
        /// `127.0.0.1:9901` if that is free. An address that is written must be free.
        admin: Option<AdminSetting>,
        /// What the gateway writes down about requests.
        telemetry: Telemetry = "{}",
        /// The folder for what must survive a restart, relative to the file that names it: the account and the
        /// certificates of `acme`, API keys that `gateward keys` has made, and what is used up of quotas.
        state_dir: Option<StateDir>,
        /// Where gateways share state, so that limits hold for all of them together: the URL of a store, a section, or
        /// `memory` for none.
        state: State = "memory",
        /// Files to read besides this one, relative to it. The last part of a path may hold `*`. By the time the
        /// configuration is complete, this is empty.
        include: Vec<String> = "[]",
    }
    not_built {
        "tests" => "tests of the configuration",
    }
}

impl Config {
    /// How long requests may go on once the process is told to stop.
    pub fn drain(&self) -> Duration {
        self.shutdown.drain.get()
    }

    /// How long the process goes on accepting once it is told to stop, before it drains.
    pub fn shutdown_delay(&self) -> Duration {
        self.shutdown.delay.get()
    }

    /// The access log, if there is to be one.
    pub fn access_log(&self) -> Option<&AccessLog> {
        match &self.telemetry.access_log {
            AccessLogSetting::Off => None,
            AccessLogSetting::On(log) => Some(log),
        }
    }

    /// Name servers to ask; empty for those of the system.
    pub fn name_servers(&self) -> Vec<SocketAddr> {
        self.dns.iter().flat_map(|dns| &dns.servers).map(|server| server.0).collect()
    }
}

/// Addresses that connections are accepted on: one, or a list.
#[derive(Clone, Debug, Default)]
pub struct Listeners(Vec<Listen>);

impl Listeners {
    /// All of them, in the order of the file.
    pub fn iter(&self) -> std::slice::Iter<'_, Listen> {
        self.0.iter()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Decode for Listeners {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        match node.value {
            Value::List(_) => Vec::decode(node, diagnostics).map(Self),
            _ => Some(Self(vec![Listen::decode(node, diagnostics)?])),
        }
    }

    fn shape() -> Shape {
        OneOrMany::<Listen>::shape()
    }
}

section! {
    /// What happens when the gateway is told to stop.
    pub struct Shutdown {
        /// How long requests that are under way may go on; `0s` ends them at once.
        drain: DurationValue = "30s",
        /// How long it goes on accepting after it was told to stop, while `/readyz` already says no: time for load
        /// balancers to notice. Draining begins after it.
        delay: DurationValue = "0s",
    }
}

section! {
    /// How names are looked up.
    pub struct Dns {
        /// Name servers to ask, instead of those of the system.
        servers: OneOrMany<SocketAddress>,
    }
}

/// How many threads serve requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workers {
    /// One per core.
    Auto,
    /// This many.
    Number(u16),
}

impl Workers {
    /// The most that can be asked for.
    const MOST: u16 = 1024;

    /// How many; `None` for one per core.
    pub fn count(self) -> Option<usize> {
        match self {
            Self::Auto => None,
            Self::Number(number) => Some(number.into()),
        }
    }
}

impl Decode for Workers {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        if node.text() == Some("auto") {
            return Some(Self::Auto);
        }
        let number =
            node.text().and_then(|text| text.parse().ok()).filter(|number| (1..=Self::MOST).contains(number));
        if number.is_none() {
            let message =
                Words::fixed(format!("expected `auto` or a number of workers, found {}", node.kind()));
            diagnostics.push(Diagnostic::error(Code::InvalidValue, node.span, message).help(Words::fixed(
                format!("write `auto` for one per core, or a number from 1 to {}", Self::MOST),
            )));
        }
        number.map(Self::Number)
    }

    fn shape() -> Shape {
        Shape::OneOf(vec![Shape::Keyword(&["auto"]), Shape::Integer { min: 1, max: Self::MOST.into() }])
    }
}
