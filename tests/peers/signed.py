"""Signs requests by HTTP Message Signatures (RFC 9421): PyPI's `http-message-signatures`.

Each line of its input is a request: `method`, `url`, `headers`, `body` if its digest is to be covered, and how it is signed:
`algorithm`, `id`, `secret` or `key` (a file, PEM), `covers`, and where they are wanted `age` (seconds), `lasts` (seconds),
`nonce`, `label`, `tag`, and `named: false` to leave the name of the algorithm out. It prints the fields of each, in a line.
"""

import datetime
import json
import sys
from types import SimpleNamespace

from http_message_signatures import HTTPMessageSigner, algorithms

ALGORITHMS = {
    "hmac-sha256": algorithms.HMAC_SHA256,
    "ed25519": algorithms.ED25519,
    "ecdsa-p256-sha256": algorithms.ECDSA_P256_SHA256,
    "rsa-pss-sha512": algorithms.RSA_PSS_SHA512,
    "rsa-v1_5-sha256": algorithms.RSA_V1_5_SHA256,
}


class Keys:
    def __init__(self, key):
        self.key = key

    def resolve_private_key(self, _key_id):
        return self.key


def key_of(job):
    if "secret" in job:
        return job["secret"].encode()
    with open(job["key"], "rb") as file:
        return file.read()


def sign(job):
    request = SimpleNamespace(method=job["method"], url=job["url"], headers=dict(job.get("headers", {})))
    now = datetime.datetime.now(datetime.timezone.utc)
    created = now - datetime.timedelta(seconds=job.get("age", 0))
    expires = created + datetime.timedelta(seconds=job["lasts"]) if "lasts" in job else None
    body = job["body"].encode() if "body" in job else None
    HTTPMessageSigner(
        signature_algorithm=ALGORITHMS[job["algorithm"]], key_resolver=Keys(key_of(job))
    ).sign(
        request,
        key_id=job["id"],
        created=created,
        expires=expires,
        nonce=job.get("nonce"),
        label=job.get("label"),
        tag=job.get("tag"),
        include_alg=job.get("named", True),
        covered_component_ids=job["covers"],
        body=body,
    )
    return request.headers


def main():
    for line in sys.stdin:
        print(json.dumps(sign(json.loads(line))))


main()
