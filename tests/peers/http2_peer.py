"""One side of HTTP/2 that does what it is told, frame by frame, right or wrong.

The first line of its input says what it is: {"connect": "HOST:PORT"} or {"listen": true}, with "tls", "settings",
"acknowledge" and "windows" where they differ from the defaults. Every further line is a command, every line that it
prints is an event. It keeps no state of streams, so that it can break every rule; Python's `hyperframe` reads the frames
and `hpack` the fields. Fields are written as literals without an index, byte for byte as they were given.
"""

import json
import select
import socket
import ssl
import struct
import sys
import threading

import hpack
from hyperframe.frame import Frame

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
printing = threading.Lock()


def report(event, **more):
    with printing:
        print(json.dumps({"event": event, **more}), flush=True)


def integer(value, bits):
    """RFC 7541 section 5.1, with nothing in the first byte but the prefix."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([value])
    out, value = [most], value - most
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    return bytes(out + [value])


def literals(fields):
    out = b""
    for name, value in fields:
        name, value = name.encode("latin-1"), value.encode("latin-1")
        out += b"\0" + integer(len(name), 7) + name + integer(len(value), 7) + value
    return out


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


class Connection:
    def __init__(self, number, stream, setup, client):
        self.number, self.stream, self.setup, self.client = number, stream, setup, client
        self.sending = threading.Lock()
        # The size of what one side may index is for the other side to say, so this one reads whatever it allowed.
        self.decoder = hpack.Decoder(max_header_list_size=1 << 24)
        self.counted, self.held = {}, {}

    def report(self, event, **more):
        report(event, connection=self.number, **more)

    def send(self, data):
        with self.sending:
            self.stream.sendall(data)

    def receive(self, count):
        """Python's TLS must not be read and written at the same time: what is written then is broken."""
        if not isinstance(self.stream, ssl.SSLSocket):
            return self.stream.recv(count)
        while True:
            if not self.stream.pending():
                select.select([self.stream], [], [])
            with self.sending:
                self.stream.setblocking(False)
                try:
                    return self.stream.recv(count)
                except ssl.SSLWantReadError:
                    pass
                finally:
                    self.stream.setblocking(True)

    def begin(self):
        values = {int(key): value for key, value in self.setup.get("settings", {}).items()}
        payload = b"".join(struct.pack(">HI", key, value) for key, value in values.items())
        hello = b"" if self.setup.get("silent") else frame(SETTINGS, 0, 0, payload)
        if self.client and not self.setup.get("bare"):
            hello = PREFACE + hello
        if hello:
            self.send(hello)
        if self.setup.get("window"):
            self.send(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", self.setup["window"])))

    def exactly(self, count):
        data = bytearray()
        while len(data) < count:
            more = self.receive(count - len(data))
            if not more:
                raise EOFError
            data += more
        return bytes(data)

    def read(self):
        how = "closed"
        try:
            if not self.client:
                preface = self.exactly(len(PREFACE))
                if preface != PREFACE:
                    self.report("garbage", text=preface.decode("latin-1"))
            while True:
                head = self.exactly(9)
                if head[:4] == b"HTTP":
                    # Not HTTP/2: whoever reads the events shall see it.
                    self.report("garbage", text=(head + self.receive(4096)).decode("latin-1"))
                    break
                one, length = Frame.parse_frame_header(memoryview(head))
                body = self.exactly(length)
                one.parse_body(memoryview(body))
                self.take(one, body)
        except EOFError:
            pass
        except (OSError, ValueError) as error:
            how = str(error)
        except Exception as error:
            how = repr(error)
        self.report("closed", how=how)

    def take(self, one, body):
        stream, ended = one.stream_id, "END_STREAM" in one.flags
        if one.type == DATA:
            data = bytes(one.data)
            if self.setup.get("count"):
                self.counted[stream] = self.counted.get(stream, 0) + len(data)
                if ended:
                    self.report("data", stream=stream, text="", length=self.counted[stream], end=True)
            else:
                self.report("data", stream=stream, text=data.decode("latin-1"), length=len(data), end=ended)
            if self.setup.get("windows", True) and one.body_len:
                by = struct.pack(">I", one.body_len)
                self.send(frame(WINDOW_UPDATE, 0, 0, by) + (b"" if ended else frame(WINDOW_UPDATE, 0, stream, by)))
        elif one.type in (HEADERS, CONTINUATION):
            block, end = self.held.pop(stream, (b"", False))
            block, end = block + bytes(one.data), end or ended
            if "END_HEADERS" not in one.flags:
                self.held[stream] = (block, end)
                return
            fields = [[bytes(part).decode("latin-1") for part in field] for field in self.decoder.decode(block, raw=True)]
            self.report("headers", stream=stream, fields=fields, end=end)
        elif one.type == RST_STREAM:
            self.report("reset", stream=stream, code=one.error_code)
        elif one.type == GOAWAY:
            text = bytes(one.additional_data).decode("latin-1")
            self.report("goaway", last=one.last_stream_id, code=one.error_code, text=text)
        elif one.type == WINDOW_UPDATE:
            self.report("window", stream=stream, by=one.window_increment)
        elif one.type == PING:
            ack = "ACK" in one.flags
            self.report("ping", ack=ack)
            if not ack and self.setup.get("acknowledge", True):
                self.send(frame(PING, 1, 0, bytes(body)))
        elif one.type == SETTINGS:
            ack = "ACK" in one.flags
            self.report("settings", ack=ack, values={str(int(key)): value for key, value in one.settings.items()})
            if not ack and self.setup.get("acknowledge", True):
                self.send(frame(SETTINGS, 1, 0))
        else:
            self.report("frame", type=one.type, stream=stream)


def payload_of(given):
    if isinstance(given, list):
        return literals(given)
    return bytes.fromhex(given)


def flood(connection, frames, count, first):
    """Sends frames again and again. A stream of "n" is a new one each time; a payload is hex, or fields."""
    ready = [(kind, flags, stream, payload_of(payload)) for kind, flags, stream, payload in frames]
    fresh = any(stream == "n" for _, _, stream, _ in ready)
    sent, number, error = 0, first, None
    fixed = b"" if fresh else b"".join(frame(*one) for one in ready)
    try:
        while sent < count:
            batch, data = min(64, count - sent), bytearray()
            for _ in range(batch):
                if fresh:
                    for kind, flags, stream, payload in ready:
                        data += frame(kind, flags, number if stream == "n" else stream, payload)
                    number += 2
                else:
                    data += fixed
            connection.send(bytes(data))
            sent += batch
    except (OSError, ValueError) as problem:
        error = str(problem)
    connection.report("flooded", sent=sent, error=error)


def obey(connection, command):
    do, stream = command["do"], command.get("stream", 0)
    end = 1 if command.get("end") else 0
    if do == "headers":
        connection.send(frame(HEADERS, end | 4, stream, literals(command["fields"])))
    elif do == "data":
        text = command.get("text", "").encode("latin-1") or b"x" * command.get("size", 0)
        pieces = [text[at : at + 16384] for at in range(0, len(text), 16384)] or [b""]
        last = len(pieces) - 1
        connection.send(b"".join(frame(DATA, end if at == last else 0, stream, one) for at, one in enumerate(pieces)))
    elif do == "reset":
        connection.send(frame(RST_STREAM, 0, stream, struct.pack(">I", command["code"])))
    elif do == "window":
        connection.send(frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", command["by"])))
    elif do == "goaway":
        connection.send(frame(GOAWAY, 0, 0, struct.pack(">II", command["last"], command["code"])))
    elif do == "ping":
        connection.send(frame(PING, 0, 0, b"12345678"))
    elif do == "settings":
        values = command["values"].items()
        connection.send(frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", int(key), value) for key, value in values)))
    elif do == "frame":
        connection.send(frame(command["type"], command.get("flags", 0), stream, payload_of(command["payload"])))
    elif do == "bytes":
        connection.send(bytes.fromhex(command["hex"]))
    elif do == "flood":
        flood(connection, command["frames"], command["count"], command.get("first", 1))
    elif do == "half-close":
        connection.stream.shutdown(socket.SHUT_WR)
    elif do == "close":
        connection.stream.shutdown(socket.SHUT_RDWR)
    else:
        raise ValueError(do)


def client_context(tls):
    context = ssl.create_default_context(cafile=tls.get("ca"))
    if "ca" not in tls:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if "cert" in tls:
        context.load_cert_chain(tls["cert"], tls["key"])
    context.set_alpn_protocols(tls.get("alpn", ["h2"]))
    return context


def server_context(tls):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls["cert"], tls["key"])
    context.set_alpn_protocols(tls.get("alpn", ["h2"]))
    return context


def start(connections, stream, setup, client):
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    tls, alpn = setup.get("tls"), None
    if tls and client:
        stream = client_context(tls).wrap_socket(stream, server_hostname=tls.get("name"))
    elif tls:
        stream = server_context(tls).wrap_socket(stream, server_side=True)
    if tls:
        alpn = stream.selected_alpn_protocol()
    connection = Connection(len(connections), stream, setup, client)
    connections.append(connection)
    report("connected", connection=connection.number, alpn=alpn)
    connection.begin()
    if not setup.get("deaf"):
        threading.Thread(target=connection.read, daemon=True).start()


def accept(listener, connections, setup):
    while True:
        stream, _ = listener.accept()
        try:
            start(connections, stream, setup, client=False)
        except (OSError, ValueError) as error:
            report("refused", why=str(error))


def main():
    setup, connections = json.loads(sys.stdin.readline()), []
    if "connect" in setup:
        host, port = setup["connect"].rsplit(":", 1)
        stream = socket.socket()
        if "buffer" in setup:
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, setup["buffer"])
        stream.connect((host, int(port)))
        try:
            start(connections, stream, setup, client=True)
        except (OSError, ValueError) as error:
            report("refused", why=str(error))
    else:
        listener = socket.create_server(("127.0.0.1", 0))
        report("listening", port=listener.getsockname()[1])
        threading.Thread(target=accept, args=(listener, connections, setup), daemon=True).start()
    for line in sys.stdin:
        command = json.loads(line)
        number = command.get("connection", 0)
        try:
            obey(connections[number], command)
        except (OSError, ValueError) as error:
            report("unsent", connection=number, do=command["do"], why=str(error))


main()
