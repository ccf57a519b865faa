//! JSON pointers (RFC 6901). Entry points: [`join`], [`tokens`], [`bounded`].

use std::borrow::Cow;

/// The longest pointer that is told, in bytes.
const LONGEST: usize = 512;

/// The pointer to a member.
pub(crate) fn join(pointer: &str, name: &str) -> String {
    let mut joined = String::with_capacity(pointer.len() + name.len() + 1);
    joined.push_str(pointer);
    joined.push('/');
    for c in name.chars() {
        match c {
            '~' => joined.push_str("~0"),
            '/' => joined.push_str("~1"),
            c => joined.push(c),
        }
    }
    joined
}

/// The names in a pointer.
pub(crate) fn tokens(pointer: &str) -> impl Iterator<Item = Cow<'_, str>> {
    pointer.split('/').skip(1).map(|token| {
        if token.contains('~') { token.replace("~1", "/").replace("~0", "~").into() } else { token.into() }
    })
}

/// The pointer, or one to what surrounds it if it is long: names of members are what somebody sent.
pub(crate) fn bounded(pointer: &str) -> &str {
    if pointer.len() <= LONGEST {
        return pointer;
    }
    let start = &pointer[..pointer.floor_char_boundary(LONGEST + 1)];
    &start[..start.rfind('/').unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_and_read_again() {
        assert_eq!(join("/a", "b/c~d"), "/a/b~1c~0d");
        assert_eq!(tokens("/a/b~1c~0d/~01").collect::<Vec<_>>(), ["a", "b/c~d", "~1"]);
        assert_eq!(tokens("").count(), 0);
        assert_eq!(tokens("/").collect::<Vec<_>>(), [""]);
    }

    #[test]
    fn long_pointers_end_at_a_whole_name() {
        let long = join("/a", &"ü".repeat(400));
        assert_eq!(bounded(&long), "/a");
        assert_eq!(bounded(&join("", &"x".repeat(4000))), "");
        let fits = format!("/{}", "x".repeat(LONGEST - 1));
        assert_eq!(bounded(&fits), fits);
        assert_eq!(bounded(&format!("{fits}/y")), fits);
    }
}
