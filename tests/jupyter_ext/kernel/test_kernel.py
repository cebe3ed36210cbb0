"""A real kernel in a process of its own: what its front end is sent, and what is typed into it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

from tests.jupyter_ext.kernel.conftest import ADA, Lab
from tests.support.accounts import PASSWORD

REPOSITORY = Path(__file__).parents[3]
WAIT_S = 60.0

Execute = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def kernel(handed: Lab) -> Iterator[BlockingKernelClient]:
    path = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "jupyter_ext")])
    # Over sockets of the file system: ports that are chosen before they are bound may be taken by others.
    with tempfile.TemporaryDirectory() as home:
        manager = KernelManager(kernel_name="python3", transport="ipc", ip=f"{home}/k")
        manager.start_kernel(env={**os.environ, "PYTHONPATH": path})
        client = manager.blocking_client()
        try:
            client.start_channels()
            client.wait_for_ready(timeout=WAIT_S)
            yield client
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
            manager.cleanup_resources()


@pytest.fixture
def execute(kernel: BlockingKernelClient) -> Execute:
    """Return what runs a cell, answers what it asks, and gives the messages that it sends."""

    def run(code: str, *answers: str) -> list[dict[str, Any]]:
        sent: list[dict[str, Any]] = []
        left = list(answers)
        kernel.execute_interactive(
            code,
            timeout=WAIT_S,
            allow_stdin=True,
            output_hook=sent.append,
            stdin_hook=lambda message: kernel.input(left.pop(0)),
        )
        return sent

    return run


def contents(sent: list[dict[str, Any]], kind: str) -> list[Any]:
    return [message["content"] for message in sent if message["msg_type"] == kind]


def test_picture_reaches_the_front_end(execute: Execute) -> None:
    execute("%load_ext caterva2_jupyter")
    execute("import caterva2\nds = caterva2.Root('@public')['dir1/cube.b2nd']")

    sent = execute("import caterva2_jupyter\nv = caterva2_jupyter.show(ds)\nv.wait()\nv")

    (shown,) = contents(sent, "execute_result")
    assert set(shown["data"]) == {"application/vnd.jupyter.widget-view+json", "text/plain"}
    pictures = [m for m in sent if m["msg_type"] == "comm_msg" and m["buffers"]]
    assert bytes(pictures[-1]["buffers"][0]).startswith(b"\x89PNG")


@pytest.mark.parametrize("code", ["ds", "caterva2_jupyter.show(ds)"])
def test_what_is_left_without_a_kernel_is_an_output_that_the_widget_hides(
    execute: Execute, code: str
) -> None:
    execute("%load_ext caterva2_jupyter\nimport caterva2, caterva2_jupyter")
    execute("ds = caterva2.Root('@public')['dir1/cube.b2nd']")

    sent = execute(code)

    (left,) = contents(sent, "display_data")
    (shown,) = contents(sent, "execute_result")
    model = shown["data"]["application/vnd.jupyter.widget-view+json"]["model_id"]
    assert f'class="caterva2-still-{model}"' in left["data"]["text/html"]
    assert "(6, 40, 50)" in left["data"]["text/html"]
    assert "data:image/png;base64," in left["data"]["text/html"]
    assert ".lm-Widget.jp-OutputArea-output.jupyter-widgets) { display: none; }" in left["data"]["text/html"]
    states = [m["data"].get("state", {}) for m in contents(sent, "comm_open")]
    assert any(f".caterva2-still-{model}" in str(state.get("value")) for state in states)


def test_thumbnail_that_comes_late_is_left_too(execute: Execute, kernel: BlockingKernelClient) -> None:
    execute(
        "import threading, numpy, caterva2_jupyter\n"
        "class Slow:\n"
        "    shape, dtype, free = (20, 30), numpy.dtype('f4'), threading.Event()\n"
        "    def __getitem__(self, key):\n"
        "        self.free.wait()\n"
        "        return numpy.zeros(self.shape, self.dtype)[key]\n"
        "slow = Slow()"
    )
    (left,) = contents(execute("caterva2_jupyter.show(slow)"), "display_data")
    assert "data:image/png" not in left["data"]["text/html"]

    kernel.execute("slow.free.set()")

    while (message := kernel.get_iopub_msg(timeout=WAIT_S))["msg_type"] != "update_display_data":
        pass
    assert message["content"]["transient"] == left["transient"]
    assert "data:image/png" in message["content"]["data"]["text/html"]


@pytest.mark.parametrize(
    "code",
    [
        "caterva2_jupyter.show('@public/dir1/cube.b2nd')",
        "caterva2_jupyter.show('@public/people.b2nd')",
        "caterva2_jupyter.show('@public')",
        "%caterva2 get @public/dir1/cube.b2nd cube.b2nd",
    ],
    ids=["picture", "table", "directory", "progress"],
)
def test_every_front_end_with_widgets_has_all_that_ours_need(execute: Execute, code: str) -> None:
    execute("%load_ext caterva2_jupyter\nimport caterva2_jupyter")

    opened = contents(execute(code), "comm_open")

    assert opened
    assert {each["target_name"] for each in opened} == {"jupyter.widget"}
    found = {
        state.get(kind)
        for state in (each["data"]["state"] for each in opened)
        for kind in ("_model_module", "_view_module")
    }
    # A style or layout has no view.
    assert found - {None} <= {"@jupyter-widgets/base", "@jupyter-widgets/controls", "@jupyter-widgets/output"}


def test_slider_of_the_front_end_brings_another_picture(
    execute: Execute, kernel: BlockingKernelClient
) -> None:
    execute("import caterva2_jupyter\nv = caterva2_jupyter.show('@public/dir1/cube.b2nd')\nv.wait()")
    ids = execute("print(v._controls.sliders[0].comm.comm_id, v._image.comm.comm_id)")
    slider, image = contents(ids, "stream")[0]["text"].split()

    content = {"comm_id": slider, "data": {"method": "update", "state": {"value": 5}, "buffer_paths": []}}
    kernel.shell_channel.send(kernel.session.msg("comm_msg", content))

    while True:
        message = kernel.get_iopub_msg(timeout=WAIT_S)
        if (
            message["msg_type"] == "comm_msg"
            and message["content"]["comm_id"] == image
            and message["buffers"]
        ):
            break
    assert bytes(message["buffers"][0]).startswith(b"\x89PNG")
    assert contents(execute("print(v.position)"), "stream")[0]["text"] == "(5, 20, 25)\n"


def test_password_is_asked_for_and_in_no_history(execute: Execute) -> None:
    execute("%load_ext caterva2_jupyter")

    sent = execute("%caterva2 login", ADA, PASSWORD)

    (said,) = contents(sent, "execute_result")
    assert f"Logged in as {ADA}" in said["data"]["text/plain"]
    everything = [*sent, *execute("%history -g"), *execute("print({**globals()})"), *execute("_ih, _oh")]
    assert PASSWORD not in str(everything)


def test_failure_is_one_line_for_the_front_end(execute: Execute) -> None:
    execute("%load_ext caterva2_jupyter")

    sent = execute("%caterva2 ls nowhere")

    (failure,) = contents(sent, "error")
    assert len(failure["traceback"]) == 1
    assert failure["ename"] == "RootNotFound"


def test_transfer_shows_a_bar_that_fills(execute: Execute) -> None:
    execute("%load_ext caterva2_jupyter")

    sent = execute("%caterva2 get @public/dir1/cube.b2nd cube.b2nd")

    values = [m["data"].get("state", {}).get("value") for m in contents(sent, "comm_msg")]
    assert 1.0 in values
    (left,) = contents(sent, "update_display_data")
    assert set(left["data"]) == {"text/html", "text/plain"}
    assert "@public/dir1/cube.b2nd <progress" in left["data"]["text/html"]
    assert len(contents(sent, "comm_close")) == len(contents(sent, "display_data")) + 3


def test_show_asks_the_subscriber_that_the_magics_use(execute: Execute, lab: Lab, hand_over: Any) -> None:
    hand_over(away=("http://127.0.0.1:1", None))
    execute("%load_ext caterva2_jupyter\nimport caterva2_jupyter")
    execute(f"%caterva2 connect {lab.url}")

    sent = execute("caterva2_jupyter.show('@public/plane.b2nd')")

    assert "(10, 20)" in contents(sent, "execute_result")[0]["data"]["text/plain"]


def test_events_come_in_a_kernel_whose_event_loop_is_taken(execute: Execute) -> None:
    execute("%load_ext caterva2_jupyter")

    sent = execute("%caterva2 events --timeout 0.2")

    (found,) = contents(sent, "execute_result")
    assert found["data"]["text/plain"] == "no events"
