//! Which header fields go where: to the server, from it to the service, and from it to the client.
//!
//! The rules of a connection are those of `message`; here is what a server may do besides. Entry points:
//! [`is_shown`], [`reaches_service`], [`reaches_client`], [`apply`].

use authority::ext_authz::{Action, HeaderChange};
use message::{Field, Headers, Name, Span, forward_request_field, is_identity_field};

/// Whether the server is shown a field of a request: nothing of the connection, and nothing that describes a body, for
/// it gets none. `only` are the names that the user has listed.
///
/// Without a list no conditions and ranges are shown: a server that knows the condition answers 304, which says neither
/// yes nor no, and would bring up a copy that the client has.
pub(super) fn is_shown(field: &Field, text: &[u8], only: Option<&[Box<[u8]>]>) -> bool {
    let of_this_message =
        matches!(field.known, Name::Host | Name::ContentLength | Name::Trailer | Name::Expect | Name::Via);
    if of_this_message || !forward_request_field(field, text, true) {
        return false;
    }
    let name = field.name.of(text);
    match only {
        Some(names) => names.iter().any(|wanted| wanted.eq_ignore_ascii_case(name)),
        None => !is_condition(name),
    }
}

/// RFC 9110 §13.1 and §14.2.
fn is_condition(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"range")
        || name.get(..3).is_some_and(|begin| begin.eq_ignore_ascii_case(b"if-"))
}

/// Whether a server may set or remove a field of the request: none that frames or routes it or belongs to the
/// connection, none that says where it comes from, and none by which the gateway tells of callers.
pub(super) fn reaches_service(name: &[u8]) -> bool {
    let len = u32::try_from(name.len()).unwrap_or(u32::MAX);
    let field = Field { known: Name::of(name), name: Span { start: 0, len }, value: Span::default() };
    field.known == Name::Other && forward_request_field(&field, name, false) && !is_identity_field(name)
}

/// Whether a server may give the client a field: none that the gateway writes itself.
pub(super) fn reaches_client(name: &[u8]) -> bool {
    Name::of(name) == Name::Other
}

/// Does to the fields what a server has said.
pub(super) fn apply(headers: &mut Headers, change: &HeaderChange) {
    let (name, value) = (change.name.as_str().as_bytes(), change.value.as_bytes());
    let is_there = headers.values(name).next().is_some();
    match change.action {
        Action::Append => headers.push(name, value),
        Action::AddIfAbsent if !is_there => headers.push(name, value),
        Action::OverwriteIfExists if is_there => headers.set(name, value),
        Action::Overwrite => headers.set(name, value),
        Action::AddIfAbsent | Action::OverwriteIfExists => {}
    }
}
