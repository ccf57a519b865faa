//! gRPC-Web in front of a gRPC service: what changes in heads and bodies.
//!
//! Browsers cannot read trailers, so the trailers of an answer become a last frame of its body; and in the text form
//! the body is base64 both ways.

use message::{Fault, GrpcContentType, GrpcForm, Headers, RequestHead, is_grpc_web};
use wire::{BodyLength, GrpcTextDecoder, GrpcTextEncoder, RequestMeta};

/// Makes a gRPC call of a call in gRPC-Web. `None` for anything else, which stays as it is.
pub(crate) fn translate_request(head: &mut RequestHead, meta: &mut RequestMeta) -> Option<GrpcForm> {
    let content_type = head.headers.values(b"content-type").next()?;
    let found = is_grpc_web(content_type)?;
    let (form, content_type) = (found.form, found.in_form(GrpcForm::Native));
    head.headers.set(b"content-type", &content_type);
    // Its services insist on it.
    meta.te_trailers = true;
    Some(form)
}

/// How the body of a request is delimited for the service: as text it is longer than what it says.
pub(crate) fn length_for_service(body: BodyLength, form: Option<GrpcForm>) -> BodyLength {
    match (body, form) {
        (BodyLength::Exact(1..), Some(GrpcForm::WebText)) => BodyLength::Chunked,
        (body, _) => body,
    }
}

/// The head of the answer to such a call. Returns whether it is one of gRPC, whose body is to be translated too.
pub(crate) fn translate_response(headers: &mut Headers, form: GrpcForm) -> bool {
    let Some(content_type) = headers.values(b"content-type").next() else { return false };
    let found = GrpcContentType::of(content_type).filter(|found| found.form == GrpcForm::Native);
    let Some(found) = found else { return false };
    let content_type = found.in_form(form);
    headers.set(b"content-type", &content_type);
    true
}

/// How the pieces of a body are translated.
pub(crate) enum Translation {
    /// From text to gRPC.
    Request(GrpcTextDecoder),
    /// From gRPC to gRPC-Web; as text, where there is an encoder.
    Response(Option<GrpcTextEncoder>),
}

impl Translation {
    /// For the body of a request in this form; `None` if it stays as it is.
    pub(crate) fn of_request(form: GrpcForm) -> Option<Box<Translation>> {
        (form == GrpcForm::WebText).then(|| Box::new(Translation::Request(GrpcTextDecoder::default())))
    }

    /// For the body of a response in this form.
    pub(crate) fn of_response(form: GrpcForm) -> Box<Translation> {
        let text = (form == GrpcForm::WebText).then(GrpcTextEncoder::default);
        Box::new(Translation::Response(text))
    }

    /// Translates a piece.
    pub(crate) fn pass(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        match self {
            Translation::Request(text) => text.decode(piece, out),
            Translation::Response(Some(text)) => {
                text.encode(piece, out);
                // A segment of its own, so that a message that is complete can be read at once.
                text.flush(out);
                Ok(())
            }
            Translation::Response(None) => {
                out.extend_from_slice(piece);
                Ok(())
            }
        }
    }

    /// What comes behind the last piece.
    pub(crate) fn end(&mut self, trailers: Option<&Headers>, out: &mut Vec<u8>) -> Result<(), Fault> {
        match (self, trailers) {
            (Translation::Request(text), _) => text.finish(),
            (Translation::Response(_), None) => Ok(()),
            (Translation::Response(text), Some(trailers)) => {
                let mut frame = Vec::new();
                wire::write_grpc_web_trailers(&mut frame, trailers);
                match text {
                    Some(text) => {
                        text.encode(&frame, out);
                        text.flush(out);
                    }
                    None => out.extend_from_slice(&frame),
                }
                Ok(())
            }
        }
    }
}
