//! What a server has decided.
//!
//! Entry point: [`decode_check`].

use bytes::{Buf, Bytes};
use http::header::{CONTENT_TYPE, HOST, HeaderName};
use http::{HeaderMap, HeaderValue};
use prost::Message;

use super::messages::{CheckResponse, DeniedHttpResponse, HeaderValueOption, HttpResponse, OkHttpResponse};
use crate::{Answer, Trouble};

/// No answer that means well has nearly as many changes of one kind.
const MOST_CHANGES: usize = 256;
const FORBIDDEN: u16 = 403;

/// What a server has decided about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It may go on.
    Allowed(Allowed),
    /// It may not.
    Denied(Denied),
}

/// What becomes of a request that may go on, and of its response. Changes of headers come in this order: those that
/// are removed, then those that are changed, one after the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Headers that the service does not see. `Host` is never among them.
    pub remove_headers: Vec<HeaderName>,
    /// Changes of the headers that the service sees.
    pub headers: Vec<HeaderChange>,
    /// Changes of the headers that the client sees.
    pub response_headers: Vec<HeaderChange>,
    /// Parameters of the query that are set, with names and values that are not encoded.
    pub set_query: Vec<(String, String)>,
    /// Parameters of the query that are removed, by name as it is when decoded.
    pub remove_query: Vec<String>,
}

/// The answer to a client whose request may not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// From 200 to 599; 403 if the server names none.
    pub status: u16,
    /// The headers, all of them to be added to the answer.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub body: Bytes,
}

/// What happens to a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderChange {
    /// Its name.
    pub name: HeaderName,
    /// Its value, which can be empty: that hides what a client has sent.
    pub value: HeaderValue,
    /// How it goes together with one that is there.
    pub action: Action,
}

/// How a header goes together with one that is there (`HeaderValueOption.HeaderAppendAction`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Both stay.
    Append,
    /// The one that is there stays.
    AddIfAbsent,
    /// It takes the place of the one that is there, if there is one.
    Overwrite,
    /// It takes the place of the one that is there; otherwise nothing happens.
    OverwriteIfExists,
}

/// Reads the answer to a question of [`super::check`].
///
/// # Errors
/// The call has failed, or the answer does not clearly say one thing: it has no status and no permission, it
/// permits and denies at the same time, or a header in it cannot be one.
pub fn decode_check(answer: &Answer) -> Result<Decision, Trouble> {
    let message = message(answer)?;
    let response =
        CheckResponse::decode(message).map_err(|_| Trouble::Malformed("it is no CheckResponse"))?;
    let code = response.status.map(|status| status.code);
    match (code, response.http_response) {
        (Some(0), None) => Ok(Decision::Allowed(Allowed::default())),
        // A permission as such is clear, and some servers leave the status away that would be 0.
        (Some(0) | None, Some(HttpResponse::Ok(ok))) => allowed(ok),
        (Some(0), Some(HttpResponse::Denied(_))) => Err(Trouble::Malformed("it both permits and denies")),
        (_, Some(HttpResponse::Denied(denied))) => Ok(Decision::Denied(refusal(denied)?)),
        (Some(_), _) => {
            Ok(Decision::Denied(Denied { status: FORBIDDEN, headers: Vec::new(), body: Bytes::new() }))
        }
        (None, None) => Err(Trouble::Malformed("it neither permits nor denies")),
    }
}

/// The one message of an answer, whose call has succeeded.
fn message(answer: &Answer) -> Result<Bytes, Trouble> {
    if answer.status != 200 {
        return Err(Trouble::Status(answer.status));
    }
    let media_type = answer.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let rest = media_type.strip_prefix(b"application/grpc").ok_or(Trouble::Malformed("it is not gRPC"))?;
    if !matches!(rest.first(), None | Some(b'+' | b';' | b' ')) {
        return Err(Trouble::Malformed("it is not gRPC"));
    }
    // Without a body the trailers are in the place of the headers. Where both are, both have to say yes.
    let codes = [Some(&answer.headers), answer.trailers.as_ref()].into_iter().flatten().map(grpc_status);
    let mut said = false;
    for code in codes {
        match code? {
            Some(0) => said = true,
            Some(code) => return Err(Trouble::Grpc(code)),
            None => {}
        }
    }
    if !said {
        return Err(Trouble::Malformed("it has no gRPC status"));
    }
    let mut body = answer.body.clone();
    let (Ok(compressed), Ok(length)) = (body.try_get_u8(), body.try_get_u32()) else {
        return Err(Trouble::Malformed("it has no message"));
    };
    if compressed != 0 {
        return Err(Trouble::Malformed("its message is compressed, which was not offered"));
    }
    if usize::try_from(length) != Ok(body.len()) {
        return Err(Trouble::Malformed("it is not exactly one message"));
    }
    Ok(body)
}

fn grpc_status(headers: &HeaderMap) -> Result<Option<u32>, Trouble> {
    let mut values = headers.get_all("grpc-status").iter();
    let Some(value) = values.next() else { return Ok(None) };
    let code = value.to_str().ok().and_then(|text| text.parse().ok());
    match (code, values.next()) {
        (Some(code), None) => Ok(Some(code)),
        _ => Err(Trouble::Malformed("its gRPC status is no number")),
    }
}

fn allowed(ok: OkHttpResponse) -> Result<Decision, Trouble> {
    let removed = ok.headers_to_remove.len();
    let query = ok.query_parameters_to_set.len().max(ok.query_parameters_to_remove.len());
    if removed.max(query) > MOST_CHANGES {
        return Err(Trouble::TooLarge);
    }
    let mut remove_headers = Vec::with_capacity(removed);
    for name in ok.headers_to_remove {
        // As in Envoy, what cannot be taken away is passed over.
        if name.starts_with(':') {
            continue;
        }
        let name = header_name(&name)?;
        if name != HOST {
            remove_headers.push(name);
        }
    }
    Ok(Decision::Allowed(Allowed {
        remove_headers,
        // OkHttpResponse says that what is not said about `append` is "false". It is also what is safe: a client
        // that sends a header which the server sets does not get its own through.
        headers: changes(ok.headers, Action::Overwrite)?,
        response_headers: changes(ok.response_headers_to_add, Action::Append)?,
        set_query: ok.query_parameters_to_set.into_iter().map(|one| (one.key, one.value)).collect(),
        remove_query: ok.query_parameters_to_remove,
    }))
}

fn refusal(denied: DeniedHttpResponse) -> Result<Denied, Trouble> {
    let status = denied.status.and_then(|status| u16::try_from(status.code).ok());
    let status = status.filter(|status| (200..600).contains(status)).unwrap_or(FORBIDDEN);
    // There is nothing yet that an action could overwrite.
    let headers = changes(denied.headers, Action::Append)?;
    let headers = headers.into_iter().map(|change| (change.name, change.value)).collect();
    Ok(Denied { status, headers, body: Bytes::from(denied.body) })
}

fn changes(options: Vec<HeaderValueOption>, unsaid: Action) -> Result<Vec<HeaderChange>, Trouble> {
    if options.len() > MOST_CHANGES {
        return Err(Trouble::TooLarge);
    }
    options.into_iter().map(|option| change(option, unsaid)).collect()
}

fn change(option: HeaderValueOption, unsaid: Action) -> Result<HeaderChange, Trouble> {
    let header = option.header.ok_or(Trouble::Malformed("it changes a header without a name"))?;
    let action = match (option.append, option.append_action) {
        // The older field counts where it is there.
        (Some(append), _) if append.value => Action::Append,
        (Some(_), _) => Action::Overwrite,
        (None, 0) => unsaid,
        (None, 1) => Action::AddIfAbsent,
        (None, 2) => Action::Overwrite,
        (None, 3) => Action::OverwriteIfExists,
        (None, _) => return Err(Trouble::Malformed("it changes a header in an unknown way")),
    };
    let name = header_name(&header.key)?;
    let value = if header.value.is_empty() { header.raw_value } else { Bytes::from(header.value) };
    let value = HeaderValue::from_maybe_shared(value)
        .map_err(|_| Trouble::Malformed("it sets a header to what no header can hold"))?;
    Ok(HeaderChange { name, value, action })
}

fn header_name(name: &str) -> Result<HeaderName, Trouble> {
    HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| Trouble::Malformed("it names a header that cannot be one"))
}
