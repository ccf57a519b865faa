//! How a careless service could read a canonical path.
//!
//! RFC 3986 gives a canonical path one meaning. Services behind the gateway do not all follow it: some
//! decode `%2F` before they split, take `\` for `/`, cut `;parameters` off segments, or see no difference
//! between `%3A` and `:`. A rule of the gateway that holds for the RFC's reading only could be walked around. So a path that has more than
//! one reading is recognised here, and every reading is handed to the router as well.

use crate::uri::hex;

/// One thing that a careless service does to a path.
type Step = fn(&[u8]) -> Vec<u8>;

/// The other paths that a service may take a canonical path for; empty for nearly every request.
///
/// `Err(())` where a reading holds dot segments: such a path is traversal in disguise and never served.
#[allow(clippy::result_unit_err, reason = "there is exactly one thing to say: refuse")]
pub fn lax_readings(path: &[u8]) -> Result<Vec<Vec<u8>>, ()> {
    if !is_suspicious(path) {
        return Ok(Vec::new());
    }
    let mut readings: Vec<Vec<u8>> = Vec::new();
    // Parameters may be cut off at any point: before anything is decoded, after, or last of all.
    let steps: [Step; 5] =
        [without_parameters, decode_once, without_parameters, with_slashes, without_parameters];
    for choice in 0u8..1 << steps.len() {
        let chosen = steps.iter().enumerate().filter(|(bit, _)| choice & 1 << bit != 0);
        let mut reading = chosen.fold(path.to_vec(), |reading, (_, step)| step(&reading));
        if reading.split(|&b| b == b'/').any(|segment| matches!(segment, b"." | b"..")) {
            return Err(());
        }
        reading.dedup_by(|b, a| *b == b'/' && *a == b'/');
        if reading != path && !readings.contains(&reading) {
            readings.push(reading);
        }
    }
    Ok(readings)
}

/// Whether a canonical path holds anything that has two readings. Canonical escapes are upper-case,
/// and raw backslashes were refused before.
#[inline]
fn is_suspicious(path: &[u8]) -> bool {
    memchr::memchr2(b';', b'%', path).is_some_and(|first| {
        path[first..].contains(&b';') || path[first..].windows(3).any(|escape| decoded(escape).is_some())
    })
}

/// What careless services take an escape for: a separator, or a character that may stand for itself. All
/// other escapes are the same in every reading and stay canonical, as they are in patterns.
fn decoded(escape: &[u8]) -> Option<u8> {
    let [b'%', high, low] = escape else { return None };
    let b = hex(*high)? << 4 | hex(*low)?;
    matches!(
        b,
        b'/' | b'\\'
            | b';'
            | b'!'
            | b'$'
            | b'&'
            | b'\''
            | b'('
            | b')'
            | b'*'
            | b'+'
            | b','
            | b':'
            | b'='
            | b'@'
    )
    .then_some(b)
}

fn decode_once(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [b, tail @ ..] = rest {
        if let Some(b) = rest.get(..3).and_then(decoded) {
            out.push(b);
            rest = &rest[3..];
        } else {
            out.push(*b);
            rest = tail;
        }
    }
    out
}

/// Backslashes as separators.
fn with_slashes(path: &[u8]) -> Vec<u8> {
    path.iter().map(|&b| if b == b'\\' { b'/' } else { b }).collect()
}

fn without_parameters(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let mut skipping = false;
    for &b in path {
        match b {
            b'/' => skipping = false,
            b';' => skipping = true,
            _ => {}
        }
        if !skipping {
            out.push(b);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readings(path: &str) -> Result<Vec<String>, ()> {
        Ok(lax_readings(path.as_bytes())?.into_iter().map(|r| String::from_utf8(r).unwrap()).collect())
    }

    #[test]
    fn plain_paths_have_one_reading() {
        for path in ["/", "/a/b", "/a%20b", "/caf%C3%A9", "/a.b/..c", "/%25"] {
            assert_eq!(readings(path), Ok(vec![]), "{path}");
        }
    }

    #[test]
    fn every_lax_reading_is_found() {
        assert_eq!(readings("/admin%2Fsecret"), Ok(vec!["/admin/secret".into()]));
        assert_eq!(
            readings("/caf%C3%A9%2Fx"),
            Ok(vec!["/caf%C3%A9/x".into()]),
            "other escapes stay as patterns have them"
        );
        assert_eq!(readings("/users%3Adelete"), Ok(vec!["/users:delete".into()]));
        assert_eq!(readings("/%40admin"), Ok(vec!["/@admin".into()]));
        assert_eq!(readings("/admin;x=1/secret"), Ok(vec!["/admin/secret".into()]));
        assert!(readings("/x%5Cadmin").unwrap().contains(&"/x/admin".to_owned()));
        assert!(readings("/%2Fadmin").unwrap().contains(&"/admin".to_owned()));
        assert!(readings("/;x/admin").unwrap().contains(&"/admin".to_owned()));
        for path in ["/%2F;y%2Fz/admin/x", "/;a%2Fb/%2Fadmin/x", "/;x%2Fy/%5Cadmin/x", "/;a%5Cb/admin%5Cx"] {
            assert!(
                readings(path).unwrap().contains(&"/admin/x".to_owned()),
                "{path}: cut off before decoding"
            );
        }
        assert!(readings("/x%3B/admin").unwrap().contains(&"/x/admin".to_owned()));
    }

    #[test]
    fn traversal_in_disguise_is_refused() {
        for path in [
            "/x/..%2Fadmin",
            "/x/..;/admin",
            "/x/..;a=b/admin",
            "/x/..%5Cadmin",
            "/y%2F..%2Fadmin/..;/x",
            "/x/.;/y",
            "/x/..%3B/y",
        ] {
            assert_eq!(readings(path), Err(()), "{path}");
        }
    }
}
