"""Repairs of authorisation: actions, resources and condition keys."""

import base64
import json
from collections.abc import Callable
from typing import Any

from localcloud.emulator.patching import repair, replace


@repair(
    replaces=("iam_actions.extract_resource_arn",),
    uses=("dynamodb_streams._decode_iterator",),
    aws="the resource of each action: https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html",
)
def authorise_by_arn(iam_actions: Any, dynamodb_streams: Any) -> None:
    """Ask whether a request is allowed of the resource that AWS asks it of.

    For some, ministack asks it of `*`, so that a policy which names the resource would grant nothing: the reads of a
    table's stream and of a consumer of enhanced fan-out, the creation of a function, tags, log groups, alarms and
    dashboards.
    """
    extract = iam_actions.extract_resource_arn

    def extract_resource_arn(service: str, *request: Any) -> str:
        _, path, headers, body, query, region, account = request
        asked = str(extract(service, *request))
        if asked == "*" and service in ("monitoring", "sns"):
            return _named_by_query(query, region, account)
        target, _, operation = headers.get("x-amz-target", "").partition(".")
        of_consumer = service == "kinesis" and b'"ConsumerARN"' in body
        known = asked != "*" and not target.startswith("DynamoDBStreams_") and not of_consumer
        if known or not body.startswith(b"{"):
            return asked
        parameters: dict[str, Any] = json.loads(body)
        if of_consumer:
            return str(parameters.get("ConsumerARN") or asked)
        if target.startswith("DynamoDBStreams_"):
            iterator: dict[str, Any] = dynamodb_streams._decode_iterator(parameters.get("ShardIterator", "")) or {}
            return str(parameters.get("StreamArn") or iterator.get("arn") or "*")
        if operation == "DescribeLogGroups":
            return f"arn:aws:logs:{region}:{account}:log-group:*"
        if service == "lambda" and path.endswith("/functions"):
            return f"arn:aws:lambda:{region}:{account}:function:{parameters.get('FunctionName')}"
        return str(parameters.get("ResourceArn") or "*")

    replace(iam_actions, extract_resource_arn=extract_resource_arn)


def _named_by_query(query: dict[str, Any], region: str, account: str) -> str:
    """The alarm, dashboard, topic or subscription that a request of the Query protocol names; `*` for none.

    DescribeAlarms is authorised against the alarms that it asks for, and all when it names none.
    """

    def value(name: str) -> str:
        found = query.get(name, "")
        return str(found[0] if isinstance(found, list) else found)

    alarm = f"arn:aws:cloudwatch:{region}:{account}:alarm:"
    if arn := value("ResourceArn") or value("ResourceARN") or value("SubscriptionArn"):
        return arn
    if dashboard := value("DashboardName") or value("DashboardNames.member.1"):
        return f"arn:aws:cloudwatch::{account}:dashboard/{dashboard}"
    if name := value("AlarmNames.member.1"):
        return alarm + name
    return f"{alarm}*" if value("Action") == "DescribeAlarms" else "*"


@repair(
    replaces=("iam_actions._lambda_action",),
    uses=("iam_actions._load_botocore_routes",),
    aws="the action of each request: https://docs.aws.amazon.com/service-authorization/latest/reference/list_awslambda.html",
)
def name_lambdas_actions(iam_actions: Any) -> None:
    """Ask for the action that a request to Lambda is, as botocore's model names it.

    ministack asks for ListEventSourceMappings where one mapping is read, for nothing at all where one is changed, and
    for GetFunction or the like for most of what is new.
    """
    guess: Callable[[str, str], str | None] = iam_actions._lambda_action
    routes: list[tuple[Any, ...]] = iam_actions._load_botocore_routes("lambda")  # the most specific come first
    other_names = {"Invoke": "InvokeFunction"}

    def lambda_action(method: str, path: str) -> str | None:
        for route_method, route, operation, *_ in routes:
            if route_method == method and route.match(path.rstrip("/")):
                return other_names.get(operation, str(operation))
        return guess(method, path)

    replace(iam_actions, _lambda_action=lambda_action)


@repair(
    replaces=(
        "iam_actions.request_tag_context",
        "iam_evaluator.enforce",
    ),
    uses=(
        "iam_actions._query_param",
        "iam._roles",
        "lambda_svc._esms",
        "lambda_svc._func_arn",
    ),
    aws="condition keys, and PassRole: https://docs.aws.amazon.com/service-authorization/latest/reference/list_awslambda.html",
)
def tell_conditions_of_roles_and_mappings(iam_actions: Any, iam_evaluator: Any, iam: Any, lambda_svc: Any) -> None:
    """Fill in iam:PermissionsBoundary, lambda:FunctionArn and cloudwatch:namespace, and ask for iam:PassRole.

    Without the first three, a policy that is limited by them would grant nothing; without the last, which is for a
    function that gets a role, a policy that lacks it would grant all.
    """
    tags, enforce, query = iam_actions.request_tag_context, iam_evaluator.enforce, iam_actions._query_param
    passed_role = "localcloud:PassedRole"

    def request_context(service: str, action: str, body: bytes, parameters: dict[str, Any]) -> dict[str, Any]:
        context: dict[str, Any] = tags(service, action, body, parameters)
        if service == "iam":
            role = iam._roles.get(query(parameters, "RoleName")) or {}
            boundary = query(parameters, "PermissionsBoundary") or role.get("PermissionsBoundary")
            return context | ({"iam:PermissionsBoundary": boundary} if boundary else {})
        if action == "lambda:CreateEventSourceMapping":
            function = json.loads(body)["FunctionName"]
            arn = function if function.startswith("arn:") else lambda_svc._func_arn(function)
            return context | {"lambda:FunctionArn": arn}
        if action == "cloudwatch:PutMetricData":
            namespace = json.loads(body)["Namespace"] if body.startswith(b"{") else query(parameters, "Namespace")
            return context | {"cloudwatch:namespace": namespace}
        if action in ("lambda:CreateFunction", "lambda:UpdateFunctionConfiguration"):
            role_arn = json.loads(body).get("Role")
            return context | ({passed_role: role_arn} if role_arn else {})
        return context

    def ask(key: str, action: str, service: str, region: str, resource_arn: str = "*", **more: Any) -> Any:
        context: dict[str, Any] = dict(more.pop("service_context", None) or {})
        if ":event-source-mapping:" in resource_arn:
            mapping = lambda_svc._esms.get(resource_arn.rpartition(":")[2]) or {}
            context |= {"lambda:FunctionArn": mapping["FunctionArn"]} if mapping else {}
        denied = enforce(key, action, service, region, resource_arn=resource_arn, service_context=context, **more)
        if denied or passed_role not in context:
            return denied
        to_lambda = {"iam:PassedToService": "lambda.amazonaws.com"}
        role = context[passed_role]
        return enforce(key, "iam:PassRole", "iam", region, resource_arn=role, service_context=to_lambda)

    replace(iam_actions, request_tag_context=request_context)
    replace(iam_evaluator, enforce=ask)


@repair(
    replaces=("iam_actions.extract_resource_arn",),
    uses=(
        "iam_actions._query_param",
        "iam._roles",
    ),
    aws="a role's ARN has its path: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html",
)
def authorise_roles_by_their_paths(iam_actions: Any, iam: Any) -> None:
    """Authorise a request about a role against its ARN with its path, as IAM does; ministack forgets the path."""
    extract, query = iam_actions.extract_resource_arn, iam_actions._query_param

    def extract_resource_arn(service: str, *request: Any) -> str:
        arn = str(extract(service, *request))
        _, _, _, _, parameters, *_ = request
        name = query(parameters, "RoleName")
        if service != "iam" or not name:
            return arn
        path = (iam._roles.get(name) or {}).get("Path") or query(parameters, "Path") or "/"
        return f"{arn.partition(':role/')[0]}:role{path}{name}"

    replace(iam_actions, extract_resource_arn=extract_resource_arn)


@repair(
    replaces=(
        "iam_actions.extract_resource_arn",
        "iam_actions.request_tag_context",
    ),
    uses=("kms._aliases",),
    aws="https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html#conditions-kms-request-alias",
)
def authorise_aliases_by_their_keys(iam_actions: Any, kms: Any) -> None:
    """Authorise a request that names a key by its alias against the key, and tell conditions the alias.

    So does KMS:
    https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html#conditions-kms-request-alias
    """
    extract, tags = iam_actions.extract_resource_arn, iam_actions.request_tag_context

    def extract_resource_arn(service: str, *request: Any) -> str:
        arn = str(extract(service, *request))
        prefix, alias, name = arn.partition(":alias/")
        if service != "kms" or not alias:
            return arn
        # Keys that AWS manages are not there before their first use; AWS then creates them.
        return f"{prefix}:key/{kms._aliases.get(arn, f'of-{name}')}"

    def request_context(service: str, action: str, body: bytes, parameters: dict[str, Any]) -> dict[str, Any]:
        context: dict[str, Any] = tags(service, action, body, parameters)
        if service != "kms":
            return context
        alias = str(json.loads(body or "{}").get("KeyId", "")).rpartition(":")[2]
        return context | ({"kms:requestalias": alias} if alias.startswith("alias/") else {})

    replace(iam_actions, extract_resource_arn=extract_resource_arn, request_tag_context=request_context)


@repair(
    replaces=("sts._web_identity_principal",),
    aws="https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html#condition-keys-wif",
)
def tell_claims_of_workflows(sts: Any) -> None:
    """Tell conditions the ref of a workflow's run; ministack knows the audience and the subject alone.

    STS checks more claims of GitHub's, none of which our trust names:
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html#condition-keys-wif
    """
    identify = sts._web_identity_principal

    def web_identity_principal(token: str, *request: Any) -> tuple[str, dict[str, Any]]:
        principal, keys = identify(token, *request)
        issuer = "token.actions.githubusercontent.com"
        if principal.endswith(issuer):  # so the token could be read
            payload = token.split(".")[1]
            claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
            keys |= {f"{issuer}:ref": claims["ref"]} if "ref" in claims else {}
        return principal, keys

    replace(sts, _web_identity_principal=web_identity_principal)


@repair(
    replaces=("app.pin_request_origin",),
    aws="requests come over TLS: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-securetransport",
)
def take_loopback_for_tls(app: Any) -> None:
    """Let aws:SecureTransport hold: a bucket that denies plain text would be closed to everybody here.

    Nothing leaves this machine, which is what the condition is for.
    """
    pin = app.pin_request_origin
    replace(app, pin_request_origin=lambda source_ip, _: pin(source_ip, True))


@repair(
    replaces=("iam_evaluator._resolve_condition_key",),
    aws="a service assumes a role for its account: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-sourceaccount",
)
def take_the_account_for_its_services(iam_evaluator: Any) -> None:
    """Let aws:SourceAccount be the caller's: whoever assumes a service's role here stands in for the service."""
    resolve = iam_evaluator._resolve_condition_key

    def resolve_condition_key(key: str, context: Any) -> Any:
        return context.principal_account if key.lower() == "aws:sourceaccount" else resolve(key, context)

    replace(iam_evaluator, _resolve_condition_key=resolve_condition_key)
