"""The page of metrics, the dashboard and the alerts name what the services really tell."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from caterva2.model.routes import ROUTES
from caterva2.runtime.workers import Lane
from tests.support.processes import Network, until
from tests.support.proxies import CONTRIB, REPOSITORY

PAGE = REPOSITORY / "docs" / "operating" / "monitoring.md"
RULES = CONTRIB / "prometheus" / "caterva2.rules.yml"
DASHBOARD = CONTRIB / "grafana" / "caterva2.json"
OF_PROMETHEUS = {"up": {"job", "instance"}}
"""What Prometheus adds: a metric, and labels of every metric."""
LETTERS = {"broker": "b", "publisher": "p", "subscriber": "s"}

# A metric is a whole word before a selector, or one with our prefix.
_NAME = re.compile(r"\b(?:caterva2|process)_\w+|\bup(?=\{)")
_LABEL = re.compile(r"(\w+)(=~|!~|!=|=)\"([^\"]*)\"")
_BY = re.compile(r"\bby \(([^)]*)\)")

Told = dict[str, dict[str, set[str]]]


def read(text: str) -> dict[str, set[str]]:
    """Return the labels of each metric."""
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """Run a network that has something to tell; return the metrics of each service, with their labels."""
    with Network(tmp_path_factory.mktemp("network"), secret="x" * 32) as network:
        network.add_array("foo/line.b2nd", np.arange(1000.0))
        network.subscribe("foo")
        until(lambda: network.status("foo/line.b2nd") == 200, "the array can be read")
        yield {
            service.role: read(httpx.get(f"{service.url}/metrics", trust_env=False).text)
            for service in network.services
        }


def documented() -> dict[str, tuple[set[str], str]]:
    """Return labels, and letters of who has it, of each metric of the page."""
    found = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("| `"):
            names, labels, who, _ = (cell.strip() for cell in line.strip("|").split("|"))
            for name in re.findall(r"`(\w+)`", names):
                found[name] = set(re.findall(r"`(\w+)`", labels)), who.replace(" ", "")
    return found


def expressions() -> list[str]:
    """Return every expression of the dashboard and of the alerts."""
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    found = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    found += [
        variable["definition"] for variable in dashboard["templating"]["list"] if "definition" in variable
    ]
    rules = RULES.read_text(encoding="utf-8")
    alerts = re.findall(r"expr: (?:\|\n(?P<block>(?: {10}.*\n)+)|(?P<line>.*))", rules)
    assert len(alerts) == rules.count("- alert:")
    return [*found, *(block or line for block, line in alerts)]


@pytest.mark.slow
def test_page_names_all_metrics_with_their_labels(told: Told) -> None:
    real: dict[str, tuple[set[str], str]] = {}
    for role, metrics in told.items():
        for name, labels in metrics.items():
            known = real.get(name, (set(), ""))
            real[name] = known[0] | labels, known[1] + LETTERS[role]

    assert documented() == real


@pytest.mark.slow
@pytest.mark.parametrize("expression", expressions())
def test_expression_asks_for_what_there_is(told: Told, expression: str) -> None:
    real = {name: labels for metrics in told.values() for name, labels in metrics.items()} | OF_PROMETHEUS
    names = set(_NAME.findall(expression))
    used = {label for label, _, _ in _LABEL.findall(expression)}
    used |= {label.strip() for group in _BY.findall(expression) for label in group.split(",")}

    assert names
    assert names <= real.keys()
    assert used <= {label for name in names for label in real[name]} | {"job", "instance"}


def test_expressions_select_values_that_exist() -> None:
    values = {
        "route": {route.name for route in ROUTES},
        "status": {f"{number}xx" for number in range(1, 6)},
        "lane": set(Lane),
    }
    text = " ".join(expressions())
    selected = [(label, value) for label, _, text in _LABEL.findall(text) for value in text.split("|")]

    assert [(label, value) for label, value in selected if value not in values.get(label, {value})] == []
    assert {label for label, _ in selected} == {"job", "instance", "route", "status"}


def test_configuration_asks_at_the_default_ports() -> None:
    text = (CONTRIB / "prometheus" / "prometheus.yml").read_text(encoding="utf-8")

    assert re.findall(r"job_name: (\S+)|\[\"(\S+)\"\]", text) == [
        pair for role, port in (("broker", 8000), ("publisher", 8001), ("subscriber", 8002))
        for pair in ((f"caterva2-{role}", ""), ("", f"localhost:{port}"))
    ]  # fmt: skip
    assert RULES.name in text


def test_dashboard_lets_people_choose_their_data_source() -> None:
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    ids = [panel["id"] for panel in dashboard["panels"]]

    assert {panel["datasource"]["uid"] for panel in panels} == {"${datasource}"}
    assert dashboard["templating"]["list"][0]["type"] == "datasource"
    assert len(ids) == len(set(ids))


@pytest.mark.may_skip("promtool comes with a whole Prometheus")
@pytest.mark.parametrize("kind", ["rules", "config"])
def test_promtool_finds_nothing_wrong(kind: str, tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("needs promtool")
    name = {"rules": RULES.name, "config": "prometheus.yml"}[kind]

    subprocess.run([promtool, "check", kind, str(CONTRIB / "prometheus" / name)], check=True, timeout=60)
