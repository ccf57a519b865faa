"""Calls the service of grpc_server.py, and checks what comes: grpc_client.py HOST:PORT CASE [CA NAME]."""

import json
import sys
import threading
import time

import grpc

OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1), ("grpc.enable_retries", 0)]


def channel():
    if len(sys.argv) > 3:
        with open(sys.argv[3], "rb") as file:
            credentials = grpc.ssl_channel_credentials(file.read())
        return grpc.secure_channel(sys.argv[1], credentials, [*OPTIONS, ("grpc.ssl_target_name_override", sys.argv[4])])
    return grpc.insecure_channel(sys.argv[1], OPTIONS)


def unary(echo):
    call = echo.unary_unary("/test.Echo/Unary")
    for message in (b"", b"hello", bytes(range(256)) * 100):
        assert call(message, timeout=10) == message
    waiting = [call.future(str(number).encode(), timeout=20) for number in range(200)]
    assert [one.result() for one in waiting] == [str(number).encode() for number in range(200)]


def server_stream(echo):
    call = echo.unary_stream("/test.Echo/ServerStream")
    assert list(call(b"0", timeout=10)) == []
    assert list(call(b"1000", timeout=20)) == [str(number).encode() for number in range(1000)]


def client_stream(echo):
    call = echo.stream_unary("/test.Echo/ClientStream")
    assert call(iter([]), timeout=10) == b"0 0"
    assert call((b"x" * 1000 for _ in range(1000)), timeout=20) == b"1000 1000000"


def bidi(echo):
    call = echo.stream_stream("/test.Echo/Bidi")
    # The next message is sent only when the one before has come back, so nothing may be held.
    turn, number = threading.Semaphore(1), 0

    def messages():
        for number in range(200):
            assert turn.acquire(timeout=10)
            yield str(number).encode()

    for message in call(messages(), timeout=30):
        assert message == str(number).encode(), message
        number += 1
        turn.release()
    assert number == 200


def deadline(echo):
    started = time.monotonic()
    try:
        echo.unary_unary("/test.Echo/Slow")(b"", timeout=0.5)
        raise AssertionError("that was not slow")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, error
    assert time.monotonic() - started < 3
    left = float(echo.unary_unary("/test.Echo/Deadline")(b"", timeout=60))
    assert 50 < left < 61, left


def cancellation(echo):
    count, begun = echo.unary_unary("/test.Echo/Left"), echo.unary_unary("/test.Echo/Begun")
    before, calls = int(count(b"", timeout=5)), int(begun(b"", timeout=5))
    one = echo.unary_unary("/test.Echo/Slow").future(b"", timeout=60)
    stream = echo.unary_stream("/test.Echo/SlowStream")(b"", timeout=60)
    assert next(stream) == b"first"
    until = time.monotonic() + 5
    while int(begun(b"", timeout=5)) < calls + 2:
        assert time.monotonic() < until, "the calls did not reach the service"
    one.cancel()
    stream.cancel()
    until = time.monotonic() + 5
    while int(count(b"", timeout=5)) < before + 2:
        assert time.monotonic() < until, "the service was not told"


def large(echo):
    call, size = echo.unary_unary("/test.Echo/Unary"), 32 << 20
    message = bytes(range(256)) * (size // 256)
    assert call(message, timeout=60) == message
    assert len(echo.unary_unary("/test.Echo/Blob")(str(size).encode(), timeout=60)) == size


def metadata(echo):
    sent = [("x-text", "a"), ("x-text", "b"), ("x-data-bin", b"\x00\xff\xfe"), ("authorization", "Bearer x")]
    answer, call = echo.unary_unary("/test.Echo/Metadata").with_call(b"", metadata=sent, timeout=10)
    came = json.loads(answer)
    assert came["x-text"] == ["a", "b"] and came["x-data-bin"] == ["00fffe"] and came["authorization"] == ["Bearer x"], came
    initial, trailing = dict(call.initial_metadata()), dict(call.trailing_metadata())
    assert initial["x-initial"] == "one" and initial["x-initial-bin"] == b"\x00\xff\x01", initial
    assert trailing["x-trailing"] == "two" and trailing["x-trailing-bin"] == b"\xfe\x00", trailing


def statuses(echo):
    for code in grpc.StatusCode:
        number = code.value[0]
        if number == 0:
            continue
        try:
            echo.unary_unary("/test.Echo/Fail")(str(number).encode(), timeout=10)
            raise AssertionError("that did not fail")
        except grpc.RpcError as error:
            assert error.code() == code, (code, error)
            assert error.details() == "failed: \N{SNOWMAN} 100%", error
            assert dict(error.trailing_metadata())["x-why"] == "because", error
    fails(echo, "/test.Echo/Missing", grpc.StatusCode.UNIMPLEMENTED)


def fails(echo, method, *codes):
    for kind in (echo.unary_unary, echo.unary_stream):
        try:
            list([kind(method)(b"", timeout=10)] if kind == echo.unary_unary else kind(method)(b"", timeout=10))
            raise AssertionError("that did not fail")
        except grpc.RpcError as error:
            assert error.code() in codes, error


def no_route(echo):
    fails(echo, "/other.Service/Method", grpc.StatusCode.UNIMPLEMENTED)


def unavailable(echo):
    fails(echo, "/test.Echo/Unary", grpc.StatusCode.UNAVAILABLE)


def denied(echo):
    fails(echo, "/test.Denied/Method", grpc.StatusCode.PERMISSION_DENIED)


def late(echo):
    fails(echo, "/test.Echo/Slow", grpc.StatusCode.DEADLINE_EXCEEDED)


with channel() as made:
    globals()[sys.argv[2]](made)
print("fine")
