//! A line of the access log: one JSON object with the same fields in the same order for every request.
//!
//! Everything that came from a client is escaped and cut to a length, so that a line is always one line, always
//! valid JSON (RFC 8259), and never longer than [`LONGEST`]. Entry point: [`Line::write`].

use std::time::{Duration, SystemTime};

use crate::Record;
use crate::histogram::micros;

/// The longest line, in bytes: every text at its longest, with every byte escaped.
pub(crate) const LONGEST: usize = 32 * 1024;
/// The most bytes of a path that are written.
const LONGEST_PATH: usize = 2048;
/// The most bytes of any other text.
const LONGEST_TEXT: usize = 256;
/// The most texts of a list.
const MOST_TEXTS: usize = 32;

/// What a line says besides the record. Empty texts are written as `null`.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// The id of the request.
    pub request_id: &'a str,
    /// The address of the client, seen through trusted proxies.
    pub client: &'a str,
    /// The method as it came.
    pub method: &'a [u8],
    /// The canonical host.
    pub host: &'a [u8],
    /// The canonical path, as the client asked for it, without query: queries hold secrets.
    pub path: &'a [u8],
    /// The name of the route.
    pub route: &'a str,
    /// The name of the service.
    pub service: &'a str,
    /// The address that was asked last.
    pub endpoint: &'a str,
    /// From the first byte of the request to the last of the response.
    pub total: Duration,
    /// The version of TLS.
    pub tls: &'a str,
    /// The server that the client asked for in the handshake.
    pub server_name: &'a str,
    /// The subject of the certificate that the client has shown.
    pub client_certificate: &'a str,
    /// The alternative names of that certificate, with their kind in front.
    pub client_names: &'a [Box<str>],
    /// The consumer of the configuration who has called.
    pub consumer: &'a str,
    /// What the credential says about who has called, where that is not the name of the consumer.
    pub subject: &'a str,
    /// The kind of policy that has recognised it.
    pub auth: &'a str,
    /// The kind of policy that has answered in the place of the service, and why in a word.
    pub answered_by: (&'a str, &'a str),
    /// The rest.
    pub record: &'a Record,
}

/// The text of a point in time, kept for as long as the second is the same.
#[derive(Debug, Default)]
pub(crate) struct TimeText {
    second: u64,
    text: String,
}

impl TimeText {
    /// Appends `2026-11-25T19:40:07.123Z` (RFC 3339).
    fn write(&mut self, time: SystemTime, out: &mut Vec<u8>) {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        if self.second != since.as_secs() || self.text.is_empty() {
            use std::fmt::Write;
            self.second = since.as_secs();
            self.text.clear();
            let whole = SystemTime::UNIX_EPOCH + Duration::from_secs(self.second);
            let _ = write!(self.text, "{}", humantime::format_rfc3339_seconds(whole));
            self.text.pop();
        }
        out.extend_from_slice(self.text.as_bytes());
        out.push(b'.');
        push_three_digits(out, since.subsec_millis());
        out.push(b'Z');
    }
}

impl Line<'_> {
    /// Appends the line, its end included.
    pub(crate) fn write(&self, time: SystemTime, text: &mut TimeText, out: &mut Vec<u8>) {
        let record = self.record;
        out.extend_from_slice(b"{\"time\":\"");
        text.write(time, out);
        out.push(b'"');
        push_text(out, b",\"request_id\":", self.request_id.as_bytes(), LONGEST_TEXT);
        push_text(out, b",\"client\":", self.client.as_bytes(), LONGEST_TEXT);
        push_text(out, b",\"method\":", self.method, LONGEST_TEXT);
        push_text(out, b",\"host\":", self.host, LONGEST_TEXT);
        push_text(out, b",\"path\":", self.path, LONGEST_PATH);
        push_number(out, b",\"status\":", record.status.into());
        push_number(out, b",\"bytes_in\":", record.received);
        push_number(out, b",\"bytes_out\":", record.sent);
        push_text(out, b",\"route\":", self.route.as_bytes(), LONGEST_TEXT);
        push_text(out, b",\"service\":", self.service.as_bytes(), LONGEST_TEXT);
        push_text(out, b",\"endpoint\":", self.endpoint.as_bytes(), LONGEST_TEXT);
        push_millis(out, b",\"total_ms\":", Some(self.total));
        push_millis(out, b",\"connect_ms\":", record.connect);
        push_millis(out, b",\"first_byte_ms\":", record.first_byte);
        push_number(out, b",\"retries\":", record.retries.into());
        push_text(
            out,
            b",\"fault\":",
            record.fault.map_or("", |fault| fault.code()).as_bytes(),
            LONGEST_TEXT,
        );
        let protocol = record.version.map_or("", |version| version.as_str());
        push_text(out, b",\"protocol\":", protocol.as_bytes(), LONGEST_TEXT);
        push_text(out, b",\"tls\":", self.tls.as_bytes(), LONGEST_TEXT);
        push_text(out, b",\"sni\":", self.server_name.as_bytes(), LONGEST_TEXT);
        push_text(out, b",\"client_cert\":", self.client_certificate.as_bytes(), LONGEST_TEXT);
        push_texts(out, b",\"client_cert_san\":", self.client_names);
        push_text(out, b",\"consumer\":", self.consumer.as_bytes(), LONGEST_TEXT);
        push_text(out, b",\"subject\":", self.subject.as_bytes(), LONGEST_TEXT);
        push_text(out, b",\"auth\":", self.auth.as_bytes(), LONGEST_TEXT);
        push_text(out, b",\"policy\":", self.answered_by.0.as_bytes(), LONGEST_TEXT);
        push_text(out, b",\"reason\":", self.answered_by.1.as_bytes(), LONGEST_TEXT);
        out.extend_from_slice(b"}\n");
    }
}

fn push_number(out: &mut Vec<u8>, key: &[u8], number: u64) {
    out.extend_from_slice(key);
    message::push_number(out, number);
}

/// Milliseconds with three digits behind the point.
fn push_millis(out: &mut Vec<u8>, key: &[u8], duration: Option<Duration>) {
    let Some(duration) = duration else {
        out.extend_from_slice(key);
        return out.extend_from_slice(b"null");
    };
    let micros = micros(duration);
    push_number(out, key, micros / 1000);
    out.push(b'.');
    push_three_digits(out, (micros % 1000) as u32);
}

fn push_three_digits(out: &mut Vec<u8>, number: u32) {
    for digit in [number / 100 % 10, number / 10 % 10, number % 10] {
        out.push(b'0' + digit as u8);
    }
}

/// A text with the escapes of JSON; `null` if it is empty. What is longer than `most` is cut and ends in `…`.
fn push_text(out: &mut Vec<u8>, key: &[u8], text: &[u8], most: usize) {
    out.extend_from_slice(key);
    if text.is_empty() {
        return out.extend_from_slice(b"null");
    }
    let (text, is_cut) = text.get(..most).map_or((text, false), |cut| (cut, cut.len() < text.len()));
    out.push(b'"');
    if text.iter().all(|b| is_plain(*b)) {
        out.extend_from_slice(text);
    } else {
        push_escaped(out, text);
    }
    out.extend_from_slice(if is_cut { "…\"".as_bytes() } else { b"\"" });
}

/// A list of texts; `null` if it is empty. What is longer than [`MOST_TEXTS`] is cut and ends in `…`.
fn push_texts(out: &mut Vec<u8>, key: &[u8], texts: &[Box<str>]) {
    out.extend_from_slice(key);
    if texts.is_empty() {
        return out.extend_from_slice(b"null");
    }
    for (at, text) in texts.iter().take(MOST_TEXTS).enumerate() {
        push_text(out, if at == 0 { b"[" } else { b"," }, text.as_bytes(), LONGEST_TEXT);
    }
    out.extend_from_slice(if texts.len() > MOST_TEXTS { ",\"…\"]".as_bytes() } else { b"]" });
}

/// Whether a byte may stand in a JSON string as it is, whatever stands around it.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
}

/// Controls, DEL and all that is not UTF-8 are written as escapes, so that no terminal and no line reader can be
/// led astray.
fn push_escaped(out: &mut Vec<u8>, text: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for piece in text.utf8_chunks() {
        for c in piece.valid().chars() {
            match c {
                '"' => out.extend_from_slice(b"\\\""),
                '\\' => out.extend_from_slice(b"\\\\"),
                // C1 controls and the two line separators of Unicode are line breaks to some readers.
                c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                    out.extend_from_slice(b"\\u");
                    let code = c as u32;
                    for shift in [12, 8, 4, 0] {
                        out.push(HEX[(code >> shift & 15) as usize]);
                    }
                }
                c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        if !piece.invalid().is_empty() {
            out.extend_from_slice(b"\\ufffd");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use message::{Fault, Method, Version};
    use std::time::Instant;

    fn written(line: Line<'_>) -> String {
        let (mut out, mut text) = (Vec::new(), TimeText::default());
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_764_099_607_042);
        line.write(time, &mut text, &mut out);
        assert!(out.len() <= LONGEST);
        String::from_utf8(out).unwrap()
    }

    fn line<'a>(record: &'a Record, method: &'a [u8], path: &'a [u8]) -> Line<'a> {
        let total = Duration::from_micros(1_234_567);
        let (client, host) = ("192.0.2.1", b"api.test");
        Line {
            request_id: "id",
            client,
            method,
            host,
            path,
            route: "r",
            service: "",
            endpoint: "",
            total,
            tls: "1.3",
            server_name: "api.test",
            client_certificate: "",
            client_names: &[],
            consumer: "mobile",
            subject: "",
            auth: "api_key",
            answered_by: ("authorize", ""),
            record,
        }
    }

    #[test]
    fn every_field_is_there_in_order() {
        let record = Record {
            method: Some(Method::Get),
            version: Some(Version::Http2),
            status: 502,
            fault: Some(Fault::ConnectFailed),
            received: 12,
            sent: 34,
            retries: 1,
            first_byte: Some(Duration::from_micros(7)),
            ..Record::begin(Instant::now())
        };
        assert_eq!(
            written(line(&record, b"GET", b"/a")),
            "{\"time\":\"2025-11-25T19:40:07.042Z\",\"request_id\":\"id\",\"client\":\"192.0.2.1\",\
             \"method\":\"GET\",\"host\":\"api.test\",\"path\":\"/a\",\"status\":502,\"bytes_in\":12,\
             \"bytes_out\":34,\"route\":\"r\",\"service\":null,\"endpoint\":null,\"total_ms\":1234.567,\
             \"connect_ms\":null,\"first_byte_ms\":0.007,\"retries\":1,\"fault\":\"connect-failed\",\
             \"protocol\":\"HTTP/2\",\"tls\":\"1.3\",\"sni\":\"api.test\",\"client_cert\":null,\"client_cert_san\":null,\
             \"consumer\":\"mobile\",\"subject\":null,\"auth\":\"api_key\",\"policy\":\"authorize\",\"reason\":null}\n"
        );
    }

    #[test]
    fn nothing_can_break_out_of_a_line() {
        let record = Record::begin(Instant::now());
        let hostile = "a\"b\\c\r\nd\u{1b}[31m\u{7f}é\u{85}\u{2028}".as_bytes();
        let text = written(line(&record, &[hostile, b"\xff\xfe"].concat(), b"/"));
        assert!(
            text.contains(r#""method":"a\"b\\c\u000d\u000ad\u001b[31m\u007fé\u0085\u2028\ufffd\ufffd""#),
            "{text}"
        );
        assert_eq!(text.matches('\n').count(), 1);
    }

    #[test]
    fn long_texts_are_cut() {
        let record = Record::begin(Instant::now());
        let text = written(line(&record, &[b'\x01'; 1000], &[b'"'; 100_000]));
        assert!(text.len() < LONGEST && text.matches("\\\"").count() == LONGEST_PATH && text.contains('…'));
    }
}
