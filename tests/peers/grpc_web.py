"""Calls the service of grpc_server.py as a browser does it, by gRPC-Web over HTTP/1.1: grpc_web.py HOST:PORT.

https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md
"""

import base64
import http.client
import json
import struct
import sys

BINARY, TEXT = "application/grpc-web+proto", "application/grpc-web-text+proto"


def message(data):
    return b"\0" + struct.pack(">I", len(data)) + data


def decoded(body, kind):
    if kind == TEXT:
        # Padding may stand at the end of every part, not of the whole alone.
        parts, at = b"", 0
        while at < len(body):
            parts += base64.b64decode(body[at : at + 4], validate=True)
            at += 4
        body = parts
    messages, trailers = [], None
    while body:
        flag, length = struct.unpack(">BI", body[:5])
        data, body = body[5 : 5 + length], body[5 + length :]
        assert len(data) == length, "a message is cut"
        if flag & 0x80:
            assert trailers is None and not body, "trailers are the last"
            lines = data.decode().split("\r\n")
            trailers = dict(line.split(":", 1) for line in lines if line)
            trailers = {name: value.strip() for name, value in trailers.items()}
            assert all(name == name.lower() for name in trailers), trailers
        else:
            messages.append(data)
    return messages, trailers


def call(method, kind, data, headers=None, raw=None):
    connection = http.client.HTTPConnection(sys.argv[1], timeout=20)
    body = message(data) if raw is None else raw
    if kind == TEXT and raw is None:
        body = base64.b64encode(body)
    connection.request("POST", method, body, {"content-type": kind, "x-grpc-web": "1", "accept": kind, **(headers or {})})
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response, body


def well(method, kind, data, headers=None):
    response, body = call(method, kind, data, headers)
    assert response.status == 200, response.status
    assert response.getheader("content-type", "").startswith(kind.split("+")[0]), response.getheaders()
    messages, trailers = decoded(body, kind)
    if trailers is None:
        trailers = {name.lower(): value for name, value in response.getheaders()}
    return response, messages, trailers


def main():
    for kind in (BINARY, TEXT, BINARY.split("+")[0], TEXT.split("+")[0] + "+proto"):
        for data in (b"", b"hello", bytes(range(256)) * 1000):
            _, messages, trailers = well("/test.Echo/Unary", kind, data)
            assert messages == [data] and trailers["grpc-status"] == "0", trailers
        _, messages, trailers = well("/test.Echo/ServerStream", kind, b"100")
        assert messages == [str(number).encode() for number in range(100)] and trailers["grpc-status"] == "0"
        _, messages, trailers = well("/test.Echo/Fail", kind, b"9")
        assert messages == [] and trailers["grpc-status"] == "9" and trailers["x-why"] == "because", trailers
        response, messages, trailers = well("/test.Echo/Metadata", kind, b"", {"x-text": "a", "x-data-bin": "AP/+"})
        came = json.loads(messages[0])
        assert came["x-text"] == ["a"] and came["x-data-bin"] == ["00fffe"], came
        assert response.getheader("x-initial") == "one" and trailers["x-trailing"] == "two", trailers
        _, _, trailers = well("/other.Service/Method", kind, b"")
        assert trailers["grpc-status"] == "12", trailers
    # What is no base64 never reaches the service as something else.
    for raw in (b"AAAA*AAA", b"AAAAA", b"AAA=AAA=A"):
        response, body = call("/test.Echo/Unary", TEXT, b"", raw=raw)
        trailers = decoded(body, TEXT)[1] if response.status == 200 and body else dict(response.getheaders())
        status = {name.lower(): value for name, value in (trailers or {}).items()}.get("grpc-status")
        assert response.status >= 400 or status not in (None, "0"), (raw, response.status, body)
    print("fine")


main()
