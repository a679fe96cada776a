# The one list of commands. `make` alone prints it.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
STAMP := $(VENV)/.installed

# Handed to the recipes through the environment, so that a prompt may hold any character.
export IMAGE TRACKS PROMPT OUT MODEL

.DEFAULT_GOAL := help
.PHONY: help setup live demo check test test-fast test-host test-gpu bench gpu-check train-demo train-photo evaluate results study \
	soak dist docs sbom registry

help: ## This list
	@awk -F ':.*## ' '/^[a-z%-]+:.*## / { printf "%-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## Create .venv and install what the demo, the checks and the tests need

$(STAMP): requirements.txt requirements-dev.txt constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt -c constraints.txt
	@touch $@

live: setup ## Steer the bundled model by hand, on a page; optional IMAGE=, MODEL=, PROMPT=, OUT= (a folder)
	$(RUN) -m motionstream_core live $(if $(IMAGE),--image "$$IMAGE") $(if $(MODEL),--model "$$MODEL") \
		$(if $(PROMPT),--prompt "$$PROMPT") $(if $(OUT),--out "$$OUT")

demo: setup ## Run the bundled model; optional IMAGE=, TRACKS=, PROMPT=, OUT=
	$(RUN) -m motionstream_core demo $(if $(IMAGE),--image "$$IMAGE") $(if $(TRACKS),--tracks "$$TRACKS") \
		$(if $(PROMPT),--prompt "$$PROMPT") $(if $(OUT),--out "$$OUT",--overwrite)

node_modules/.installed: package.json package-lock.json
	npm ci --silent --no-audit --no-fund
	@touch $@

check: setup node_modules/.installed ## Lint, formatting, types, and the tests of js/
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/pyright
	npm run --silent check
	npm run --silent test

# Two processes of one thread each, since most tests use no more. All tests of a file run in one of them, one by one.
IN_TWO := OMP_NUM_THREADS=1 $(RUN) -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder
test: setup node_modules/.installed ## Every test that needs neither a GPU nor a ComfyUI
	$(IN_TWO) -m "not (gpu or soak or host)"

test-fast: setup ## The inner loop, under a minute: no test marked slow or thorough
	$(IN_TWO) -m "not (slow or thorough or soak or gpu or host or weights)"

soak: setup ## Faults and endurance: kills, full disks, vanished files, a hundred cancelled streams, twenty minutes of one (about an hour)
	$(RUN) -m pytest -q -m soak

test-host: setup node_modules/.installed ## Tests inside the ComfyUI that COMFYUI_PATH names, in a browser too
	$(RUN) -m pytest -q -m "host and not soak"

test-gpu: setup ## Tests that need a CUDA device
	$(RUN) -m pytest -q -m gpu

bench: setup ## Time a stream stage by stage on the hardware at hand, beside COMFYUI_PATH's own; optional OUT= (a folder)
	$(RUN) -m benchmarks.stream $(if $(OUT),--out "$$OUT")

# The machine may be bare and offline: no .venv is asked for.
gpu-check: ## All that a CUDA device can tell in ten minutes, for docs/performance.md; optional OUT= (a folder)
	$(if $(wildcard $(RUN)),$(RUN),$(PYTHON)) -m benchmarks.gpu_check $(if $(OUT),--out "$$OUT")

PHOTO := outputs/photo
train-photo: setup ## Train the bundled model for pictures, from nothing; SECONDS=, SCALE= of the first half, STEPS= of the second, BF16=1
	test -f $(PHOTO)/student.safetensors || $(RUN) -m experiments.photo $(PHOTO) $(if $(SECONDS),--seconds $(SECONDS)) \
		$(if $(SCALE),--scale $(SCALE)) $(if $(BF16),--precision bf16)
	$(RUN) -m experiments.photo.draft $(PHOTO)/tiny_vae.safetensors
	$(RUN) -m experiments.photo.drag $(PHOTO)/drag --start $(PHOTO)/student.safetensors \
		--tiny-vae $(PHOTO)/tiny_vae.safetensors $(if $(STEPS),--steps $(STEPS)) $(if $(BF16),--precision bf16)

train-demo: setup ## Train the bundled model, every stage
	$(RUN) -m motionstream_core train all

train-%: setup ## One stage alone, as in train-teacher
	$(RUN) -m motionstream_core train $*

evaluate: setup ## Measure the bundled model on its held-out world; BF16=1 where the processor has it
	$(RUN) -m motionstream_core.evaluation $(if $(BF16),--bf16)

results: setup ## docs/results.md and its plots, from the stored experiments/results/ (seconds)
	$(RUN) -m experiments report

study: setup ## Every training and experiment behind docs/results.md anew (about 75 minutes on one core)
	$(RUN) -m experiments train
	$(RUN) -m experiments all
	$(RUN) -m experiments report

# What a release needs, with tools of its own (release/requirements.txt).
TOOLS := .venv-release/bin
$(TOOLS)/.installed: release/requirements.txt
	$(PYTHON) -m venv .venv-release
	$(TOOLS)/python -m pip install --quiet --disable-pip-version-check -r release/requirements.txt
	@touch $@

dist: $(TOOLS)/.installed ## The wheel and the archive of sources, in dist/
	rm -f dist/*.whl dist/*.tar.gz
	$(TOOLS)/python -m build --outdir dist

docs: $(TOOLS)/.installed ## The documentation as a site, in site/; a link that leads nowhere fails it
	NO_MKDOCS_2_WARNING=1 $(TOOLS)/mkdocs build --strict

EXTRAS := live,cluster,train,encoders,gguf,credentials
sbom: dist ## dist/sbom.cdx.json (CycloneDX): all that the wheel brings along; docs/licences.md: under which licences
	$(PYTHON) -m venv --clear --without-pip dist/environment
	$(TOOLS)/python -m pip --python dist/environment/bin/python install --quiet "$$(ls dist/*.whl)[$(EXTRAS)]"
	$(TOOLS)/cyclonedx-py environment dist/environment/bin/python --pyproject pyproject.toml --mc-type library \
		--output-reproducible --output-file dist/sbom.cdx.json
	rm -rf dist/environment
	$(TOOLS)/python release/licences.py dist/sbom.cdx.json docs/licences.md $(EXTRAS)

registry: $(TOOLS)/.installed ## What ComfyUI's registry gets, in dist/registry, checked by the registry's own tool
	rm -rf dist/registry
	mkdir -p dist/registry
	$(TOOLS)/comfy --skip-prompt --no-enable-telemetry node pack
	$(PYTHON) -m zipfile -e node.zip dist/registry
	mv node.zip dist/registry.zip
	cd dist/registry && ../../$(TOOLS)/comfy --skip-prompt --no-enable-telemetry node validate
