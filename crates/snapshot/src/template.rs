//! Texts with captures: `/v2/orders/{id}`.

use router::Captures;

/// One part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Text as it stands.
    Literal(Box<[u8]>),
    /// What a part of the path pattern matched, by position.
    Capture(usize),
}

/// A text with captures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// The parts in order.
    pub pieces: Box<[Piece]>,
}

impl Template {
    /// Appends the text for a path and what was captured of it.
    pub fn render(&self, path: &[u8], captures: &Captures, out: &mut Vec<u8>) {
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => out.extend_from_slice(text),
                Piece::Capture(index) => {
                    let captured = captures.get(*index).and_then(|range| path.get(range)).unwrap_or(&[]);
                    out.extend_from_slice(captured);
                }
            }
        }
    }
}
