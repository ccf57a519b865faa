//! The notation of case files: escapes in what is sent, wildcards in what is expected.
//!
//! Text is kept as Latin-1, one character per byte. Entry points: [`bytes_of`], [`matches()`], [`match_message`].

use std::collections::BTreeMap;

use crate::message::{Message, latin1};

/// What `{any:NAME}` has matched so far.
pub(crate) type Captures = BTreeMap<String, String>;

/// The bytes that a block stands for: every line ends with CRLF, unless a backslash stands at its end.
pub(crate) fn bytes_of(lines: &[String]) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    for line in lines {
        let slashes = line.len() - line.trim_end_matches('\\').len();
        match line.strip_suffix('\\') {
            Some(line) if slashes % 2 == 1 => unescape(line, &mut out)?,
            _ => {
                unescape(line, &mut out)?;
                out.extend_from_slice(b"\r\n");
            }
        }
    }
    Ok(out)
}

/// Appends a line with `\r \n \t \0 \\ \xHH` and `{COUNT*TEXT}` replaced.
pub(crate) fn unescape(line: &str, out: &mut Vec<u8>) -> Result<(), String> {
    let mut rest = line;
    while let Some(at) = rest.find(['\\', '{']) {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        rest = &rest[at..];
        if let Some((count, text, after)) = repetition(rest) {
            let mut once = Vec::new();
            unescape(text, &mut once)?;
            out.extend(once.repeat(count));
            rest = after;
            continue;
        }
        if let Some(after) = rest.strip_prefix('{') {
            out.push(b'{');
            rest = after;
            continue;
        }
        let escape = rest.get(1..2).ok_or_else(|| format!("a lone backslash in {line:?}"))?;
        let (byte, length) = match escape {
            "r" => (b'\r', 2),
            "n" => (b'\n', 2),
            "t" => (b'\t', 2),
            "0" => (0, 2),
            "\\" => (b'\\', 2),
            "x" => {
                let digits = rest.get(2..4).unwrap_or("");
                (u8::from_str_radix(digits, 16).map_err(|_| format!("a bad escape in {line:?}"))?, 4)
            }
            _ => return Err(format!("an unknown escape in {line:?}")),
        };
        out.push(byte);
        rest = &rest[length..];
    }
    out.extend_from_slice(rest.as_bytes());
    Ok(())
}

/// `{COUNT*TEXT}rest`
fn repetition(text: &str) -> Option<(usize, &str, &str)> {
    let (inside, after) = text.strip_prefix('{')?.split_once('}')?;
    let (count, text) = inside.split_once('*')?;
    Some((count.parse().ok()?, text, after))
}

/// Whether the whole of `text` fits. `{any}` stands for any bytes, `{any:NAME}` for the same ones each time.
pub(crate) fn matches(pattern: &str, text: &str, captures: &mut Captures) -> bool {
    let Some((before, name, after)) = wildcard(pattern) else { return pattern == text };
    let Some(rest) = text.strip_prefix(before) else { return false };
    if let Some(known) = name.and_then(|name| captures.get(name)) {
        let known = known.clone();
        return rest.strip_prefix(known.as_str()).is_some_and(|rest| matches(after, rest, captures));
    }
    for end in rest.char_indices().map(|(at, _)| at).chain([rest.len()]) {
        let mut tried = captures.clone();
        if let Some(name) = name {
            tried.insert(name.to_owned(), rest[..end].to_owned());
        }
        if matches(after, &rest[end..], &mut tried) {
            *captures = tried;
            return true;
        }
    }
    false
}

/// Splits at the first wildcard: text before it, its name, pattern behind it.
fn wildcard(pattern: &str) -> Option<(&str, Option<&str>, &str)> {
    let at = pattern.find("{any}").into_iter().chain(pattern.find("{any:")).min()?;
    let (inside, after) = pattern[at + 1..].split_once('}')?;
    Some((&pattern[..at], inside.strip_prefix("any:"), after))
}

/// How a message is compared.
#[derive(Clone, Copy, Default)]
pub(crate) struct Rules {
    /// The spelling of names counts.
    pub(crate) spelling: bool,
    /// The body is JSON, and has at least the members that are expected.
    pub(crate) json: bool,
    /// The message was cut: what came of its body is compared.
    pub(crate) head_only: bool,
}

/// Compares a message with what a block expects. Errors say what differs.
pub(crate) fn match_message(
    lines: &[String],
    message: &Message,
    rules: Rules,
    captures: &mut Captures,
) -> Result<(), String> {
    let text = latin1(&bytes_of(lines)?);
    let (head, body) = match text.split_once("\r\n\r\n") {
        Some((head, body)) => (head, Some(body)),
        None => (text.trim_end_matches("\r\n"), None),
    };
    let mut wanted = head.split("\r\n");
    let start = wanted.next().unwrap_or("");
    if !matches(start, &message.start, captures) {
        return Err(format!("expected {start:?}, got {:?}", message.start));
    }
    match_fields(wanted, &message.fields, rules, captures)?;
    let Some(body) = body.filter(|_| !rules.head_only) else { return Ok(()) };
    let (body, trailers) = match body.split_once("{trailers}\r\n") {
        Some((body, trailers)) => (body, trailers),
        None => (body, ""),
    };
    match_fields(trailers.split("\r\n").filter(|line| !line.is_empty()), &message.trailers, rules, captures)
        .map_err(|error| format!("trailers: {error}"))?;
    let got = message.text();
    if rules.json {
        let parse =
            |text: &str| serde_json::from_str(text).map_err(|error| format!("no JSON: {error}: {text:?}"));
        return match_json(&parse(body)?, &parse(&got)?, captures);
    }
    if matches(body, &got, captures) {
        Ok(())
    } else {
        Err(format!("expected the body {body:?}, got {got:?}"))
    }
}

/// Fields of different names may stand in any order, those of one name may not.
fn match_fields<'a>(
    wanted: impl Iterator<Item = &'a str>,
    fields: &[(String, String)],
    rules: Rules,
    captures: &mut Captures,
) -> Result<(), String> {
    let mut left: Vec<Option<&(String, String)>> = fields.iter().map(Some).collect();
    let mut open = false;
    for line in wanted {
        if line == "..." {
            open = true;
            continue;
        }
        if let Some(name) = line.strip_prefix('-') {
            if let Some(found) = fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
                return Err(format!("there should be no {name}, got {found:?}"));
            }
            continue;
        }
        let (name, value) = line.split_once(':').ok_or_else(|| format!("no field: {line:?}"))?;
        let value = value.trim_start_matches(' ');
        let first =
            left.iter_mut().find(|field| field.is_some_and(|(known, _)| known.eq_ignore_ascii_case(name)));
        let found =
            first.and_then(Option::take).ok_or_else(|| format!("there is no {line:?} in {fields:?}"))?;
        if (rules.spelling && found.0 != name) || !matches(value, &found.1, captures) {
            return Err(format!("expected {line:?}, got {found:?}"));
        }
    }
    match left.into_iter().flatten().next() {
        Some(extra) if !open => Err(format!("unexpected field {extra:?}")),
        _ => Ok(()),
    }
}

fn match_json(
    wanted: &serde_json::Value,
    got: &serde_json::Value,
    captures: &mut Captures,
) -> Result<(), String> {
    use serde_json::Value;
    let fits = match (wanted, got) {
        (Value::Object(wanted), Value::Object(got)) => {
            for (key, value) in wanted {
                let found = got.get(key).ok_or_else(|| format!("there is no member {key:?} in {got:?}"))?;
                match_json(value, found, captures).map_err(|error| format!("{key}: {error}"))?;
            }
            true
        }
        (Value::Array(wanted), Value::Array(got)) if wanted.len() == got.len() => {
            return wanted.iter().zip(got).try_for_each(|(wanted, got)| match_json(wanted, got, captures));
        }
        (Value::String(wanted), Value::String(got)) => matches(wanted, got, captures),
        (Value::String(wanted), Value::Number(_)) if wanted == "{any}" => true,
        _ => wanted == got,
    };
    if fits { Ok(()) } else { Err(format!("expected {wanted}, got {got}")) }
}

#[cfg(test)]
mod tests {
    use super::{Captures, Rules, bytes_of, match_message, matches};
    use crate::message::{Kind, Parsed, parse};

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn lines_and_escapes() {
        let bytes = bytes_of(&lines("a\\x00\\r\nb\\\nc{3*xy}{y}\nd\\\\")).unwrap();
        assert_eq!(bytes, b"a\0\r\r\nbcxyxyxy{y}\r\nd\\\r\n");
        assert!(bytes_of(&lines("\\q")).is_err() && bytes_of(&lines("\\xZZ")).is_err());
    }

    #[test]
    fn wildcards_and_captures() {
        let mut captures = Captures::new();
        assert!(matches("a{any}b{any:x}.", "a--b12.", &mut captures) && captures["x"] == "12");
        assert!(matches("{any:x}", "12", &mut captures) && !matches("{any:x}", "13", &mut captures));
        assert!(!matches("a", "ab", &mut captures) && matches("{any}", "", &mut captures));
    }

    #[test]
    fn messages() {
        let text = b"HTTP/1.1 200 OK\r\nA: 1\r\nB: 2\r\na: 3\r\nContent-Length: 9\r\n\r\n{\"x\": 1}\n";
        let Ok(Parsed::Whole(message, _)) = parse(text, Kind::Response, None) else { panic!() };
        let fits = |wanted: &str, rules| match_message(&lines(wanted), &message, rules, &mut Captures::new());
        let json = Rules { json: true, ..Rules::default() };
        let spelling = Rules { spelling: true, ..Rules::default() };
        assert_eq!(fits("HTTP/1.1 200 {any}\nb: 2\na: 1\na: 3\ncontent-length: 9", Rules::default()), Ok(()));
        assert_eq!(fits("HTTP/1.1 200 OK\n...\n-c\n\n{\"x\": 1}", json), Ok(()));
        assert!(fits("HTTP/1.1 200 OK\na: 3\n...", Rules::default()).is_err(), "order within a name");
        assert!(fits("HTTP/1.1 200 OK\na: 1\n...", spelling).is_err());
        assert!(fits("HTTP/1.1 200 OK\na: 1", Rules::default()).is_err(), "unexpected fields");
        assert!(fits("HTTP/1.1 200 OK\n-B\n...", Rules::default()).is_err());
        assert!(fits("HTTP/1.1 200 OK\n...\n\n{\"x\": 2}", json).is_err());
        assert!(fits("HTTP/1.1 200 OK\n...\n\n{\"x\": 1}\n{trailers}\nt: 1", Rules::default()).is_err());
    }
}
