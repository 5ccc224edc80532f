"""The TLS settings of the connection to a Redis server."""

from __future__ import annotations

import ssl
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from dapr_state.resources.properties import PropertiesError

if TYPE_CHECKING:
    from dapr_state.stores.redis.options import Options


def context(options: Options) -> ssl.SSLContext | None:
    """None without TLS. Authorities are the system's (SSL_CERT_FILE adds one's own); daprd has no field for them."""
    if not options.tls:
        return None
    made = ssl.create_default_context()
    if not options.verify:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    if options.certificate:
        _present(made, options.certificate, options.key)
    return made


def _present(made: ssl.SSLContext, certificate: str, key: str) -> None:
    for text, what in ((certificate, "certificate"), (key, "key")):
        if "-----BEGIN" not in text:
            raise PropertiesError(f"redis client configuration error: tls: failed to find any PEM data in {what} input")
    # Python's ssl reads a client's certificate from files only; the folder is readable by this user alone
    with tempfile.TemporaryDirectory() as folder:
        pair = Path(folder, "client.pem")
        pair.write_text(f"{certificate}\n{key}\n", encoding="utf-8")
        try:
            made.load_cert_chain(pair)
        except ssl.SSLError as error:
            raise PropertiesError(f"redis client configuration error: tls: {error}") from None
