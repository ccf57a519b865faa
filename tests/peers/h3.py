"""A client of HTTP/3: does what its first argument names against the port that follows, and prints what it saw."""

import asyncio
import ssl
import sys
from contextlib import asynccontextmanager

import pylsqpack
from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, StreamReset, StopSendingReceived

SOON = 8


class Answer:
    """What has come on one stream."""

    def __init__(self):
        self.heads, self.body, self.ended = [], bytearray(), False
        self.reset = self.stopped = None

    @property
    def fields(self):
        return dict(self.heads[-1]) if self.heads else {}

    @property
    def status(self):
        return int(next((head[b":status"] for head in map(dict, self.heads) if b":status" in head
                         and not head[b":status"].startswith(b"1")), b"0"))

    def over(self):
        return self.ended or self.reset is not None


class Client(QuicConnectionProtocol):
    """A connection."""

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.http = H3Connection(self._quic)
        self.answers, self.changed, self.terminated = {}, asyncio.Condition(), None
        self.goaway = None

    def quic_event_received(self, event):
        if isinstance(event, ConnectionTerminated):
            self.terminated = event
        elif isinstance(event, StreamReset):
            self.answer(event.stream_id).reset = event.error_code
        elif isinstance(event, StopSendingReceived):
            self.answer(event.stream_id).stopped = event.error_code
        for seen in self.http.handle_event(event):
            answer = self.answer(seen.stream_id)
            if isinstance(seen, HeadersReceived):
                answer.heads.append(seen.headers)
            elif isinstance(seen, DataReceived):
                answer.body += seen.data
            answer.ended |= seen.stream_ended
        asyncio.ensure_future(self.tell())

    async def tell(self):
        async with self.changed:
            self.changed.notify_all()

    async def until(self, condition, what="something"):
        async with self.changed:
            try:
                await asyncio.wait_for(self.changed.wait_for(condition), SOON)
            except TimeoutError:
                over = sum(answer.over() for answer in self.answers.values())
                raise SystemExit(
                    f"no {what}: {over} of {len(self.answers)} streams are over, "
                    f"{len(self._quic._streams_blocked_bidi)} wait: "
                    f"{ {stream: vars(answer) for stream, answer in self.answers.items()} }"[:2000]
                ) from None

    def answer(self, stream):
        return self.answers.setdefault(stream, Answer())

    def head(self, method="GET", path="/", fields=(), host="site.test", end=True):
        stream = self._quic.get_next_available_stream_id()
        head = [(b":method", method.encode()), (b":scheme", b"https"), (b":authority", host.encode()),
                (b":path", path.encode()), *fields]
        self.http.send_headers(stream, head, end)
        self.transmit()
        return stream

    def data(self, stream, data, end=False):
        self.http.send_data(stream, data, end)
        self.transmit()

    async def fetch(self, *arguments, body=None, trailers=None, **named):
        stream = self.head(*arguments, end=body is None, **named)
        if body is not None:
            self.data(stream, body, trailers is None)
            if trailers:
                self.http.send_headers(stream, trailers, True)
                self.transmit()
        await self.until(self.answer(stream).over, "answer")
        return self.answer(stream)


@asynccontextmanager
async def connection(port, name="site.test", **settings):
    configuration = QuicConfiguration(is_client=True, alpn_protocols=H3_ALPN, server_name=name,
                                      verify_mode=ssl.CERT_NONE, idle_timeout=30, **settings)
    async with connect("127.0.0.1", port, configuration=configuration, create_protocol=Client) as client:
        yield client


def say(*words):
    print(*words, flush=True)


async def told():
    """Waits for a line of whoever runs this."""
    return (await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)).strip()


async def get(port):
    async with connection(port) as client:
        answer = await client.fetch(path=sys.argv[3])
        say(answer.status, bytes(answer.body).decode())


async def echo(port):
    """A body there and back, with trailers both ways."""
    body = bytes(index * index % 251 for index in range(1 << 20))
    async with connection(port) as client:
        answer = await client.fetch("POST", "/echo", body=body, trailers=[(b"x-up", b"1")])
        say(answer.status, bytes(answer.body) == body, len(answer.heads), answer.fields.get(b"x-down", b"").decode())
        answer = await client.fetch("POST", "/echo", [(b"content-length", str(len(body)).encode())], body=body)
        say(answer.status, bytes(answer.body) == body)


async def checked(port):
    """Bodies that the gateway looks into."""
    body = b'"' + b"x" * 200_000 + b'"'
    json = (b"content-type", b"application/json")
    async with connection(port) as client:
        for fields, sent, trailers in (([json], body, [(b"x-up", b"1")]), ([json], b"[", None),
                                       ([json, (b"content-length", b"3000000")], None, None),
                                       ([json], b" " * 3_000_000, None)):
            if sent is None:
                stream = client.head("POST", "/", fields, end=False)
                await client.until(client.answer(stream).over, "answer")
                answer = client.answer(stream)
            else:
                answer = await client.fetch("POST", "/", fields, body=sent, trailers=trailers)
            say(answer.status, b"errors" in bytes(answer.body))


async def cancel(port):
    """Gives a request up once it is told to."""
    async with connection(port) as client:
        for path in ("/waiting", "/sending"):
            stream = client.head("POST" if path == "/sending" else "GET", path, end=path == "/waiting")
            await told()
            client._quic.stop_stream(stream, 0x10C)
            if path == "/sending":
                client._quic.reset_stream(stream, 0x10C)
            client.transmit()
        await told()


async def lies(port):
    """Bodies that are not as long as they say."""
    async with connection(port) as client:
        for length, body in ((10, b"short"), (10, None), (3, b"longer"), (0, b"x")):
            head = [(b"content-length", str(length).encode())]
            stream = client.head("POST", "/lie", head, end=body is None)
            if body is not None:
                client.data(stream, body, True)
            await client.until(client.answer(stream).over, "end")
            say(hex(client.answer(stream).reset or 0), client.answer(stream).status)
        say((await client.fetch(path="/fine")).status)


async def many(port):
    async with connection(port) as client:
        answers = await asyncio.gather(*(client.fetch(path=f"/{number}") for number in range(300)))
        say(sum(bytes(answer.body) == f"GET /{number}".encode() for number, answer in enumerate(answers)))


async def goaway(port):
    """A request that is under way when the gateway is told to stop, and what comes after it."""
    async with connection(port) as client:
        seen = asyncio.get_running_loop().create_future()
        handle = client.http._handle_control_frame

        def look(kind, data):
            if kind == 7 and not seen.done():
                seen.set_result(True)
            return handle(kind, data)

        client.http._handle_control_frame = look
        stream = client.head(path="/slow")
        await asyncio.wait_for(seen, SOON)
        say("goaway")
        await client.until(client.answer(stream).over, "answer")
        say(client.answer(stream).status, bytes(client.answer(stream).body).decode())
        await client.until(lambda: client.terminated, "end of the connection")
        say(hex(client.terminated.error_code))


def certificate(client):
    return client._quic.tls._peer_certificate.signature


async def swap(port):
    """A connection that lasts while the certificate changes, and another one after it."""
    async with connection(port) as client:
        say((await client.fetch()).status)
        await told()
        say((await client.fetch()).status)
        async with connection(port) as other:
            say((await other.fetch()).status, certificate(client) != certificate(other))


async def switched_off(port):
    """A connection that was there when HTTP/3 was switched off, and one that comes later."""
    async with connection(port) as client:
        say((await client.fetch()).status)
        await told()
        await client.until(lambda: client.terminated, "end of the connection")
        say(hex(client.terminated.error_code))
    try:
        async with asyncio.timeout(1.5), connection(port):
            say("connected")
    except (ConnectionError, TimeoutError):
        say("not there")
    await told()
    async with connection(port) as client:
        say((await client.fetch()).status)


async def misdirected(port):
    async with connection(port) as client:
        say((await client.fetch(host="other.test")).status, (await client.fetch()).status)


async def slow(port):
    """Takes a little of a large response and no more."""
    async with connection(port, max_data=1 << 20, max_stream_data=1 << 16) as client:
        client._quic._write_connection_limits = client._quic._write_stream_limits = lambda **_: None
        streams = [client.head(path="/endless") for _ in range(8)]
        await client.until(lambda: all(len(client.answer(stream).body) > 50_000 for stream in streams), "bodies")
        say("stuck")
        await told()


async def resets(port):
    """Requests that are given up at once, until the gateway has enough."""
    async with connection(port) as client:
        for _ in range(2000):
            stream = client.head(path="/waiting")
            client._quic.stop_stream(stream, 0x10C)
            client.transmit()
            await asyncio.sleep(0.001)  # so that it can take what comes in
            if client.terminated:
                break
        await client.until(lambda: client.terminated, "end of the connection")
        say(hex(client.terminated.error_code))


async def moves(port):
    """A connection whose address changes several times."""
    async with connection(port) as client:
        say((await client.fetch()).status)
        loop = asyncio.get_running_loop()
        for _ in range(8):
            await loop.create_datagram_endpoint(lambda: client, local_addr=("::", 0))
            say((await client.fetch()).status)


async def crowd(port):
    """Handshakes that are begun and not finished, and then one in earnest."""
    loop = asyncio.get_running_loop()
    from aioquic.quic.connection import QuicConnection

    for _ in range(100):
        configuration = QuicConfiguration(is_client=True, alpn_protocols=H3_ALPN, server_name="site.test",
                                          verify_mode=ssl.CERT_NONE)
        quic = QuicConnection(configuration=configuration)
        quic.connect(("127.0.0.1", port), now=loop.time())
        transport, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, remote_addr=("127.0.0.1", port))
        for data, _ in quic.datagrams_to_send(now=loop.time()):
            transport.sendto(data)
    async with connection(port) as client:
        say((await client.fetch()).status, "retry" if client._quic._retry_source_connection_id else "no retry")


async def one_too_many(port):
    async with connection(port) as client:
        say((await client.fetch()).status)
        try:
            async with asyncio.timeout(3), connection(port):
                say("connected")
        except (ConnectionError, TimeoutError):
            say("refused")
        say((await client.fetch()).status)


async def idle(port):
    async with connection(port) as client:
        say((await client.fetch()).status)
        await client.until(lambda: client.terminated, "end of the connection")
        say(hex(client.terminated.error_code))


async def certificates(port):
    """Without the certificate of a client, and with one."""
    try:
        async with asyncio.timeout(3), connection(port) as client:
            answer = await client.fetch()
            say("served", answer.status)
    except (ConnectionError, TimeoutError, SystemExit):
        say("not served")
    configuration = QuicConfiguration(is_client=True, alpn_protocols=H3_ALPN, server_name="site.test",
                                      verify_mode=ssl.CERT_NONE)
    configuration.load_cert_chain(sys.argv[3], sys.argv[4])
    async with connect("127.0.0.1", port, configuration=configuration, create_protocol=Client) as client:
        say((await client.fetch()).status)


class Bare(QuicConnectionProtocol):
    """A connection on which nothing is sent but what a case says."""

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.over = asyncio.get_running_loop().create_future()
        self.ended = asyncio.get_running_loop().create_future()
        self.seen = b""

    def quic_event_received(self, event):
        code = None
        if getattr(event, "stream_id", 1) % 4 == 0:
            self.seen += getattr(event, "data", b"")
            if getattr(event, "end_stream", False):
                self.ended.set_result(True)
        if isinstance(event, ConnectionTerminated):
            code = f"connection {event.error_code:#x}"
        elif isinstance(event, StreamReset):
            code = f"stream {event.error_code:#x}"
        elif getattr(event, "data", b"")[:1] == b"\x01" and event.stream_id % 4 == 0:
            size = event.data[1] if event.data[1] < 64 else event.data[1] % 64 << 8 | event.data[2]
            start = 2 if event.data[1] < 64 else 3
            _, head = pylsqpack.Decoder(0, 0).feed_header(0, event.data[start : start + size])
            code = dict(head)[b":status"].decode()
        if code and not self.over.done():
            self.over.set_result(code)

    def one_way(self, data, end=False):
        stream = self._quic.get_next_available_stream_id(is_unidirectional=True)
        self._quic.send_stream_data(stream, data, end)

    def two_way(self, data, end=True):
        self._quic.send_stream_data(self._quic.get_next_available_stream_id(), data, end)


def variable(value):
    for size, mark in ((1, 0), (2, 0x4000), (4, 0x80000000), (8, 0xC000000000000000)):
        if value < 1 << (8 * size - 2):
            return (value | mark).to_bytes(size)


def frame(kind, payload=b"", length=None):
    return variable(kind) + variable(len(payload) if length is None else length) + payload


SETTINGS = b"\x00" + frame(4)
# :method GET, :scheme https, :path /, :authority site.test
HEAD = b"\x00\x00\xd1\xd7\xc1\x50\x09site.test"
FIELD = b"\x21x\x7f\xe9\x06" + b"a" * 1000
POST = b"\x00\x00\xd4\xd7\xc1\x50\x09site.test"


async def rules(port):
    """What breaks the rules of HTTP/3, and what only looks like it."""

    def control(*data, end=False):
        return lambda client: client.one_way(SETTINGS + b"".join(data), end)

    def request(*data, end=True):
        return lambda client: (client.one_way(SETTINGS), client.two_way(b"".join(data), end))

    cases = {
        "a request": request(frame(1, HEAD)),
        "grease everywhere": lambda client: (
            client.one_way(b"\x00" + frame(4, b"\x21\x05") + frame(0x21, b"xyz")),
            client.one_way(variable(0x21) + b"ignored", True),
            client.two_way(frame(0x40, b"a" * 9000) + frame(1, HEAD) + frame(0x21, b"") + frame(0x3fff)),
        ),
        "empty pieces of a body": request(frame(1, POST), frame(0), frame(0, b"abc"), frame(0), frame(0, b"d")),
        "a body first": request(frame(0, b"body"), frame(1, HEAD)),
        "settings on a request": request(frame(1, POST), frame(4)),
        "a push": request(frame(1, POST), frame(5, b"\x00")),
        "a body after trailers": request(frame(1, POST), frame(0, b"x"), frame(1, b"\x00\x00"), frame(0, b"y")),
        "no settings": lambda client: client.one_way(b"\x00" + frame(7, b"\x00")),
        "settings twice": control(frame(4)),
        "a body on the control stream": control(frame(0, b"x")),
        "a frame of HTTP/2": control(frame(6, b"12345678")),
        "a long frame of HTTP/2": control(frame(8, length=1 << 40)),
        "the end of the control stream": control(end=True),
        "two control streams": lambda client: (client.one_way(SETTINGS), client.one_way(SETTINGS)),
        "settings of HTTP/2": lambda client: client.one_way(b"\x00" + frame(4, b"\x02\x01")),
        "a head cut short": request(frame(1, HEAD, len(HEAD) + 5)),
        "a body cut short": request(frame(1, POST), frame(0, b"12345", 100)),
        "the head of a body and no more": request(frame(1, POST), frame(0, b"", 100)),
        "half of the head of a frame": request(frame(1, POST), b"\x40"),
        "a compressed head that is none": request(frame(1, b"\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")),
        "a head that waits for a table": request(frame(1, b"\x02\x00\x80")),
        "an empty request": request(b""),
        "a head in capitals": request(frame(1, HEAD + b"\x23Abc\x01x")),
        "no path": request(frame(1, b"\x00\x00\xd1\xd7\x50\x09site.test")),
        "a method twice": request(frame(1, HEAD + b"\xd4")),
        "a path twice": request(frame(1, HEAD + b"\x51\x02/b")),
        "a path behind a field": request(frame(1, b"\x00\x00\xd1\xd7\x50\x09site.test\x23abc\x01x\xc1")),
        "a status in a request": request(frame(1, HEAD + b"\xd9")),
        "a path in trailers": request(frame(1, POST), frame(0, b"x"), frame(1, b"\x00\x00\xc1")),
        "a connection field": request(frame(1, HEAD + b"\x27\x03connection\x05close")),
        "a head as large as it may be": request(frame(1, HEAD + FIELD * 29)),
        "a head that is larger": request(frame(1, HEAD + FIELD * 32)),
        "a small head that becomes large": request(frame(1, HEAD + b"\xdf" * 800)),
        "trailers that become large": request(frame(1, POST), frame(0, b"x"), frame(1, b"\x00\x00" + b"\xdf" * 800)),
        "a path in the code of Huffman": request(
            frame(1, b"\x00\x00\xd1\xd7\x50\x09site.test\x2c\xb9\x58\xd3\x3f\x01/")),
        "the same twice": request(
            frame(1, b"\x00\x00\xd1\xd7\x50\x09site.test\x2c\xb9\x58\xd3\x3f\x01/\x2c\xb9\x58\xd3\x3f\x01/")),
        "a very long head": request(frame(1, b"", 1 << 30), end=False),
        "frames about nothing": request(frame(1, POST), frame(0) * 3000, end=False),
        "unknown frames": control(frame(0x21) * 3000),
        "streams about nothing": lambda client: asyncio.ensure_future(about_nothing(client)),
    }
    for name, act in cases.items():
        configuration = QuicConfiguration(is_client=True, alpn_protocols=H3_ALPN, server_name="site.test",
                                          verify_mode=ssl.CERT_NONE)
        async with connect("127.0.0.1", port, configuration=configuration, create_protocol=Bare) as client:
            act(client)
            client.transmit()
            try:
                say(name + ":", await asyncio.wait_for(client.over, 3))
            except TimeoutError:
                say(name + ": nothing")


async def heads(port):
    """An interim response, and a response without the body that it is about: aioquic's own HTTP/3 takes neither."""
    for method in (b"\xd1", b"\xd2"):
        configuration = QuicConfiguration(is_client=True, alpn_protocols=H3_ALPN, server_name="site.test",
                                          verify_mode=ssl.CERT_NONE)
        async with connect("127.0.0.1", port, configuration=configuration, create_protocol=Bare) as client:
            client.one_way(SETTINGS)
            client.two_way(frame(1, HEAD.replace(b"\xd1", method)))
            client.transmit()
            await asyncio.wait_for(client.ended, SOON)
            data = client.seen
            while data:
                kind, size = data[0], data[1]
                start = 2
                if size > 63:
                    size, start = size % 64 << 8 | data[2], 3
                fields = dict(pylsqpack.Decoder(0, 0).feed_header(0, data[start : start + size])[1])
                say(kind, fields.pop(b":status").decode(), fields.get(b"link"), fields.get(b"content-length"))
                data = data[start + size :]


async def about_nothing(client):
    client.one_way(SETTINGS)
    for _ in range(100):
        client.one_way(variable(0x21), True)
        client.transmit()
        await asyncio.sleep(0.002)


CASES = {name: case for name, case in globals().items() if asyncio.iscoroutinefunction(case)}

if __name__ == "__main__":
    asyncio.run(CASES[sys.argv[1]](int(sys.argv[2])))
