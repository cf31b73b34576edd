"""What the engine holds in memory goes with the mappings."""

from pathlib import Path
from uuid import uuid4

import psutil
import pytest

from tests.acceptance.probe import policy
from tests.localcloud.conftest import Deployment
from tests.localcloud.processes import Cloud
from tests.waiting import eventually

MAPPINGS = 100
MOST_BYTES = 20 * 1024 * 1024


@pytest.fixture
def quiet_cloud(tmp_path: Path) -> Cloud:
    return Cloud(tmp_path)


def test_a_hundred_mappings_of_a_hundred_functions_leave_nothing_in_memory(quiet_cloud: Cloud) -> None:
    cloud = quiet_cloud
    try:
        cloud.begin()
        deployment = Deployment(cloud)
        source = deployment.stream()
        deployment.map(source)
        deployment.put("warm")
        deployment.await_payloads("warm")
        process = cloud.engine.process()
        assert process is not None
        before = process.memory_info().rss

        names = [f"t-{uuid4().hex[:8]}" for _ in range(MAPPINGS)]
        uuids = [_mapped(cloud, deployment, name, source) for name in names]
        eventually(lambda: set(uuids) <= cloud.heartbeat()["mappings"].keys(), "all mappings run")
        for uuid in uuids:
            cloud.client_of("lambda").delete_event_source_mapping(UUID=uuid)
        eventually(lambda: not set(uuids) & cloud.heartbeat()["mappings"].keys(), "no mapping runs")

        grown = psutil.Process(process.pid).memory_info().rss - before
        assert grown < MOST_BYTES, f"{grown / 1024 / 1024:.1f} MB"
    finally:
        cloud.down()


def _mapped(cloud: Cloud, deployment: Deployment, name: str, source: str) -> str:
    """A function of its own, with a role of its own, mapped to the stream."""
    iam, functions = cloud.client_of("iam"), cloud.client_of("lambda")
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy(trust))["Role"]["Arn"]
    allowed = {"Effect": "Allow", "Action": "kinesis:*", "Resource": "*"}
    iam.put_role_policy(RoleName=name, PolicyName="read", PolicyDocument=policy(allowed))
    functions.create_function(
        FunctionName=name,
        Runtime="python3.11",
        Role=role,
        Handler="function.handler",
        Code={"ZipFile": deployment.code},
    )
    mapping = functions.create_event_source_mapping(FunctionName=name, EventSourceArn=source, StartingPosition="LATEST")
    return str(mapping["UUID"])
