"""The engine and the repaired emulator, as the processes that `make cloud-up` starts."""

from tests.localcloud.conftest import Deployment


def test_records_of_a_kinesis_stream_reach_the_function_as_aws_shows_them(deployment: Deployment) -> None:
    source = deployment.stream()
    deployment.put("a", "b")

    deployment.map(source)

    assert deployment.await_payloads("a", "b") == [["a", "b"]]


def test_changes_of_a_table_reach_the_function_as_aws_shows_them(deployment: Deployment) -> None:
    source = deployment.table()
    deployment.map(source)

    deployment.write("a")

    deployment.await_payloads("a")
