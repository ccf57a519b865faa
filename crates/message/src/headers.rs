//! A flat list of header fields over one text buffer.
//!
//! The head that a codec parsed is copied once into `text`; every name and value is a [`Span`] of it,
//! and what policies add is appended to it. Nothing is allocated in the steady state, because a
//! `Headers` is cleared and reused. Order and spelling of the sender are kept.

use crate::{DIGITS, Name, Names, Pen, draw, is_same_name};

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
#[derive(Default, Debug)]
pub struct Headers {
    text: Vec<u8>,
    fields: Vec<Field>,
    /// Where the text of fields begins: the line that begins a head may stand in front of it.
    begin: u32,
    /// The names that are or were there: what is not among them need not be looked for.
    names: Names,
    /// The text is not just that of all fields, as they are to be written: it came from elsewhere, or some were removed.
    is_mixed: bool,
}

impl Clone for Headers {
    fn clone(&self) -> Headers {
        Headers { text: self.text.clone(), fields: self.fields.clone(), ..*self }
    }

    fn clone_from(&mut self, other: &Headers) {
        let Headers { text, fields, begin, names, is_mixed } = other;
        self.text.clone_from(text);
        self.fields.clone_from(fields);
        (self.begin, self.names, self.is_mixed) = (*begin, *names, *is_mixed);
    }
}

impl Headers {
    /// Forgets everything, keeps the memory.
    pub fn clear(&mut self) {
        self.text.clear();
        self.fields.clear();
        self.begin = 0;
        self.names = Names::default();
        self.is_mixed = false;
    }

    /// Forgets all fields and keeps the text, in no more memory than it needs: what refers to it remains valid.
    pub fn forget_fields(&mut self) {
        self.text.shrink_to_fit();
        self.fields = Vec::new();
        self.names = Names::default();
        self.is_mixed = true;
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

    /// Puts the line in front of all fields that begins a head, as `push` writes it: then the head can be sent from where
    /// it stands. Only as long as there is nothing.
    pub(crate) fn begin_with(&mut self, push: impl FnOnce(&mut Vec<u8>)) {
        debug_assert!(self.text.is_empty(), "nothing stands in front of it");
        push(&mut self.text);
        self.begin = u32::try_from(self.text.len()).unwrap_or(u32::MAX);
    }

    /// A whole head as it is to be written but for its end, if that is what stands in the text: the line that begins it,
    /// and all fields with the ends of their lines. What is appended to it is no part of this list.
    #[inline]
    pub fn written_mut(&mut self) -> Option<&mut Vec<u8>> {
        (self.begin > 0 && !self.is_mixed).then_some(&mut self.text)
    }

    /// Names that are there, and maybe some that were removed.
    #[inline]
    pub fn names(&self) -> Names {
        self.names
    }

    /// Appends bytes to the text and returns where they stand.
    pub fn append_text(&mut self, bytes: &[u8]) -> Span {
        self.is_mixed = true;
        self.put_text(bytes)
    }

    #[inline]
    fn put_text(&mut self, bytes: &[u8]) -> Span {
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
        self.is_mixed = true;
        self.put_field(known, name, value);
    }

    #[inline]
    fn put_field(&mut self, known: Name, name: Span, value: Span) {
        self.names.add(known);
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

    /// Adds a field with a number at the end, whose name is none of [`Name`]. The caller vouches for a valid one.
    #[inline]
    pub fn push_number<const N: usize>(&mut self, name: &[u8; N], value: u64) {
        const ROOM: usize = 48;
        const { assert!(N + DIGITS + 4 <= ROOM, "it fits") };
        self.push_drawn::<N, ROOM>(name, |pen| pen.push_number(value));
    }

    /// Adds a field at the end, whose name is none of [`Name`] and whose value `write` writes; not if the whole line is
    /// longer than `ROOM`. The caller vouches for valid bytes.
    #[inline]
    pub fn push_drawn<const N: usize, const ROOM: usize>(
        &mut self,
        name: &[u8; N],
        write: impl FnOnce(&mut Pen<'_>),
    ) {
        debug_assert_eq!(Name::of(name), Name::Other);
        let begin = u32::try_from(self.text.len()).unwrap_or(u32::MAX);
        let mut value = Span::default();
        let fits = draw::<ROOM>(&mut self.text, |pen| {
            pen.push(name);
            pen.push(b": ");
            let before = pen.len();
            write(pen);
            value = Span { start: begin.saturating_add(before as u32), len: (pen.len() - before) as u32 };
            pen.push(b"\r\n");
        });
        if fits {
            self.put_field(Name::Other, Span { start: begin, len: N as u32 }, value);
        }
    }

    /// In the text a field stands as it will be written, so that the codec can copy it with its neighbours.
    fn push_as(&mut self, known: Name, name: &[u8], value: &[u8]) {
        self.text.reserve(name.len() + value.len() + 4);
        let name = self.put_text(name);
        self.text.extend_from_slice(b": ");
        let value = self.put_text(value);
        self.text.extend_from_slice(b"\r\n");
        self.put_field(known, name, value);
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
        let fields = if self.names.has(name) { &self.fields[..] } else { &[] };
        fields.iter().filter(move |field| field.known == name).map(|field| field.value.of(&self.text))
    }

    /// The first value of a known name.
    #[inline]
    pub fn first(&self, name: Name) -> Option<&[u8]> {
        self.all(name).next()
    }

    /// Whether a known name is there.
    #[inline]
    pub fn has(&self, name: Name) -> bool {
        self.names.has(name) && self.fields.iter().any(|field| field.known == name)
    }

    /// The values of any name (compared without case), in order.
    pub fn values<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        self.iter().filter(move |(n, _)| is_same_name(n, name)).map(|(_, value)| value)
    }

    /// Removes every field of a name (compared without case).
    pub fn remove(&mut self, name: &[u8]) {
        let text = &self.text;
        let is_meant = |field: &Field| is_same_name(field.name.of(text), name);
        // Most often there is none or one, and looking is cheaper than moving.
        let Some(first) = self.fields.iter().position(is_meant) else { return };
        self.fields.remove(first);
        self.is_mixed = true;
        if self.fields.iter().skip(first).any(is_meant) {
            self.fields.retain(|field| !is_meant(field));
        }
    }

    /// Removes the fields for which `keep` says no.
    pub fn retain(&mut self, mut keep: impl FnMut(&Field, &[u8]) -> bool) {
        let (text, before) = (&self.text, self.fields.len());
        self.fields.retain(|field| keep(field, text));
        self.is_mixed |= self.fields.len() < before;
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
