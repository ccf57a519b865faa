"""A service over TLS, Python's `ssl`, that prints each handshake, each failure and each request as a line of JSON.

The first line of its input is its setup: "cert" and "key", and where wanted "ca" (clients have to show a certificate of
it), "min" and "max".
"""

import json
import socket
import ssl
import sys
import threading


def report(event, **more):
    print(json.dumps({"event": event, **more}), flush=True)


def common_name(shown):
    for part in (shown or {}).get("subject", ()):
        for name, value in part:
            if name == "commonName":
                return value
    return None


def serve(raw, context):
    raw.settimeout(30)
    try:
        stream = context.wrap_socket(raw, server_side=True)
    except (OSError, ValueError) as error:
        report("failed", why=str(error))
        raw.close()
        return
    report(
        "handshake",
        name=getattr(stream, "said", None),
        client=common_name(stream.getpeercert()),
        reused=stream.session_reused,
        version=stream.version(),
        alpn=stream.selected_alpn_protocol(),
    )
    data = b""
    try:
        while True:
            while b"\r\n\r\n" not in data:
                more = stream.recv(65536)
                if not more:
                    return
                data += more
            head, data = data.split(b"\r\n\r\n", 1)
            report("request", text=head.decode("latin-1"))
            stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecure")
            if b" /close " in head:
                stream.unwrap()
                return
    except (OSError, ValueError) as error:
        report("failed", why=str(error))
    finally:
        stream.close()


def remember(stream, name, _context):
    stream.said = name


def main():
    setup = json.loads(sys.stdin.readline())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(setup["cert"], setup["key"])
    context.set_alpn_protocols(["http/1.1"])
    context.sni_callback = remember
    if "ca" in setup:
        context.load_verify_locations(setup["ca"])
        context.verify_mode = ssl.CERT_REQUIRED
    if "max" in setup:
        context.maximum_version = ssl.TLSVersion[setup["max"]]
    listener = socket.create_server(("127.0.0.1", 0))
    report("listening", port=listener.getsockname()[1])
    threading.Thread(target=lambda: (sys.stdin.read(), listener.close()), daemon=True).start()
    while True:
        try:
            raw, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=serve, args=(raw, context), daemon=True).start()


main()
