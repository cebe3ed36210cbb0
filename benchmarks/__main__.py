"""Run the benchmarks: all of them, or those that are named.

Peers run in the same rounds, so ratios mean something on a busy machine, and
absolute figures little. Exit status 1 if a benchmark breaks, or if a limit is
missed and ``--strict`` is given.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from benchmarks import (
    bench_browser,
    bench_bulk,
    bench_busy,
    bench_cold,
    bench_expressions,
    bench_foundation,
    bench_jupyter,
    bench_login,
    bench_look,
    bench_many,
    bench_page,
    bench_small,
    bench_start,
    bench_upload,
    bench_widgets,
    bench_zarr,
)
from benchmarks.network import REPOSITORY
from benchmarks.report import Report
from benchmarks.settings import Settings

BENCHES: dict[str, Callable[[Settings], None]] = {
    "start": bench_start.run,
    "small": bench_small.run,
    "bulk": bench_bulk.run,
    "files": bench_bulk.run_files,
    "busy": bench_busy.run,
    "memory": bench_busy.run_memory,
    "cold": bench_cold.run,
    "many": bench_many.run,
    "expressions": bench_expressions.run,
    "look": bench_look.run,
    "upload": bench_upload.run,
    "login": bench_login.run,
    "foundation": bench_foundation.run,
    "zarr": bench_zarr.run,
    "jupyter": bench_jupyter.run,
    "widgets": bench_widgets.run,
    "browser": bench_browser.run,
    "page": bench_page.run,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(BENCHES)}; all if none")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of a comparison (default: 5)")
    parser.add_argument("--strict", action="store_true", help="exit status 1 if a limit is missed")
    parser.add_argument(
        "--work", type=Path, default=REPOSITORY / "_bench", help="where data sets are kept (default: _bench)"
    )
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(BENCHES))
    if unknown:
        parser.error(f"unknown {', '.join(unknown)}; there are {', '.join(BENCHES)}")
    if shutil.which("curl") is None:
        parser.error("curl is needed (apt-get install curl)")
    broken: list[str] = []
    report = Report()
    bench = Settings(report, options.work.resolve(), options.rounds)
    with bench.stack:
        for name in options.names or (name for name in BENCHES if name != "memory"):
            report.bench = name
            try:
                BENCHES[name](bench)
            except Exception:  # the others can still be measured
                traceback.print_exc()
                broken.append(name)
    file = report.save(Path(__file__).parent / "results")
    print(f"{len(report.missed)} limits missed; written to {file.relative_to(REPOSITORY)}")
    if broken:
        print(f"broken: {', '.join(broken)}")
    return 1 if broken or (options.strict and report.missed) else 0


if __name__ == "__main__":
    sys.exit(main())
