"""Calls become rights, and rights are found in policies or missed there; the recording has what it must have."""

import json
from typing import Any

import hcl2
import pytest
from hcl2.utils import SerializationOptions

from scripts.stage import TERRAFORM
from tests.policy.provider_calls import Names, Right, allows, beyond, calls, denied, recorded, rights

MODULES = TERRAFORM / "modules"
KEY = "arn:aws:kms:eu-central-1:123456789012:key/data"
NAMES = Names(
    **{
        name: f"arn:aws:{name}"
        for name in (
            *("stream", "table", "function", "mapping", "log_group", "role", "bucket", "topic", "alarm", "dashboard"),
            *("boundary", "former_alarms_key"),
        )
    },
    data_key=KEY,
)

LOG = """\
2026-11-24T05:09:52.044Z [DEBUG] provider.terraform-provider-aws: HTTP Request Sent: rpc.method=CreateLogGroup
  http.request.body="{\\"logGroupName\\":\\"HTTP Request Sent\\"}" rpc.service="CloudWatch Logs" tf_resource_type=aws_cloudwatch_log_group
2026-11-24T05:09:52.050Z [DEBUG] provider.terraform-provider-aws: HTTP Response Received: http.response.body="{
  \\"__type\\": \\"AccessDeniedException\\"}" rpc.service="CloudWatch Logs" rpc.method=CreateLogGroup
2026-11-24T05:09:52.060Z [DEBUG] provider.terraform-provider-aws: HTTP Request Sent: rpc.method=GetCallerIdentity rpc.service=STS
"""  # noqa: E501


def test_calls_are_read_from_the_providers_log() -> None:
    assert calls(LOG) == {"aws_cloudwatch_log_group": ["logs:CreateLogGroup"]}
    assert denied(LOG) == {"CloudWatch Logs:CreateLogGroup"}


def test_a_call_with_a_package_of_any_size_is_read_from_the_providers_log() -> None:
    prefix = "2026-11-24T08:10:49.620Z [DEBUG] provider.terraform-provider-aws: "
    whole = json.dumps(
        {
            "@level": "debug",
            "@message": "HTTP Request Sent",
            "http.request.body": json.dumps({"ZipFile": "UEsD" * 40_000}),
            "rpc.method": "CreateFunction",
            "rpc.service": "Lambda",
            "tf_resource_type": "aws_lambda_function",
        },
        separators=(",", ":"),
    )
    pieces = [whole[start : start + 65_536] for start in range(0, len(whole), 65_536)]
    between = "2026-11-24T08:10:49.621Z [DEBUG] provider.stdio: received EOF\n"

    assert len(pieces) == 3
    assert calls(between.join(f"{prefix}{piece}\n" for piece in pieces) + LOG) == {
        "aws_cloudwatch_log_group": ["logs:CreateLogGroup"],
        "aws_lambda_function": ["lambda:CreateFunction"],
    }
    with pytest.raises(ValueError, match="ends within an entry"):
        calls(prefix + pieces[0])


def test_what_goes_beyond_the_recording_is_found() -> None:
    known = {"t": ["x:A", "x:B"]}

    assert beyond({"t": ["x:A"]}, known) == {}
    assert beyond({"t": ["x:A", "x:C"], "u": ["x:A"]}, known) == {"t": ["x:C"], "u": ["x:A"]}


@pytest.mark.parametrize("phase", ["create", "read", "update", "delete"])
def test_every_recorded_call_is_known_to_take_some_right(phase: str) -> None:
    made = recorded()[phase]

    assert sum(map(len, made.values())) > 40
    assert len(rights(made, NAMES)) >= sum(map(len, made.values()))


def test_the_recording_turned_a_key_on_and_off_and_took_a_stage_over() -> None:
    update = {call for made in recorded()["update"].values() for call in made}
    create = {call for made in recorded()["create"].values() for call in made}

    assert {"kinesis:StartStreamEncryption", "logs:AssociateKmsKey", "logs:DisassociateKmsKey"} <= update
    assert {"lambda:UpdateFunctionCode", "lambda:PutFunctionConcurrency", "kinesis:UpdateShardCount"} <= update
    assert {"iam:PutRolePermissionsBoundary", "kms:ScheduleKeyDeletion"} <= create


def policy(**statement: Any) -> list[dict[str, Any]]:
    """A policy that allows this."""
    return [{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]}]


@pytest.mark.parametrize(
    ("right", "expected"),
    [
        (Right("s3:GetObject", "arn:aws:s3:::b/k", {"aws:x": "1"}), True),
        (Right("s3:GetObject", "arn:aws:s3:::b/k"), False),
        (Right("s3:GetObject", "arn:aws:s3:::b/k", {"aws:x": "2"}), False),
        (Right("s3:PutObject", "arn:aws:s3:::b/k", {"aws:x": "1"}), False),
        (Right("s3:GetObject", "arn:aws:s3:::other/k", {"aws:x": "1"}), False),
    ],
)
def test_a_right_needs_its_action_its_resource_and_every_condition(right: Right, expected: bool) -> None:
    documents = policy(
        Action=["s3:GetObject"], Resource="arn:aws:s3:::b/*", Condition={"StringEquals": {"aws:x": ["1"]}}
    )

    assert allows(documents, right) is expected


def test_a_call_behind_which_a_service_asks_for_a_key_takes_rights_on_it() -> None:
    found = rights({"aws_kinesis_stream": ["kinesis:StartStreamEncryption"]}, NAMES)

    assert [right.resource for right in found] == ["arn:aws:stream", KEY, NAMES.aws_key]
    assert Right("kms:CreateGrant", KEY) in rights({"aws_dynamodb_table": ["dynamodb:CreateTable"]}, NAMES)
    assert Right("kms:Decrypt", KEY, {"kms:ViaService": "lambda.eu-central-1.amazonaws.com"}) in rights(
        {"aws_lambda_function": ["lambda:GetFunction"]}, NAMES
    )


def test_the_boundary_allows_every_action_that_a_module_grants() -> None:
    granted = {
        action
        for module in sorted(MODULES.iterdir())
        if module.name not in ("alarms_key", "deployer", "monitoring")  # whose policies no function has
        for document in documents(module.name)
        for statement in document
        if not statement.get("principals")  # of a role's trust, or of a bucket
        for action in statement["actions"]
    }
    (boundary,) = documents("deployer", "boundary")

    assert {"kms:ReEncryptTo", "kinesis:GetRecords", "dynamodb:UpdateItem", "s3:PutObject"} <= granted
    assert granted - {action for statement in boundary for action in statement["actions"]} == set()


def documents(module: str, name: str | None = None) -> list[list[dict[str, Any]]]:
    """The statements of each policy document of a module, or of the one of that name, conditional ones included."""
    plain = SerializationOptions(with_comments=False, strip_string_quotes=True)
    sources = [file.read_text() for file in sorted((MODULES / module).glob("*.tf"))]
    content = [data for source in sources for data in hcl2.loads(source, serialization_options=plain).get("data", [])]
    return [
        [
            *document.get("statement", []),
            *(content for each in document.get("dynamic", []) for content in each["statement"]["content"]),
        ]
        for data in content
        for kind, named in data.items()
        if kind == "aws_iam_policy_document"
        for found, document in named.items()
        if name in (None, found)
    ]
