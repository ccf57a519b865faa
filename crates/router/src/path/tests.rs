//! The boundary cases of every path form, as tables.

use super::*;

#[test]
fn matches_and_captures() {
    // Pattern, path, and the text of each capture; `None` for no match.
    let table: &[(&str, &str, Option<&[&str]>)] = &[
        ("/", "/", Some(&[])),
        ("/", "/a", None),
        ("/users", "/users", Some(&[])),
        ("/users", "/users/", None),
        ("/users/", "/users/", Some(&[])),
        ("/users/", "/users", None),
        ("/Users", "/users", None),
        ("/%75sers", "/users", Some(&[])),
        ("/café", "/caf%C3%A9", Some(&[])),
        ("/a%2fb", "/a%2Fb", Some(&[])),
        ("/a%2fb", "/a/b", None),
        ("/*", "/", Some(&[""])),
        ("/*", "/a/b", Some(&["a/b"])),
        ("/*", "*", None),
        ("/*", "", None),
        ("/users/*", "/users", Some(&[""])),
        ("/users/*", "/users/", Some(&[""])),
        ("/users/*", "/users/a", Some(&["a"])),
        ("/users/*", "/users/a/", Some(&["a/"])),
        ("/users/*", "/usersx", None),
        ("/users/*", "/users%2Fa", None),
        ("/users/*", "/user", None),
        ("/orders/{id}", "/orders/42", Some(&["42"])),
        ("/orders/{id}", "/orders/", None),
        ("/orders/{id}", "/orders", None),
        ("/orders/{id}", "/orders/42/", None),
        ("/orders/{id}", "/orders/42/x", None),
        ("/orders/{id}", "/orders/a%2Fb", Some(&["a%2Fb"])),
        ("/orders/{id}/", "/orders/42/", Some(&["42"])),
        ("/orders/{id}/", "/orders/42", None),
        ("/{a}", "/x", Some(&["x"])),
        ("/{a}", "/", None),
        ("/{a}/x/{b-2}", "/1/x/2", Some(&["1", "2"])),
        ("/old/{rest...}", "/old", Some(&[""])),
        ("/old/{rest...}", "/old/", Some(&[""])),
        ("/old/{rest...}", "/old/a/b/", Some(&["a/b/"])),
        ("/old/{rest...}", "/older", None),
        ("/{rest...}", "/", Some(&[""])),
        ("/{rest...}", "/a/b", Some(&["a/b"])),
        ("/t/{id}/*", "/t/7", Some(&["7", ""])),
        ("/t/{id}/*", "/t/7/a/b", Some(&["7", "a/b"])),
        ("/t/{id}/*", "/t/", None),
        ("/t/{id}/{rest...}", "/t/7/", Some(&["7", ""])),
        ("~^/legacy/(?<id>[0-9]+)$", "/legacy/12", Some(&["12"])),
        ("~^/legacy/(?<id>[0-9]+)$", "/legacy/12x", None),
        ("~[0-9]{2}", "/legacy/123", Some(&[])),
        ("~(a)", "*a", Some(&["a"])),
    ];
    for &(pattern, path, want) in table {
        let parsed = PathPattern::parse(pattern).unwrap();
        let mut captures = Captures::new();
        let got = parsed.capture(path.as_bytes(), &mut captures);
        assert_eq!(parsed.matches(path.as_bytes()), got, "{pattern} {path}");
        assert_eq!(got, want.is_some(), "{pattern} {path}");
        if let Some(want) = want {
            let texts: Vec<_> = (0..captures.len()).map(|i| &path[captures.get(i).unwrap()]).collect();
            assert_eq!(texts, want, "{pattern} {path}");
            assert_eq!(parsed.captures().len(), want.len(), "{pattern}");
        }
    }
}

#[test]
fn kinds_and_names() {
    for (pattern, kind, names) in [
        ("/a", PathKind::Exact, &[][..]),
        ("/a/*", PathKind::Prefix, &["*"]),
        ("/a/{b}/{c...}", PathKind::Template, &["b", "c"]),
        ("/a/{b}/*", PathKind::Template, &["b", "*"]),
        ("~^/(?<a>.)(.)(?P<c>.)", PathKind::Regex, &["a", "2", "c"]),
    ] {
        let parsed = PathPattern::parse(pattern).unwrap();
        assert_eq!(parsed.kind(), kind, "{pattern}");
        assert_eq!(parsed.captures().iter().map(|n| &**n).collect::<Vec<_>>(), names, "{pattern}");
        assert_eq!(parsed.to_string(), pattern);
    }
}

#[test]
fn refused() {
    use PatternError as E;
    let deep = "/{a}".to_owned() + &"/a".repeat(MAX_SEGMENTS);
    let many: String = (0..17).map(|i| format!("/{{n{i}}}")).collect();
    let groups = format!("~^{}", "(a)".repeat(17));
    for (pattern, want) in [
        ("", E::Empty),
        ("~", E::Empty),
        ("users", E::PathNotAbsolute),
        ("*", E::PathNotAbsolute),
        ("//a", E::PathEmptySegment),
        ("/a//b", E::PathEmptySegment),
        ("/a//", E::PathEmptySegment),
        ("/a//*", E::PathEmptySegment),
        ("/a/../b", E::PathDotSegment),
        ("/a/%2e%2E", E::PathDotSegment),
        ("/a*", E::PathInnerStar),
        ("/a/*/b", E::PathInnerStar),
        ("/a/**", E::PathInnerStar),
        ("/a/*/", E::PathInnerStar),
        ("/a/{id}.json", E::PathPartialSegment),
        ("/a/{id", E::PathPartialSegment),
        ("/a/{b}{c}", E::PathPartialSegment),
        ("/a/{b/c}", E::PathPartialSegment),
        ("/a/{}", E::CaptureName("".into())),
        ("/a/{...}", E::CaptureName("".into())),
        ("/a/{1a}", E::CaptureName("1a".into())),
        ("/a/{*b}", E::CaptureName("*b".into())),
        ("/{a}/{a}", E::CaptureTwice("a".into())),
        ("/{a}/{a...}", E::CaptureTwice("a".into())),
        ("/{a...}/b", E::PathRestNotLast),
        ("/{a...}/", E::PathRestNotLast),
        ("/a?b=c", E::PathQuery),
        ("/a#b", E::PathCharacter('#')),
        ("/a/%zz", E::PathBrokenEscape),
        (&deep, E::PathTooManySegments),
        (&many, E::TooManyCaptures),
        (&groups, E::TooManyCaptures),
        (&"/a".repeat(MAX_PATTERN_BYTES), E::TooLong),
    ] {
        assert_eq!(PathPattern::parse(pattern).unwrap_err(), want, "{pattern}");
    }
}

#[test]
fn every_error_says_what_is_wrong() {
    for pattern in [
        "users",
        "/a//b",
        "/a/..",
        "/a*",
        "/a/{id}.json",
        "/a/{}",
        "/%",
        "/%00",
        "/a?b",
        "~(",
        "~(a{1000}){1000}",
    ] {
        let error = PathPattern::parse(pattern).unwrap_err();
        assert!(!error.to_string().is_empty() && error.help().is_some(), "{pattern}: {error}");
    }
}

#[test]
fn a_long_path_takes_linear_time() {
    let path = "/a".repeat(1_000_000);
    let template = PathPattern::parse("/a/a/{rest...}").unwrap();
    let started = std::time::Instant::now();
    let mut captures = Captures::new();
    assert!(template.capture(path.as_bytes(), &mut captures));
    assert_eq!(captures.get(0), Some(5..path.len()));
    assert!(started.elapsed().as_millis() < 500);
}
