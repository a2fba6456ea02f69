# `make demo` and `make test` need Python 3.11 to 3.13 and make; they install the rest into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: demo test test-all test-launchers test-faults lint acceptance studies studies-text benchmark tables pictures clean

demo: $(INSTALLED)
	$(BIN)/vae-train -m schedule.beta=1,2,4
	@echo
	@echo "Open the comparison.html above, and from there each run's report: beta = 1 keeps its code,"
	@echo "beta = 4 has collapsed."
	@echo "Next: $(BIN)/vae-train schedule.beta=4 strategy=free_bits"

test: $(INSTALLED)
	$(BIN)/python -m pytest -q -n 2 -m "not slow and not faults"

test-all: $(INSTALLED)
	$(BIN)/python -m pytest -q -n 2 -m "not faults" --hypothesis-profile=many

# A hundred kills over single runs, stacks and sweeps: half an hour on two cores.
test-faults: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/faults.py

# Sweeps through joblib, Ray and submitit. The plugins have an environment of their own on top of
# .venv, because Hydra imports every plugin it finds at every start.
LAUNCHERS := .venv-launchers
test-launchers: $(LAUNCHERS)/.installed
	VAECLI_LAUNCHERS=required OMP_NUM_THREADS=1 RAY_AUTH_MODE=disabled \
	  $(LAUNCHERS)/bin/python -m pytest -q tests/runs/launch -m "launchers or slow"

PURELIB := -c 'import sysconfig; print(sysconfig.get_path("purelib"))'
$(LAUNCHERS)/.installed: $(INSTALLED) constraints-launchers.txt
	$(BIN)/python -m venv --without-pip $(LAUNCHERS)
	echo "import site; site.addsitedir('$$($(BIN)/python $(PURELIB))')" \
	  > "$$($(LAUNCHERS)/bin/python $(PURELIB))/base.pth"
	$(BIN)/python -m pip --python $(LAUNCHERS)/bin/python install -q -c constraints.txt \
	  -r constraints-launchers.txt
	touch $@

lint: $(INSTALLED)
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/pyright --pythonpath $(BIN)/python

# The acceptance runs on the real MNIST (DATA points at it); writes benchmarks/results/.
DATA ?= ../shared/data
acceptance: $(INSTALLED)
	$(BIN)/python benchmarks/acceptance.py --data $(DATA)
	$(BIN)/python benchmarks/ppca.py --data $(DATA)
	$(BIN)/python benchmarks/parity.py --data $(DATA)

# The studies on the real MNIST, each ending in its comparison.html: about an hour on two cores.
STUDY = $(BIN)/vae-train data.root=$(DATA) hydra.sweep.dir=outputs/studies
studies: $(INSTALLED)
	$(STUDY)/phase_diagram experiment=phase_diagram
	$(STUDY)/phase_diagram_linear experiment=phase_diagram model=linear decoder=medium
	$(BIN)/vae-compare outputs/studies/phase_diagram outputs/studies/phase_diagram_linear \
	  --out outputs/studies/phase_diagram_all
	$(STUDY)/compare_strategies experiment=compare_strategies
	$(STUDY)/compare_strategies_equal_time experiment=compare_strategies_equal_time
	$(STUDY)/critical_beta experiment=critical_beta

# The studies of text: about three hours on two cores.
studies-text: $(INSTALLED)
	$(BIN)/python benchmarks/text.py --text $(DATA)/kjv.txt
	$(BIN)/vae-train experiment=receptive_field data.path=$(DATA)/kjv.txt data.min_count=10 \
	  trainer.epochs=2 diagnosis=quick hydra.sweep.dir=outputs/studies/receptive_field
	$(BIN)/python benchmarks/receptive_field.py outputs/studies/receptive_field
	$(BIN)/python benchmarks/trajectories.py

# The table of mitigations on autoregressive decoders: 30 runs, about an hour on two cores.
tables: $(INSTALLED)
	$(BIN)/python benchmarks/mitigations.py --data $(DATA)

# The README's screenshots; Chromium has to be there.
pictures: $(INSTALLED)
	$(BIN)/python docs/scripts/screenshots.py

# The generated tables of docs/options.md and docs/diagnosis.md.
docs-tables: $(INSTALLED)
	$(BIN)/python docs/scripts/tables.py

# The step beside pythae's. It has an environment of its own on top of .venv, too.
BENCH := .venv-bench
benchmark: $(BENCH)/.installed
	$(BENCH)/bin/python benchmarks/step.py --data $(DATA)
	$(BIN)/python benchmarks/ops.py --data $(DATA)
	$(BIN)/python benchmarks/startup.py --data $(DATA)
	$(BIN)/python benchmarks/diagnosis.py --data $(DATA)
	$(BIN)/python benchmarks/sweep.py --data $(DATA)
	$(BIN)/python benchmarks/tokens.py --text $(DATA)/kjv.txt

$(BENCH)/.installed: $(INSTALLED)
	$(BIN)/python -m venv --without-pip $(BENCH)
	echo "import site; site.addsitedir('$$($(BIN)/python $(PURELIB))')" \
	  > "$$($(BENCH)/bin/python $(PURELIB))/base.pth"
	$(BIN)/python -m pip --python $(BENCH)/bin/python install -q -c constraints.txt pythae==0.1.2
	touch $@

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	  || { echo "vaecli needs Python 3.11 to 3.13: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade pip
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) $(LAUNCHERS) $(BENCH) dist build *.egg-info
