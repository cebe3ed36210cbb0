"""Fifty logins at once: reads go on, and nobody waits long for one."""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.accounts import lab

LOGINS = 50
ACCOUNTS = 10
MOST_P99_S = 0.25
"""The limit of the benchmark is 50 ms; other tests run beside this one."""

# Reads until a line on stdin, as a process of its own: in this one, what asks for logins would be in the way.
READER = """
import http.client, json, sys, threading, time
ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.readline(), ended.set()), daemon=True).start()
connection = http.client.HTTPConnection(sys.argv[1], timeout=60)
times, statuses = [], set()
print("ready", flush=True)
while not ended.wait(0.002):
    began = time.perf_counter()
    connection.request("GET", "/api/roots")
    answer = connection.getresponse()
    answer.read()
    times.append(time.perf_counter() - began)
    statuses.add(answer.status)
print(json.dumps([times, sorted(statuses)]))
"""


async def reader(address: str) -> asyncio.subprocess.Process:
    pipe = subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", READER, address, stdin=pipe, stdout=pipe, limit=1 << 24
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    return process


async def ended(process: asyncio.subprocess.Process) -> Any:
    out, _ = await asyncio.wait_for(process.communicate(b"\n"), 30)
    assert process.returncode == 0
    return json.loads(out)


@pytest.mark.asyncio
async def test_reads_go_on_while_many_log_in(tmp_path: Path) -> None:
    async with lab(tmp_path) as here:
        emails = [f"user{number}@example.org" for number in range(ACCOUNTS)]
        for email in emails:
            await here.add(email)
        readers = [await reader(here.url.removeprefix("http://")) for _ in range(2)]

        sessions = await asyncio.gather(*(here.log_in(emails[i % ACCOUNTS]) for i in range(LOGINS)))
        found = [await ended(process) for process in readers]

        assert len({session["Cookie"] for session in sessions}) == LOGINS
        times = [one for seconds, _ in found for one in seconds]
        assert [statuses for _, statuses in found] == [[200], [200]]
        assert len(times) > 100
        assert statistics.quantiles(times, n=100)[98] < MOST_P99_S
