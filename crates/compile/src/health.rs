//! `services.NAME.health`

use balance::Thresholds;
use config::{Health as Raw, Service, ServiceProtocol};
use diagnostics::{Code, Diagnostic, Diagnostics};
use snapshot::{Health, Probe};

/// How the addresses of a service are probed.
pub(crate) fn compile(raw: &Raw, service: &Service, diagnostics: &mut Diagnostics) -> Health {
    let probe = if let Some(grpc) = &raw.grpc {
        check_protocol(grpc.span, service, diagnostics);
        Probe::Grpc { service: grpc.value.0.as_str().into() }
    } else if raw.tcp.is_some() {
        Probe::Tcp
    } else {
        let path = raw.path.as_ref().map_or("/", |path| path.value.as_str());
        let expect = raw.expect.as_ref().map(|ranges| ranges.value.iter());
        let expect = expect.map(|ranges| ranges.map(|range| range.first..=range.last).collect());
        let body = raw.body.as_ref().map(|body| body.value.as_str().into());
        Probe::Http { path: path.into(), expect: expect.unwrap_or_else(|| vec![200..=299]), body }
    };
    Health {
        probe,
        every: raw.every.value.get(),
        timeout: raw.timeout.get(),
        thresholds: Thresholds { healthy_after: raw.healthy_after.0, unhealthy_after: raw.unhealthy_after.0 },
    }
}

/// gRPC needs HTTP/2; a probe by it could never pass without.
fn check_protocol(span: diagnostics::Span, service: &Service, diagnostics: &mut Diagnostics) {
    let plain = service.endpoints().iter().any(|endpoint| !endpoint.url.value.https);
    let never = match service.protocol.value {
        ServiceProtocol::Http1 => true,
        ServiceProtocol::Auto => plain,
        ServiceProtocol::Http2 => false,
    };
    if never && !diagnostics.has_error_in(service.span) {
        diagnostics.push(
            Diagnostic::error(
                Code::ConflictingKeys,
                span,
                "gRPC needs HTTP/2, which this service does not speak",
            )
            .related(service.protocol.span, "what it speaks")
            .help("set `protocol: http2` for the service, or probe a `path`"),
        );
    }
}
