"""What Terraform's AWS provider asks of AWS for our resources, and which rights that takes.

provider_calls.json has the calls, as tests/integration/test_bootstrap.py records them on the local cloud. A call is not
an action: some have other names, some take several rights, and some rights are asked for only by the service behind
the call, which no emulator shows. Those are in the tables below, each from AWS's documentation; what a right can be
limited to is from https://docs.aws.amazon.com/service-authorization/latest/reference/.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from tests.policy.rules import WITHOUT_AN_ARN, Statement, statements

RECORDED = Path(__file__).with_suffix(".json")

Calls = Mapping[str, Sequence[str]]
"""Calls (`kinesis:CreateStream`) by the type of resource that the provider makes them for."""

ASKED_BY_MAKE: Calls = {
    "aws_iam_role": ["iam:ListRoleTags"],
    "aws_kinesis_stream": ["kinesis:DescribeStream", "kinesis:ListTagsForStream"],
    "aws_lambda_event_source_mapping": ["lambda:ListEventSourceMappings"],
    "aws_lambda_function": ["lambda:GetAccountSettings", "lambda:GetAlias", "lambda:GetFunction"],
    "aws_s3_bucket": ["s3:GetBucketTagging", "s3:HeadBucket", "s3:ListObjectVersions"],
}
"""Calls that `make deploy` and `destroy` add to the provider's: before a deploy, and after one that was interrupted."""

_ENTRY = re.compile(r"^\d{4}-\d\d-\d\dT\S+ \[[A-Z]+\] +(\S+): ", re.MULTILINE)
_FIELD = r'(?<![\w.]){0}=(?:"([^"]*)"|(\S+))|"{0}":"([^"]*)"'
_PREFIXES = {"CloudWatch Logs": "logs"}


def recorded() -> dict[str, Calls]:
    """The recorded calls by phase: create, read, update and delete."""
    phases: dict[str, Calls] = json.loads(RECORDED.read_text())
    return phases


def calls(log: str) -> Calls:
    """The calls in a log of the provider's (TF_LOG_PROVIDER=DEBUG); those for no resource are left out."""
    found: dict[str, set[str]] = {}
    for entry in _entries(log, "HTTP Request Sent"):
        if kind := _field(entry, "tf_resource_type"):
            service = _field(entry, "rpc.service")
            prefix = _PREFIXES.get(service, service.lower())
            found.setdefault(kind, set()).add(f"{prefix}:{_field(entry, 'rpc.method')}")
    return {kind: sorted(found[kind]) for kind in sorted(found)}


def beyond(made: Calls, known: Calls) -> dict[str, list[str]]:
    """Return the calls that were made and are not known, by the type of resource."""
    found = {kind: sorted(set(each) - set(known.get(kind, ()))) for kind, each in made.items()}
    return {kind: each for kind, each in found.items() if each}


def denied(log: str) -> set[str]:
    """The calls in a log of the provider's that AWS refused for want of a right, though the provider may go on."""
    return {
        f"{_field(entry, 'rpc.service')}:{_field(entry, 'rpc.method')}"
        for entry in _entries(log, "HTTP Response Received")
        if re.search(r"AccessDenied|not authorized to perform", entry)
    }


def _entries(log: str, message: str) -> Iterator[str]:
    """The entries with this message.

    An entry is text, but the JSON that the provider wrote when it is longer than 64 KiB, as one with a function's
    package is. go-plugin, which hands it on, cuts that into pieces, each an entry of its own.
    """
    entries = list(_ENTRY.finditer(log))
    ends = [*(each.start() for each in entries[1:]), len(log)]
    pieces: dict[str, str] = {}
    for entry, end in zip(entries, ends, strict=True):
        text = log[entry.end() : end]
        if entry[1] in pieces or text.startswith('{"@'):
            text = pieces.pop(entry[1], "") + text.removesuffix("\n")
            if not _is_json(text):
                pieces[entry[1]] = text
                continue
        if message in text[:300]:
            yield text
    if pieces:
        raise ValueError(f"The log ends within an entry of {', '.join(pieces)}.")


def _is_json(text: str) -> bool:
    if not text.endswith("}"):
        return False
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _field(entry: str, name: str) -> str:
    found = re.search(_FIELD.format(re.escape(name)), entry)
    return next((value for value in found.groups() if value), "") if found else ""


@dataclass(frozen=True)
class Right:
    """An action on a resource, and what is known when it is asked for."""

    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.action} on {self.resource}{f' with {dict(self.context)}' if self.context else ''}"


@dataclass(frozen=True)
class Names:
    """A stage's resources, one of each kind, as the calls reach them."""

    stream: str
    table: str
    function: str
    mapping: str
    log_group: str
    role: str
    bucket: str
    topic: str
    alarm: str
    dashboard: str
    boundary: str
    data_key: str
    former_alarms_key: str

    @property
    def aws_key(self) -> str:
        """A key that AWS manages: of the same account and region, with an id that nobody chose."""
        return f"{self.data_key.rpartition('/')[0]}/00000000-aaaa-0000-aaaa-000000000000"


# https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations.html: each operation names the permission it takes.
_OTHER_NAMES = {
    "s3:DeleteBucketEncryption": "s3:PutEncryptionConfiguration",
    "s3:DeleteBucketLifecycle": "s3:PutLifecycleConfiguration",
    "s3:DeleteBucketOwnershipControls": "s3:PutBucketOwnershipControls",
    "s3:DeleteBucketTagging": "s3:PutBucketTagging",
    "s3:DeletePublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    "s3:GetBucketAccelerateConfiguration": "s3:GetAccelerateConfiguration",
    "s3:GetBucketCors": "s3:GetBucketCORS",
    "s3:GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "s3:GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
    "s3:GetBucketReplication": "s3:GetReplicationConfiguration",
    "s3:GetObjectLockConfiguration": "s3:GetBucketObjectLockConfiguration",
    "s3:GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:ListObjectVersions": "s3:ListBucketVersions",
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:PutBucketEncryption": "s3:PutEncryptionConfiguration",
    "s3:PutBucketLifecycleConfiguration": "s3:PutLifecycleConfiguration",
    "s3:PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
}

# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html#dynamodb-kms-authz
_TABLE_KEY = (
    *("CreateGrant", "Decrypt", "DescribeKey", "Encrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext"),
    *("ReEncryptFrom", "ReEncryptTo"),
)

# Which creations carry our tags, and what that takes beside the creation.
_TAGGED = {
    "cloudwatch:PutMetricAlarm": "cloudwatch:TagResource",
    "dynamodb:CreateTable": "dynamodb:TagResource",
    "iam:CreateRole": "iam:TagRole",
    "kinesis:CreateStream": "kinesis:AddTagsToStream",
    "lambda:CreateFunction": "lambda:TagResource",
    "logs:CreateLogGroup": "logs:TagResource",
    "sns:CreateTopic": "sns:TagResource",
}


def rights(made: Calls, names: Names) -> list[Right]:
    """What a role must be allowed, to make these calls for a stage whose data a key of its own encrypts."""
    return [right for kind, each in made.items() for call in each for right in _rights(kind, call, names)]


def _rights(kind: str, call: str, names: Names) -> Iterator[Right]:
    action = _OTHER_NAMES.get(call, call)
    for resource in _resources(kind, action, names):
        yield Right(action, resource, _context(kind, action, names))
    if call in _TAGGED:
        for resource in _resources(kind, _TAGGED[call], names):
            yield Right(_TAGGED[call], resource)
    if call in ("dynamodb:CreateTable", "dynamodb:UpdateTable"):
        for each in _TABLE_KEY:
            yield Right(f"kms:{each}", names.data_key)
    if call in ("lambda:CreateFunction", "lambda:UpdateFunctionConfiguration"):
        yield Right("iam:PassRole", names.role, {"iam:PassedToService": "lambda.amazonaws.com"})
        # https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars-encryption.html
        for each in ("CreateGrant", "Decrypt", "Encrypt"):
            yield Right(f"kms:{each}", names.data_key)
    if call in ("lambda:GetFunction", "lambda:GetFunctionConfiguration"):
        region = names.data_key.split(":")[3]
        yield Right("kms:Decrypt", names.data_key, {"kms:ViaService": f"lambda.{region}.amazonaws.com"})


def _resources(kind: str, action: str, names: Names) -> Sequence[str]:
    """All that a call is authorised against; "*" where IAM knows no resource for it."""
    service, _, operation = action.partition(":")
    if action in WITHOUT_AN_ARN:
        return ["*"]
    if action in ("kinesis:StartStreamEncryption", "kinesis:StopStreamEncryption"):
        return [names.stream, names.data_key, names.aws_key]
    if service == "lambda":
        of_mapping = kind == "aws_lambda_event_source_mapping"
        return [names.mapping if of_mapping else names.function]
    if service == "logs":
        # Tags are of the group; the rest is authorised against its streams:
        # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/iam-access-control-overview-cwl.html
        return [names.log_group] if "Tag" in operation else [f"{names.log_group}:*"]
    if service == "cloudwatch":
        return [names.dashboard if kind == "aws_cloudwatch_dashboard" else names.alarm]
    if service == "kms":
        return [names.aws_key if kind == "aws_dynamodb_table" else names.former_alarms_key]
    of_service = {
        "dynamodb": names.table,
        "iam": names.role,
        "kinesis": names.stream,
        "s3": names.bucket,
        "sns": names.topic,
    }
    return [of_service[service]]


def _context(kind: str, action: str, names: Names) -> Mapping[str, str]:
    if action.startswith("iam:"):
        return {"iam:PermissionsBoundary": names.boundary}
    if action.endswith("EventSourceMapping"):
        return {"lambda:FunctionArn": names.function}
    if kind == "aws_dynamodb_table" and action == "kms:DescribeKey":
        return {"kms:RequestAlias": "alias/aws/dynamodb"}  # clearSSEDefaultKey, in the provider's dynamodb/table.go
    return {}


def allows(documents: Sequence[Mapping[str, Any]], right: Right) -> bool:
    """Whether policies allow a right. Ours have no Deny."""
    found = [each for document in documents for each in statements(json.dumps(document))]
    assert all(each.allows and not each.excepts for each in found)
    return any(
        any(fnmatchcase(right.action, action) for action in each.actions)
        and any(fnmatchcase(right.resource, str(resource)) for resource in each.resources)
        and _holds(each, right.context)
        for each in found
    )


def _holds(statement: Statement, context: Mapping[str, str]) -> bool:
    known = {key.lower(): value for key, value in context.items()}
    operators: dict[str, Callable[[str, str], bool]] = {"StringEquals": str.__eq__, "ArnLike": fnmatchcase}
    return all(
        key in known and any(operators[operator](known[key], str(value)) for value in values)
        for operator, key, values in statement.conditions
    )
