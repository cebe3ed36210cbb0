"""How long a user waits for programs to start."""

from __future__ import annotations

import subprocess
import sys
import time

from benchmarks.network import REPOSITORY, environment
from benchmarks.report import median
from benchmarks.settings import Settings

MOST_IMPORT_MS, MOST_ROOTS_MS = 150.0, 400.0
RUNS = 15


def run(bench: Settings) -> None:
    _, subscriber = bench.warm()
    python = sys.executable
    commands = {
        "nothing": [python, "-c", "pass"],
        "import": [python, "-c", "import caterva2"],
        "client": [python, "-c", "from caterva2 import Client"],
        "roots": [python, "-m", "caterva2", "--subscriber", subscriber.url, "roots"],
    }
    found: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(RUNS + 1):
        for name, command in commands.items():
            began = time.perf_counter()
            subprocess.run(command, check=True, cwd=REPOSITORY, env=environment(), stdout=subprocess.DEVNULL)
            if number:  # the first round writes the byte code
                found[name].append((time.perf_counter() - began) * 1e3)
    note = f"an interpreter alone {median(found['nothing']):.0f} ms"
    bench.report.add(
        "import caterva2, interpreter included", median(found["import"]), "ms", most=MOST_IMPORT_MS, note=note
    )
    bench.report.add("from caterva2 import Client, interpreter included", median(found["client"]), "ms")
    bench.report.add("cat2cli roots", median(found["roots"]), "ms", most=MOST_ROOTS_MS)
