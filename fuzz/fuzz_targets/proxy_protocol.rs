//! Headers of the PROXY protocol: judged the same however they come in, and what they say can be said again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::{ProxySource, parse_proxy_header, write_proxy_v1, write_proxy_v2};

/// The longest header of version 2 that is accepted.
const MOST_BYTES: usize = 16 + 216 + 4096;

fuzz_target!(|bytes: &[u8]| {
    let whole = parse_proxy_header(bytes);
    for len in 0..bytes.len() {
        let part = parse_proxy_header(&bytes[..len]);
        assert!(part == Ok(None) || part == whole, "depends on how the bytes come in");
    }
    let Ok(found) = whole else { return };
    assert!(found.is_some() || bytes.len() < MOST_BYTES, "waits for more than a header may have");
    let Some((len, source)) = found else { return };
    assert!(len <= bytes.len() && len <= MOST_BYTES);
    if let ProxySource::Addresses { client, server } = source {
        for write in [write_proxy_v1, write_proxy_v2] {
            let mut out = Vec::new();
            write(&mut out, client, server);
            assert_eq!(parse_proxy_header(&out), Ok(Some((out.len(), source))));
        }
    }
});
