//! Trailers on streams.

use message::Headers;

use super::map;
use crate::tests::fields;
use crate::{read_trailers, trailers_message};

#[test]
fn only_what_may_pass_passes() {
    let trailers = read_trailers(&map(&[
        ("grpc-status", "0"),
        ("content-length", "5"),
        ("host", "a"),
        ("authorization", "x"),
        ("transfer-encoding", "chunked"),
        ("set-cookie", "a"),
        ("x-padded", " a"),
        ("x-checksum", "1"),
        ("x-checksum", "2"),
    ]));
    let text = fields(&trailers);
    let text: Vec<_> = text.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(text, [("grpc-status", "0"), ("x-checksum", "1"), ("x-checksum", "2")]);
    let back = trailers_message(&trailers);
    assert_eq!(back, map(&[("grpc-status", "0"), ("x-checksum", "1"), ("x-checksum", "2")]));
}

#[test]
fn they_are_bounded_and_a_long_text_does_not_cost_the_status() {
    let long = "m".repeat(1 << 20);
    let trailers = read_trailers(&map(&[("grpc-message", &long), ("grpc-status", "13")]));
    assert_eq!(fields(&trailers), [("grpc-status".to_owned(), "13".to_owned())]);
    let many: Vec<_> = (0..100).map(|i| (format!("x-{i}"), "v".repeat(1000))).collect();
    let many: Vec<_> = many.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert!(read_trailers(&map(&many)).text().len() <= 8192);
    let many: Vec<_> = (0..100).map(|i| format!("x-{i}")).collect();
    let many: Vec<_> = many.iter().map(|name| (name.as_str(), "v")).collect();
    assert_eq!(read_trailers(&map(&many)).len(), 32);
}

#[test]
fn names_leave_in_lower_case_and_what_cannot_be_written_is_left_out() {
    let mut trailers = Headers::default();
    for (name, value) in
        [("X-Sum", " 1 "), ("Connection", "x"), ("a b", "1"), ("x", "a\rb"), ("Grpc-Status", "0")]
    {
        trailers.push(name.as_bytes(), value.as_bytes());
    }
    assert_eq!(trailers_message(&trailers), map(&[("x-sum", "1"), ("grpc-status", "0")]));
}
