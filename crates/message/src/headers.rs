//! A flat list of header fields over one text buffer.
//!
//! The head that a codec parsed is copied once into `text`; every name and value is a [`Span`] of it,
//! and what policies add is appended to it. Nothing is allocated in the steady state, because a
//! `Headers` is cleared and reused. Order and spelling of the sender are kept.

use crate::Name;

/// A range of bytes in the text of a [`Headers`].
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// Number of bytes.
    pub len: u32,
}

impl Span {
    /// The bytes of this span in `text`; empty where the span does not fit.
    #[inline]
    pub fn of(self, text: &[u8]) -> &[u8] {
        let start = self.start as usize;
        text.get(start..start + self.len as usize).unwrap_or(&[])
    }
}

/// One header field.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// The recognised name.
    pub known: Name,
    /// The name as it was written.
    pub name: Span,
    /// The value without surrounding white space.
    pub value: Span,
}

/// The fields of a message, in order.
#[derive(Default, Debug, Clone)]
pub struct Headers {
    text: Vec<u8>,
    fields: Vec<Field>,
}

impl Headers {
    /// Forgets everything, keeps the memory.
    pub fn clear(&mut self) {
        self.text.clear();
        self.fields.clear();
    }

    /// Forgets all fields and keeps the text, in no more memory than it needs: what refers to it remains valid.
    pub fn forget_fields(&mut self) {
        self.text.shrink_to_fit();
        self.fields = Vec::new();
    }

    /// Bytes that the buffers of this list hold, for pools that bound what they keep.
    pub fn capacity(&self) -> usize {
        self.text.capacity() + self.fields.capacity() * size_of::<Field>()
    }

    /// The text that all spans refer to.
    #[inline]
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Appends bytes to the text and returns where they stand.
    pub fn append_text(&mut self, bytes: &[u8]) -> Span {
        // A head is limited to far less than 4 GiB; saturating keeps even a broken caller in bounds.
        let start = u32::try_from(self.text.len()).unwrap_or(u32::MAX);
        self.text.extend_from_slice(bytes);
        Span { start, len: u32::try_from(bytes.len()).unwrap_or(0) }
    }

    /// The bytes of a span.
    #[inline]
    pub fn slice(&self, span: Span) -> &[u8] {
        span.of(&self.text)
    }

    /// Registers a field whose name and value already stand in the text.
    #[inline]
    pub fn push_spans(&mut self, known: Name, name: Span, value: Span) {
        self.fields.push(Field { known, name, value });
    }

    /// Adds a field at the end. The caller vouches for valid bytes (see [`Headers::is_valid_value`]).
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        self.push_as(Name::of(name), name, value);
    }

    /// Adds a field of a known name at the end. The caller vouches for valid bytes.
    pub fn push_known(&mut self, known: Name, value: &[u8]) {
        self.push_as(known, known.as_str().as_bytes(), value);
    }

    /// In the text a field stands as it will be written, so that the codec can copy it with its neighbours.
    fn push_as(&mut self, known: Name, name: &[u8], value: &[u8]) {
        self.text.reserve(name.len() + value.len() + 4);
        let name = self.append_text(name);
        self.text.extend_from_slice(b": ");
        let value = self.append_text(value);
        self.text.extend_from_slice(b"\r\n");
        self.fields.push(Field { known, name, value });
    }

    /// Adds all fields of another list at the end, together.
    pub fn append(&mut self, other: &Headers) {
        let by = u32::try_from(self.text.len()).unwrap_or(u32::MAX);
        let moved = |span: Span| Span { start: span.start.saturating_add(by), ..span };
        self.text.extend_from_slice(&other.text);
        self.fields.extend(other.fields.iter().map(|field| Field {
            name: moved(field.name),
            value: moved(field.value),
            ..*field
        }));
    }

    /// Number of fields.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The fields as spans, in order.
    #[inline]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Name and value of each field, in order.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter().map(|field| (field.name.of(&self.text), field.value.of(&self.text)))
    }

    /// The values of a known name, in order.
    #[inline]
    pub fn all(&self, name: Name) -> impl Iterator<Item = &[u8]> {
        self.fields.iter().filter(move |field| field.known == name).map(|field| field.value.of(&self.text))
    }

    /// The first value of a known name.
    #[inline]
    pub fn first(&self, name: Name) -> Option<&[u8]> {
        self.all(name).next()
    }

    /// Whether a known name is there.
    #[inline]
    pub fn has(&self, name: Name) -> bool {
        self.fields.iter().any(|field| field.known == name)
    }

    /// The values of any name (compared without case), in order.
    pub fn values<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        self.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Removes every field of a name (compared without case).
    pub fn remove(&mut self, name: &[u8]) {
        let text = &self.text;
        let is_other = |field: &Field| !field.name.of(text).eq_ignore_ascii_case(name);
        // Most often there is none, and looking is cheaper than moving.
        if !self.fields.iter().all(is_other) {
            self.fields.retain(is_other);
        }
    }

    /// Removes the fields for which `keep` says no.
    pub fn retain(&mut self, mut keep: impl FnMut(&Field, &[u8]) -> bool) {
        let text = &self.text;
        self.fields.retain(|field| keep(field, text));
    }

    /// Replaces every field of a name by one.
    pub fn set(&mut self, name: &[u8], value: &[u8]) {
        self.remove(name);
        self.push(name, value);
    }

    /// Whether bytes may stand in a field value: visible, space, tab, and obs-text (RFC 9110 §5.5).
    pub fn is_valid_value(value: &[u8]) -> bool {
        value.iter().all(|&b| b == b'\t' || (b >= 0x20 && b != 0x7f))
    }

    /// Whether bytes may be a field name: a token (RFC 9110 §5.6.2).
    pub fn is_valid_name(name: &[u8]) -> bool {
        !name.is_empty() && name.iter().all(|&b| is_token_byte(b))
    }
}

/// Whether a byte may stand in a token (RFC 9110 §5.6.2).
#[inline]
pub const fn is_token_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric()
        || matches!(
            b,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// The elements of a comma-separated list, trimmed, empty ones left out (RFC 9110 §5.6.1).
///
/// Quoted strings are not looked into: no list that the gateway reads may hold a quoted comma.
pub(crate) fn list_elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&b| b == b',').map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_replaces_all_of_a_name_in_any_case_and_keeps_the_rest_in_order() {
        let mut headers = Headers::default();
        headers.push(b"A", b"1");
        headers.push(b"X-Id", b"2");
        headers.push(b"B", b"3");
        headers.push(b"x-id", b"4");
        headers.set(b"X-ID", b"5");
        let all: Vec<_> = headers.iter().collect();
        assert_eq!(all, [(&b"A"[..], &b"1"[..]), (b"B", b"3"), (b"X-ID", b"5")]);
        assert_eq!(headers.values(b"x-id").collect::<Vec<_>>(), [b"5"]);
    }

    #[test]
    fn clearing_keeps_no_field_and_no_text() {
        let mut headers = Headers::default();
        headers.push(b"Host", b"a");
        assert!(headers.has(Name::Host));
        headers.clear();
        assert!(headers.is_empty() && headers.text().is_empty() && headers.first(Name::Host).is_none());
    }

    #[test]
    fn values_with_controls_are_not_valid() {
        assert!(Headers::is_valid_value(b"a\tb \xe9"));
        for bad in [&b"a\rb"[..], b"a\nb", b"\0", b"\x7f"] {
            assert!(!Headers::is_valid_value(bad));
        }
        assert!(
            Headers::is_valid_name(b"x-y") && !Headers::is_valid_name(b"") && !Headers::is_valid_name(b"x y")
        );
    }
}
