"""Some of the documented cases on the local cloud; LOCAL_CLOUD_CASES=all runs all that it can show soon."""

import base64
import os

import pytest

from tests.localcloud.conftest import Deployment
from tests.localcloud.processes import Cloud
from tests.simulation.cases import CASES, Case
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
    return not case.luck and not case.times and "MaximumRecordAgeInSeconds" not in case.settings


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
    eventually(lambda: len(deployment.letters()) >= len(case.letters), f"{len(case.letters)} letters")
    invoked = deployment.seen()
    if "ParallelizationFactor" in settings:
        invoked.sort(key=lambda batch: batch[0][0])
    assert invoked == case.invoked
    assert [
        (
            letter["requestContext"]["condition"],
            letter["requestContext"]["approximateInvokeCount"],
            [base64.b64decode(r["kinesis"]["data"]).decode() for r in letter["payload"]["Records"]],
        )
        for letter in deployment.letters()
    ] == case.letters
    deployment.delete_mappings()
