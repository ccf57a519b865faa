"""Asks for pages over one TLS connection that is kept: one path a line comes in, one JSON object a line goes out.

    tls_pages.py ADDRESS PORT HOST ROOTS
"""

import hashlib
import json
import socket
import ssl
import sys

address, port, host, roots = sys.argv[1:]
context = ssl.create_default_context(cafile=roots)
stream = context.wrap_socket(socket.create_connection((address, int(port)), 20), server_hostname=host)
shown = hashlib.sha256(stream.getpeercert(binary_form=True)).hexdigest()
print(json.dumps({"event": "connected", "certificate": shown}), flush=True)
answers = stream.makefile("rb")
for path in sys.stdin:
    request = f"GET {path.strip()} HTTP/1.1\r\nHost: {host}\r\n\r\n"
    stream.sendall(request.encode())
    status = int(answers.readline().split(b" ")[1])
    length = 0
    while (line := answers.readline().strip()):
        name, value = line.split(b":", 1)
        if name.lower() == b"content-length":
            length = int(value)
    body = answers.read(length).decode()
    print(json.dumps({"event": "answer", "status": status, "body": body}), flush=True)
