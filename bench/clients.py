"""Clients of a few requests: to see that a peer answers, and to open connections that then stay idle.

What needs speed is written in C, in programs/.
"""
import socket
import ssl

BODY = b"x" * 128  # of the origin's short reply
SECONDS = 5
# The example of RFC 6455, section 1.3: with a fixed key, the origin can have a fixed answer.
UPGRADE = ("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")
ACCEPTED = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
# "hello" as a client sends it (with an empty mask), and as the origin sends it back.
FRAME, ECHO = b"\x81\x85\0\0\0\0hello", b"\x81\x05hello"


class WrongAnswer(OSError):
    """Something answers, but not as it should."""


def accepts(port):
    """Whether somebody listens there."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def plain(port, path, headers=""):
    """Asks for a path with the short reply; the connection stays open and is returned."""
    return answered(socket.create_connection(("127.0.0.1", port), SECONDS), path, headers)


class Guarded:
    """Asks with what a peer demands, when it has seen that the peer lets nobody else pass.

    `right` and `wrong` are lines of headers.
    """

    def __init__(self, right, wrong):
        self.right, self.wrong = right, wrong

    def __call__(self, port, path):
        """As `plain`."""
        refused(port, path, "")
        refused(port, path, self.wrong + "\r\n")
        return plain(port, path, self.right + "\r\n")


def refused(port, path, headers):
    """Asks for a path that must be refused."""
    with socket.create_connection(("127.0.0.1", port), SECONDS) as connection:
        ask(connection, path, headers)
        first_line = connection.recv(4096).partition(b"\r\n")[0]
    if b" 401 " not in first_line:
        shown = "a wrong credential" if headers else "no credential"
        raise WrongAnswer(f"the answer to {shown} was {first_line.decode(errors='replace')!r}")


class Tls:
    """Asks over TLS 1.3, each time with a full handshake, and trusts only the given certificate."""

    def __init__(self, certificate):
        self.context = ssl.create_default_context(cafile=certificate)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_3

    def __call__(self, port, path):
        """As `plain`."""
        connection = socket.create_connection(("127.0.0.1", port), SECONDS)
        try:
            connection = self.context.wrap_socket(connection, server_hostname="localhost")
        except BaseException:
            connection.close()
            raise
        return answered(connection, path)


def websocket(port, path):
    """Upgrades to a WebSocket and sends a message there and back; the connection is returned."""
    connection = socket.create_connection(("127.0.0.1", port), SECONDS)
    try:
        ask(connection, path, UPGRADE)
        head = read_until(connection, b"\r\n\r\n", b"101")
        if ACCEPTED not in head:
            raise WrongAnswer("the answer to an upgrade does not accept it")
        echo(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def echo(connection):
    """Sends a message over a WebSocket and expects it back."""
    connection.sendall(FRAME)
    reply = b""
    while len(reply) < len(ECHO):
        piece = connection.recv(len(ECHO) - len(reply))
        if not piece:
            raise WrongAnswer("a WebSocket was closed")
        reply += piece
    if reply != ECHO:
        raise WrongAnswer(f"a WebSocket answered {reply!r}")


def answered(connection, path, headers=""):
    """The connection, when a request over it has been answered."""
    try:
        ask(connection, path, headers)
        read_until(connection, BODY, b"200")
    except BaseException:
        connection.close()
        raise
    return connection


def ask(connection, path, headers=""):
    """Sends a request."""
    connection.settimeout(SECONDS)
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode())


def read_until(connection, end, status):
    """Reads a reply that ends with `end`, and whose first line has that status."""
    reply = b""
    while not reply.endswith(end):
        piece = connection.recv(4096)
        reply += piece
        first_line, whole, _ = reply.partition(b"\r\n")
        if not piece or (whole and b" %b " % status not in first_line):
            raise WrongAnswer(f"the answer to a request was "
                              f"{first_line.decode(errors='replace') or 'a closed connection'!r}")
    return reply
