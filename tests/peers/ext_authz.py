"""A server of Envoy's `ext_authz` (`envoy.service.auth.v3`): Python's `grpcio` with the messages of `envoy-data-plane`.

The first line of its input is a setup: `cert` and `key` for TLS. It prints one JSON object a line: `listening` with the
port, `asked` with what it was told about a request, and `left` when nobody waits for an answer any more. It decides by the
bearer token of the request, as DECISIONS says.
"""

import json
import sys
import threading
import warnings
from concurrent import futures

import grpc
from envoy_data_plane.envoy.config.core.v3 import (
    HeaderValue,
    HeaderValueOption,
    HeaderValueOptionHeaderAppendAction as Action,
    QueryParameter,
)
from envoy_data_plane.envoy.service.auth.v3 import (
    CheckRequest,
    CheckResponse,
    DeniedHttpResponse,
    OkHttpResponse,
)
from envoy_data_plane.envoy.type.v3 import HttpStatus, StatusCode
from envoy_data_plane.google.rpc import Status

OK, PERMISSION_DENIED, UNAUTHENTICATED = 0, 7, 16
printing = threading.Lock()


def say(event, **facts):
    with printing:
        print(json.dumps({"event": event, **facts}), flush=True)


def option(name, value, action=Action.OVERWRITE_IF_EXISTS_OR_ADD):
    return HeaderValueOption(header=HeaderValue(key=name, value=value), append_action=action)


def appended(name, value):
    """As Envoy has it in this message: what does not say `append` takes the place of what is there."""
    with warnings.catch_warnings(action="ignore"):
        return HeaderValueOption(header=HeaderValue(key=name, value=value), append=True)


def allowed(_context):
    ok = OkHttpResponse(
        headers=[
            option("x-user", "ann"),
            appended("x-tag", "second"),
            option("x-lang", "fr", Action.ADD_IF_ABSENT),
            option("x-plan", "free", Action.ADD_IF_ABSENT),
            option("x-missing", "never", Action.OVERWRITE_IF_EXISTS),
        ],
        headers_to_remove=["x-secret", "authorization"],
        response_headers_to_add=[option("set-cookie", "seen=1; HttpOnly"), option("x-judged", "yes")],
        query_parameters_to_set=[QueryParameter(key="tenant", value="acme")],
        query_parameters_to_remove=["token"],
    )
    return CheckResponse(status=Status(code=OK), ok_response=ok)


def greedy(_context):
    """Wants to change what is the gateway's."""
    names = ["host", "x-forwarded-for", "x-consumer", "content-length", "transfer-encoding", "connection"]
    ok = OkHttpResponse(
        headers=[option(name, "6666") for name in names],
        headers_to_remove=["host", "x-forwarded-host", "x-forwarded-proto", "via", ":path"],
    )
    return CheckResponse(status=Status(code=OK), ok_response=ok)


def denied(_context):
    answer = DeniedHttpResponse(
        status=HttpStatus(code=StatusCode.PaymentRequired),
        headers=[option("x-reason", "unpaid"), option("content-type", "text/x-reason")],
        body="pay first",
    )
    return CheckResponse(status=Status(code=PERMISSION_DENIED), denied_response=answer)


def contradictory(_context):
    """A denial with the answer of a permission."""
    return CheckResponse(status=Status(code=UNAUTHENTICATED), ok_response=OkHttpResponse())


def refuses_to_decide(context):
    context.abort(grpc.StatusCode.UNAVAILABLE, "not now")


def slow(context):
    over = threading.Event()
    context.add_callback(over.set)
    over.wait(30)
    say("left")
    return allowed(context)


DECISIONS = {
    "allowed": allowed,
    "greedy": greedy,
    "denied": denied,
    "bare": lambda _context: CheckResponse(status=Status(code=PERMISSION_DENIED)),
    "contradictory": contradictory,
    "garbage": lambda _context: b"\xff\xff\xff",
    "unavailable": refuses_to_decide,
    "slow": slow,
}


def check(request, context):
    attributes = request.attributes
    asked = attributes.request.http
    say(
        "asked",
        method=asked.method,
        path=asked.path,
        host=asked.host,
        scheme=asked.scheme,
        protocol=asked.protocol,
        size=asked.size,
        id=asked.id,
        body=asked.body,
        headers=dict(asked.headers),
        client=attributes.source.address.socket_address.address,
        principal=attributes.source.principal,
        patience=context.time_remaining(),
    )
    token = asked.headers.get("authorization", "").removeprefix("Bearer ")
    return DECISIONS.get(token, DECISIONS["bare"])(context)


def main():
    setup = json.loads(sys.stdin.readline())
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
    method = grpc.unary_unary_rpc_method_handler(check, CheckRequest.parse, bytes)
    service = grpc.method_handlers_generic_handler("envoy.service.auth.v3.Authorization", {"Check": method})
    server.add_generic_rpc_handlers([service])
    address = setup.get("address", "127.0.0.1:0")
    if "cert" in setup:
        with open(setup["key"], "rb") as key, open(setup["cert"], "rb") as cert:
            credentials = grpc.ssl_server_credentials([(key.read(), cert.read())])
        port = server.add_secure_port(address, credentials)
    else:
        port = server.add_insecure_port(address)
    server.start()
    say("listening", port=port)
    sys.stdin.read()
    server.stop(0)


main()
