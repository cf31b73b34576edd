"""A stage: where the system is deployed, the session that reaches it, and the environment that points tools there."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import boto3
import typer
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from localcloud.cloud import CREDENTIAL, HOST, REGION, LocalCloud
from scripts.cli import UserError
from scripts.session import StageSession

ROOT = Path(__file__).resolve().parent.parent
TERRAFORM = ROOT / "terraform"
STAGES = TERRAFORM / "stages"
LOCAL = "local"
_LOCAL_PORT = 4566
_LOOPBACK = re.compile(r"http://127\.0\.0\.1:\d+")


def stages(folder: Path = STAGES) -> list[str]:
    """The names of the stages, sorted: each has a file of its name in the folder."""
    return sorted(file.stem for file in folder.glob("*.tfvars"))


StageName = Annotated[str, typer.Option("--stage", help=f"one of {', '.join(stages())}")]
"""The option of every command that looks at a stage."""


@dataclass(frozen=True)
class Stage:
    """A deployment of the system, and what reaches it."""

    name: str
    region: str
    endpoint: str | None
    """What stands in for AWS; None for AWS itself."""
    folder: Path
    """What this machine keeps of all stages: Terraform's working data, and the local cloud's pid and log."""
    stages: Path = STAGES
    """The folder of the stage's two files."""
    client_config: Config | None = field(default=None, compare=False, repr=False)
    """The defaults of the session's clients; None for boto3's own."""

    @property
    def is_local(self) -> bool:
        """Whether the stage is on this machine and needs no AWS account."""
        return self.name == LOCAL

    @property
    def var_file(self) -> Path:
        """The stage's Terraform variables."""
        return self.stages / f"{self.name}.tfvars"

    @property
    def settings(self) -> str:
        """The path of the stage's Terraform variables from the repository's root, for messages."""
        return os.path.relpath(self.var_file, ROOT)

    @property
    def variables(self) -> dict[str, Any]:
        """The stage's Terraform variables, as its file has them; without defaults."""
        import hcl2  # here, since it takes 0.2 s that most commands need not wait for
        from hcl2.utils import SerializationOptions

        plain = SerializationOptions(with_comments=False, strip_string_quotes=True)
        with self.var_file.open() as file:
            return dict(hcl2.load(file, serialization_options=plain))

    @property
    def backend_file(self) -> Path:
        """The stage's settings for Terraform's S3 backend, all but the bucket."""
        return self.stages / f"{self.name}.s3.tfbackend"

    @property
    def state_key(self) -> str:
        """The key of Terraform's state in its bucket. Raises UserError when the settings name none."""
        key = re.search(r'^key\s*=\s*"(.+)"', self.backend_file.read_text(), re.MULTILINE)
        if key is None:
            raise UserError(
                f'{self.backend_file} names no state. Add a line: key = "stream-processing/{self.name}.tfstate"'
            )
        return key.group(1)

    def check_account(self, account: str) -> None:
        """Raise UserError when the stage's variables name other accounts than this one."""
        allowed = self.variables.get("allowed_account_ids", [])
        if allowed and account not in allowed:
            raise UserError(
                f"These credentials are of account {account}, but stage {self.name} belongs to {', '.join(allowed)}. "
                f'Use others, or if it is the right one: set allowed_account_ids = ["{account}"] in '
                f"{self.settings}"
            )

    @property
    def port(self) -> int:
        """The local cloud's port."""
        return int(str(self.endpoint).rpartition(":")[2])

    @property
    def local_cloud(self) -> LocalCloud:
        """The local cloud of this folder, running or not."""
        return LocalCloud(self.folder / "cloud")

    @property
    def environment(self) -> dict[str, str | None]:
        """The variables that point another process at this stage: Terraform, the AWS CLI; None is for unset."""
        region: dict[str, str | None] = {"AWS_REGION": self.region, "AWS_DEFAULT_REGION": self.region}
        if not self.is_local:
            return region
        return region | {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": CREDENTIAL,
            "AWS_SECRET_ACCESS_KEY": CREDENTIAL,
            "AWS_SESSION_TOKEN": None,
            "AWS_PROFILE": None,
            "AWS_DEFAULT_PROFILE": None,
        }

    def process_environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Return the whole environment of a process that is to work on this stage, given that of this process."""
        return {name: value for name, value in {**environ, **self.environment}.items() if value is not None}

    @cached_property
    def session(self) -> boto3.Session:
        """The session of everything in this process that calls AWS for this stage; `environment` is for others."""
        credential = CREDENTIAL if self.is_local else None
        return StageSession(self.region, self.endpoint, credential, self.client_config)

    def account(self) -> str:
        """The AWS account that the credentials belong to. Raises UserError when nobody answers or accepts them."""
        # A credential or an endpoint that is wrong should be told at once, not after a minute of retries.
        config = Config(connect_timeout=5, retries={"total_max_attempts": 2})
        try:
            return str(self.session.client("sts", config=config).get_caller_identity()["Account"])
        except (BotoCoreError, ClientError) as error:
            if self.is_local:
                raise UserError(f"The local cloud does not answer ({error}). Start it: make cloud-up") from error
            raise UserError(
                f"No AWS account to use for stage {self.name} ({error}). Set AWS_PROFILE, or log in, so that this "
                "works: aws sts get-caller-identity"
            ) from error


def resolve(name: str, environ: Mapping[str, str]) -> Stage:
    """The stage of that name, in the environment that the command was started in.

    STAGES_DIR names another folder of stages than terraform/stages: scripts/develop/acceptance.py writes one.
    Raises UserError for an unknown stage, a region that is not set, or an endpoint where AWS is meant.
    """
    stages_folder = Path(environ.get("STAGES_DIR") or STAGES)
    known = stages(stages_folder)
    if name not in known:
        raise UserError(f"There is no stage {name!r}. Choose one of {', '.join(known)}: STAGE={[*known, LOCAL][0]}")
    folder = Path(environ.get("LOCAL_DIR") or ROOT / ".local").resolve()
    if name == LOCAL:
        return Stage(name, REGION, _local_endpoint(environ, folder), folder, stages_folder)
    if environ.get("AWS_ENDPOINT_URL"):
        raise UserError(
            f"Stage {name} is in AWS, but AWS_ENDPOINT_URL is set, to {environ['AWS_ENDPOINT_URL']}. "
            "Unset it: unset AWS_ENDPOINT_URL AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY"
        )
    region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or boto3.Session().region_name
    if not region:
        raise UserError(f"No region to use for stage {name}. Set one: export AWS_REGION={REGION}")
    return Stage(name, region, None, folder, stages_folder)


def _local_endpoint(environ: Mapping[str, str], folder: Path) -> str:
    """LOCAL_PORT, else AWS_ENDPOINT_URL, else where the local cloud runs already, else the usual port."""
    port = environ.get("LOCAL_PORT")
    if port:
        if not port.isdecimal() or not 0 < int(port) < 65536:
            raise UserError(f"LOCAL_PORT={port} is not a port. Choose one from 1024 to 65535.")
        return f"http://{HOST}:{port}"
    endpoint = environ.get("AWS_ENDPOINT_URL")
    if endpoint:
        if not _LOOPBACK.fullmatch(endpoint):
            raise UserError(
                f"Stage local runs on {HOST}, but AWS_ENDPOINT_URL is {endpoint}. Unset it: unset AWS_ENDPOINT_URL"
            )
        return endpoint
    running = LocalCloud(folder / "cloud").port()
    return f"http://{HOST}:{running or _LOCAL_PORT}"
