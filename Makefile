# Bare `make` prints what there is to do. `make run` and `make test` set up all that they need.
PYTHON ?= python3
export SAM_CLI_TELEMETRY ?= 0
export ARCHITECTURE ?= x86_64
# What Lambda gets, and for an image what it is called and built on.
PACKAGE = zip
TAG = web-single
BASE = python:3.13-slim

EVENT ?= predict
STACK ?= web-single
# sam wants a region even where it calls nobody; a deployment takes the caller's own.
check test test-more build start-api invoke bench-cold bench-bulk: export AWS_DEFAULT_REGION ?= eu-central-1
# AWS's image of Lambda's Python, and what stands in for it: IMAGE=web-single-lambda:3.13-x86_64.
AWS_IMAGE = public.ecr.aws/lambda/python:3.13-$(ARCHITECTURE)
STAND_IN = web-single-lambda:3.13-x86_64
LOCAL = $(if $(IMAGE),--invoke-image $(IMAGE) --skip-pull-image)
$(if $(filter x86_64 arm64,$(ARCHITECTURE)),,$(error expected ARCHITECTURE to be x86_64 or arm64, got $(ARCHITECTURE)))
$(if $(filter zip image,$(PACKAGE)),,$(error expected PACKAGE to be zip or image, got $(PACKAGE)))
$(if $(filter image,$(PACKAGE)),$(if $(findstring Layers=,$(PARAMETERS)),$(error expected no Layers=… with PACKAGE=image: \
	an image takes no layers, and has what sends spans)))
$(if $(filter image,$(PACKAGE)),$(if $(filter build start-api invoke,$(MAKECMDGOALS)),$(error expected `make image` and \
	`docker run`, for PACKAGE=image has no `make $(MAKECMDGOALS)`)))
$(if $(REPOSITORY),$(if $(filter zip,$(PACKAGE)),$(error expected no REPOSITORY=… without PACKAGE=image)))
$(if $(findstring Architecture=,$(PARAMETERS)),$(error expected ARCHITECTURE=… in place of PARAMETERS=Architecture=…))

# What is packed; the deployed function refuses to start with any other digest.
MODEL = $(or $(MODEL_FILEPATH),$(wildcard model/*.onnx))
DIGEST = $$(sha256sum '$(MODEL)' | cut -c 1-64)

comma = ,

# A parameter that is taken back, as in PARAMETERS='AlarmTopicArn=': sam takes no other form of an empty value.
given = $(if $(findstring =,$(patsubst %=,%,$(1))),$(1),$(patsubst %=,%="''",$(1)))

.PHONY: help install run test test-more test-all check format model train gate build start-api invoke lambda-python lambda-image base-image docker lambda-base free-port event deploy deploy-arguments gate-arguments smoke-arguments rollback prune score smoke image layer lock battery bench bench-peers bench-cold bench-image bench-bulk plots screenshots clean build-ClassifierFunction build-BulkFunction

##@ Start
help: ## Print this list
	@awk -F ':.*## ' '/^##@ / {printf "%s%s\n", gap, substr($$0, 5); gap = "\n"} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile
	@printf '\n%s\n' 'docs/settings.md has the environment variables, docs/models.md how to bring a model.'

install: .venv/serve ## Install what serving needs into .venv, and start nothing

run: .venv/serve ## Serve the model on http://localhost:8000; settings are environment variables
	@LOG_FORMAT=$${LOG_FORMAT:-TEXT} exec .venv/bin/python local_server.py

test: .venv/test ## Run the unit and integration tests, and show which branches of function/ they take
	.venv/bin/pytest tests/unit tests/integration --cov

##@ Your own model: MODEL_FILEPATH=my.onnx before run, build, image, gate and deploy
model: .venv/files ## Install and list the commands check, describe, export, evaluate, compare, score of .venv/bin/python -m model
	@.venv/bin/python -m model --help

train: .venv/train ## Train the shipped model again: the same bytes for the same DATE (2026-11-22)
	.venv/bin/python -m model.train --date $(or $(DATE),2026-11-22)

gate: gate-arguments .venv/files ## Fail unless the model is good enough: HOLDOUT=rows.csv TARGET=species FAIL_UNDER=accuracy=0.9 MODEL_BEFORE=old.onnx
	@echo 'gate: $(MODEL)'
	@.venv/bin/python -m model evaluate '$(MODEL)' '$(HOLDOUT)' --target '$(TARGET)' \
		$(if $(FAIL_UNDER),--fail-under '$(FAIL_UNDER)') $(if $(FAIL_OVER),--fail-over '$(FAIL_OVER)')
	@$(if $(MODEL_BEFORE),.venv/bin/python -m model compare '$(MODEL_BEFORE)' '$(MODEL)' '$(HOLDOUT)' \
		--target '$(TARGET)' --fail-if $(or $(FAIL_IF),worse))

gate-arguments:
	@test -n '$(HOLDOUT)' -a -n '$(TARGET)' || \
		{ echo "gate: expected HOLDOUT=…, rows whose labels are known, and TARGET=…, their column" >&2; exit 1; }
	@test -n '$(FAIL_UNDER)$(FAIL_OVER)$(MODEL_BEFORE)' || \
		{ echo "gate: expected FAIL_UNDER=…, FAIL_OVER=… or MODEL_BEFORE=…, what the model must reach" >&2; exit 1; }
	@echo '$(FAIL_IF)' | grep -Eqx '((worse|incompatible|changed)(,(worse|incompatible|changed))*)?' || \
		{ echo "gate: expected FAIL_IF to be worse, incompatible, changed, or several of them with commas, got $(FAIL_IF)" >&2; exit 1; }
	@test -z '$(FAIL_IF)' -o -n '$(MODEL_BEFORE)' || \
		{ echo "gate: expected MODEL_BEFORE=…, the model that FAIL_IF compares with" >&2; exit 1; }
	@test -z '$(MODEL_BEFORE)' -o -f '$(MODEL_BEFORE)' || \
		{ echo "gate: expected MODEL_BEFORE to be the file of a model, there is no $(MODEL_BEFORE)" >&2; exit 1; }

##@ AWS Lambda: docs/deploy.md
build: lambda-python .venv/all .aws-sam/sbom.json ## Build the package and its bill of materials into .aws-sam/; ARCHITECTURE=x86_64 or arm64; needs Python 3.13
	@.venv/bin/python -m model check '$(MODEL)' >/dev/null
	.venv/bin/sam build --parameter-overrides Architecture=$(ARCHITECTURE)
	@echo "Deploy this with 'make deploy', not with 'sam deploy': only that publishes a version for the alias."

# sam gives the function this shell's values of its variables: the packaged model has another path than here.
start-api: free-port lambda-base build ## Run the package as Lambda does, on http://localhost:3000, or PORT=…; needs Docker
	env -u MODEL_FILEPATH -u LABEL_FILEPATH .venv/bin/sam local start-api --port $(or $(PORT),3000) $(LOCAL)

invoke: event lambda-base build ## Run the package on one event of events/, EVENT=predict; needs Docker
	@env -u MODEL_FILEPATH -u LABEL_FILEPATH .venv/bin/sam local invoke ClassifierFunction --event events/$(EVENT).json $(LOCAL) > .aws-sam/answer.json
	@cat .aws-sam/answer.json; ! grep -q '"errorType"' .aws-sam/answer.json

lambda-image: docker build ## Make a stand-in for AWS's image, for machines without a registry; needs Docker and Debian's busybox-static
	@.venv/bin/python -m tests.support.lambda_image

# Before .venv/all, which takes minutes on a fresh clone.
lambda-python:
	@$(PYTHON) -c 'import sys; sys.version_info < (3, 11) and sys.exit(); from function import package; package.find_python()'

# sam says these late, and not what to do.
docker:
	@docker info >/dev/null 2>&1 || { echo "expected a Docker engine that 'docker info' reaches, got none" >&2; exit 1; }

lambda-base: docker
	@docker image inspect $(or $(IMAGE),$(AWS_IMAGE)) >/dev/null 2>&1 || docker pull --quiet $(or $(IMAGE),$(AWS_IMAGE)) || \
		{ echo "expected $(or $(IMAGE),AWS's image) here or in a registry; 'make lambda-image' makes a stand-in: add IMAGE=$(STAND_IN)" >&2; exit 1; }

free-port:
	@$(PYTHON) -c 'import socket; socket.create_server(("127.0.0.1", $(or $(PORT),3000)))' 2>/dev/null || \
		{ echo "start-api: expected a free port, $(or $(PORT),3000) isn't; PORT=… names another" >&2; exit 1; }

event:
	@test -f 'events/$(EVENT).json' || \
		{ echo "invoke: expected EVENT to be one of $(basename $(notdir $(wildcard events/*.json))), got $(EVENT)" >&2; exit 1; }

deploy: deploy-arguments $(if $(HOLDOUT)$(TARGET)$(FAIL_UNDER)$(FAIL_OVER)$(FAIL_IF)$(MODEL_BEFORE),gate-arguments) lambda-python .venv/all ## Build and deploy with your AWS credentials; API_KEY_SHA256=… or ALLOW_ANONYMOUS=true; PACKAGE=zip or image
	@.venv/bin/python -m model.preflight '$(STACK)' '$(PARAMETERS)' '$(MODEL)' --package=$(PACKAGE)
	@$(if $(HOLDOUT)$(TARGET)$(FAIL_UNDER)$(FAIL_OVER)$(FAIL_IF)$(MODEL_BEFORE),$(MAKE) --no-print-directory gate)
	$(MAKE) $(if $(filter image,$(PACKAGE)),image,build)
	@.venv/bin/sam deploy --stack-name '$(STACK)' \
		--parameter-overrides Revision=$$(date +%s) Architecture=$(ARCHITECTURE) ModelSha256=$(DIGEST) \
		ApiKeySha256='"$(API_KEY_SHA256)"' AllowAnonymous=$(or $(ALLOW_ANONYMOUS),false) $(foreach one,$(PARAMETERS),$(call given,$(one))) \
		$(if $(filter image,$(PACKAGE)),--template-file .aws-sam/image.json $(if $(REPOSITORY),--image-repository $(REPOSITORY),--resolve-image-repos))
	@.venv/bin/python -m model.versions '$(STACK)' tell

deploy-arguments:
	@$(foreach name,$(shell sed -n '/^Parameters:/,/^Rules:/s/^  \([A-Za-z0-9]*\):$$/\1/p' template.yaml),$(if \
		$(filter command,$(origin $(name))),$(error expected PARAMETERS='$(name)=…' in place of $(name)=…)))
	@echo '$(API_KEY_SHA256)' | grep -Eqx '([0-9a-fA-F]{64}(,[0-9a-fA-F]{64})*)?' || \
		{ echo "deploy: expected API_KEY_SHA256 to be digests of 64 hexadecimal digits, comma-separated" >&2; exit 1; }
	@test -n '$(API_KEY_SHA256)' -o '$(ALLOW_ANONYMOUS)' = true || \
		{ echo "deploy: expected API_KEY_SHA256=…, digests of the accepted keys, or ALLOW_ANONYMOUS=true$(if $(ALLOW_ANONYMOUS),$(comma) got $(ALLOW_ANONYMOUS))" >&2; exit 1; }

rollback: .venv/all ## Activate the version before, or VERSION=3; VERSION=? lists them
	@.venv/bin/python -m model.versions '$(STACK)' rollback --to='$(VERSION)'

prune: .venv/all ## Delete all versions of the deployed function but the last KEEP=5
	@.venv/bin/python -m model.versions '$(STACK)' prune --keep='$(or $(KEEP),5)'

smoke: smoke-arguments .venv/all ## Test a deployment, whatever its model: URL=https://…, API_KEY=… if it has one
	@URL='$(URL)' .venv/bin/python -m tests.e2e.smoke

smoke-arguments:
	@test -n '$(URL)' || { echo "smoke: expected an address, such as make smoke URL=https://…" >&2; exit 1; }

score: .venv/all ## Score the files of a folder of S3: INPUT=s3://… OUTPUT=s3://…; docs/bulk.md
	@.venv/bin/python -m function.scoring.start '$(INPUT)' '$(OUTPUT)' --stack '$(STACK)'

layer: .venv/all ## Install what sends OpenTelemetry spans into .aws-sam/layer, the content of a Lambda layer
	@.venv/bin/python function/package.py --layer .aws-sam/layer/python $(ARCHITECTURE)

##@ Container image: docs/image.md
image: lambda-python .venv/all ## Build a container image of both entry points, TAG=web-single, on BASE=python:3.13-slim; needs Docker
	@.venv/bin/python -m function.image $(ARCHITECTURE) --base '$(BASE)' --tag '$(TAG)'

base-image: docker .venv/all ## Make a stand-in for python:3.13-slim, for machines without a registry; needs Docker and Debian's busybox-static
	@.venv/bin/python -m tests.support.base_image

##@ Development: CONTRIBUTING.md
test-more: .venv/all ## Run the tests that take longer: package, sam, a mock of AWS, Docker, browser, fuzzing, faults
	.venv/bin/pytest tests/e2e tests/fuzz tests/reliability tests/benchmark

test-all: test test-more ## Run the whole test suite

check: .venv/all tests/page/node_modules ## Lint, types (the page's too, by Node.js), import order, template, dependencies
	.venv/bin/ruff format --check
	.venv/bin/ruff check
	.venv/bin/mypy
	tests/page/node_modules/.bin/tsc --project tests/page
	.venv/bin/lint-imports
	.venv/bin/bandit --quiet --configfile pyproject.toml --recursive function local_server.py model
	.venv/bin/sam validate --lint
	.venv/bin/python -m function.image --template-only
	.venv/bin/sam validate --lint --template-file .aws-sam/image.json
	.venv/bin/cfn-lint template.yaml --append-rules cfn_lint_serverless.rules
	.venv/bin/uv tool run --quiet checkov==3.3.30 --file template.yaml --framework cloudformation \
		--quiet --compact --skip-download
	.venv/bin/pip check

format: .venv/all ## Format the code and fix what ruff can
	.venv/bin/ruff check --fix --exit-zero
	.venv/bin/ruff format

lock: .venv/all ## Resolve pyproject.toml into the requirements.txt files
	$(COMPILE) --group pyproject.toml:all -o tests/all.txt $(UPGRADE)
	$(COMPILE) --group pyproject.toml:test -c tests/all.txt -o tests/requirements.txt
	$(COMPILE) --group pyproject.toml:function -c tests/all.txt -o function/requirements.txt
	$(COMPILE) --group pyproject.toml:tracing -c tests/all.txt -o function/tracing.txt
	$(COMPILE) --group pyproject.toml:server -c tests/all.txt -o requirements.txt
	$(LOCK) --python-platform linux --python-version 3.13 --group pyproject.toml:image -c tests/all.txt -o function/image.txt
	$(COMPILE) --group pyproject.toml:runtime -c tests/all.txt -o tests/support/runtime.txt
	$(COMPILE) --group pyproject.toml:networks -c tests/all.txt -o tests/support/networks.txt
	$(COMPILE) --group pyproject.toml:kserve -o tests/support/kserve.txt $(UPGRADE)
	$(COMPILE) --group pyproject.toml:train -c tests/all.txt -o model/requirements.txt
	$(COMPILE) --group pyproject.toml:files -c tests/all.txt -o model/files.txt
	for name in mlserver litserve bentoml plots; do \
		grep -o '^onnxruntime==[^ ]*' tests/all.txt | \
		$(COMPILE) --group pyproject.toml:$$name -c - -o tests/benchmark/$$name.txt $(UPGRADE) || exit 1; \
	done

##@ Measurements: docs/performance.md, docs/reliability.md
battery: .venv/all ## Run the reliability tests RUNS=5 times and print the worst; about 20 minutes
	@.venv/bin/python -m tests.reliability.battery --runs $(or $(RUNS),5) $(LINES)

bench: .venv/all ## Measure speed beside bare servers and the original service; 8 minutes, needs wrk; PART=scoring for one part
	@.venv/bin/python -m tests.benchmark.speed $(if $(JSON),--json $(JSON)) $(PART)

bench-peers: .venv/all ## The same beside MLServer, LitServe and BentoML; 10 minutes
	@.venv/bin/python -m tests.benchmark.speed --peers --full --rounds 5 $(if $(JSON),--json $(JSON))

bench-cold: .venv/all ## Measure cold starts: this package, plain `sam build`, a bare handler
	@.venv/bin/python -m tests.benchmark.cold_start 9 $(JSON)

bench-image: .venv/all ## Measure the container image, also with a model of 1 GB: size, start, memory; needs Docker
	@.venv/bin/python -m tests.benchmark.image --base '$(BASE)' --runs $(or $(RUNS),5)

bench-bulk: build ## Measure rows/s of scoring in bulk, and what 100 million rows cost
	@.venv/bin/python -m tests.benchmark.bulk

plots: .venv/all ## Draw what was measured: JSON='speed.json cold_start.json'
	@.venv/bin/python -m tests.benchmark.speed --plots $(JSON)

screenshots: .venv/all ## Take the README's pictures of the page; needs Chromium
	@.venv/bin/python -m tests.e2e.screenshots

##@ Clean
clean: ## Remove all that make has made
	rm -rf .venv .aws-sam tests/page/node_modules .mypy_cache .coverage* .pytest_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -prune -exec rm -r {} +

LOCK = .venv/bin/uv pip compile --quiet --generate-hashes --custom-compile-command "make lock"
COMPILE = $(LOCK) --universal --python-version 3.11

# Each stamp is a set of dependencies in .venv. The files are whole, so pip needn't resolve (--no-deps).
.venv/serve: requirements.txt
.venv/train: model/requirements.txt
.venv/files: model/files.txt
.venv/test: tests/requirements.txt
.venv/all: tests/all.txt
.venv/serve .venv/train .venv/files .venv/test .venv/all:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
		"Python 3.11 or newer is needed, $(PYTHON) is older; name another: make run PYTHON=python3.12")'
	@test -x .venv/bin/python || $(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --no-deps --requirement $<
	@touch $@

# TypeScript, for the types of the page.
tests/page/node_modules: tests/page/package-lock.json
	@command -v npm >/dev/null || { echo "check: expected Node.js 18 or newer with npm, Debian's nodejs and npm" >&2; exit 1; }
	@npm ci --prefix tests/page --silent --no-audit --no-fund
	@touch $@

.aws-sam/sbom.json: function/requirements.txt .venv/all
	@mkdir -p $(@D)
	@.venv/bin/cyclonedx-py requirements $< --output-reproducible --output-file $@

# What `sam build` calls for the resources of these names in template.yaml: the same package twice.
build-ClassifierFunction build-BulkFunction: .venv/serve
	@.venv/bin/python function/package.py "$(ARTIFACTS_DIR)" $(ARCHITECTURE)
