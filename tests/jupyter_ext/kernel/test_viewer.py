"""The viewer without a browser: its controls are turned, and what it shows is looked at."""

from __future__ import annotations

import io
import json
import threading
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from caterva2 import Client, Dataset
from caterva2.errors import ConnectFailed
from caterva2_jupyter.widgets import drawing
from caterva2_jupyter.widgets.latest import Latest
from caterva2_jupyter.widgets.model import Plane, Subject, View
from caterva2_jupyter.widgets.sources import ArraySource, DatasetSource
from caterva2_jupyter.widgets.viewer import Link, Viewer
from tests.jupyter_ext.kernel.conftest import CUBE, PEOPLE, WIDE, Lab

Make = Callable[[Any], Viewer]


@pytest.fixture
def view() -> Iterator[Make]:
    """Return what makes a viewer that has settled."""
    made: list[Viewer] = []

    def make(what: Any) -> Viewer:
        source = what if hasattr(what, "read") else ArraySource(what)
        made.append(Viewer(source))
        assert made[-1].wait()
        return made[-1]

    yield make
    for viewer in made:
        viewer.close()


@pytest.fixture
def dataset(lab: Lab) -> Iterator[Callable[[str], DatasetSource]]:
    with Client(lab.url) as client:

        def find(name: str) -> DatasetSource:
            found = client.get(f"@public/{name}")
            assert isinstance(found, Dataset)
            return DatasetSource(found)

        yield find


class Recording(ArraySource):
    """Notes what is read; may wait, or fail."""

    def __init__(self, array: Any) -> None:
        super().__init__(array)
        self.read_items: list[tuple[Any, ...]] = []
        self.go = threading.Event()
        self.go.set()
        self.failure: Exception | None = None
        self.entered = threading.Event()

    def read(self, view: View) -> Plane:
        self.read_items.append(view.items)
        self.entered.set()
        assert self.go.wait(20)
        if self.failure is not None:
            raise self.failure
        return super().read(view)


def turn(viewer: Viewer, control: Any, value: Any) -> None:
    """Do what the browser does when a person turns a control."""
    if hasattr(control, "options"):
        values = [option[1] if isinstance(option, tuple) else option for option in control.options]
        control.set_state({"index": values.index(value)})
    else:
        control.set_state({"value": value})
    assert viewer.wait()


def picture(viewer: Viewer) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(viewer._image.value)).convert("RGBA"))


def test_plane_of_a_dataset_is_a_picture(dataset: Any, view: Make) -> None:
    viewer = view(dataset("dir1/cube.b2nd"))

    assert viewer.error is None
    assert picture(viewer).shape == (400, 500, 4)
    assert viewer.value == CUBE[3, 20, 25]
    assert "[3, 20, 25]" in viewer._readout.value


def test_slider_moves_to_another_plane(dataset: Any, view: Make) -> None:
    viewer = view(dataset("dir1/cube.b2nd"))
    before = viewer._image.value

    turn(viewer, viewer._controls.sliders[0], 5)

    assert viewer.position == (5, 20, 25)
    assert viewer.value == CUBE[5, 20, 25]
    assert viewer._image.value != before


def test_large_plane_is_thinned_and_says_so(dataset: Any, view: Make) -> None:
    viewer = view(dataset("wide.b2nd"))
    viewer.position = (1, 301, 301)
    assert viewer.wait()

    assert max(picture(viewer).shape) <= 512
    assert "of axis 2" in viewer._status.value
    assert viewer.value == WIDE[1, 301, 301]  # not that of a neighbour


def test_only_windows_are_read(view: Make) -> None:
    source = Recording(CUBE)

    viewer = view(source)
    for mode in viewer.view.subject.modes:
        viewer.mode = str(mode)
        assert viewer.wait()

    assert source.read_items == [
        (3, slice(0, 40), slice(0, 50)),
        (3, 20, slice(0, 50)),
        (3, slice(20, 40), slice(20, 30)),
    ]


def test_cursor_and_colours_read_nothing_again(view: Make) -> None:
    source = Recording(CUBE)
    viewer = view(source)

    turn(viewer, viewer._controls.sliders[1], 3)
    turn(viewer, viewer._controls.colormaps, "magma")
    turn(viewer, viewer._controls.ranges, "2 % to 98 %")
    turn(viewer, viewer._controls.cursor, False)

    assert viewer.value == CUBE[3, 3, 25]
    assert len(source.read_items) == 1


def test_positions_that_nobody_waits_for_are_left_out(view: Make) -> None:
    source = Recording(CUBE)
    viewer = view(source)
    source.go.clear()
    source.entered.clear()

    viewer._controls.sliders[0].set_state({"value": 0})
    assert source.entered.wait(20)
    for at in (1, 2, 4, 5):
        viewer._controls.sliders[0].set_state({"value": at})
    source.go.set()
    assert viewer.wait()

    assert [items[0] for items in source.read_items] == [3, 0, 5]
    assert viewer.value == CUBE[5, 20, 25]


def test_stale_answer_is_not_shown(view: Make) -> None:
    source = Recording(CUBE)
    viewer = view(source)
    shown: list[object] = []
    viewer._image.observe(lambda change: shown.append(change["new"]), "value")
    source.go.clear()
    source.entered.clear()

    viewer.position = (0, 0, 0)
    assert source.entered.wait(20)
    viewer.position = (1, 0, 0)
    source.go.set()
    assert viewer.wait()

    assert len(shown) == 1


def test_kernel_is_free_while_a_server_is_slow(view: Make) -> None:
    source = Recording(CUBE)
    source.go.clear()

    viewer = Viewer(source)  # returns although nothing was read
    viewer.position = (0, 0, 0)

    assert viewer._image.value == b""
    source.go.set()
    assert viewer.wait()
    viewer.close()


def test_hints_over_a_picture_tell_its_items(view: Make) -> None:
    viewer = view(np.arange(200).reshape(10, 20))

    told = ET.fromstring(drawing.hints(viewer.view, viewer._planes[viewer.view.asked]))

    cells = {(int(cell.get("y", "")), int(cell.get("x", ""))): cell[0].text for cell in told}
    assert len(cells) == 200
    assert cells[3, 5] == "[3, 5] = 65"


def test_hints_over_a_large_picture_are_few_and_true(dataset: Any, view: Make) -> None:
    viewer = view(dataset("wide.b2nd"))
    viewer.axes = (2, 1)
    assert viewer.wait()

    told = ET.fromstring(drawing.hints(viewer.view, viewer._planes[viewer.view.asked]))

    assert len(told) == drawing.HINTS**2
    index, value = str(told[400][0].text).split(" = ")
    assert WIDE[tuple(json.loads(index))] == int(value)


def test_hints_come_when_nobody_turns_a_control(view: Make) -> None:
    viewer = view(CUBE)
    told = threading.Event()
    viewer._hints.observe(lambda change: told.set() if change["new"] else None, "value")

    viewer.position = (1, 1, 1)

    assert told.wait(20)
    assert "[1, 20, " in viewer._hints.value


def test_axes_can_be_chosen(dataset: Any, view: Make) -> None:
    viewer = view(dataset("dir1/cube.b2nd"))

    turn(viewer, viewer._controls.rows, 0)

    assert viewer.axes == (0, 2)
    assert viewer.value == CUBE[3, 20, 25]
    turn(viewer, viewer._controls.columns, 0)
    assert viewer.axes == (2, 0)
    assert picture(viewer).shape[0] > picture(viewer).shape[1]


def test_transposed_picture_shows_the_same_items(view: Make) -> None:
    data = np.arange(64.0 * 32).reshape(64, 32)
    viewer = view(data)
    turn(viewer, viewer._controls.cursor, False)
    upright = picture(viewer)

    viewer.axes = (1, 0)
    assert viewer.wait()

    np.testing.assert_array_equal(picture(viewer), upright.swapaxes(0, 1))


def test_part_of_an_axis_can_be_seen(view: Make) -> None:
    source = Recording(CUBE)
    viewer = view(source)

    turn(viewer, viewer._controls.spans[2], (10, 20))

    assert source.read_items[-1] == (3, slice(0, 40), slice(10, 20))
    assert viewer.value is None  # the cursor is elsewhere


def test_fixed_range_begins_with_what_is_seen(view: Make) -> None:
    viewer = view(CUBE)

    turn(viewer, viewer._controls.ranges, "fixed")

    assert viewer.limits == (pytest.approx(CUBE[3].min()), pytest.approx(CUBE[3].max()))
    turn(viewer, viewer._controls.low, 0.0)
    assert viewer.view.limits[0] == 0


def test_table_of_fields_has_their_names(dataset: Any, view: Make) -> None:
    viewer = view(dataset("people.b2nd"))

    assert viewer.mode == "table"
    assert "name</th>" in viewer._page.value
    assert "n30" in viewer._page.value
    assert viewer.value == PEOPLE[30]


def test_field_can_be_drawn(dataset: Any, view: Make) -> None:
    viewer = view(dataset("people.b2nd"))
    viewer.mode, viewer.field = "line", "x"
    assert viewer.wait()

    assert viewer.value == PEOPLE["x"][30]
    assert viewer._page.value.startswith("<svg")


def test_colours_show_the_item_under_the_cursor(view: Make) -> None:
    data = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    viewer = view(data)

    np.testing.assert_array_equal(viewer.value, data[15, 20])


def test_thinned_colours_show_it_too(view: Make) -> None:
    data = np.random.default_rng(0).integers(0, 256, (1200, 40, 3), np.uint8)
    viewer = view(data)

    viewer.position = (601, 20, 0)
    assert viewer.wait()

    np.testing.assert_array_equal(viewer.value, data[601, 20])
    assert "[601, 20, :]" in viewer._readout.value


@pytest.mark.parametrize(
    "data",
    [
        np.array(5.0), np.zeros((0, 3)), np.array(["a", "b"]), np.arange(50).astype("M8[D]"),
        np.ones((4, 5), "c8"), np.zeros((3, 3), bool), np.full((5, 5), np.nan), np.ones((1, 1, 1, 1)),
        np.zeros((2, 3), "V5"), np.zeros(3, [("a", "f4", (2, 2))]), np.zeros((), [("a", "f4")]),
        np.ones((3, 4), "f2"), np.full((3, 3), np.inf), np.array([2**64 - 1, 0], "u8"),
    ],
    ids=lambda data: f"{data.dtype}{data.shape}",
)  # fmt: skip
def test_every_kind_of_data_is_shown(view: Make, data: np.ndarray) -> None:
    viewer = view(data)

    for mode in viewer.view.subject.modes:
        viewer.mode = str(mode)
        assert viewer.wait()
        assert viewer.error == (None if data.size else "there are no items")


def test_failure_is_shown_and_can_be_tried_again(view: Make) -> None:
    source = Recording(CUBE)
    source.failure = ConnectFailed("cannot reach <it>")
    viewer = view(source)
    assert viewer.error == "cannot reach <it>"
    assert "cannot reach &lt;it&gt;" in viewer._status.value

    source.failure = None
    viewer._controls.refresh.click()
    assert viewer.wait()

    assert viewer.error is None
    assert viewer.value == CUBE[3, 20, 25]


def test_refresh_shows_what_the_dataset_has_become(view: Make) -> None:
    source = ArraySource(np.zeros((4, 5)))
    viewer = view(source)

    source._array = np.ones((3, 4, 5))
    viewer.refresh()
    assert viewer.wait()

    assert viewer.error is None
    assert viewer.position == (1, 2, 2)
    assert viewer.value == 1


def test_linked_viewers_go_together(view: Make) -> None:
    one, other = view(CUBE), view(CUBE * 2)
    link = Link(one, other)

    turn(other, other._controls.sliders[0], 1)
    one.colormap = "gray"
    one.axes = (0, 1)

    assert one.position[0] == 1
    assert (other.colormap, other.axes) == ("gray", (0, 1))
    link.unlink()
    one.position = (4, 4, 4)
    assert other.position[0] == 1


def test_links_of_different_datasets_take_what_fits(view: Make) -> None:
    one, other = view(CUBE), view(np.zeros((2, 3)))
    Link(one, other)

    one.position = (1, 1, 1)
    one.colormap = "gray"

    assert other.position == (1, 1)
    assert other.colormap == "gray"


def test_unknown_colour_map_is_refused(view: Make) -> None:
    with pytest.raises(ValueError, match="expected a colour map"):
        view(CUBE).colormap = "rainbow"


def test_saved_notebook_keeps_facts_and_a_thumbnail(dataset: Any, view: Make) -> None:
    viewer = view(dataset("dir1/cube.b2nd"))

    bundle = viewer._repr_mimebundle_()

    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["text/plain"] == "<Viewer: @public/dir1/cube.b2nd shape=(6, 40, 50) dtype=float32>"
    assert "(6, 40, 50)" in bundle["text/html"]
    assert "data:image/png;base64," in bundle["text/html"]


def test_path_can_not_break_out_of_the_page() -> None:
    viewer = Viewer(ArraySource(np.zeros((2, 2)), "<script>x</script>"))

    assert "<script>" not in viewer.static_html()
    viewer.close()


# the thread


def test_jobs_run_one_at_a_time_and_the_last_one_always() -> None:
    done: list[int] = []
    latest: Latest[int] = Latest(done.append, name="test", pause_s=0.001)

    for job in range(1000):
        latest.ask(job)

    assert latest.settle(20)
    assert done[-1] == 999
    assert done == sorted(set(done))
    latest.close()


def test_thread_without_work_rests_and_ends_and_comes_back() -> None:
    rested = threading.Event()
    done: list[int] = []
    latest: Latest[int] = Latest(done.append, name="test-rest", rest=rested.set, idle_s=0.01)

    latest.ask(1)
    assert rested.wait(20)
    latest.ask(2)

    assert latest.settle(20)
    assert done == [1, 2]
    latest.close()


def test_viewer_at_rest_keeps_one_plane(view: Make) -> None:
    viewer = view(CUBE)
    for at in range(3):
        viewer.position = (at, 0, 0)
        assert viewer.wait()

    viewer._forget()

    assert list(viewer._planes) == [viewer.view.asked]


def test_closed_one_takes_no_more_jobs() -> None:
    done: list[int] = []
    latest: Latest[int] = Latest(done.append, name="test")

    latest.close()
    latest.ask(1)

    assert latest.settle(20)
    assert latest.is_stale(1)
    assert done == []


def test_subject_is_a_value() -> None:
    assert Subject("a", (1,), np.dtype("f4")) == Subject("a", (1,), np.dtype("f4"))
