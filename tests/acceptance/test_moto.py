"""The lab on moto's server, another implementation of AWS: what differs is moto's, and is named."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from localcloud.cloud import REGION
from scripts.deployment import Deployed
from scripts.develop.acceptance import environment, prefix_of, trial
from scripts.stage import LOCAL, Stage
from scripts.traffic import lab
from tests.acceptance.moto_server import DIFFERENCES, Difference, moto_server
from tests.integration.deployment import Deployment, System, pointed_at


@pytest.fixture(scope="module")
def on_moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """The system, applied to moto's server."""
    folder = tmp_path_factory.mktemp("moto")
    with moto_server() as url:
        made = trial(Stage(LOCAL, REGION, url, folder), folder)
        with pointed_at(made, **environment(made)):
            deployment = Deployment(made, prefix_of(made), made.variables)
            deployment.apply()
            yield System(made, deployment, deployment.outputs())


def test_a_second_plan_changes_only_what_moto_is_known_to_lose(on_moto: System) -> None:
    known: dict[str, set[str]] = defaultdict(set)
    for difference in DIFFERENCES:
        for type_, attributes in (difference.plans or {}).items():
            known[type_] |= set(attributes.split())

    changed: dict[str, set[str]] = defaultdict(set)
    for resource in on_moto.deployment.planned_changes():
        before, after = resource["change"]["before"], resource["change"]["after"]
        unknown = resource["change"]["after_unknown"]
        changed[resource["type"]] |= {
            name
            for name in before | after | unknown
            if unknown.get(name) is True or before.get(name) != after.get(name)
        }

    assert changed == known


def test_the_lab_shows_all_that_its_guide_says_but_what_moto_is_known_to_lack(
    on_moto: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Here everything happens within the request that causes it.
    monkeypatch.setattr(lab, "_SECONDS", 5)
    monkeypatch.setattr(lab, "_METRIC_SECONDS", 1)
    walk = lab.Lab(Deployed(on_moto.stage, on_moto.stage.account(), on_moto.outputs), datetime.now(UTC))

    seen = list(lab.walk(walk.checks()))

    assert {(each.what, each.seen) for each in seen if not each.ok} == {
        (what, "not seen") for difference in DIFFERENCES for what in difference.lab
    }
    assert len(seen) > 15


@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda each: each.name)
def test_each_difference_is_one_that_a_test_would_miss(difference: Difference) -> None:
    assert difference.plans or difference.lab or (difference.is_still_so and difference.is_still_so())
    assert difference.aws.page.startswith("https://docs.aws.amazon.com/")
