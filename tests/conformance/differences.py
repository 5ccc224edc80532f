"""Where our answers differ from daprd on purpose."""

ALL = []
