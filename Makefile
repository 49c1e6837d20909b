# Everything from nothing: `make demo` and `make test` build their own .venv and reuse it while it is up to date.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help demo demo-robot test lint docs soak clean asked-for

PYTHON ?= python3
# The wheels' ROS: jazzy or kilted, each in a .venv of its own.
ROS ?= jazzy
VENV := .venv$(if $(filter-out jazzy,$(ROS)),-$(ROS))
# TORCH=cpu: PyTorch's own index of wheels without CUDA, a quarter of the disk.
TORCH ?=
TORCH_INDEX := $(if $(filter cpu,$(TORCH)),--index-url https://download.pytorch.org/whl/cpu)
# Processes that share the tests, but for those marked `alone`: these watch other processes and come after them.
JOBS ?= 2
PY := $(VENV)/bin/python
MARK := $(VENV)/.installing
LINT_MODULES := $(wildcard sartm_core/runtime/*.py) $(addprefix sartm_core/,view browse runtime/engines runtime/exported preprocess \
                  support model/config.py model/checkpoint.py model/stored.py evaluate/metrics.py) \
                $(addprefix sartm_ros/,view.py viewing pairing frames companions outputs inference/mailbox.py inference/server.py inference/loading.py \
                  node/class_map.py node/reference.py)

# The demo and the tests run the wheels of the venv, so a sourced ROS distro must not shadow them.
ifdef ROS_DISTRO
unexport PYTHONPATH LD_LIBRARY_PATH AMENT_PREFIX_PATH COLCON_PREFIX_PATH CMAKE_PREFIX_PATH ROS_DISTRO RMW_IMPLEMENTATION
endif
# Set by the ROS wheels of another venv; inherited, they load that venv's libraries.
ifdef _ROS_WHEELS_BOOTSTRAP_COMPLETE
unexport _ROS_WHEELS_BOOTSTRAP_COMPLETE LD_LIBRARY_PATH
endif

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## ?/  make \1\t/' | expand -t 20
	@echo "  first run: a few minutes and 6 GB (make test: 7) for torch and ROS. TORCH=cpu: a PyTorch without CUDA,"
	@echo "  1.4 GB; PYTHON=python3.12: another Python; ROS=kilted: Kilted's wheels, not Jazzy's"

demo: $(VENV)/.ready-demo ## two cameras -> node -> masks, no ROS or GPU needed; DATA=dir plays your own pairs; RATE=, FRAMES=
	$(PY) -m sartm_ros.demo $(if $(DATA),--data "$(DATA)") $(if $(RATE),--rate $(RATE)) $(if $(FRAMES),--frames $(FRAMES))

demo-robot: $(VENV)/.ready-demo ## depth, kelvin and every output of the node: objects with temperatures, cloud, hot spots, as pictures
	$(PY) -m sartm_ros.demo.robot

test: $(VENV)/.ready-dev ## all tests, real DDS included; ARGS="-k name" picks some
ifdef ARGS
	$(PY) -m pytest $(ARGS)
else
	OMP_NUM_THREADS=1 $(PY) -m pytest -m "not slow and not alone" -n $(JOBS) --dist worksteal
	$(PY) -m pytest -m "not slow and alone"
endif

soak: $(VENV)/.ready-dev ## half an hour of bad days for the node: slow model, fuzzed messages, killed cameras; ARGS="--minutes 1"
	$(PY) -m test.soak --output soak_out $(ARGS)

lint: $(VENV)/.ready-dev ## ruff check, ruff format, mypy on the public modules
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy $(LINT_MODULES)

# Not --quiet: mkdocs then does not see its own warnings, and --strict finds nothing.
docs: $(VENV)/.ready-docs ## the documentation site, in site/; an outdated page or a broken link is an error
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict --clean
	@echo "open site/index.html"

clean: ## remove what was built: .venv, demo_out, soak_out, site, caches
	rm -rf $(VENV) demo_out soak_out site build install log dist .pytest_cache .ruff_cache .mypy_cache .hypothesis *.egg-info
	find sartm_core sartm_ros test -name __pycache__ -type d -prune -exec rm -rf {} +

# A PYTHON= or TORCH= that is given must be that of the .venv, if there is one. Told each time; nothing is remade for it.
VERSION := -c 'import sys; print("%d.%d" % sys.version_info[:2])'
asked-for:
	@if [ "$(origin PYTHON)" != file ] && there=$$($(PY) $(VERSION) 2>/dev/null); then \
	  asked=$$($(PYTHON) $(VERSION) 2>/dev/null || echo missing); \
	  [ "$$there" = "$$asked" ] || { \
	  echo "make: $(VENV) has Python $$there, PYTHON=$(PYTHON) is $$asked." >&2; \
	  echo "      To go on with $$there, leave PYTHON= out. To change: make clean, then the same again." >&2; exit 1; }; fi
	@if [ "$(TORCH)" = cpu ] && compgen -G "$(VENV)/lib/python*/site-packages/nvidia" >/dev/null; then \
	  echo "make: $(VENV) has a PyTorch with CUDA already, TORCH=cpu would not change it." >&2; \
	  echo "      To go on with it, leave TORCH= out. To change: make clean, then the same again." >&2; exit 1; fi

# What the package and the demo need. The order matters: torch and torchvision together and first, then sam2 without
# build isolation (with it, pip fetches a second torch only to build). While $(MARK) exists an installation was cut short.
$(VENV)/.ready-demo: setup.py Makefile | asked-for
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null || { \
	  echo "make: $(PYTHON) is $$($(PYTHON) --version 2>/dev/null || echo missing); Python 3.10 to 3.13 is needed (the ROS wheels)." >&2; \
	  echo "      Give one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "make: $(PYTHON) cannot make virtual environments. Debian and Ubuntu: sudo apt install python3-venv" >&2; exit 1; }
	@if ! $(PY) -m pip --version >/dev/null 2>&1 \
	  || { [ -e $(MARK) ] && ! $(PY) -c 'import torch, torchvision, sam2' >/dev/null 2>&1; }; then \
	  echo "make: setting up $(VENV) (a few minutes)"; $(PYTHON) -m venv --clear $(VENV); fi
	@touch $(MARK)
	$(PY) -m pip install -q "setuptools>=64,<80" wheel
	$(PY) -m pip install $(TORCH_INDEX) torch torchvision
	SAM2_BUILD_CUDA=0 $(PY) -m pip install -q --no-build-isolation sam2==1.1.0
	@if $(PY) -m pip show -q ros-rclpy 2>/dev/null && ! $(PY) -m pip show -q ros-$(ROS)-rclpy 2>/dev/null; then \
	  $(PY) -m pip list --format=freeze | grep -o '^ros-[^=]*' | xargs $(PY) -m pip uninstall -q -y; fi
	$(PY) -m pip install -q --no-build-isolation -e ".[ros-$(ROS),openvino,view]"
	$(PY) -m pip check
	@rm -f $(MARK) && touch $@

$(VENV)/.ready-dev: $(VENV)/.ready-demo
	@touch $(MARK)
	$(PY) -m pip install -q --no-build-isolation -e ".[ros-$(ROS),openvino,view,onnx,train,calibrate,tools,dev]"
	$(PY) -m pip check
	@rm -f $(MARK) && touch $@

# Its pages hold the --help of every command, so it needs what the commands need.
$(VENV)/.ready-docs: $(VENV)/.ready-dev
	@touch $(MARK)
	$(PY) -m pip install -q --no-build-isolation -e ".[docs]"
	$(PY) -m pip check
	@rm -f $(MARK) && touch $@
