"""Runs ministack with its own stream mappings off and with what they need of it repaired.

Run as a program, by path: `python src/localcloud/emulator.py`, told of its port by GATEWAY_PORT. As a module it would
have this repository on its path, which the functions inherit: what is missing from a package must be missing here too.

Why each repair, and why this version: docs/decisions/0002. A version of ministack that renames what a repair replaces
or builds on ends here, and not in a stream that is silently read twice.
"""

import base64
import json
import operator
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any
from xml.sax.saxutils import escape

from botocore.model import OperationModel
from botocore.session import get_session

PINNED = "1.5.33"

# What ministack's handlers return: status, headers, body.
Answer = Any
Handler = Callable[[dict[str, Any]], Answer]
# Whether a role, by its ARN, may do an action to a resource.
May = Callable[[str, str, str], bool]
Shards = dict[str, dict[str, Any]]

KEPT_SETTINGS = ("TumblingWindowInSeconds", "StartingPositionTimestamp", "MetricsConfig")
KEPT_ALARM_SETTINGS = ("Metrics", "ThresholdMetricId", "EvaluateLowSampleCountPercentile")
DEFAULTED_ALARM_SETTINGS = ("Statistic", "Period")

# What Lambda asks of a function's role before it reads a stream:
# https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-create.html
# https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-iam.html
READ_STREAM = ("DescribeStream", "DescribeStreamSummary", "GetRecords", "GetShardIterator", "ListShards")
READ_TABLE_STREAM = ("DescribeStream", "GetRecords", "GetShardIterator")
# And before it sends to a destination, each of what is below the bucket, or of the resource itself:
# https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html
DELIVER = {
    "s3": {"ListBucket": "", "PutObject": "/*"},
    "sns": {"Publish": ""},
    "sqs": {"SendMessage": ""},
}


def main() -> None:
    """Repair ministack and run it until killed."""
    from ministack import app
    from ministack.core import iam_actions, iam_evaluator
    from ministack.services import cloudwatch, cloudwatch_logs, dynamodb_streams, iam, kinesis, kms, lambda_svc, sts

    may = rights_of_roles(iam_evaluator, iam)
    stop_stream_pollers(lambda_svc)
    keep_stream_settings(lambda_svc)
    refuse_mappings_that_a_role_cannot_serve(lambda_svc, may)
    lose_logs_that_a_role_may_not_write(lambda_svc, cloudwatch_logs, may)
    change_keys_of_log_groups(cloudwatch_logs)
    keep_tags_of_new_streams(kinesis)
    keep_closed_shards(kinesis)
    expire_from_the_front(kinesis)
    authorise_by_arn(iam_actions, dynamodb_streams)
    name_lambdas_actions(iam_actions)
    tell_conditions_of_roles_and_mappings(iam_actions, iam_evaluator, iam, lambda_svc)
    authorise_roles_by_their_paths(iam_actions, iam)
    authorise_aliases_by_their_keys(iam_actions, kms)
    tell_claims_of_workflows(sts)
    keep_alarms_whole(cloudwatch)
    evaluate_alarms_by_dimensions(cloudwatch)
    take_loopback_for_tls(app)
    take_the_account_for_its_services(iam_evaluator)
    app.main()


def replace(module: Any, **functions: Callable[..., Any]) -> None:
    """Put functions in the place of ministack's own, which looks them up by these names on every use."""
    require(module, *functions)
    for name, function in functions.items():
        setattr(module, name, function)


def require(module: Any, *names: str) -> None:
    """End the program when ministack lacks a name that a repair is built on."""
    if missing := [name for name in names if not hasattr(module, name)]:
        raise SystemExit(
            f"ministack {version('ministack')} has no {', '.join(missing)} in {module.__name__}: "
            f"src/localcloud/emulator.py is made for ministack {PINNED} (docs/decisions/0002)"
        )


def stop_stream_pollers(lambda_svc: Any) -> None:
    """Leave streams to localcloud.engine: read by two, every record would be delivered twice."""
    replace(lambda_svc, _poll_kinesis=lambda: False, _poll_dynamodb_streams=lambda: False)


def keep_stream_settings(lambda_svc: Any) -> None:
    """Keep the settings that ministack drops, and give a stream's mapping AWS's BatchSize (100, not 10)."""
    require(lambda_svc, "_create_esm", "_update_esm", "_esms", "_esm_response")
    create, update = lambda_svc._create_esm, lambda_svc._update_esm

    def keeping(answer: Answer, settings: dict[str, Any]) -> Answer:
        status, headers, body = answer
        if status not in (200, 202):
            return answer
        mapping = lambda_svc._esms[json.loads(body)["UUID"]]
        mapping.update({name: settings[name] for name in KEPT_SETTINGS if name in settings})
        return status, headers, json.dumps(lambda_svc._esm_response(mapping)).encode()

    def create_mapping(data: dict[str, Any]) -> Answer:
        if ":sqs:" not in data.get("EventSourceArn", ""):
            data = {"BatchSize": 100, **data}
        return keeping(create(data), data)

    def update_mapping(uuid: str, data: dict[str, Any]) -> Answer:
        return keeping(update(uuid, data), data)

    replace(lambda_svc, _create_esm=create_mapping, _update_esm=update_mapping)


def rights_of_roles(iam_evaluator: Any, iam: Any) -> May:
    """What a role may do at this moment, by its policies and its boundary, and the resource's own policy."""
    require(
        iam_evaluator,
        *("EvalContext", "evaluate", "combine_resource_policy"),
        *("_gather_role_policies", "_permissions_boundary", "_resource_policy"),
    )
    require(iam, "_roles")

    def may(role: str, action: str, resource: str) -> bool:
        account, name = role.split(":")[4], role.rpartition("/")[2]
        asked = iam_evaluator.EvalContext(
            principal_arn=f"arn:aws:sts::{account}:assumed-role/{name}/lambda",
            principal_type="AssumedRole",
            principal_account=account,
            action=action,
            resource_arn=resource,
            region=resource.split(":")[3],
        )
        limits = iam_evaluator._permissions_boundary(iam._roles, name, account)
        answer = iam_evaluator.evaluate(asked, iam_evaluator._gather_role_policies(name, account), *limits)
        if found := iam_evaluator._resource_policy(action.partition(":")[0], resource):
            answer = iam_evaluator.combine_resource_policy(answer, asked, *found, limits=limits)
        return bool(answer.decision == "Allow")

    return may


def refuse_mappings_that_a_role_cannot_serve(lambda_svc: Any, may: May) -> None:
    """Refuse a stream's mapping whose function's role may not read the stream, or send to the destination.

    So does AWS, in these words (aws-amplify/amplify-cli#12965, aws/aws-cdk#17312); ministack takes any mapping.
    """
    require(
        lambda_svc,
        *("_create_esm", "_update_esm", "_esms", "_invalid_parameter_value"),
        *("_resolve_existing_esm_function", "_get_func_record_for_qualifier"),
    )
    create, update = lambda_svc._create_esm, lambda_svc._update_esm

    def refusal(mapping: dict[str, Any]) -> Answer | None:
        """The answer to a mapping that cannot work; None for one that can, and for what ministack itself refuses."""
        source = str(mapping.get("EventSourceArn", ""))
        function, qualifier, unknown = lambda_svc._resolve_existing_esm_function(mapping.get("FunctionName", ""))
        if unknown or source.split(":")[2:3] not in (["kinesis"], ["dynamodb"]):
            return None
        _, config = lambda_svc._get_func_record_for_qualifier(function, qualifier)
        destination = (mapping.get("DestinationConfig") or {}).get("OnFailure", {}).get("Destination", "")
        lacking = missing_right(may, config["Role"], source, destination)
        return lambda_svc._invalid_parameter_value(lacking) if lacking else None

    def create_mapping(data: dict[str, Any]) -> Answer:
        return refusal(data) or create(data)

    def update_mapping(uuid: str, data: dict[str, Any]) -> Answer:
        before = lambda_svc._esms.get(uuid)
        if before is None:
            return update(uuid, data)
        return refusal({**before, "FunctionName": before["FunctionArn"], **data}) or update(uuid, data)

    replace(lambda_svc, _create_esm=create_mapping, _update_esm=update_mapping)


def missing_right(may: May, role: str, source: str, destination: str) -> str:
    """Why a role cannot serve a stream's mapping, in AWS's words; "" when it can."""
    if ":kinesis:" in source:
        needed = [(f"kinesis:{action}", source) for action in READ_STREAM]
        # ListStreams is in AWS's message, but not among what its guide asks for.
        named = "GetRecords, GetShardIterator, DescribeStream, ListShards, and ListStreams"
    else:
        needed = [(f"dynamodb:{action}", source) for action in READ_TABLE_STREAM]
        # Listing names a table, not one of its streams.
        needed.append(("dynamodb:ListStreams", f"{source.partition('/stream/')[0]}/stream/*"))
        named = "GetRecords, GetShardIterator, DescribeStream, and ListStreams"
    if not all(may(role, *each) for each in needed):
        return (
            f"Cannot access stream {source}. Please ensure the role can perform the {named} Actions "
            "on your stream in IAM."
        )
    service = destination.split(":")[2] if destination else ""
    for action, below in DELIVER.get(service, {}).items():
        if not may(role, f"{service}:{action}", f"{destination}{below}"):
            return f"The function execution role does not have permissions to call {action} on {service.upper()}"
    return ""


def lose_logs_that_a_role_may_not_write(lambda_svc: Any, cloudwatch_logs: Any, may: May) -> None:
    """Drop what a function logs when its role may not write it, as AWS does; the function runs all the same.

    ministack writes it unasked, and makes the group anew when it is gone, which takes a right of its own.
    """
    require(lambda_svc, "_emit_lambda_logs")
    require(cloudwatch_logs, "_log_groups", "_make_group_arn")
    emit = lambda_svc._emit_lambda_logs

    def emit_logs(func: dict[str, Any], request_id: str, *log: Any, **source: Any) -> None:
        config = func.get("config") or func
        group = (config.get("LoggingConfig") or {}).get("LogGroup") or f"/aws/lambda/{config['FunctionName']}"
        stream = f"{cloudwatch_logs._make_group_arn(group).removesuffix('*')}log-stream:{request_id}"
        needed = ["logs:CreateLogStream", "logs:PutLogEvents"]
        if group not in cloudwatch_logs._log_groups:
            needed.append("logs:CreateLogGroup")
        if all(may(config["Role"], action, stream) for action in needed):
            emit(func, request_id, *log, **source)

    replace(lambda_svc, _emit_lambda_logs=emit_logs)


def change_keys_of_log_groups(cloudwatch_logs: Any) -> None:
    """Answer AssociateKmsKey and DisassociateKmsKey, which ministack does not know."""
    require(cloudwatch_logs, "handle_request", "_log_groups", "json_response", "error_response_json")
    handle = cloudwatch_logs.handle_request

    async def handle_request(method: str, path: str, headers: dict[str, str], body: bytes, *query: Any) -> Answer:
        operation = headers.get("x-amz-target", "").rpartition(".")[2]
        if operation not in ("AssociateKmsKey", "DisassociateKmsKey"):
            return await handle(method, path, headers, body, *query)
        request: dict[str, Any] = json.loads(body)
        group = cloudwatch_logs._log_groups.get(request.get("logGroupName"))
        if group is None:
            missing = "The specified log group does not exist."
            return cloudwatch_logs.error_response_json("ResourceNotFoundException", missing, 400)
        group["kmsKeyId"] = request.get("kmsKeyId")
        return cloudwatch_logs.json_response({})

    replace(cloudwatch_logs, handle_request=handle_request)


def keep_tags_of_new_streams(kinesis: Any) -> None:
    """Keep the tags that CreateStream is given: ministack drops them, and each plan would put them back."""
    require(kinesis, "_create_stream", "_streams")
    create = kinesis._create_stream

    def create_stream(data: dict[str, Any]) -> Answer:
        answer = create(data)
        if answer[0] == 200:
            kinesis._streams[data["StreamName"]]["tags"].update(data.get("Tags", {}))
        return answer

    replace(kinesis, _create_stream=create_stream)


def authorise_by_arn(iam_actions: Any, dynamodb_streams: Any) -> None:
    """Ask whether a request is allowed of the resource that AWS asks it of.

    For some, ministack asks it of `*`, so that a policy which names the resource would grant nothing: the reads of a
    table's stream, the creation of a function, tags, log groups, alarms and dashboards.
    """
    require(iam_actions, "extract_resource_arn")
    require(dynamodb_streams, "_decode_iterator")
    extract = iam_actions.extract_resource_arn

    def extract_resource_arn(service: str, *request: Any) -> str:
        _, path, headers, body, query, region, account = request
        asked = str(extract(service, *request))
        if asked == "*" and service in ("monitoring", "sns"):
            return _named_by_query(query, region, account)
        target, _, operation = headers.get("x-amz-target", "").partition(".")
        if (asked != "*" and not target.startswith("DynamoDBStreams_")) or not body.startswith(b"{"):
            return asked
        parameters: dict[str, Any] = json.loads(body)
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


def name_lambdas_actions(iam_actions: Any) -> None:
    """Ask for the action that a request to Lambda is, as botocore's model names it.

    ministack asks for ListEventSourceMappings where one mapping is read, for nothing at all where one is changed, and
    for GetFunction or the like for most of what is new.
    """
    require(iam_actions, "_lambda_action", "_load_botocore_routes")
    guess: Callable[[str, str], str | None] = iam_actions._lambda_action
    routes: list[tuple[Any, ...]] = iam_actions._load_botocore_routes("lambda")  # the most specific come first
    other_names = {"Invoke": "InvokeFunction"}

    def lambda_action(method: str, path: str) -> str | None:
        for route_method, route, operation, *_ in routes:
            if route_method == method and route.match(path.rstrip("/")):
                return other_names.get(operation, str(operation))
        return guess(method, path)

    replace(iam_actions, _lambda_action=lambda_action)


def tell_conditions_of_roles_and_mappings(iam_actions: Any, iam_evaluator: Any, iam: Any, lambda_svc: Any) -> None:
    """Fill in iam:PermissionsBoundary, lambda:FunctionArn and cloudwatch:namespace, and ask for iam:PassRole.

    Without the first three, a policy that is limited by them would grant nothing; without the last, which is for a
    function that gets a role, a policy that lacks it would grant all.
    """
    require(iam_actions, "request_tag_context", "_query_param")
    require(iam_evaluator, "enforce")
    require(iam, "_roles")
    require(lambda_svc, "_esms", "_func_arn")
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


def authorise_roles_by_their_paths(iam_actions: Any, iam: Any) -> None:
    """Authorise a request about a role against its ARN with its path, as IAM does; ministack forgets the path."""
    require(iam_actions, "extract_resource_arn", "_query_param")
    require(iam, "_roles")
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


def authorise_aliases_by_their_keys(iam_actions: Any, kms: Any) -> None:
    """Authorise a request that names a key by its alias against the key, and tell conditions the alias.

    So does KMS:
    https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html#conditions-kms-request-alias
    """
    require(iam_actions, "extract_resource_arn", "request_tag_context")
    require(kms, "_aliases")
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


def tell_claims_of_workflows(sts: Any) -> None:
    """Tell conditions the ref of a workflow's run; ministack knows the audience and the subject alone.

    STS checks more claims of GitHub's, none of which our trust names:
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html#condition-keys-wif
    """
    require(sts, "_web_identity_principal")
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


def keep_alarms_whole(cloudwatch: Any) -> None:
    """Tell of alarms and dashboards all that they were made of, over the Query protocol as well.

    Terraform's provider speaks Query, in which ministack leaves out most of an alarm, dimensions, period and statistic
    included, and does not escape a dashboard. Its JSON has nearly all, so Query becomes JSON on the way in and XML on
    the way out. What ministack drops in any protocol is kept, and what was never said (a Statistic, where a percentile
    is asked for) is not made up.
    """
    require(cloudwatch, "_put_metric_alarm", "_describe_alarms", "_get_dashboard", "_alarms", "_p", "_xml", "_error")
    put = cloudwatch._put_metric_alarm

    def put_metric_alarm(params: Any, data: dict[str, Any], is_cbor: bool, is_json: bool = False) -> Answer:
        answer = put(params, data, is_cbor, is_json)
        if answer[0] == 200:
            alarm = cloudwatch._alarms[data["AlarmName"]]
            alarm.update({name: data[name] for name in KEPT_ALARM_SETTINGS if name in data})
            for name in DEFAULTED_ALARM_SETTINGS:
                if name not in data:
                    del alarm[name]
        return answer

    api = get_session().get_service_model("cloudwatch")
    replace(
        cloudwatch,
        _put_metric_alarm=_by_json(cloudwatch, api.operation_model("PutMetricAlarm"), put_metric_alarm),
        _describe_alarms=_by_json(cloudwatch, api.operation_model("DescribeAlarms"), cloudwatch._describe_alarms),
        _get_dashboard=_by_json(cloudwatch, api.operation_model("GetDashboard"), cloudwatch._get_dashboard),
    )


def _by_json(cloudwatch: Any, operation: OperationModel, handle: Callable[..., Answer]) -> Callable[..., Answer]:
    """A handler that answers the Query protocol by what it answers to JSON."""

    def answer(params: Any, data: dict[str, Any], is_cbor: bool, is_json: bool = False) -> Answer:
        if is_cbor or is_json:
            return handle(params, data, is_cbor, is_json)
        given = {name: cloudwatch._p(params, name) for name in params}
        status, _, body = handle(params, _from_query(operation.input_shape, given, "") or {}, False, True)
        content: dict[str, Any] = json.loads(body)
        if status != 200:
            return cloudwatch._error(content["__type"], content["message"], status)
        name = operation.name
        result = f"<{name}Result>{_to_xml(content)}</{name}Result>" if operation.output_shape else ""
        return cloudwatch._xml(status, f"{name}Response", result)

    return answer


def _from_query(shape: Any, params: Mapping[str, str], name: str) -> Any:
    """The value of a shape of botocore's in the parameters of a Query request; None when it is not there."""
    if shape.type_name == "structure":
        prefix = f"{name}." if name else ""
        members = {member: _from_query(each, params, prefix + member) for member, each in shape.members.items()}
        return {member: value for member, value in members.items() if value is not None} or None
    if shape.type_name == "list":
        values: list[Any] = []
        while (value := _from_query(shape.member, params, f"{name}.member.{len(values) + 1}")) is not None:
            values.append(value)
        return values or None
    if name not in params:
        return None
    convert: dict[str, Callable[[str], Any]] = {"boolean": "true".__eq__, "integer": int, "double": float}
    return convert.get(shape.type_name, str)(params[name])


def _to_xml(value: Any, name: str = "") -> str:
    if isinstance(value, dict):
        items = value.items()
        return "".join(f"<{key}>{_to_xml(each, key)}</{key}>" for key, each in items if each is not None)
    if isinstance(value, list):
        return "".join(f"<member>{_to_xml(each)}</member>" for each in value)
    if isinstance(value, bool):
        return str(value).lower()
    if name.endswith("Timestamp"):
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(value))
    return escape(str(value))


def evaluate_alarms_by_dimensions(cloudwatch: Any) -> None:
    """Judge an alarm by its own metric, its periods and its missing data, and whenever it is looked at.

    ministack judges it by the metrics of that name whatever their dimensions, so that one function's errors are all
    functions' errors, and only when some metric is put. Periods end now here, and on the minute in AWS.
    """
    require(
        cloudwatch,
        *("_evaluate_alarm", "_evaluate_all_alarms", "_describe_alarms", "_metrics", "_dims_key", "_dims_from_list"),
        *("_calc_stats", "_stat_value", "_record_history", "_dispatch_alarm_actions", "_evaluate_parent_alarms"),
    )
    describe = cloudwatch._describe_alarms
    breaches: dict[str, Callable[[float, float], bool]] = {
        "GreaterThanThreshold": operator.gt,
        "GreaterThanOrEqualToThreshold": operator.ge,
        "LessThanThreshold": operator.lt,
        "LessThanOrEqualToThreshold": operator.le,
    }

    def evaluate_alarm(alarm: dict[str, Any]) -> None:
        breach = breaches.get(alarm.get("ComparisonOperator", ""))
        if not alarm.get("MetricName") or breach is None:
            return  # metric math and anomalies: never judged here
        dimensions = cloudwatch._dims_key(cloudwatch._dims_from_list(alarm["Dimensions"]))
        points = cloudwatch._metrics.get((alarm["Namespace"], alarm["MetricName"], dimensions), [])
        statistic = alarm.get("ExtendedStatistic") or alarm.get("Statistic")
        now, period, votes = time.time(), alarm["Period"], []
        for end in (now - number * period for number in range(alarm["EvaluationPeriods"])):
            inside = [point for point in points if end - period < point["Timestamp"] <= end]
            value = cloudwatch._stat_value(cloudwatch._calc_stats(inside), statistic, inside) if inside else None
            if value is not None:
                votes.append(breach(value, alarm["Threshold"]))
        missing = alarm["EvaluationPeriods"] - len(votes)
        state = _state(votes, missing, alarm)
        if state != (before := alarm["StateValue"]):
            reason = f"{sum(votes)} of {len(votes)} periods breached the threshold, {missing} had no data"
            alarm.update(StateValue=state, StateReason=reason, StateUpdatedTimestamp=int(now))
            cloudwatch._record_history(alarm["AlarmName"], before, state, reason)
            cloudwatch._dispatch_alarm_actions(alarm, before, state, reason)
            cloudwatch._evaluate_parent_alarms(alarm)

    def describe_alarms(*request: Any) -> Answer:
        cloudwatch._evaluate_all_alarms()
        return describe(*request)

    replace(cloudwatch, _evaluate_alarm=evaluate_alarm, _describe_alarms=describe_alarms)


def _state(votes: list[bool], missing: int, alarm: Mapping[str, Any]) -> str:
    """The state of an alarm by which of its periods breached, of those that have data."""
    treatment = alarm["TreatMissingData"]
    if not votes and treatment in ("ignore", "missing"):
        return str(alarm["StateValue"]) if treatment == "ignore" else "INSUFFICIENT_DATA"
    breaching = sum(votes) + (missing if treatment == "breaching" else 0)
    return "ALARM" if breaching >= alarm.get("DatapointsToAlarm", alarm["EvaluationPeriods"]) else "OK"


def take_loopback_for_tls(app: Any) -> None:
    """Let aws:SecureTransport hold: a bucket that denies plain text would be closed to everybody here.

    Nothing leaves this machine, which is what the condition is for.
    """
    require(app, "pin_request_origin")
    pin = app.pin_request_origin
    replace(app, pin_request_origin=lambda source_ip, _: pin(source_ip, True))


def take_the_account_for_its_services(iam_evaluator: Any) -> None:
    """Let aws:SourceAccount be the caller's: whoever assumes a service's role here stands in for the service."""
    require(iam_evaluator, "_resolve_condition_key")
    resolve = iam_evaluator._resolve_condition_key

    def resolve_condition_key(key: str, context: Any) -> Any:
        return context.principal_account if key.lower() == "aws:sourceaccount" else resolve(key, context)

    replace(iam_evaluator, _resolve_condition_key=resolve_condition_key)


def keep_closed_shards(kinesis: Any) -> None:
    """Keep the parents of a split or a merge, with their records, until these expire, as Kinesis does.

    ministack deletes them. A closed shard takes no record, and its last page has no NextShardIterator.
    """
    require(
        kinesis,
        *("_split_shard", "_merge_shards", "_update_shard_count", "_route_to_shard", "_shard_out"),
        *("_get_records", "_describe_stream_summary", "_resolve_stream", "_streams", "_shard_iterators"),
        *("_next_sequence_number", "_compute_hash_ranges", "error_response_json", "json_response"),
    )
    split, merge, route = kinesis._split_shard, kinesis._merge_shards, kinesis._route_to_shard
    read, summary, shard_out = kinesis._get_records, kinesis._describe_stream_summary, kinesis._shard_out
    count = kinesis._update_shard_count

    def open_shards(stream: dict[str, Any]) -> Shards:
        return {shard_id: shard for shard_id, shard in stream["shards"].items() if "closed_at" not in shard}

    def closing(change: Handler, *parents: str) -> Handler:
        """A change of shards that closes the parents named by these parameters, rather than delete them."""

        def change_shards(data: dict[str, Any]) -> Answer:
            _, stream = kinesis._resolve_stream(data)
            before: Shards = dict(stream["shards"]) if stream else {}
            if any("closed_at" in before.get(data.get(name, ""), {}) for name in parents):
                return kinesis.error_response_json("InvalidArgumentException", "The shard is closed", 400)
            answer = change(data)
            if answer[0] == 200:
                for name in parents:
                    ending = kinesis._next_sequence_number()
                    closed = {"closed_at": time.time(), "ending_sequence_number": ending}
                    stream["shards"][data[name]] = before[data[name]] | closed
            return answer

        return change_shards

    def update_shard_count(data: dict[str, Any]) -> Answer:
        """Split at every boundary of the new shards, then merge what lies between two, as Kinesis would."""
        name, stream = kinesis._resolve_stream(data)
        if not stream or int(data.get("TargetShardCount") or 0) < 1:
            return count(data)
        before = len(open_shards(stream))
        ranges = [(int(a), int(b)) for a, b in kinesis._compute_hash_ranges(int(data["TargetShardCount"]))]
        for start, _ in ranges:
            for shard_id, shard in open_shards(stream).items():
                if int(shard["starting_hash_key"]) < start <= int(shard["ending_hash_key"]):
                    kinesis._split_shard(
                        {"StreamName": name, "ShardToSplit": shard_id, "NewStartingHashKey": str(start)}
                    )
        for start, end in ranges:
            while len(inside := _within(open_shards(stream), start, end)) > 1:
                kinesis._merge_shards(
                    {"StreamName": name, "ShardToMerge": inside[0], "AdjacentShardToMerge": inside[1]}
                )
        counts = {"CurrentShardCount": before, "TargetShardCount": len(ranges)}
        return kinesis.json_response({"StreamName": name, "StreamARN": stream["StreamARN"], **counts})

    def route_to_shard(hash_key: int, stream: dict[str, Any]) -> str:
        return str(route(hash_key, {**stream, "shards": open_shards(stream)}))

    def get_records(data: dict[str, Any]) -> Answer:
        status, headers, body = read(data)
        page = json.loads(body)
        if status != 200:
            return status, headers, body
        place = kinesis._shard_iterators[page["NextShardIterator"]]
        stream = kinesis._streams[place["stream"]]
        shard = stream["shards"][place["shard_id"]]
        if "closed_at" in shard and place["position"] >= len(shard["records"]):
            del page["NextShardIterator"]
            page["ChildShards"] = [
                {"ShardId": child["ShardId"], "ParentShards": parents, "HashKeyRange": child["HashKeyRange"]}
                for child in (shard_out(*item) for item in stream["shards"].items())
                if place["shard_id"] in (parents := _parents(child))
            ]
        return kinesis.json_response(page)

    def describe_stream_summary(data: dict[str, Any]) -> Answer:
        status, headers, body = summary(data)
        if status != 200:
            return status, headers, body
        answer = json.loads(body)
        _, stream = kinesis._resolve_stream(data)
        answer["StreamDescriptionSummary"]["OpenShardCount"] = len(open_shards(stream))
        return kinesis.json_response(answer)

    def describe_shard(shard_id: str, shard: dict[str, Any]) -> dict[str, Any]:
        described: dict[str, Any] = shard_out(shard_id, shard)
        if "closed_at" in shard:
            described["SequenceNumberRange"]["EndingSequenceNumber"] = shard["ending_sequence_number"]
        return described

    replace(
        kinesis,
        _split_shard=closing(split, "ShardToSplit"),
        _merge_shards=closing(merge, "ShardToMerge", "AdjacentShardToMerge"),
        _update_shard_count=update_shard_count,
        _route_to_shard=route_to_shard,
        _get_records=get_records,
        _describe_stream_summary=describe_stream_summary,
        _shard_out=describe_shard,
    )


def expire_from_the_front(kinesis: Any) -> None:
    """Expire records without moving what iterators point at, or looking at every record on every call.

    ministack's iterators are indexes into a list that its expiry shortens: each skips as many as expire.
    """

    require(kinesis, "_shard_iterators")

    def expire_records(stream: dict[str, Any]) -> None:
        cutoff = time.time() - stream["RetentionPeriodHours"] * 3600
        for shard_id, shard in list(stream["shards"].items()):
            records = shard["records"]
            if records and records[0]["ApproximateArrivalTimestamp"] < cutoff:
                kept = [record for record in records if record["ApproximateArrivalTimestamp"] >= cutoff]
                shard["records"] = kept
                for place in kinesis._shard_iterators.values():
                    if (place["stream"], place["shard_id"]) == (stream["StreamName"], shard_id):
                        place["position"] = max(0, place["position"] - len(records) + len(kept))
            if shard.get("closed_at", cutoff) < cutoff:
                del stream["shards"][shard_id]

    replace(kinesis, _expire_records=expire_records)


def _within(shards: Shards, start: int, end: int) -> list[str]:
    """The shards that lie in a range of hash keys, in its order."""
    inside = [
        (int(shard["starting_hash_key"]), shard_id)
        for shard_id, shard in shards.items()
        if start <= int(shard["starting_hash_key"]) <= end
    ]
    return [shard_id for _, shard_id in sorted(inside)]


def _parents(shard: dict[str, Any]) -> list[str]:
    return [shard[name] for name in ("ParentShardId", "AdjacentParentShardId") if name in shard]


if __name__ == "__main__":
    main()
