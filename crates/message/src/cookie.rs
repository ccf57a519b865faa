//! Cookies of a request (RFC 6265 §5.4).

use crate::Headers;

/// The value of a cookie, as it was sent: the first one of the name counts.
pub fn cookie<'h>(headers: &'h Headers, name: &[u8]) -> Option<&'h [u8]> {
    let pairs = headers.values(b"cookie").flat_map(|field| field.split(|byte| *byte == b';'));
    pairs.map(<[u8]>::trim_ascii).find_map(|pair| {
        let value = pair.strip_prefix(name)?.trim_ascii_start().strip_prefix(b"=")?;
        Some(value.trim_ascii_start())
    })
}

impl Headers {
    /// Removes every cookie of a name; others keep their order, and no empty field is left.
    pub fn remove_cookie(&mut self, name: &[u8]) {
        self.remove_cookies(|other| other == name);
    }

    /// Adds a cookie to the others: there is one field for all (RFC 6265 §5.4).
    pub fn add_cookie(&mut self, name: &[u8], value: &[u8]) {
        let mut pairs = self.values(b"cookie").collect::<Vec<_>>().join(&b"; "[..]);
        if !pairs.is_empty() {
            pairs.extend_from_slice(b"; ");
        }
        pairs.extend([name, b"=", value].concat());
        self.set(b"cookie", &pairs);
    }

    /// Removes cookies by their names.
    pub fn remove_cookies(&mut self, mut is_meant: impl FnMut(&[u8]) -> bool) {
        let mut hit = |pair: &[u8]| {
            let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
            is_meant(name.trim_ascii())
        };
        let hits = self.values(b"cookie").any(|field| field.split(|byte| *byte == b';').any(&mut hit));
        if !hits {
            return;
        }
        let mut left: Vec<Vec<u8>> = Vec::new();
        for field in self.values(b"cookie") {
            let kept: Vec<&[u8]> =
                field.split(|byte| *byte == b';').filter(|pair| !hit(pair)).map(<[u8]>::trim_ascii).collect();
            let joined = kept.join(&b"; "[..]);
            if !joined.is_empty() {
                left.push(joined);
            }
        }
        self.remove(b"cookie");
        left.iter().for_each(|field| self.push(b"cookie", field));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_the_name_counts() {
        for (fields, want) in [
            (&["a=1; sid=x; b=2"][..], Some("x")),
            (&["sid=x;sid=y"], Some("x")),
            (&["a=1", "sid=\"x y\""], Some("\"x y\"")),
            (&["sid = x"], Some("x")),
            (&["sid="], Some("")),
            (&["sid", "side=1", "xsid=2", ""], None),
            (&[], None),
        ] {
            let mut headers = Headers::default();
            fields.iter().for_each(|field| headers.push(b"cookie", field.as_bytes()));
            assert_eq!(cookie(&headers, b"sid"), want.map(str::as_bytes), "{fields:?}");
        }
    }

    #[test]
    fn cookies_are_removed_by_name() {
        for (fields, want) in [
            (&["a=1; sid=x; b=2"][..], &["a=1; b=2"][..]),
            (&["sid=x", "sid=y;a=1; sid"], &["a=1"]),
            (&["a=1"], &["a=1"]),
            (&[" sid = x"], &[]),
            (&["xsid=1; side=2"], &["xsid=1; side=2"]),
        ] {
            let mut headers = Headers::default();
            fields.iter().for_each(|field| headers.push(b"Cookie", field.as_bytes()));
            headers.remove_cookie(b"sid");
            let left: Vec<&[u8]> = headers.values(b"cookie").collect();
            assert_eq!(left, want.iter().map(|field| field.as_bytes()).collect::<Vec<_>>(), "{fields:?}");
        }
    }
}
