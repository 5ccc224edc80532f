"""Dapr's State and Actors building blocks in one Python process."""

__version__ = "0.1.0"

# the API that is spoken; clients and the dapr command compare it with what they need
DAPR_VERSION = "1.18.1"
