"""The certificate that all peers show: made once, with ECDSA P-256, and signed by itself."""
import os
import subprocess

# So long that a kept folder does not surprise anybody, and renewed when little is left.
DAYS = 365
RENEW_SECONDS = 7 * 24 * 3600


class NotMade(Exception):
    """There is no certificate, or no token; the text says why."""


def certificate(folder):
    """Paths by the names that templates use: `cert`, `key`, and `both` in one file, as HAProxy wants it."""
    os.makedirs(folder, mode=0o700, exist_ok=True)
    paths = {name: os.path.join(folder, f"{name}.pem") for name in ("cert", "key", "both")}
    if not (all(map(os.path.exists, paths.values())) and is_fresh(paths["cert"])):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-sha256",
                "-days", str(DAYS), "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                "-keyout", paths["key"], "-out", paths["cert"])
        parts = []
        for name in ("cert", "key"):
            with open(paths[name]) as file:
                parts.append(file.read())
        with open(paths["both"], "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write("".join(parts))
    return paths


def is_fresh(path):
    """Whether a certificate stays valid for a while."""
    command = ["openssl", "x509", "-checkend", str(RENEW_SECONDS), "-noout", "-in", path]
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        return False


def openssl(*arguments):
    """Runs openssl and returns its output; what it complains about is only shown when it fails."""
    try:
        return subprocess.run(["openssl", *arguments], check=True, capture_output=True, text=True).stdout
    except OSError as error:
        raise NotMade(f"openssl is needed (the Debian package openssl): {error}") from None
    except subprocess.CalledProcessError as error:
        raise NotMade(f"openssl {arguments[0]} has failed: {error.stderr.strip()[-200:]}") from None
