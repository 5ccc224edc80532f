"""How long tests take with the plugin: a thousand with a reset each, and seven days of reminders to an SDK actor."""

import os
import re
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.plugin.test_examples import examples
from tests.support import cache

THOUSAND = """
import json, os, pytest, urllib.request

def save(key, value):
    url = f"http://127.0.0.1:{os.environ['DAPR_HTTP_PORT']}/v1.0/state/statestore"
    body = json.dumps([{"key": key, "value": value}]).encode()
    return urllib.request.urlopen(urllib.request.Request(url, body, {"Content-Type": "application/json"})).status

@pytest.mark.parametrize("number", range(1000))
def test_it(dapr, number):
    assert "k" not in dapr.state()
    assert save("k", number) == 204
"""
WEEK = """
import time, pytest, shop

@pytest.fixture(scope="module")
def carts(dapr_app_module):
    return dapr_app_module.serve(shop.app)

@pytest.mark.parametrize("number", range(5))
def test_week(dapr, carts, number):
    dapr.actor("Cart", "7").invoke("RemindDaily")
    began = time.perf_counter()
    assert dapr.clock.advance("7d").reminders == 7
    print(f"a week: {time.perf_counter() - began:.3f} s")
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        here, plugin = Path(folder), Path(folder) / "plugin"
        (plugin / "dapr_state").mkdir(parents=True)
        for name in ("pytest", "__init__.py"):
            (plugin / "dapr_state" / name).symlink_to(ROOT / "dapr_state" / name)
        (here / "test_thousand.py").write_text(THOUSAND)
        (here / "test_week.py").write_text(WEEK)
        (here / "shop.py").write_text(examples()["shop.py"])
        sidecar = {"DAPR_STATE_COMMAND": f"{sys.executable} -m dapr_state serve", "PYTHONPATH": str(plugin)}
        options = ("-q", "-rP", "-W", "ignore", "-p", "dapr_state.pytest.plugin", "-p", "no:cacheprovider")
        before = 0.0
        for name in ("test_thousand.py", "test_week.py"):
            done = subprocess.run(
                [cache.hosting_python(), "-m", "pytest", *options, name],
                check=False,
                cwd=here,
                env={**os.environ, **sidecar},
                capture_output=True,
                text=True,
            )
            spent = resource.getrusage(resource.RUSAGE_CHILDREN)
            cpu, before = spent.ru_utime + spent.ru_stime - before, spent.ru_utime + spent.ru_stime
            weeks = re.findall("a week: .*", done.stdout)
            print(name, min(weeks, default=""), done.stdout.strip().splitlines()[-1], f"(CPU {cpu:.1f} s)")


if __name__ == "__main__":
    main()
