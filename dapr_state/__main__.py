"""`python -m dapr_state` is the command `dapr-state`."""

import sys

from dapr_state.cli import main

if __name__ == "__main__":
    sys.exit(main())
