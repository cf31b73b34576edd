"""Each rule lets through what is sound, and finds what breaks it: in a state, and in a plan that knows no ARN yet."""

import json
from typing import Any

import pytest

from tests.policy.rules import RULES, complaints

BUCKET, TOPIC = "arn:aws:s3:::b", "arn:aws:sns:us-east-1:000000000000:t"
ACCOUNT = {"StringEquals": {"aws:SourceAccount": "000000000000"}}
PLAIN_TEXT = {"Bool": {"aws:SecureTransport": "false"}}


def policy(**statement: Any) -> str:
    """A policy of one statement; an Allow unless it says otherwise."""
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]})


def deny(actions: str, *resources: str, **others: Any) -> str:
    """A policy that denies plain text."""
    statement = {"Action": actions, "Resource": list(resources), "Principal": "*", "Condition": PLAIN_TEXT}
    return policy(Effect="Deny", **{**statement, **others})


def document(effect: str | None = None, **statement: Any) -> dict[str, Any]:
    """An aws_iam_policy_document of one statement, as a plan shows it."""
    return {"statement": [{"effect": effect, "condition": [], "principals": [], **statement}]}


DENIES_PLAIN_TEXT = document(
    effect="Deny",
    actions=["s3:*"],
    resources=[None, None],
    principals=[{"type": "*", "identifiers": ["*"]}],
    condition=[{"test": "Bool", "variable": "aws:SecureTransport", "values": ["false"]}],
)

SOUND: dict[str, dict[str, Any]] = {
    "aws_kinesis_stream": {"encryption_type": "KMS"},
    "aws_dynamodb_table": {"server_side_encryption": [{"enabled": True, "kms_key_arn": "key"}]},
    "aws_s3_bucket": {"bucket": "b", "arn": BUCKET},
    "aws_s3_bucket_public_access_block": {
        "bucket": "b",
        "block_public_acls": True,
        "block_public_policy": True,
        "ignore_public_acls": True,
        "restrict_public_buckets": True,
    },
    "aws_s3_bucket_ownership_controls": {"bucket": "b", "rule": [{"object_ownership": "BucketOwnerEnforced"}]},
    "aws_s3_bucket_server_side_encryption_configuration": {
        "bucket": "b",
        "rule": [{"apply_server_side_encryption_by_default": [{"sse_algorithm": "AES256"}]}],
    },
    "aws_s3_bucket_policy": {"bucket": "b", "policy": deny("s3:*", BUCKET, f"{BUCKET}/*")},
    "aws_sns_topic": {"arn": TOPIC, "kms_master_key_id": "key"},
    "aws_sns_topic_policy": {"arn": TOPIC, "policy": deny("sns:Publish", TOPIC)},
    "aws_sns_topic_subscription": {"protocol": "email"},
    "aws_kms_key": {
        "enable_key_rotation": True,
        "policy": policy(Action="kms:*", Resource="*", Principal={"AWS": "arn:aws:iam::000000000000:root"}),
    },
    "aws_iam_role": {
        "assume_role_policy": policy(
            Action="sts:AssumeRole", Principal={"Service": "lambda.amazonaws.com"}, Condition=ACCOUNT
        ),
        "managed_policy_arns": [],
    },
    "aws_iam_role_policy": {"policy": policy(Action=["s3:PutObject"], Resource=f"{BUCKET}/*")},
    "data.aws_iam_policy_document": document(actions=["s3:PutObject"], resources=[None]),
}


def shown(**changes: dict[str, Any] | None) -> dict[str, Any]:
    """A state of sound resources, but for what is changed by type; None is for a resource that is not there."""
    resources = [
        {
            "address": kind,
            "mode": "data" if kind.startswith("data.") else "managed",
            "type": kind.removeprefix("data."),
            "values": {**SOUND.get(kind, {}), **changed},
        }
        for kind in {**SOUND, **changes}
        if (changed := changes.get(kind, {})) is not None
    ]
    return {"values": {"root_module": {"child_modules": [{"address": "module.m", "resources": resources}]}}}


def test_what_is_sound_passes() -> None:
    assert complaints(shown()) == []


def test_every_type_with_a_rule_is_broken_by_a_test() -> None:
    ruled = {kind for kind, rules in RULES.items() if rules}

    assert ruled - {kind for kind, _, _ in VIOLATIONS} == set()


VIOLATIONS: list[tuple[str, dict[str, Any] | None, str]] = [
    ("aws_kinesis_stream", {"encryption_type": "NONE"}, "aws_kinesis_stream: is not encrypted"),
    ("aws_dynamodb_table", {"server_side_encryption": []}, "aws_dynamodb_table: does not say whose key encrypts it"),
    (
        "aws_dynamodb_table",
        {"server_side_encryption": [{"enabled": True, "kms_key_arn": None}]},
        "aws_dynamodb_table: enables server_side_encryption without a key",
    ),
    ("aws_s3_bucket", {"bucket": "other"}, "aws_s3_bucket: has no aws_s3_bucket_public_access_block"),
    ("aws_s3_bucket_public_access_block", None, "aws_s3_bucket: has no aws_s3_bucket_public_access_block"),
    *(
        (
            "aws_s3_bucket_public_access_block",
            {flag: False},
            f"aws_s3_bucket_public_access_block: lets the public in: set {flag}",
        )
        for flag in ("block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets")
    ),
    ("aws_s3_bucket_ownership_controls", None, "aws_s3_bucket: has no aws_s3_bucket_ownership_controls"),
    (
        "aws_s3_bucket_ownership_controls",
        {"rule": [{"object_ownership": "ObjectWriter"}]},
        "heeds access control lists",
    ),
    (
        "aws_s3_bucket_server_side_encryption_configuration",
        None,
        "aws_s3_bucket: has no aws_s3_bucket_server_side_encryption_configuration",
    ),
    ("aws_s3_bucket_server_side_encryption_configuration", {"rule": [{}]}, "does not encrypt"),
    ("aws_s3_bucket_policy", None, "aws_s3_bucket: takes plain text"),
    ("aws_s3_bucket_policy", {"policy": deny("s3:*", BUCKET)}, "aws_s3_bucket: takes plain text"),
    (
        "aws_s3_bucket_policy",
        {"policy": deny("s3:GetObject", BUCKET, f"{BUCKET}/*")},
        "aws_s3_bucket: takes plain text",
    ),
    (
        "aws_s3_bucket_policy",
        {"policy": deny("s3:*", BUCKET, f"{BUCKET}/*", Principal={"AWS": "arn:aws:iam::000000000000:role/r"})},
        "aws_s3_bucket: takes plain text",
    ),
    (
        "aws_s3_bucket_policy",
        {"policy": deny("s3:*", BUCKET, f"{BUCKET}/*", Condition={"Bool": {"aws:SecureTransport": "true"}})},
        "aws_s3_bucket: takes plain text",
    ),
    (
        "aws_s3_bucket_policy",
        {"policy": deny("s3:*", BUCKET, f"{BUCKET}/*", Condition={**PLAIN_TEXT, **ACCOUNT})},
        "aws_s3_bucket: takes plain text",
    ),
    (
        "aws_s3_bucket_policy",
        {"policy": policy(Action="s3:GetObject", Resource=f"{BUCKET}/*", Principal="*")},
        "aws_s3_bucket_policy: allows everybody",
    ),
    ("aws_sns_topic", {"kms_master_key_id": ""}, "aws_sns_topic: is not encrypted"),
    ("aws_sns_topic", {"kms_master_key_id": None}, "aws_sns_topic: is not encrypted"),
    ("aws_sns_topic_policy", None, "aws_sns_topic: takes plain text"),
    (
        "aws_sns_topic_policy",
        {"policy": policy(Action="sns:Publish", Resource=TOPIC, Principal={"AWS": "*"}, Condition=ACCOUNT)},
        "aws_sns_topic_policy: allows everybody",
    ),
    (
        "aws_sns_topic_policy",
        {"policy": policy(Action="sns:Publish", Resource=TOPIC, Principal={"Service": "cloudwatch.amazonaws.com"})},
        "lets cloudwatch.amazonaws.com act for anybody",
    ),
    ("aws_sns_topic_subscription", {"protocol": "http"}, "sends plain text"),
    ("aws_kms_key", {"enable_key_rotation": False}, "is the same for ever"),
    (
        "aws_kms_key",
        {"policy": policy(Action="kms:*", Resource="*", Principal={"AWS": "arn:aws:iam::000000000000:role/r"})},
        "allows kms:*",
    ),
    ("aws_iam_role", {"assume_role_policy": policy(Action="sts:AssumeRole", Principal="*")}, "allows everybody"),
    (
        "aws_iam_role",
        {"assume_role_policy": policy(Action="sts:AssumeRole", Principal={"Service": "lambda.amazonaws.com"})},
        "aws_iam_role: lets lambda.amazonaws.com act for anybody",
    ),
    (
        "aws_iam_role",
        {
            "assume_role_policy": policy(
                Action="sts:AssumeRoleWithWebIdentity",
                Principal={"Federated": "arn:aws:iam::000000000000:oidc-provider/example.com"},
                Condition={"StringEquals": {"example.com:aud": "sts.amazonaws.com"}},
            )
        },
        "add a condition on its sub",
    ),
    ("aws_iam_role", {"managed_policy_arns": ["arn:aws:iam::aws:policy/AdministratorAccess"]}, "AdministratorAccess"),
    ("aws_iam_role_policy_attachment", {"policy_arn": "arn:aws:iam::aws:policy/ReadOnlyAccess"}, "ReadOnlyAccess"),
    ("aws_iam_policy", {"policy": policy(Action="s3:Get*", Resource=f"{BUCKET}/*")}, "aws_iam_policy: allows s3:Get*"),
    ("aws_iam_role_policy", {"policy": policy(Action="*", Resource=BUCKET)}, "aws_iam_role_policy: allows *"),
    ("aws_iam_role_policy", {"policy": policy(NotAction="iam:*", Resource=BUCKET)}, "allows all but what it names"),
    ("aws_iam_role_policy", {"policy": policy(Action="s3:PutObject", NotResource=BUCKET)}, "allows all but"),
    *(
        (
            "aws_iam_role_policy",
            {"policy": policy(Action="x:Y", Resource=["arn:aws:x:::t/n", everything])},
            "name the resource",
        )
        for everything in (
            "*",
            "arn:aws:s3:::*",
            "arn:aws:s3:::*/*",
            "arn:aws:dynamodb:us-east-1:000000000000:table/*",
            "arn:aws:logs:us-east-1:000000000000:log-group:*",
            "arn:aws:sns:us-east-1:000000000000:*",
            "arn:aws:kinesis:us-east-1:000000000000:*",
        )
    ),
    (
        "aws_iam_role_policy",
        {"policy": policy(Action=["lambda:CreateEventSourceMapping", "lambda:GetFunction"], Resource="*")},
        "name the resource",
    ),
    ("data.aws_iam_policy_document", document(actions=["s3:*"], resources=[None]), "allows s3:*"),
    ("data.aws_iam_policy_document", document(actions=["s3:PutObject"], resources=["*"]), "name the resource"),
    ("data.aws_iam_policy_document", document(not_actions=["s3:PutObject"], resources=[None]), "allows all but"),
    (
        "data.aws_iam_policy_document",
        document(actions=["sts:AssumeRole"], principals=[{"type": "Service", "identifiers": ["lambda.amazonaws.com"]}]),
        "lets lambda.amazonaws.com act for anybody",
    ),
    ("aws_ebs_volume", {}, "no rule knows aws_ebs_volume: say in tests/policy/rules.py"),
]


@pytest.mark.parametrize(("kind", "values", "complaint"), VIOLATIONS)
def test_what_breaks_a_rule_is_found(kind: str, values: dict[str, Any] | None, complaint: str) -> None:
    found = complaints(shown(**{kind: values}))

    assert any(complaint in each for each in found), found


@pytest.mark.parametrize(
    "resource",
    [
        "arn:aws:s3:::b/*",
        "arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/*",
        "arn:aws:logs:us-east-1:000000000000:log-group:/aws/lambda/f:*",
        "arn:aws:cloudwatch:us-east-1:000000000000:alarm:dev-*",
    ],
)
def test_what_is_below_a_named_resource_may_be_meant_whole(resource: str) -> None:
    assert complaints(shown(aws_iam_role_policy={"policy": policy(Action="x:Y", Resource=resource)})) == []


def test_an_action_that_no_resource_can_be_named_for_may_be_allowed_on_all() -> None:
    allowed = policy(Action="lambda:CreateEventSourceMapping", Resource="*")

    assert complaints(shown(aws_iam_role_policy={"policy": allowed})) == []


# Before an apply


def planned(*documents: dict[str, Any], **values: dict[str, Any]) -> dict[str, Any]:
    """A plan of a bucket and what belongs to it, with the documents of its module; what is not given is not known."""
    module: list[dict[str, Any]] = [
        {"address": kind, "mode": "managed", "type": kind, "values": values.get(kind, known)}
        for kind, known in {
            "aws_s3_bucket": {"bucket": "b"},
            "aws_s3_bucket_policy": {},
            **{
                kind: {**SOUND[kind], "bucket": None}
                for kind in SOUND
                if kind.startswith("aws_s3_bucket_") and "policy" not in kind
            },
        }.items()
    ]
    module += [
        {"address": f"data.{position}", "mode": "data", "type": "aws_iam_policy_document", "values": each}
        for position, each in enumerate(documents)
    ]
    return {"planned_values": {"root_module": {"child_modules": [{"address": "module.m", "resources": module}]}}}


def test_a_planned_bucket_takes_tls_alone_by_a_document_of_its_module() -> None:
    assert complaints(planned(DENIES_PLAIN_TEXT)) == []
    assert complaints(planned()) == ["aws_s3_bucket: takes plain text: deny s3:* where aws:SecureTransport is false"]


def test_a_planned_policy_that_is_known_is_judged_by_itself() -> None:
    known = planned(DENIES_PLAIN_TEXT, aws_s3_bucket_policy={"policy": deny("s3:*", "arn:aws:s3:::other")})

    assert complaints(known) == ["aws_s3_bucket: takes plain text: deny s3:* where aws:SecureTransport is false"]


def test_the_companions_of_another_module_are_none_of_a_planned_buckets() -> None:
    apart = planned(DENIES_PLAIN_TEXT)
    [module] = apart["planned_values"]["root_module"]["child_modules"]
    bucket, others = module["resources"][:1], module["resources"][1:]
    apart["planned_values"]["root_module"] = {"resources": bucket, "child_modules": [{**module, "resources": others}]}

    assert len(complaints(apart)) == 4


def test_a_planned_topic_is_encrypted_with_a_key_that_is_made_beside_it() -> None:
    plan = planned(DENIES_PLAIN_TEXT)
    [module] = plan["planned_values"]["root_module"]["child_modules"]
    topic = {"address": "topic", "mode": "managed", "type": "aws_sns_topic"}
    key = {"address": "key", "mode": "managed", "type": "aws_kms_key", "values": {"enable_key_rotation": True}}

    module["resources"].append(topic)
    assert "topic: is not encrypted: set kms_master_key_id" in complaints(plan)

    module["resources"].append(key)
    assert "topic: is not encrypted: set kms_master_key_id" not in complaints(plan)
