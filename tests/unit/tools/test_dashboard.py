from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from tests.support.paths import REPOSITORY
from tools import dashboard, operatorname

Board = dict[str, Any]


def made(name: str) -> Board:
    found: Board = json.loads(dashboard.render(name, "https://example.test/docs"))
    return found


def test_the_committed_dashboard_is_what_make_manifests_writes() -> None:
    made_now = dashboard.render(operatorname.read().name, dashboard.documents_url())
    assert made_now == dashboard.DASHBOARD.read_text(), "`make manifests` writes it"


def test_the_name_is_in_one_place_of_each_kind() -> None:
    board = made("shop-operator")
    assert (board["uid"], board["title"]) == ("shop-operator", "Shop operator")
    constants = {one["name"]: one["query"] for one in board["templating"]["list"] if one["type"] == "constant"}
    assert constants == {"job": "shop-operator"}
    assert "foo" not in json.dumps(board).lower()


def test_the_alerts_are_of_the_same_operator() -> None:
    text = (REPOSITORY / "config" / "prometheus" / "rules.yaml").read_text()
    name = operatorname.read().name
    rules = [rule for group in yaml.safe_load(text)["spec"]["groups"] for rule in group["rules"]]
    assert {rule["labels"]["operator"] for rule in rules} == {name}
    assert [rule["alert"] for rule in rules if f'job="{name}"' not in rule["expr"]] == []


def test_links_lead_to_the_runbooks() -> None:
    assert {link["title"]: link["url"] for link in made("shop-operator")["links"]} == {
        "Runbooks": "https://example.test/docs/operating.md#alerts",
        "Metrics": "https://example.test/docs/reference/metrics.md",
    }


def test_the_first_row_says_in_numbers_whether_it_works() -> None:
    panels = made("shop-operator")["panels"]
    rows = [index for index, panel in enumerate(panels) if panel["type"] == "row"]
    assert rows[0] == 0
    assert {panel["type"] for panel in panels[1 : rows[1]]} == {"stat"}
    assert {panel["type"] for panel in panels[rows[1] :]} == {"row", "timeseries"}


@pytest.mark.parametrize(("alarm", "colours"), [(0, ["red", "green"]), (0.9, ["green", "red"])])
def test_a_number_is_red_from_its_alarm_on(alarm: float, colours: list[str]) -> None:
    numbers = [panel for row in dashboard.ROWS.values() for panel in row if panel.alarm == alarm]
    titles = {panel.title for panel in numbers}
    assert titles
    for panel in made("shop-operator")["panels"]:
        if panel["title"] in titles:
            steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
            assert [step["color"] for step in steps] == colours
