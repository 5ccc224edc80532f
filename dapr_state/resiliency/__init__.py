"""Resiliency policies: what files may say of timeouts, retries and circuit breakers, and how calls keep to it."""
