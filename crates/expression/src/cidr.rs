//! Networks in CIDR notation (RFC 4632, section 3.1; RFC 4291, section 2.3), and whether an address lies in one.
//!
//! It must not know whose address it is. Entry points: [`Network::parse`], [`Network::contains`].

use std::net::IpAddr;

/// A network: an address and how many of its bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    address: IpAddr,
    prefix: u32,
}

impl Network {
    /// Reads `10.0.0.0/8` or `2001:db8::/32`; an address alone is a network of one. The error is a help for the
    /// writer, if there is one.
    pub(crate) fn parse(text: &str) -> Result<Self, Option<String>> {
        let (address, prefix) =
            text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| None)?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => width,
            Some(bits) if bits.bytes().all(|byte| byte.is_ascii_digit()) => bits.parse().map_err(|_| None)?,
            Some(_) => return Err(None),
        };
        if prefix > width {
            return Err(Some(format!("the number after the slash is at most {width}")));
        }
        let network = Self { address: first(address, prefix), prefix };
        if network.address != address {
            return Err(Some(format!(
                "bits are set beyond the first {prefix}: write `{}/{prefix}`, or `{address}` for the address alone",
                network.address
            )));
        }
        Ok(network)
    }

    /// Whether an address lies in this network. An IPv4 address that is mapped into IPv6 counts as what it is.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let address = if self.address.is_ipv4() { address.to_canonical() } else { address };
        address.is_ipv4() == self.address.is_ipv4() && first(address, self.prefix) == self.address
    }
}

/// The first address of the network of so many bits.
fn first(address: IpAddr, prefix: u32) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(prefix)).unwrap_or(0);
            IpAddr::V4((address.to_bits() & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(prefix)).unwrap_or(0);
            IpAddr::V6((address.to_bits() & mask).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn membership() {
        for (network, address, inside) in [
            ("10.0.0.0/8", "10.255.1.2", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("10.0.0.0/8", "::ffff:10.1.1.1", true),
            ("10.0.0.0/8", "::a01:101", false),
            ("0.0.0.0/0", "255.255.255.255", true),
            ("0.0.0.0/0", "::1", false),
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1/32", "192.0.2.2", false),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::", false),
            ("::/0", "2001:db8::", true),
            ("::1", "::1", true),
        ] {
            let parsed = Network::parse(network).unwrap();
            assert_eq!(parsed.contains(address.parse().unwrap()), inside, "{address} in {network}");
        }
    }

    #[test]
    fn what_is_no_network() {
        for text in
            ["", "10.0.0.0/", "10.0.0.0/+8", "10.0.0/8", "10.0.0.0/8/8", "x", "::1/", "10.0.0.0/99999999999"]
        {
            assert_eq!(Network::parse(text), Err(None), "{text}");
        }
        let help = Network::parse("10.0.0.1/8").unwrap_err().unwrap();
        assert!(help.contains("`10.0.0.0/8`"), "{help}");
        assert!(Network::parse("10.0.0.0/33").unwrap_err().is_some());
        assert!(Network::parse("::/129").unwrap_err().is_some());
    }
}
