# The one interface of this repository: `make` lists what it can do.
# Settings: STAGE=<stage of terraform/stages>, LOCAL_PORT=4566, CONFIRM=<stage>, TF_PLUGIN_DIR=<provider mirror>,
# ARGS=<more arguments for pytest>, and those that a target's help line names.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

STAGE := local
PYTHON ?= python3
export LOCAL_PORT LOCAL_DIR STATE_BUCKET

# What deploys and operates a stage; and with what tests, checks and benchmarks need.
VENV := .venv/.ready
DEV := .venv/.dev
RUN := PYTHONPATH=src .venv/bin/python -m
# ProcessKinesisRecords is the code in src/handlers/process_kinesis_records.
FUNCTIONS := $(shell ls -d src/handlers/*/handler.py | awk -F/ '{ \
	words = split($$3, word, "_"); name = ""; \
	for (i = 1; i <= words; i++) name = name toupper(substr(word[i], 1, 1)) substr(word[i], 2); \
	print name }')
PACKAGES := $(FUNCTIONS:%=build/%.zip)

# A command's options come from make's command line alone: FIX=1 in a shell's environment must not repair anything.
lower = $(shell echo '$1' | tr 'A-Z_' 'a-z-')
given = $(if $(filter command,$(origin $1)),$($1))
options = $(foreach name,$1,$(if $(call given,$(name)),--$(call lower,$(name)) "$(call given,$(name))"))
flags = $(foreach name,$1,$(if $(filter-out 0,$(call given,$(name))),--$(call lower,$(name))))

# Where the AWS provider comes from: a filesystem mirror when this machine has one, else the registry, once.
MIRRORS := $(wildcard $(addsuffix /*/registry.terraform.io/hashicorp/aws,/opt /usr/local/share /usr/share))
TF_PLUGIN_DIR ?= $(patsubst %/registry.terraform.io/hashicorp/aws,%,$(firstword $(MIRRORS)))
ifneq ($(TF_PLUGIN_DIR),)
export TF_CLI_ARGS_init ?= -plugin-dir=$(TF_PLUGIN_DIR)
else
export TF_PLUGIN_CACHE_DIR ?= $(CURDIR)/.local/terraform/providers
endif

# Terraform warns at every call about a configuration file that is named but missing.
ifneq ($(TF_CLI_CONFIG_FILE),)
ifeq ($(wildcard $(TF_CLI_CONFIG_FILE)),)
export TF_CLI_CONFIG_FILE :=
endif
endif

# Where a shell forbids bytecode, as images of containers do, every command would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

# The AWS provider's schema is large: by collecting garbage less often, Terraform needs a fifth less CPU time, for 150 MB.
export GOGC ?= 400

##@ Run it
.PHONY: bootstrap deploy plan drift admit github-stages smoke rollback destroy output env
bootstrap: $(VENV) terraform-ready ## Prepare an AWS account for a stage (GITHUB=<repository> CONFIRM=<account>; docs/ci.md)
	@$(RUN) scripts bootstrap --stage "$(STAGE)" $(call options,GITHUB OIDC_PROVIDER PULL_REQUESTS CONFIRM)

deploy: $(VENV) terraform-ready package ## Deploy a stage, by default to a local cloud on this machine (PLAN=<file> CONFIRM=<stage> ALLOW_DATA_LOSS=1)
	@$(RUN) scripts deploy --stage "$(STAGE)" $(call options,PLAN CONFIRM) $(call flags,ALLOW_DATA_LOSS)

plan: $(VENV) terraform-ready package ## Show what deploy would change (PLAN=<file> to save it, for deploy)
	@$(RUN) scripts plan --stage "$(STAGE)" $(call options,PLAN)

drift: $(VENV) terraform-ready package ## Fail when something deployed was changed by hand
	@$(RUN) scripts drift --stage "$(STAGE)"

admit: $(VENV) ## Fail unless GitHub's CI passed for a commit of main, and dev has it (COMMIT=<sha>; for deploy-prod.yml)
	@$(RUN) scripts admit $(call options,COMMIT)

github-stages: ## Print the stages that the repository's VARIABLES have roles for (for nightly.yml)
	@$(PYTHON) -m scripts.deploy.github_stages

smoke: $(VENV) ## Send one score through a stage and see its total, as deploy does in the end
	@$(RUN) scripts smoke --stage "$(STAGE)"

rollback: $(VENV) ## Let the mapping invoke an older version of a function (FUNCTION=<name> VERSION=<number> JSON=1)
	@$(RUN) scripts rollback --stage "$(STAGE)" $(call options,FUNCTION VERSION) $(call flags,JSON)

destroy: $(VENV) terraform-ready package ## Remove all that deploy made (CONFIRM=<stage> answers the question, DELETE_FAILURES=1)
	@$(RUN) scripts destroy --stage "$(STAGE)" $(call options,CONFIRM) $(call flags,DELETE_FAILURES)

output: $(VENV) ## Print the stage's names and ARNs, as JSON
	@$(RUN) scripts output --stage "$(STAGE)"

env: $(VENV) ## Print what points your shell at a stage: eval "$(make -s env)"
	@$(RUN) scripts env --stage "$(STAGE)"

##@ Operate it
.PHONY: demo console lab status metrics logs leaderboard invoke put-events put-scores failures redrive reconcile
demo: $(VENV) terraform-ready package ## Play scores through the stream of a local cloud, and check the totals (N=3000 USERS=20)
	@$(RUN) scripts demo $(call options,N USERS)

console: $(VENV) ## Serve a page to look at the pipeline, on 127.0.0.1 (PORT=4580; ALLOW_WRITES=1 on stages other than local)
	@$(RUN) scripts console --stage "$(STAGE)" $(call options,PORT) $(call flags,ALLOW_WRITES)

lab: $(VENV) ## Walk the lab's tasks, and check all that its guide says one should see (JSON=1)
	@$(RUN) scripts lab --stage "$(STAGE)" $(call flags,JSON)

status: $(VENV) ## Show resources, mappings and their lag, failures waiting, alarms (JSON=1)
	@$(RUN) scripts status --stage "$(STAGE)" $(call flags,JSON)

metrics: $(VENV) ## Draw the functions' metrics, in the terminal and as a picture (SINCE=1h PNG=<file> JSON=1)
	@$(RUN) scripts metrics --stage "$(STAGE)" $(call options,SINCE PNG) $(call flags,JSON)

logs: $(VENV) ## Print what the functions log (FUNCTION=<name> SINCE=10m GREP=<regex> FOLLOW=1 JSON=1)
	@$(RUN) scripts logs --stage "$(STAGE)" $(call options,FUNCTION SINCE GREP) $(call flags,FOLLOW) $(call flags,JSON)

leaderboard: $(VENV) ## Show the users with the highest totals (TOP=10 WATCH=1 JSON=1)
	@$(RUN) scripts leaderboard --stage "$(STAGE)" $(call options,TOP) $(call flags,WATCH) $(call flags,JSON)

invoke: $(VENV) ## Give a function an event (FUNCTION=<name> EVENT=<name in scripts/traffic/events, file, or -> JSON=1)
	@$(RUN) scripts invoke --stage "$(STAGE)" $(call options,FUNCTION EVENT) $(call flags,JSON)

put-events: $(VENV) ## Put made-up events into the stream (N=1000 USERS=20 RATE=<a second> SEED=<seed> JSON=1)
	@$(RUN) scripts put-events --stage "$(STAGE)" $(call options,N USERS RATE SEED) $(call flags,JSON)

put-scores: $(VENV) ## Put made-up scores, too (as above, and VIA=stream|table MIX=insert:80,update:15,delete:5)
	@$(RUN) scripts put-scores --stage "$(STAGE)" $(call options,N USERS RATE SEED VIA MIX) $(call flags,JSON)

failures: $(VENV) ## List what failed for good, and why (SINCE=2h FUNCTION=<name> JSON=1)
	@$(RUN) scripts failures --stage "$(STAGE)" $(call options,SINCE FUNCTION) $(call flags,JSON)

redrive: $(VENV) ## Replay what failed through its function (DRY_RUN=1 SINCE=2h FUNCTION=<name> JSON=1)
	@$(RUN) scripts redrive --stage "$(STAGE)" $(call options,SINCE FUNCTION) $(call flags,DRY_RUN) $(call flags,JSON)

reconcile: $(VENV) ## Check that totals are the sums over the records (FIX=1 RATE=1000 SEGMENTS=8 PAUSE=5 JSON=1)
	@$(RUN) scripts reconcile --stage "$(STAGE)" $(call options,RATE SEGMENTS PAUSE) $(call flags,FIX) $(call flags,JSON)

##@ The local cloud alone
.PHONY: cloud-up cloud-down
cloud-up: $(VENV) ## Start the local cloud
	@$(RUN) scripts cloud up

cloud-down: $(VENV) ## Stop the local cloud, with everything in it
	@$(RUN) scripts cloud down

##@ Change it
.PHONY: test slowest test-unit test-terraform test-integration acceptance histories soak botocore-range mutants mutants-quick bench bench-quick docs check format package hooks lock clean
# Several processes, each with local clouds of its own, since most of the suite waits for Terraform: tests/scheduling.py.
test: $(DEV) terraform-ready package ## Run all tests
	@.venv/bin/pytest -n 4 --no-loadscope-reorder --junitxml=.local/tests.xml $(ARGS)

slowest: $(DEV) ## Write the slowest tests of the last make test into CONTRIBUTING.md
	@$(RUN) scripts slowest

test-unit: $(DEV) ## Run the tests that need neither network nor Terraform
	@.venv/bin/pytest tests/unit -n auto $(ARGS)

test-terraform: terraform-init package ## Test the modules, against a mocked provider
	@TF_DATA_DIR=$(CHECK_DATA_DIR) terraform -chdir=terraform test $(if $(MAKE_TERMOUT),,-no-color)
	@TF_DATA_DIR=$(CHECK_DATA_DIR)-bootstrap terraform -chdir=terraform/bootstrap test $(if $(MAKE_TERMOUT),,-no-color)

test-integration: $(DEV) terraform-ready package ## Apply, use and destroy the system on a local cloud of its own
	@.venv/bin/pytest tests/integration $(ARGS)

acceptance: $(DEV) terraform-ready package ## Deploy a trial of a stage, in its AWS account or here, test it, report, destroy it (CONFIRM=<stage> TAKE_OVER=1)
	@$(RUN) scripts acceptance --stage "$(STAGE)" $(call options,CONFIRM) $(call flags,TAKE_OVER) $(if $(call given,ARGS),-- $(ARGS))

histories: $(DEV) ## Try many more random histories than make test does (HISTORIES=100000)
	@HISTORIES=$(or $(HISTORIES),100000) .venv/bin/pytest tests/property tests/simulation $(ARGS)

soak: $(DEV) terraform-ready package ## Load a system of its own for ten minutes, with faults (SOAK_SECONDS=600)
	@SOAK_SECONDS=$(or $(SOAK_SECONDS),600) .venv/bin/pytest -s tests/integration/test_soak.py $(ARGS)

# What Lambda's Python 3.11, the oldest that the code runs on, had in 2023: https://github.com/boto/botocore/issues/3082.
# An old botocore calls what Python 3.12 deprecates, so warnings are no errors here. tests/conftest.py imports boto3, which
# an old botocore does not fit.
BOTOCORES := botocore==1.30.1 botocore

botocore-range: $(DEV) ## Test the functions' AWS client with the oldest and the newest botocore that Lambda could have
	@for botocore in $(BOTOCORES); do \
		.venv/bin/uv pip install --quiet --python .venv/bin/python --upgrade --target ".local/botocore/$$botocore" "$$botocore" || \
			{ echo "error: nothing was tested with $$botocore, which could not be installed (see above). Is PyPI in reach?" >&2; exit 1; }; \
		PYTHONPATH=".local/botocore/$$botocore" .venv/bin/python -c 'import botocore; print("botocore", botocore.__version__, *botocore.__path__)'; \
		PYTHONPATH=".local/botocore/$$botocore" .venv/bin/pytest -q -W ignore::DeprecationWarning --confcutdir=tests/unit tests/unit/shared/test_aws.py $(ARGS); \
	done

mutants: $(DEV) ## Break the code, one fault at a time, and fail when no test notices (ONLY=packing,shared FRESH=1)
	@PYTHONHASHSEED=0 $(RUN) scripts mutants $(call options,ONLY) $(call flags,FRESH)

mutants-quick: $(DEV) ## Try a fixed sample of the mutants, as CI does
	@PYTHONHASHSEED=0 $(RUN) scripts mutants --sample 40

bench: $(DEV) terraform-ready package ## Measure us beside what one would pick instead, for docs/performance.md (ONLY=rates,memory)
	@$(RUN) bench $(call options,ONLY)

bench-quick: $(DEV) package ## Fail when requests, units, imports or calls are more than they were: counts, which no noise changes
	@$(RUN) bench --quick

docs: $(DEV) ## Write what the docs have from the code: the modules' tables, the costs, and docs/local-cloud-parity.md
	@$(RUN) scripts docs $(call flags,CHECK)

check: $(DEV) terraform-init ## Check format, lint, types, Terraform, shell scripts, secrets, whitespace
	@.venv/bin/pre-commit run --all-files

format: $(DEV) terraform-ready ## Format Python and Terraform
	@.venv/bin/ruff format
	@.venv/bin/ruff check --fix
	@terraform fmt -recursive terraform

package: $(PACKAGES) ## Make the functions' zip files, in build/

hooks: $(DEV) ## Check before every git commit, too
	@.venv/bin/pre-commit install

LOCK = .venv/bin/uv pip compile pyproject.toml --universal --generate-hashes --quiet --custom-compile-command "make lock"

lock: $(VENV) ## Compile requirements-dev.txt and requirements.txt from pyproject.toml, at the newest versions
	@$(LOCK) --group dev --upgrade --output-file requirements-dev.txt
	@$(LOCK) --constraint requirements-dev.txt --output-file requirements.txt

clean: ## Remove what make has made (not what is deployed; stop a local cloud first)
	@! [ -e .local/cloud/emulator.json ] || { echo "error: the local cloud may be running. Stop it: make cloud-down" >&2; exit 1; }
	@rm -rf .local .venv build .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help
help: ## Print this
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# What the targets above need, and set up on their own

# By uv, which the machine's own pip brings where it can: giving .venv a pip takes longer than all the rest.
$(VENV): requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "error: Python 3.11 or later is needed as $(PYTHON). Get it from https://www.python.org/downloads/, or name yours: make PYTHON=python3.12" >&2; exit 1; }
	@echo "Setting up .venv (once)" >&2
	@[ -x .venv/bin/python ] || $(PYTHON) -m venv --without-pip .venv
	@awk '/^[^ ]/ { uv = /^uv==/ } uv' requirements.txt > .venv/uv.txt
	@$(PYTHON) -m pip --python .venv/bin/python $(INSTALL_UV) 2>/dev/null || \
		{ .venv/bin/python -m ensurepip >/dev/null && .venv/bin/python -m pip $(INSTALL_UV) >&2; }
	@.venv/bin/uv pip install --quiet --require-hashes --python .venv/bin/python --requirements requirements.txt >&2
	@touch $@

INSTALL_UV := install --quiet --disable-pip-version-check --require-hashes --requirement .venv/uv.txt

$(DEV): requirements-dev.txt $(VENV)
	@echo "Adding to .venv what tests and checks need (once)" >&2
	@.venv/bin/uv pip sync --quiet --require-hashes --python .venv/bin/python requirements-dev.txt >&2
	@touch $@

.PHONY: terraform-ready terraform-init validate upgrade-provider
terraform-ready:
	@command -v terraform >/dev/null || \
		{ echo "error: terraform is not installed. Get 1.11 or later: https://developer.hashicorp.com/terraform/install" >&2; exit 1; }
	@[[ "$$(terraform version | head -n 1)" =~ v1\.(1[1-9]|[2-9][0-9])\. ]] || \
		{ echo "error: $$(terraform version | head -n 1) is too old. Get 1.11 or later: https://developer.hashicorp.com/terraform/install" >&2; exit 1; }
	@[ -z "$${TF_PLUGIN_CACHE_DIR:-}" ] || mkdir -p "$$TF_PLUGIN_CACHE_DIR"

# Checks and module tests need the provider, but no state.
CHECK_DATA_DIR := $(CURDIR)/.local/terraform/check

terraform-init: terraform-ready
	@TF_DATA_DIR=$(CHECK_DATA_DIR) terraform -chdir=terraform init -backend=false -input=false >/dev/null
	@TF_DATA_DIR=$(CHECK_DATA_DIR)-bootstrap terraform -chdir=terraform/bootstrap init -backend=false -input=false >/dev/null

# CI runs this in a checkout that it throws away, to see that the code works with the newest provider it allows.
upgrade-provider: terraform-ready
	@TF_DATA_DIR=$(CHECK_DATA_DIR) terraform -chdir=terraform init -backend=false -input=false -upgrade >/dev/null
	@TF_DATA_DIR=$(CHECK_DATA_DIR)-bootstrap terraform -chdir=terraform/bootstrap init -backend=false -input=false -upgrade >/dev/null
	@grep -H '^  version' terraform/.terraform.lock.hcl terraform/bootstrap/.terraform.lock.hcl

validate: terraform-init
	@TF_DATA_DIR=$(CHECK_DATA_DIR) terraform -chdir=terraform validate
	@TF_DATA_DIR=$(CHECK_DATA_DIR)-bootstrap terraform -chdir=terraform/bootstrap validate

# A directory's time changes when a file goes, so that a deleted module leaves the package too.
$(PACKAGES): build/%.zip: scripts/develop/package.py $(shell find src/handlers -name __pycache__ -prune -o -print)
	@$(PYTHON) -m scripts.develop.package $* $@
