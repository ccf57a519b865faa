"""A TLS client: Python's `ssl`. It reads a job as JSON, and prints what became of each connection as JSON.

    address     HOST:PORT
    name        what to say in SNI; nothing where it is missing
    ca          a file: who has to have signed the certificate; anybody where it is missing
    min, max    versions, as in "TLSv1_2"
    ciphers     of TLS 1.2, in the words of OpenSSL
    cert, key   files to show
    alpn        a list
    request     what to send, to the end of the connection
    split       "segments": every byte of the first flight in a segment of its own; "records": in records of 8 bytes
    then        a second connection with the session of the first, and what is different
    load        how many threads do it again and again until the input ends; prints the sum then
"""

import json
import socket
import ssl
import sys
import threading
import warnings

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

warnings.simplefilter("ignore")


def context_of(job):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED if "ca" in job else ssl.CERT_NONE
    if "ca" in job:
        context.load_verify_locations(job["ca"])
    # Of the system's own opinion about old versions only the versions are to be left.
    context.set_ciphers(job.get("ciphers", "ALL:@SECLEVEL=0"))
    context.minimum_version = ssl.TLSVersion[job.get("min", "TLSv1_2")]
    context.maximum_version = ssl.TLSVersion[job.get("max", "TLSv1_3")]
    if "cert" in job:
        context.load_cert_chain(job["cert"], job["key"])
    if "alpn" in job:
        context.set_alpn_protocols(job["alpn"])
    return context


def records(data):
    """The same handshake in records of 8 bytes."""
    out, at = b"", 0
    while at < len(data):
        kind, length = data[at : at + 3], int.from_bytes(data[at + 3 : at + 5], "big")
        body = data[at + 5 : at + 5 + length]
        for start in range(0, len(body), 8):
            piece = body[start : start + 8]
            out += kind + len(piece).to_bytes(2, "big") + piece
        at += 5 + length
    return out


class Split:
    """A connection whose first flight goes out in pieces."""

    def __init__(self, raw, context, name, how):
        self.raw, self.incoming, self.outgoing = raw, ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name)
        self.how = how
        self.run(self.tls.do_handshake)

    def flush(self):
        data = self.outgoing.read()
        if not data:
            return
        if self.how == "records":
            data = records(data)
        step = 1 if self.how == "segments" else len(data)
        for at in range(0, len(data), step):
            self.raw.sendall(data[at : at + step])
        self.how = None

    def run(self, function, *arguments):
        while True:
            try:
                result = function(*arguments)
                self.flush()
                return result
            except ssl.SSLWantReadError:
                self.flush()
                data = self.raw.recv(65536)
                self.incoming.write(data) if data else self.incoming.write_eof()

    def sendall(self, data):
        self.run(self.tls.write, data)

    def recv(self, count):
        return self.run(self.tls.read, count)

    def __getattr__(self, name):
        return getattr(self.tls, name)


def dial(job, context, session=None):
    host, port = job["address"].rsplit(":", 1)
    stream = None
    try:
        raw = socket.create_connection((host, int(port)), timeout=job.get("timeout", 8))
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if job.get("split"):
            stream = Split(raw, context, job.get("name"), job["split"])
        else:
            stream = context.wrap_socket(raw, server_hostname=job.get("name"), session=session)
        response = b""
        if "request" in job:
            stream.sendall(job["request"].encode("latin-1"))
            try:
                while data := stream.recv(65536):
                    response += data
            except ssl.SSLZeroReturnError:
                pass
        return {**describe(stream), "response": response.decode("latin-1")}, stream.session
    except (OSError, ValueError) as error:
        return {"ok": False, "why": str(error)}, None
    finally:
        if stream is not None and hasattr(stream, "close"):
            stream.close()


def describe(stream):
    der = stream.getpeercert(binary_form=True)
    told = {"ok": True, "version": stream.version(), "cipher": stream.cipher()[0], "reused": stream.session_reused}
    told["alpn"] = stream.selected_alpn_protocol()
    if der:
        shown = x509.load_der_x509_certificate(der)
        names = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        told["names"] = [str(name.value) for name in names]
        told["serial"] = shown.serial_number
        told["key"] = "RSA" if isinstance(shown.public_key(), rsa.RSAPublicKey) else "ECDSA"
    return told


def load(job):
    over, lock = threading.Event(), threading.Lock()
    told = {"count": 0, "serials": [], "failures": []}

    def again():
        context = context_of(job)
        while not over.is_set():
            result, _ = dial(job, context)
            with lock:
                told["count"] += 1
                if not result["ok"] or not result["response"].startswith("HTTP/1.1 200 "):
                    told["failures"].append(result)
                elif result["serial"] not in told["serials"]:
                    told["serials"].append(result["serial"])

    threads = [threading.Thread(target=again) for _ in range(job["load"])]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    over.set()
    for thread in threads:
        thread.join()
    return told


def main():
    job = json.loads(sys.stdin.readline())
    if "load" in job:
        print(json.dumps(load(job)))
        return
    try:
        context = context_of(job)
    except ssl.SSLError as error:
        print(json.dumps([{"ok": False, "why": f"this Python cannot: {error}"}]))
        return
    first, session = dial(job, context)
    results = [first]
    if "then" in job:
        results.append(dial({**job, **job["then"]}, context, session)[0])
    print(json.dumps(results))


main()
