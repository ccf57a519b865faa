//! A file that a value names and that is no text: a database.
//!
//! Like text it is read before anything is decoded, and hung on the value that names it. Its bytes are shared by
//! all that hold them: some are large. Entry point: [`BinaryFile`].

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use diagnostics::{Code, Diagnostic, Diagnostics, Span};

use crate::decode::Decode;
use crate::environment::{Environment, MAX_BINARY, reason};
use crate::node::Node;
use crate::shape::Shape;

/// The bytes of a file, shared.
#[derive(Clone)]
pub struct FileBytes(Arc<Vec<u8>>);

impl FileBytes {
    /// Takes bytes over.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Arc::new(bytes))
    }

    /// Reads a file of at most [`MAX_BINARY`] bytes; `None` if there is none, or in words why it cannot be read.
    pub fn read(path: &Path, environment: &dyn Environment) -> Option<Result<Self, String>> {
        match environment.read_bytes(path, MAX_BINARY) {
            Ok(bytes) => Some(Ok(Self::new(bytes))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => Some(Err(reason(&error))),
        }
    }
}

impl AsRef<[u8]> for FileBytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq for FileBytes {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl fmt::Debug for FileBytes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "[{} bytes]", self.0.len())
    }
}

/// A file whose bytes are a part of the configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct BinaryFile {
    /// Where it is named.
    pub span: Span,
    /// Its path.
    pub path: PathBuf,
    /// What stands in it.
    pub bytes: FileBytes,
}

impl Decode for BinaryFile {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let Some(scalar) = node.scalar().filter(|scalar| !scalar.text.is_empty()) else {
            diagnostics.push(node.wrong_type("the path of a file"));
            return None;
        };
        let files = scalar.files.as_ref();
        let path = files.map_or_else(|| PathBuf::from(&scalar.text), |files| files.path.clone());
        let why = match files.and_then(|files| files.binary.as_ref()) {
            Some(Ok(bytes)) => return Some(Self { span: node.span, path, bytes: bytes.clone() }),
            Some(Err(why)) => why.as_str(),
            None => "it does not exist",
        };
        let message = format!("the file `{}` cannot be read: {why}", path.display());
        let help =
            format!("the path is relative to the file that names it; at most {} MiB", MAX_BINARY >> 20);
        diagnostics.push(Diagnostic::error(Code::MissingFile, node.span, message).help(help));
        None
    }

    fn shape() -> Shape {
        Shape::Text { format: Shape::BINARY, example: "" }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use diagnostics::Diagnostics;

    use super::{BinaryFile, FileBytes};
    use crate::{Decode, Files, MemoryEnvironment, Node, Span, Value};

    fn decoded(text: &str) -> Result<BinaryFile, String> {
        let environment = MemoryEnvironment::new().with_bytes("a.db", &[0, 0xff]);
        let mut node = Node::plain(text, Span::default());
        if let Value::Scalar(scalar) = &mut node.value {
            let path = Path::new(text).to_path_buf();
            let binary = FileBytes::read(&path, &environment);
            scalar.files = Some(Box::new(Files { path, texts: Vec::new(), binary }));
        }
        let mut diagnostics = Diagnostics::new();
        let file = BinaryFile::decode(&node, &mut diagnostics);
        file.ok_or_else(|| diagnostics.iter().map(|one| one.message.clone()).collect())
    }

    #[test]
    fn bytes_need_not_be_text() {
        let file = decoded("a.db").unwrap();
        assert_eq!((file.bytes.as_ref(), file.path.as_path()), (&[0, 0xff][..], Path::new("a.db")));
        assert_eq!(format!("{:?}", file.bytes), "[2 bytes]");
        assert_eq!(file.bytes, FileBytes::new(vec![0, 0xff]));
        assert_ne!(file.bytes, FileBytes::new(vec![0]));
        assert!(decoded("b.db").unwrap_err().contains("it does not exist"));
        assert!(decoded("").unwrap_err().contains("the path of a file"));
    }
}
