"""Some of the documented cases on the local cloud; LOCAL_CLOUD_CASES=all runs all that it can show soon."""

import json
import os

import pytest

from tests.localcloud.conftest import Deployment
from tests.localcloud.processes import Cloud
from tests.simulation.cases import CASES, Case
from tests.simulation.stream import texts
from tests.waiting import eventually

A_FEW = {
    "an unexpected key fails the batch",
    "only the lowest reported sequence number counts",
    "the retry count restarts after progress",
    "with both, the batch is cut at the reported record and only the rest is retried",
    "with both, an exception still halves the batch",
}


def runnable(case: Case) -> bool:
    """Whether a case can be shown by a deployed function, soon."""
    answers_json = not isinstance(case.function.answers, bytes)  # which is all that the Python runtime can answer
    return answers_json and not case.luck and not case.times and "MaximumRecordAgeInSeconds" not in case.settings


CHOSEN = [
    case for case in CASES if runnable(case) and (case.name in A_FEW or os.environ.get("LOCAL_CLOUD_CASES") == "all")
]


@pytest.mark.parametrize("case", CHOSEN, ids=lambda case: case.name)
def test_the_local_cloud_does_what_aws_does(cloud: Cloud, case: Case) -> None:
    deployment = Deployment(cloud, case.function)
    settings = dict(case.settings)
    bucket = deployment.bucket()
    if "DestinationConfig" in settings:
        settings["DestinationConfig"] = {"OnFailure": {"Destination": bucket}}
    source = deployment.stream()
    for _, text in case.writes:
        deployment.put(text, key=text[0])

    deployment.map(source, **settings)

    eventually(lambda: len(deployment.seen()) >= len(case.invoked), f"{len(case.invoked)} invocations")
    eventually(lambda: len(deployment.discarded()) >= len(case.discarded), f"{len(case.discarded)} invocation records")
    invoked = deployment.seen()
    if "ParallelizationFactor" in settings:
        invoked.sort(key=lambda batch: batch[0][0])
    assert invoked == case.invoked
    # Keys of one second are in no order: they end in a random UUID.
    assert sorted(
        (
            record["requestContext"]["condition"],
            record["requestContext"]["approximateInvokeCount"],
            texts(json.loads(record["payload"])),
        )
        for record in deployment.discarded()
    ) == sorted(case.discarded)
    deployment.delete_mappings()
