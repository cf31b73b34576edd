"""What no resource of ours may be: too powerful, public, unencrypted, or reached in plain text.

The rules read what `terraform show -json` says of a plan or of a state, all modules alike. Before an apply a plan does
not know ARNs, and so no whole policy: a rule judges what is known, and a policy that is not known yet by the statements
of the documents it is made of. A state knows everything.

RULES has a line for every type of resource. A type without one is a complaint of its own: nothing escapes by being new.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Complaints = Iterator[str]


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource or a data source, and what is known of it."""

    address: str
    module: str
    type: str
    """With "data." before a data source's."""
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement of a policy; None among the resources stands for an ARN that is not known yet."""

    allows: bool
    actions: Sequence[str]
    resources: Sequence[str | None]
    principals: Sequence[tuple[str, str | None]]
    """Kinds ("AWS", "Service", "Federated", "*") and identifiers."""
    conditions: Sequence[tuple[str, str, Sequence[str | None]]]
    """Operators, keys in lower case, and values."""
    excepts: bool
    """Whether it is about all but the actions, resources or principals that it names."""

    @property
    def keys(self) -> set[str]:
        """The keys of its conditions."""
        return {key for _, key, _ in self.conditions}


Rule = Callable[[Resource, Sequence[Resource]], Complaints]
"""What is wrong with a resource among all the others."""


def complaints(shown: Mapping[str, Any]) -> list[str]:
    """All that is wrong with a plan or a state, as `terraform show -json` gives it."""
    everything = resources(shown)
    found = [
        f"{resource.address}: {complaint}"
        for resource in everything
        for rule in RULES.get(resource.type, (unclassified,))
        for complaint in rule(resource, everything)
    ]
    return list(dict.fromkeys(found))


def resources(shown: Mapping[str, Any]) -> list[Resource]:
    """Every resource and data source of a plan or a state."""
    shown = shown.get("planned_values") or shown["values"]
    return list(_resources(shown["root_module"]))


def _resources(module: Mapping[str, Any]) -> Iterator[Resource]:
    for each in module.get("resources", []):
        kind = "data." if each["mode"] == "data" else ""
        yield Resource(each["address"], module.get("address", ""), kind + each["type"], each.get("values", {}))
    for child in module.get("child_modules", []):
        yield from _resources(child)


# Policies


def statements(document: str) -> list[Statement]:
    """The statements of a policy in JSON."""
    found = json.loads(document).get("Statement", [])
    return [_statement(each) for each in ([found] if isinstance(found, dict) else found)]


def _statement(each: Mapping[str, Any]) -> Statement:
    principals = each.get("Principal", {})
    if isinstance(principals, str):
        principals = {principals: principals}
    return Statement(
        allows=each["Effect"] == "Allow",
        actions=_listed(each.get("Action")),
        resources=_listed(each.get("Resource")),
        principals=[(kind, name) for kind, names in principals.items() for name in _listed(names)],
        conditions=[
            (operator, key.lower(), _listed(values))
            for operator, keys in each.get("Condition", {}).items()
            for key, values in keys.items()
        ],
        excepts=any(name in each for name in ("NotAction", "NotResource", "NotPrincipal")),
    )


def planned_statements(document: Mapping[str, Any]) -> list[Statement]:
    """The statements of an aws_iam_policy_document, read already or not."""
    return [
        Statement(
            allows=each.get("effect") in (None, "Allow"),
            actions=each.get("actions") or [],
            resources=each.get("resources") or [],
            principals=[(one["type"], name) for one in each.get("principals") or [] for name in one["identifiers"]],
            conditions=[
                (one["test"], one["variable"].lower(), one.get("values") or []) for one in each.get("condition") or []
            ],
            excepts=any(each.get(name) for name in ("not_actions", "not_resources", "not_principals")),
        )
        for each in document.get("statement") or []
    ]


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def too_wide(statement: Statement) -> Complaints:
    """An Allow names each of its actions, and what they may be done to."""
    if not statement.allows or _leaves_a_key_to_the_account(statement):
        return
    if statement.excepts:
        yield "allows all but what it names: name what is allowed"
    for action in statement.actions:
        if "*" in action or "?" in action:
            yield f"allows {action}: name the actions"
    if _is_of_a_key(statement) or WITHOUT_AN_ARN.issuperset(statement.actions):
        return
    for resource in statement.resources:
        if resource is not None and _names_nothing(resource):
            yield f"allows {', '.join(statement.actions)} on {resource}: name the resource"


# Actions that no resource can be named for: https://docs.aws.amazon.com/service-authorization/latest/reference/
WITHOUT_AN_ARN = frozenset(
    {
        "cloudwatch:PutMetricData",
        "kinesis:DescribeLimits",
        "kinesis:UpdateShardCount",
        "kinesis:UpdateStreamMode",
        "kms:CreateKey",
        "lambda:CreateEventSourceMapping",
        "lambda:GetAccountSettings",
        "lambda:ListEventSourceMappings",
        "logs:DescribeLogGroups",
        "sns:GetSubscriptionAttributes",
        "sns:SetSubscriptionAttributes",
        "sns:Unsubscribe",
    }
)

# Services whose ARNs give a resource's name without its type: arn:aws:s3:::bucket/key, arn:aws:sns:...:topic.
_WITHOUT_A_TYPE = ("s3", "sns", "sqs")


def _names_nothing(arn: str) -> bool:
    """Whether a wildcard stands where a resource's name begins: `*`, `arn:aws:s3:::*`, `...:table/*`."""
    service, name = (arn.split(":", 5)[part] for part in (2, 5)) if arn.count(":") >= 5 else ("", arn)
    if service not in _WITHOUT_A_TYPE and name != "*":
        name = re.split("[/:]", name, maxsplit=1)[-1]
    return name.startswith(("*", "?"))


def _is_of_a_key(statement: Statement) -> bool:
    """Whether it is of a key's policy, where `*` is that key and has no other name.

    https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-overview.html
    """
    return bool(statement.principals) and all(action.startswith("kms:") for action in statement.actions)


def _leaves_a_key_to_the_account(statement: Statement) -> bool:
    """Whether it lets the account's own policies say who may use a key; without it nobody could manage the key.

    https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html
    """
    return (
        _is_of_a_key(statement)
        and list(statement.actions) == ["kms:*"]
        and all(kind == "AWS" and str(name).endswith(":root") for kind, name in statement.principals)
    )


def open_to_all(statement: Statement) -> Complaints:
    """An Allow in a resource's policy names who is allowed."""
    if statement.allows and any(name == "*" for _, name in statement.principals):
        yield "allows everybody: name the principals"


def confused_deputy(statement: Statement) -> Complaints:
    """A service acts for our account alone, and another's identity provider vouches for ours alone.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html
    """
    if not statement.allows:
        return
    for kind, name in statement.principals:
        if kind == "Service" and not statement.keys & {"aws:sourceaccount", "aws:sourcearn"}:
            yield f"lets {name} act for anybody: add a condition on aws:SourceAccount or aws:SourceArn"
        for claim in ("aud", "sub"):
            if kind == "Federated" and not any(key.endswith(f":{claim}") for key in statement.keys):
                yield f"lets in whomever {name} vouches for: add a condition on its {claim}"


def _judged(found: Iterable[Statement]) -> Complaints:
    for statement in found:
        yield from too_wide(statement)
        yield from open_to_all(statement)
        yield from confused_deputy(statement)


def document(resource: Resource, everything: Sequence[Resource]) -> Complaints:
    """An aws_iam_policy_document."""
    yield from _judged(planned_statements(resource.values))


def policy(resource: Resource, everything: Sequence[Resource]) -> Complaints:
    """A resource with a policy in JSON, where that is known: the documents it is made of are judged in any case."""
    for attribute in ("policy", "assume_role_policy"):
        if resource.values.get(attribute):
            yield from _judged(statements(resource.values[attribute]))


def denies_plain_text(statement: Statement) -> bool:
    """Whether it keeps out whoever comes without TLS, whoever that is."""
    return (
        not statement.allows
        and not statement.excepts
        and any(name == "*" for _, name in statement.principals)
        and statement.keys == {"aws:securetransport"}
        and any((operator, list(values)) == ("Bool", ["false"]) for operator, _, values in statement.conditions)
    )


# What belongs to a bucket or a topic


def _companions(of: Resource, kind: str, key: str, name: str, everything: Sequence[Resource]) -> list[Resource]:
    """The resources of a kind that name a resource, or that do not know its name yet and are in its module or below."""
    mine = of.values.get(name)
    return [
        each
        for each in everything
        if each.type == kind
        and (each.values[key] == mine if each.values.get(key) else f"{each.module}.".startswith(f"{of.module}."))
    ]


def bucket_is_private(bucket: Resource, everything: Sequence[Resource]) -> Complaints:
    """A bucket has its block of public access, and no access control lists."""
    if not _companions(bucket, "aws_s3_bucket_public_access_block", "bucket", "bucket", everything):
        yield "has no aws_s3_bucket_public_access_block"
    if not _companions(bucket, "aws_s3_bucket_ownership_controls", "bucket", "bucket", everything):
        yield "has no aws_s3_bucket_ownership_controls"


def bucket_is_encrypted(bucket: Resource, everything: Sequence[Resource]) -> Complaints:
    """A bucket says how its objects are encrypted."""
    if not _companions(bucket, "aws_s3_bucket_server_side_encryption_configuration", "bucket", "bucket", everything):
        yield "has no aws_s3_bucket_server_side_encryption_configuration"


def bucket_takes_tls_alone(bucket: Resource, everything: Sequence[Resource]) -> Complaints:
    """A bucket's policy denies plain text, for the bucket and for what is in it."""
    policies = _companions(bucket, "aws_s3_bucket_policy", "bucket", "bucket", everything)
    arn = bucket.values.get("arn")
    if not any(
        denies_plain_text(statement) and list(statement.actions) == ["s3:*"] and _covers(statement, arn, f"{arn}/*")
        for statement in _statements_of(policies, everything)
    ):
        yield "takes plain text: deny s3:* where aws:SecureTransport is false"


def topic_takes_tls_alone(topic: Resource, everything: Sequence[Resource]) -> Complaints:
    """A topic's policy denies publishing in plain text."""
    policies = _companions(topic, "aws_sns_topic_policy", "arn", "arn", everything)
    if not any(
        denies_plain_text(statement)
        and "sns:Publish" in statement.actions
        and _covers(statement, topic.values.get("arn"))
        for statement in _statements_of(policies, everything)
    ):
        yield "takes plain text: deny sns:Publish where aws:SecureTransport is false"


def _statements_of(policies: Sequence[Resource], everything: Sequence[Resource]) -> Iterator[Statement]:
    """The statements of these policies; of the documents in their modules, for those that are not known yet."""
    for each in policies:
        if each.values.get("policy"):
            yield from statements(each.values["policy"])
        else:
            for other in everything:
                if other.type == "data.aws_iam_policy_document" and other.module == each.module:
                    yield from planned_statements(other.values)


def _covers(statement: Statement, arn: str | None, *others: str) -> bool:
    """Whether a statement is about these ARNs; about as many, while they are not known."""
    if arn is None:
        return len(statement.resources) == len(others) + 1
    return {arn, *others} <= set(statement.resources)


# Settings


def blocks_all_public_access(block: Resource, everything: Sequence[Resource]) -> Complaints:
    """All four of S3's blocks are on."""
    for name in ("block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets"):
        if block.values.get(name) is not True:
            yield f"lets the public in: set {name}"


def owner_owns_all_objects(controls: Resource, everything: Sequence[Resource]) -> Complaints:
    """No access control list is heeded."""
    if [rule.get("object_ownership") for rule in controls.values.get("rule", [])] != ["BucketOwnerEnforced"]:
        yield "heeds access control lists: set BucketOwnerEnforced"


def encrypts_objects(configuration: Resource, everything: Sequence[Resource]) -> Complaints:
    """Each rule encrypts."""
    for rule in configuration.values.get("rule", []):
        for default in rule.get("apply_server_side_encryption_by_default") or [{}]:
            if default.get("sse_algorithm") not in ("AES256", "aws:kms", "aws:kms:dsse"):
                yield "does not encrypt: set sse_algorithm"


def stream_is_encrypted(stream: Resource, everything: Sequence[Resource]) -> Complaints:
    """Kinesis encrypts nothing unless told."""
    if stream.values.get("encryption_type") != "KMS":
        yield 'is not encrypted: set encryption_type = "KMS"'


def table_lets_go_of_a_key(table: Resource, everything: Sequence[Resource]) -> Complaints:
    """DynamoDB encrypts every table. With server_side_encryption enabled it does so with a key that the code names.

    Enabled without one, the provider would plan nothing when a key is taken away: terraform/modules/table.
    """
    settings = table.values.get("server_side_encryption", [])
    if not settings:
        yield "does not say whose key encrypts it: add server_side_encryption"
    if any(each.get("enabled") and not each.get("kms_key_arn") for each in settings):
        yield "enables server_side_encryption without a key: the provider would keep a key that was taken away"


def topic_is_encrypted(topic: Resource, everything: Sequence[Resource]) -> Complaints:
    """With a key; one of the topic's module, when its name is not known yet."""
    known = "kms_master_key_id" in topic.values
    made = any(each.type == "aws_kms_key" and each.module.startswith(topic.module) for each in everything)
    if not (topic.values["kms_master_key_id"] if known else made):
        yield "is not encrypted: set kms_master_key_id"


def delivers_over_tls(subscription: Resource, everything: Sequence[Resource]) -> Complaints:
    """Not to plain HTTP."""
    if subscription.values.get("protocol") == "http":
        yield "sends plain text: use https"


def key_rotates(key: Resource, everything: Sequence[Resource]) -> Complaints:
    """A key of ours is renewed every year."""
    if key.values.get("enable_key_rotation") is not True:
        yield "is the same for ever: set enable_key_rotation"


def no_policy_of_aws(role: Resource, everything: Sequence[Resource]) -> Complaints:
    """AWS's own policies, which name no resource of ours, are not for our roles."""
    for arn in [*(role.values.get("managed_policy_arns") or []), role.values.get("policy_arn") or ""]:
        if ":iam::aws:policy/" in arn:
            yield f"has {arn}, which names no resource of ours: grant what is needed"


def unclassified(resource: Resource, everything: Sequence[Resource]) -> Complaints:
    """A type that nobody has thought about."""
    yield f"no rule knows {resource.type}: say in {__name__.replace('.', '/')}.py what one has to be like"


RULES: Mapping[str, Sequence[Rule]] = {
    "aws_kinesis_stream": (stream_is_encrypted,),
    "aws_dynamodb_table": (table_lets_go_of_a_key,),
    "aws_s3_bucket": (bucket_is_private, bucket_is_encrypted, bucket_takes_tls_alone),
    "aws_s3_bucket_public_access_block": (blocks_all_public_access,),
    "aws_s3_bucket_ownership_controls": (owner_owns_all_objects,),
    "aws_s3_bucket_server_side_encryption_configuration": (encrypts_objects,),
    "aws_s3_bucket_policy": (policy,),
    "aws_s3_bucket_versioning": (),
    "aws_s3_bucket_lifecycle_configuration": (),
    "aws_iam_role": (policy, no_policy_of_aws),
    "aws_iam_role_policy": (policy,),
    "aws_iam_policy": (policy,),
    "aws_iam_role_policy_attachment": (no_policy_of_aws,),
    "aws_iam_openid_connect_provider": (),
    # Lambda encrypts environments, and Logs encrypts groups, with keys of their own when they are given none:
    # https://docs.aws.amazon.com/lambda/latest/dg/security-encryption-at-rest.html
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
    "aws_lambda_function": (),
    "aws_cloudwatch_log_group": (),
    "aws_lambda_alias": (),
    "aws_lambda_event_source_mapping": (),
    "aws_sns_topic": (topic_is_encrypted, topic_takes_tls_alone),
    "aws_sns_topic_policy": (policy,),
    "aws_sns_topic_subscription": (delivers_over_tls,),
    "aws_kms_key": (key_rotates, policy),
    "aws_cloudwatch_metric_alarm": (),
    "aws_cloudwatch_dashboard": (),
    "data.aws_iam_policy_document": (document,),
    "data.aws_caller_identity": (),
    "data.aws_partition": (),
    "data.aws_region": (),
}
