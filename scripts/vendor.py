"""Fetches the page's foreign modules: packages by the hashes of the lock, out of each the files that are served."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

VENDOR = Path(__file__).resolve().parents[1] / "dapr_state/console/static/vendor"
LOCK = VENDOR / "lock.json"
BARE = 'from"preact"'  # what a browser cannot find without a map, which would have to be inline
SERVED = 'from"./preact.js"'
LICENCE = "LICENSE"


def sha256(octets: bytes) -> str:
    return hashlib.sha256(octets).hexdigest()


def fetch(package: str, version: str, folder: str) -> Path:
    command = ["npm", "pack", f"{package}@{version}", "--silent", "--pack-destination", folder]
    name = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip().splitlines()[-1]
    return Path(folder) / name


def served(octets: bytes, source: str) -> bytes:
    """The file with a first line that says where it comes from, and without its source map."""
    lines = octets.decode().replace(BARE, SERVED).splitlines()
    kept = [line for line in lines if not line.startswith("//# sourceMappingURL=")]
    return "\n".join((f"// {source}", *kept, "")).encode()


def main() -> None:
    lock = json.loads(LOCK.read_text())
    with tempfile.TemporaryDirectory() as folder:
        for package in lock["packages"]:
            source = f"{package['name']} {package['version']}"
            archive = fetch(package["name"], package["version"], folder)
            if sha256(archive.read_bytes()) != package["sha256"]:
                sys.exit(f"{source} is not the package that the lock names")
            with tarfile.open(archive) as tar:
                for name, path in package["files"].items():
                    member = tar.extractfile(f"package/{path}")
                    octets = member.read() if member else b""
                    made = octets if path == LICENCE else served(octets, f"{source}, {path}")
                    (VENDOR / name).write_bytes(made)
                    lock["served"][name] = sha256(made)
    LOCK.write_text(json.dumps(lock, indent=2) + "\n")


if __name__ == "__main__":
    main()
