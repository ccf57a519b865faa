"""What clients show to peers that ask who they are: API keys, and tokens that are made once and kept."""
import base64
import hashlib
import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor

from certificate import NotMade, openssl

CONSUMERS = 1_000
# Written down and no secrets, but as long and as random as keys should be.
API_KEYS = {f"consumer-{number:04}": hashlib.sha256(f"consumer-{number:04}".encode()).hexdigest()[:32]
            for number in range(CONSUMERS)}
# Lines of headers; the wrong key is of nobody.
KEY = {"right": f"X-Api-Key: {API_KEYS['consumer-0500']}", "wrong": f"X-Api-Key: {'0' * 32}"}

# Tokens that are shown once each. The first load must be more than a peer remembers (Gateward 8,192 for each
# worker), so that the second one is measured with a memory that is full. How many it takes for the time of a round
# depends on the machine; where they are too few, the load ends earlier.
WARM_UP_TOKENS = 10_000
TOKENS = 50_000


def key_files(folder):
    """Paths by the names that templates use."""
    return {"jwks": os.path.join(folder, "jwks.json"), "public_key": os.path.join(folder, "public.pem")}


def token(folder, program):
    """Headers with one token that is genuine, and with one that is not. `program` makes tokens.

    The key is made when it is not there yet.
    """
    os.makedirs(folder, mode=0o700, exist_ok=True)
    private, first = private_key(folder), os.path.join(folder, "first.txt")
    if not all(map(os.path.exists, (private, first, *key_files(folder).values()))):
        make_key(folder)
        write(first, sign(program, private, 0, 2))
    with open(first) as file:
        one, two = file.read().splitlines()
    claims, _, _ = one.rpartition(".")
    _, _, signature = two.rpartition(".")
    return {"right": one, "wrong": f"{claims}.{signature}"}


def private_key(folder):
    """Where the key is that signs."""
    return os.path.join(folder, "private.pem")


def once_files(folder):
    """Paths of the tokens that are shown once each, by the names that options of the load use."""
    return {"warm_up": os.path.join(folder, "warm_up.txt"), "tokens": os.path.join(folder, "tokens.txt")}


def make_key(folder):
    """Makes a key anew, and writes its public half down. What the last one has signed goes."""
    for path in once_files(folder).values():
        if os.path.exists(path):
            os.remove(path)
    private, files = private_key(folder), key_files(folder)
    openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", private)
    openssl("pkey", "-in", private, "-pubout", "-out", files["public_key"])
    modulus = openssl("rsa", "-in", private, "-noout", "-modulus").strip().partition("=")[2]
    number = base64.urlsafe_b64encode(bytes.fromhex(modulus)).rstrip(b"=").decode()
    key = {"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "bench", "n": number, "e": "AQAB"}
    write(files["jwks"], json.dumps({"keys": [key]}).encode())


def are_made(folder, counts=(WARM_UP_TOKENS, TOKENS)):
    """Whether the tokens that are shown once each are there. All of them are equally long."""
    paths = once_files(folder).values()
    with open(os.path.join(folder, "first.txt")) as file:
        length = len(file.readline())
    return all(os.path.exists(path) and os.path.getsize(path) == length * count
               for path, count in zip(paths, counts))


def make_once(folder, program, counts=(WARM_UP_TOKENS, TOKENS)):
    """Makes the tokens that are shown once each, where they are not there; `token` comes before."""
    if not are_made(folder, counts):
        first = 2
        for path, count in zip(once_files(folder).values(), counts):
            write(path, sign(program, private_key(folder), first, count))
            first += count
    return once_files(folder)


def sign(program, private, first, count):
    """Lines of tokens, one process on each core."""
    share = -(-count // len(os.sched_getaffinity(0)))
    starts = range(first, first + count, share)

    def part(start):
        command = [program, private, str(start), str(min(share, first + count - start))]
        result = subprocess.run(command, capture_output=True)
        if result.returncode:
            raise NotMade(f"no tokens could be made: {result.stderr.decode(errors='replace').strip()[-200:]}")
        return result.stdout

    with ThreadPoolExecutor() as threads:
        return b"".join(threads.map(part, starts))


def write(path, content):
    """Writes a file; under its name it is whole or not there."""
    with open(path + ".part", "wb") as file:
        file.write(content)
    os.replace(path + ".part", path)
