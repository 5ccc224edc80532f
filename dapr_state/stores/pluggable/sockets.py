"""Where pluggable components listen: one Unix socket for each, whose file's name is the component's."""

from __future__ import annotations

import logging
import os
import socket
from pathlib import Path
from typing import Final

FOLDER_VARIABLE: Final = "DAPR_COMPONENTS_SOCKETS_FOLDER"
FOLDER: Final = "/tmp/dapr-components-sockets"  # noqa: S108 - daprd's

log = logging.getLogger("dapr.runtime")


def find(name: str) -> str | None:
    """The socket of that name at which somebody listens; one whose process has gone is passed over, and told."""
    folder = Path(os.environ.get(FOLDER_VARIABLE) or FOLDER)
    try:
        paths = sorted(path for path in folder.iterdir() if path.stem.lower() == name and path.is_socket())
    except OSError:
        return None
    for path in paths:
        reason = _refusal(path)
        if reason is None:
            return str(path)
        log.warning("Nobody listens at the socket %s: %s; it is left out", path, reason)
    return None


def _refusal(path: Path) -> str | None:
    """Why nobody answers; None if somebody does, or is so busy that he does not at once."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.setblocking(False)
        try:
            asking.connect(str(path))
        except BlockingIOError:
            return None
        except OSError as error:
            return str(error.strerror or error).lower()
    return None
