"""How long a user waits for programs to start."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from benchmarks.network import REPOSITORY, environment
from benchmarks.report import median
from benchmarks.settings import Settings

MOST_IMPORT_MS, MOST_ROOTS_MS, MOST_LOAD_EXT_MS = 150.0, 400.0, 500.0
RUNS = 15

# Prints how long a shell that stands waits for the extension, and for its first command.
LOAD_EXT = """
import time
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell()
began = time.perf_counter()
shell.run_line_magic("load_ext", "caterva2_jupyter")
loaded = time.perf_counter()
shell.run_line_magic("caterva2", "connect {url}")
print((loaded - began) * 1e3, (time.perf_counter() - loaded) * 1e3)
"""


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
    _load_extension(bench, subscriber.url)


def _load_extension(bench: Settings, url: str) -> None:
    command = [sys.executable, "-c", LOAD_EXT.format(url=url)]
    paths = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "jupyter_ext")])
    environ = {**environment(), "PYTHONPATH": paths}
    loads: list[float] = []
    firsts: list[float] = []
    for number in range(RUNS + 1):
        said = subprocess.run(
            command, check=True, cwd=REPOSITORY, env=environ, capture_output=True, text=True
        )
        load, first = (float(word) for word in said.stdout.split()[-2:])
        if number:
            loads.append(load)
            firsts.append(first)
    bench.report.add("%load_ext caterva2_jupyter", median(loads), "ms", most=MOST_LOAD_EXT_MS)
    bench.report.add("the first %caterva2 connect", median(firsts), "ms")
