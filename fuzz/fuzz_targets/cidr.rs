//! Lists of networks: an address is let in exactly if a walk over the lists, network by network, says so.
//!
//! The bytes are lines: `allow` or `deny`, as `+` or `-` in front, and a network, or else six bytes that make one.

#![no_main]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use diagnostics::{Code, Diagnostics, Severity, SourceId, Span};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use libfuzzer_sys::fuzz_target;
use message::RequestHead;
use policy::{
    Chain, Compiling, Consumers, Halt, Link, Policy, Providers, Refusal, RequestCx, RequestState, Verified,
};

/// More make no other cases.
const MOST: usize = 12;

/// A network as it was written, and whether it is one.
struct Written {
    allow: bool,
    text: String,
    net: Option<IpNet>,
}

fuzz_target!(|bytes: &[u8]| {
    let written: Vec<Written> = bytes.split(|&byte| byte == b'\n').filter_map(written).take(MOST).collect();
    let list = |allow: bool| {
        let texts = written.iter().filter(|one| one.allow == allow);
        texts.map(|one| serde_json::Value::from(one.text.as_str()).to_string()).collect::<Vec<_>>()
    };
    let (allow, deny) = (list(true), list(false));
    let section = |name: &str, list: &[String]| match list {
        [] => String::new(),
        list => format!("{name}: [{}], ", list.join(", ")),
    };
    let source = format!("{{ {}{}status: 404 }}", section("allow", &allow), section("deny", &deny));
    let mut diagnostics = Diagnostics::new();
    let policy = compile(&source, &mut diagnostics);
    let are_networks = !written.is_empty() && written.iter().all(|one| one.net.is_some());
    assert_eq!(policy.is_some(), are_networks, "{source}");
    assert_eq!(diagnostics.has_errors(), !are_networks, "{source}");
    let Some(policy) = policy else { return };

    let nets = |allow: bool| written.iter().filter(move |one| one.allow == allow).filter_map(|one| one.net);
    let chain = Chain::new(vec![Link { policy: Arc::new(policy), source: Span::default() }]);
    for client in nets(true).chain(nets(false)).flat_map(edges) {
        let is_allowed = allow.is_empty() || nets(true).any(|net| holds(net, client));
        let want = is_allowed && !nets(false).any(|net| holds(net, client));
        assert_eq!(passes(&chain, client), want, "{client} with {source}");
    }
    // Whoever is told that a network can never come is told the truth.
    for one in diagnostics.iter() {
        assert!(one.severity == Severity::Warning && one.code == Code::UnusedSetting);
        let named = nets(true).find(|net| one.message == format!("`{net}` is allowed and denied")).unwrap();
        let mut inside = edges(named).into_iter().filter(|client| holds(named, *client));
        assert!(inside.all(|client| !passes(&chain, client)), "{source}");
    }
});

/// A network of a line.
fn written(line: &[u8]) -> Option<Written> {
    let (&first, rest) = line.split_first()?;
    let allow = match first {
        b'+' => true,
        b'-' => false,
        _ => return made(line),
    };
    let text = str::from_utf8(rest).ok()?.to_owned();
    // Bits behind the prefix are a slip.
    let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
    let net = text.parse().ok().or_else(address).filter(|net: &IpNet| net.trunc() == *net);
    Some(Written { allow, text, net })
}

/// A network of six bytes: which list and which kind, how long the prefix is, and the bits.
fn made(line: &[u8]) -> Option<Written> {
    let &[kind, prefix, a, b, c, d] = line else { return None };
    let v4 = Ipv4Addr::new(a, b, c, d);
    let net = match kind >> 1 & 3 {
        0 | 1 => IpNet::V4(Ipv4Net::new(v4, prefix % 33).ok()?.trunc()),
        2 => IpNet::V6(Ipv6Net::new(v4.to_ipv6_mapped(), prefix % 129).ok()?.trunc()),
        _ => {
            let bits = u128::from(v4.to_bits());
            // Around the edges of the whole, where sums overflow.
            let bits = if kind & 8 == 0 { bits << 96 | bits } else { !bits };
            IpNet::V6(Ipv6Net::new(Ipv6Addr::from_bits(bits), prefix % 129).ok()?.trunc())
        }
    };
    Some(Written { allow: kind & 1 == 0, text: net.to_string(), net: Some(net) })
}

/// Whether an address is in a network. Those of IPv4 in IPv6 (RFC 4291 §2.5.5.2) are those of IPv4, and a network that
/// has others besides has none of them.
fn holds(net: IpNet, client: IpAddr) -> bool {
    match (net, client.to_canonical()) {
        (IpNet::V4(net), IpAddr::V4(client)) => net.contains(&client),
        (IpNet::V4(_), IpAddr::V6(_)) => false,
        (IpNet::V6(net), IpAddr::V4(client)) => {
            net.prefix_len() >= 96 && net.contains(&client.to_ipv6_mapped())
        }
        (IpNet::V6(net), IpAddr::V6(client)) => net.contains(&client),
    }
}

/// The first and the last address of a network, those beside them, and the same of IPv4 written as IPv6.
fn edges(net: IpNet) -> Vec<IpAddr> {
    let mut all = Vec::new();
    for edge in [net.network(), net.broadcast()] {
        match edge {
            IpAddr::V4(edge) => all.extend(
                [-1, 0, 1]
                    .map(|step| {
                        let near = Ipv4Addr::from_bits(edge.to_bits().wrapping_add_signed(step));
                        [IpAddr::V4(near), IpAddr::V6(near.to_ipv6_mapped())]
                    })
                    .concat(),
            ),
            IpAddr::V6(edge) => {
                let near = |step| Ipv6Addr::from_bits(edge.to_bits().wrapping_add_signed(step));
                all.extend([-1, 0, 1].map(|step| IpAddr::V6(near(step))));
                all.extend(edge.to_ipv4_mapped().map(IpAddr::V4));
            }
        }
    }
    all
}

fn compile(source: &str, diagnostics: &mut Diagnostics) -> Option<Policy> {
    let (consumers, providers) = (Arc::<Consumers>::default(), Providers::default());
    let node = document::parse(SourceId(0), source, diagnostics)?;
    policy::compile("ip", &node, &mut Compiling::new(diagnostics, &consumers, &providers))
}

/// Whether a request of this client may go on.
fn passes(chain: &Chain, client: IpAddr) -> bool {
    thread_local! {
        static VERIFIED: std::cell::RefCell<Verified> = std::cell::RefCell::default();
    }
    let (mut head, mut state) = (RequestHead::default(), RequestState::default());
    VERIFIED.with_borrow_mut(|verified| {
        let mut cx = RequestCx {
            head: &mut head,
            body_length: Some(0),
            client,
            encryption: None,
            trusted_peer: false,
            state: &mut state,
            rng: &mut fastrand::Rng::with_seed(1),
            now: 1_000_000,
            at: std::time::Instant::now(),
            route: "r",
            consumers: &Consumers::default(),
            verified,
            answer: None,
        };
        match chain.run_request(&mut cx, |_, _, _| {}) {
            Ok(_) => true,
            Err(Halt::Refused(Refusal::Reply(reply))) if reply.status == 404 => false,
            Err(other) => panic!("{other:?}"),
        }
    })
}
