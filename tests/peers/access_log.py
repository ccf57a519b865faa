"""Reads an access log from its input with Python's own json, and prints each line in a plain form.

Ends with 1, and says at which line, if a line is not whole, not one JSON object, has other fields or another order,
or a time that is not RFC 3339 in UTC and of the last minutes.
"""

import datetime
import json
import re
import sys

FIELDS = (
    "time request_id client method host path status bytes_in bytes_out route service endpoint "
    "total_ms connect_ms first_byte_ms retries fault protocol tls sni client_cert client_cert_san consumer subject "
    "auth policy reason"
).split()
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
KINDS = {"status": int, "bytes_in": int, "bytes_out": int, "retries": int, "total_ms": float, "time": str}
MAY_BE_NULL = {"connect_ms": float, "first_byte_ms": float, "client_cert_san": list}


def check(line):
    assert line.endswith(b"\n"), "the line is not whole"
    # Neither a terminal nor another reader of lines must see anything but one plain line.
    text = line[:-1].decode("utf-8", errors="strict")
    assert text.isprintable() and text.splitlines() == [text], "there are control characters in it"
    pairs = json.loads(text, object_pairs_hook=list)
    assert [key for key, _ in pairs] == FIELDS, "the fields are not the ones that a line has"
    entry = dict(pairs)
    for key, value in entry.items():
        if key in KINDS:
            assert type(value) is KINDS[key], f"{key} is {value!r}"
        else:
            kind = MAY_BE_NULL.get(key, str)
            assert value is None or (type(value) is kind and value != ""), f"{key} is {value!r}"
    assert TIME.fullmatch(entry["time"]), "not the format of the time"
    time = datetime.datetime.fromisoformat(entry["time"].replace("Z", "+00:00"))
    age = datetime.datetime.now(datetime.timezone.utc) - time
    assert -1 < age.total_seconds() < 600, f"the time is {age} ago"
    return entry


for number, line in enumerate(sys.stdin.buffer, 1):
    try:
        print(json.dumps(check(line)))
    except (AssertionError, ValueError) as error:
        sys.exit(f"line {number}: {error}: {line!r}")
