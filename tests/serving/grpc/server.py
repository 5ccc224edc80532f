"""The program with the native server, started and found."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import grpc

from tests.serving.grpc.program import SERVICE
from tests.support.processes import Process

if TYPE_CHECKING:
    from pathlib import Path

_READY = re.compile(r"listening on (\d+)")


class Server(Process):
    """One run of program.py; options are grpc.aio's, and those of the program."""

    def __init__(self, folder: Path, address: str = "127.0.0.1:0", **options: str | float) -> None:
        words = [f"{name.replace('__', '.')}={value}" for name, value in options.items()]
        command = [sys.executable, "-m", "tests.serving.grpc.program", address, *words]
        super().__init__(command, folder / "server.log")

    def is_ready(self) -> bool:
        return _READY.search(self.log()) is not None

    @property
    def port(self) -> int:
        match = _READY.search(self.log())
        assert match
        return int(match[1])

    def channel(self, *options: tuple[str, int]) -> grpc.Channel:
        own = ("grpc.use_local_subchannel_pool", 1)
        return grpc.insecure_channel(f"127.0.0.1:{self.port}", options=[own, *_UNLIMITED, *options])

    def aio_channel(self) -> grpc.aio.Channel:
        own = ("grpc.use_local_subchannel_pool", 1)
        return grpc.aio.insecure_channel(f"127.0.0.1:{self.port}", options=[own, *_UNLIMITED])


_UNLIMITED = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))


def path(method: str) -> str:
    return f"/{SERVICE}/{method}"
