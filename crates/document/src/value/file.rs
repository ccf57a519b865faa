//! A file that a value names, with what stands in it.
//!
//! Files are read before anything is decoded, by whoever has the environment, and are hung on the values that
//! name them ([`Scalar::files`](crate::Scalar)). So decoding stays pure, and two trees are equal only if the files
//! are. Entry point: [`File`].

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use diagnostics::{Code, Diagnostic, Diagnostics, Span};

use crate::decode::Decode;
use crate::environment::{Environment, MAX_SECRET, reason};
use crate::node::Node;
use crate::shape::Shape;
use crate::value::{FileBytes, Secret};

/// What stands in the files that a value names.
#[derive(Clone, PartialEq)]
pub struct Files {
    /// Where the value leads, from the folder of the file that holds it.
    pub path: PathBuf,
    /// The files there.
    pub texts: Vec<FileText>,
    /// The bytes there where a binary file is named, or in words why they cannot be read; `None` if there is none.
    pub binary: Option<Result<FileBytes, String>>,
}

/// A file and what stands in it. It may be a key, so it is never shown.
#[derive(Clone, PartialEq)]
pub struct FileText {
    /// Its path.
    pub path: PathBuf,
    /// Its text, or in words why it cannot be read.
    pub text: Result<Secret, String>,
}

impl FileText {
    /// Reads a file of at most [`MAX_SECRET`] bytes; `None` if there is none.
    pub fn read(path: &Path, environment: &dyn Environment) -> Option<Self> {
        let text = match environment.read(path, MAX_SECRET) {
            Ok(text) => Ok(Secret::new(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => Err(reason(&error)),
        };
        Some(Self { path: path.to_path_buf(), text })
    }
}

impl fmt::Debug for Files {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} [{} hidden]", self.path.display(), self.texts.len())
    }
}

impl fmt::Debug for FileText {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} [hidden]", self.path.display())
    }
}

/// A file whose text is a part of the configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct File {
    /// Where it is named.
    pub span: Span,
    /// Its path.
    pub path: PathBuf,
    text: Secret,
}

impl File {
    /// What stands in it. It may be a key: it is not to be shown.
    pub fn text(&self) -> &str {
        self.text.expose()
    }
}

impl Decode for File {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let Some(scalar) = node.scalar() else {
            diagnostics.push(node.wrong_type("the path of a file"));
            return None;
        };
        if scalar.text.is_empty() || scalar.text.contains("-----BEGIN") {
            let help = "write the path of the file, relative to the file that names it";
            let message = "the path of a file is expected here";
            diagnostics.push(Diagnostic::error(Code::InvalidValue, node.span, message).help(help));
            return None;
        }
        let path =
            scalar.files.as_ref().map_or_else(|| PathBuf::from(&scalar.text), |files| files.path.clone());
        let read = scalar.files.as_ref().and_then(|files| files.texts.first());
        let why = match read.map(|file| &file.text) {
            Some(Ok(text)) => return Some(Self { span: node.span, path, text: text.clone() }),
            Some(Err(why)) => why.as_str(),
            None => "it does not exist",
        };
        let message = format!("the file `{}` cannot be read: {why}", path.display());
        let binary = read.is_some_and(|file| file.text == Err(reason(&io::ErrorKind::InvalidData.into())));
        let help = if binary {
            "certificates and keys are read as PEM, which is text: `openssl x509 -inform der -in site.der -out \
             site.pem` makes it of DER, and `openssl pkcs12 -nodes -in site.p12 -out site.pem` of PKCS #12"
        } else {
            "the path is relative to the file that names it; at most 1 MiB of UTF-8 text"
        };
        diagnostics.push(Diagnostic::error(Code::MissingFile, node.span, message).help(help));
        None
    }

    fn shape() -> Shape {
        Shape::Text { format: Shape::FILE, example: "" }
    }
}
