"""How long a server waits for what, and why so long: one set of times for each server, given to it."""

from __future__ import annotations

from msgspec import Struct


class Timeouts(Struct, frozen=True, kw_only=True):
    """Seconds. An HTTP connection between two requests may rest for ever, as daprd's."""

    # Until a request's head is whole, or the first frame of HTTP/2; as daprd. grpc-go allows 120 s for its first frame.
    head: float = 10.0
    # Without an octet of a body that has begun; nginx: 60 s, Apache 20 s. While others wait for memory, a body over
    # HTTP/1.1 that holds some of it must bring `slowest_body` octets in this time.
    body: float = 10.0
    last_body: float = 1.0  # likewise, once the server ends: nobody else waits for what is not whole
    slowest_body: int = 5_000  # 500 a second, as Apache's MinRate
    memory: float = 30.0  # that a request waits for --max-request-memory, before it is refused
    # Without an octet taken by a client that has answers to read; nginx: 60 s
    stall: float = 60.0
    # As Go: without it, what a client still sends would reset the connection before it reads the answer
    linger: float = 0.5
    # Over HTTP/2
    keepalive: float = 7200.0  # of silence until the peer is asked whether it lives; gRPC's own default: two hours
    keepalive_answer: float = 20.0  # until it has answered; likewise
    idle: float = float("inf")  # without a call; likewise
    goaway: float = 0.5  # that a peer has to hear that the server ends, before its new requests are refused
