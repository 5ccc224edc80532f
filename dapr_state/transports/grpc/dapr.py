"""The Dapr service: the calls of every building block under one name."""

from dapr_state.transports.grpc.state import StateServicer


class DaprServicer(StateServicer):
    """One base class for each building block; calls without one are answered as not implemented."""
