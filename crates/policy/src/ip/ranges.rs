//! A set of addresses, in which many networks are found as fast as few.
//!
//! It must not know what follows from being in it. Entry point: [`Ranges`].

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use document::Cidr;

/// First and last address of a range, as numbers.
type Range<T> = (T, T);

/// A set of addresses. Those of IPv4 in IPv6 (`::ffff:0:0/96`, RFC 4291 §2.5.5.2) are those of IPv4.
#[derive(Debug, Default)]
pub(crate) struct Ranges {
    v4: Box<[Range<u32>]>,
    v6: Box<[Range<u128>]>,
}

impl Ranges {
    /// The addresses of these networks.
    pub(crate) fn new(networks: impl Iterator<Item = Cidr>) -> Ranges {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for network in networks {
            match ends(network) {
                (IpAddr::V4(first), IpAddr::V4(last)) => v4.push((first.to_bits(), last.to_bits())),
                (first, last) => v6.push((bits(first), bits(last))),
            }
        }
        Ranges {
            v4: merged(v4, |last| last.checked_add(1)).into(),
            v6: merged(v6, |last| last.checked_add(1)).into(),
        }
    }

    /// Each range, in order, those of IPv4 first.
    pub(crate) fn extents(&self) -> impl Iterator<Item = Extent> {
        let v4 = self.v4.iter().map(|range| Extent {
            first: Ipv4Addr::from_bits(range.0).into(),
            last: Ipv4Addr::from_bits(range.1).into(),
        });
        let v6 = self.v6.iter().map(|range| Extent {
            first: Ipv6Addr::from_bits(range.0).into(),
            last: Ipv6Addr::from_bits(range.1).into(),
        });
        v4.chain(v6)
    }

    /// Whether an address is in it.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => is_within(&self.v4, (address.to_bits(), address.to_bits())),
            IpAddr::V6(address) => is_within(&self.v6, (address.to_bits(), address.to_bits())),
        }
    }

    /// The range that an address is in, for people. Networks that touch are one range.
    pub(crate) fn place_of(&self, address: IpAddr) -> Option<impl fmt::Display> {
        let (first, last) = match address.to_canonical() {
            IpAddr::V4(address) => {
                let (first, last) = range_of(&self.v4, (address.to_bits(), address.to_bits()))?;
                (Ipv4Addr::from_bits(first).into(), Ipv4Addr::from_bits(last).into())
            }
            IpAddr::V6(address) => {
                let (first, last) = range_of(&self.v6, (address.to_bits(), address.to_bits()))?;
                (IpAddr::from(Ipv6Addr::from_bits(first)), IpAddr::from(Ipv6Addr::from_bits(last)))
            }
        };
        Some(Extent { first, last })
    }

    /// Whether every address of a network is in it.
    pub(crate) fn covers(&self, network: Cidr) -> bool {
        match ends(network) {
            (IpAddr::V4(first), IpAddr::V4(last)) => is_within(&self.v4, (first.to_bits(), last.to_bits())),
            (first, last) => is_within(&self.v6, (bits(first), bits(last))),
        }
    }
}

/// First and last address. A network that holds more than IPv4 in IPv6 is one of IPv6, and both its ends are.
fn ends(network: Cidr) -> (IpAddr, IpAddr) {
    let (first, last) = (network.0.network(), network.0.broadcast());
    match (first.to_canonical(), last.to_canonical()) {
        (IpAddr::V4(first), IpAddr::V4(last)) => (first.into(), last.into()),
        _ => (first, last),
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// Sorts ranges, and joins those that overlap or touch: then no two of them have an address in common.
fn merged<T: Copy + Ord>(mut ranges: Vec<Range<T>>, next: impl Fn(T) -> Option<T>) -> Vec<Range<T>> {
    ranges.sort_unstable();
    let mut out: Vec<Range<T>> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match out.last_mut() {
            Some(before) if next(before.1).is_none_or(|next| first <= next) => before.1 = before.1.max(last),
            _ => out.push((first, last)),
        }
    }
    out.shrink_to_fit();
    out
}

/// Whether one of the ranges holds all of another one: only the last that begins before it can.
fn is_within<T: Copy + Ord>(ranges: &[Range<T>], range: Range<T>) -> bool {
    range_of(ranges, range).is_some()
}

/// The range that holds all of another one.
fn range_of<T: Copy + Ord>(ranges: &[Range<T>], (first, last): Range<T>) -> Option<Range<T>> {
    let after = ranges.partition_point(|range| range.0 <= first);
    after.checked_sub(1).and_then(|at| ranges.get(at)).filter(|range| last <= range.1).copied()
}

/// A range for people: an address, a network, or from where to where.
pub(crate) struct Extent {
    first: IpAddr,
    last: IpAddr,
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = (bits(self.first), bits(self.last));
        let all = if self.first.is_ipv4() { 32 } else { 128 };
        // Of one address or network, the bits that differ are the last ones, and all of them do.
        let differ = first ^ last;
        let is_network = differ & differ.wrapping_add(1) == 0 && first & differ == 0;
        match 128 - differ.leading_zeros() {
            0 => write!(f, "{}", self.first),
            free if is_network => write!(f, "{}/{}", self.first, all - free.min(all)),
            _ => write!(f, "{} to {}", self.first, self.last),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        let mut diagnostics = diagnostics::Diagnostics::new();
        let node = document::Node::plain(text, diagnostics::Span::default());
        <Cidr as document::Decode>::decode(&node, &mut diagnostics).unwrap()
    }

    fn ranges(networks: &[&str]) -> Ranges {
        Ranges::new(networks.iter().map(|text| cidr(text)))
    }

    #[test]
    fn ranges_that_touch_are_one() {
        let some =
            ranges(&["10.0.1.0/24", "10.0.0.0/24", "10.0.0.128/25", "255.255.255.255", "2001:db8::/33"]);
        assert_eq!(some.v4.len(), 2);
        assert_eq!(ranges(&["0.0.0.0/0", "10.0.0.0/8"]).v4.len(), 1);
        assert_eq!(ranges(&["::/0", "2001:db8::/32"]).v6.len(), 1);
        assert_eq!(ranges(&["2001:db8::/33", "2001:db8:8000::/33"]).v6.len(), 1);
        assert!(some.covers(cidr("10.0.0.0/23")) && !some.covers(cidr("10.0.0.0/22")));
        assert!(ranges(&["::/1", "8000::/1"]).covers(cidr("::/0")));
    }

    #[test]
    fn ipv4_in_ipv6_is_ipv4() {
        let some = ranges(&["::ffff:10.0.0.0/104", "192.0.2.1"]);
        for (address, want) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("11.0.0.0", false),
            ("::ffff:192.0.2.1", true),
            ("192.0.2.2", false),
            ("::10.1.2.3", false),
        ] {
            assert_eq!(some.contains(address.parse().unwrap()), want, "{address}");
        }
        let all6 = ranges(&["::/0"]);
        assert!(all6.contains("2001:db8::1".parse().unwrap()) && !all6.contains("10.0.0.1".parse().unwrap()));
    }

    #[test]
    fn a_range_is_named_as_it_is_written() {
        let some =
            ranges(&["10.0.0.0/8", "192.0.2.1", "192.0.2.4/31", "192.0.2.6", "2001:db8::/32", "8000::/1"]);
        for (address, want) in [
            ("10.1.2.3", Some("10.0.0.0/8")),
            ("::ffff:10.1.2.3", Some("10.0.0.0/8")),
            ("192.0.2.1", Some("192.0.2.1")),
            ("192.0.2.5", Some("192.0.2.4 to 192.0.2.6")),
            ("192.0.2.2", None),
            ("2001:db8::7", Some("2001:db8::/32")),
            ("ffff::", Some("8000::/1")),
        ] {
            let place = some.place_of(address.parse().unwrap()).map(|place| place.to_string());
            assert_eq!(place.as_deref(), want, "{address}");
        }
        let all = ranges(&["0.0.0.0/0", "::/0"]);
        let of = |text: &str| all.place_of(text.parse().unwrap()).unwrap().to_string();
        assert_eq!((&*of("10.0.0.1"), &*of("::1")), ("0.0.0.0/0", "::/0"));
    }

    #[test]
    fn a_hundred_thousand_networks_are_those_that_were_given() {
        let mut rng = fastrand::Rng::with_seed(3);
        let networks: Vec<Cidr> = (0..100_000)
            .map(|_| {
                let (bits, prefix) = (rng.u32(..), rng.u8(16..=32));
                let first = bits & (u32::MAX << (32 - prefix));
                cidr(&format!("{}/{prefix}", Ipv4Addr::from_bits(first)))
            })
            .collect();
        let some = Ranges::new(networks.iter().copied());
        assert!(some.v4.windows(2).all(|pair| pair[0].1 < pair[1].0 - 1), "sorted, apart from each other");
        for _ in 0..200 {
            let near = networks[rng.usize(..networks.len())].0.network();
            let IpAddr::V4(near) = near else { panic!("IPv4") };
            for address in [near.to_bits(), near.to_bits().wrapping_sub(1), rng.u32(..)] {
                let address = IpAddr::V4(address.into());
                let want = networks.iter().any(|network| network.0.contains(&address));
                assert_eq!(some.contains(address), want, "{address}");
            }
        }
    }
}
