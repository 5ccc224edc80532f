"""The doors: each decodes a request, makes one call into api/, and encodes the answer."""
