# make demo   set up and run the whole path on the shipped case
# make test   set up and run the tests, without a display; QT=pyside6 for the other Qt binding, ARGS="-k name" for some
# make test-slow   the tests of several seconds each, which `make test` leaves out; CI runs both
# make lint   formatting, types, import contracts, names, spelling of code and documents
# make screenshots   the pictures of README and tutorials anew, from the sample, under Xvfb
# make site   the documents as a site with search, and a reference from the docstrings, in site/
# make tour   drive napari through the whole story; pictures in tour/; CASE=/path for a case of yours
# PYTHON=/path/to/python3.11 chooses the Python.

QT ?= pyqt6
VENV ?= .venv
ARGS ?=
CASE ?=
export QT VENV PYTHON

.PHONY: help demo test test-slow lint screenshots site tour constraints clean

help:
	@sed -n '/^#/!q; s/^# *//p' Makefile

demo:
	@sh scripts/setup.sh demo
	@QT_API=$(QT) $(VENV)/bin/brain-tumor demo $(ARGS)

test:
	@sh scripts/setup.sh test
	@sh scripts/run_tests.sh $(ARGS)

test-slow:
	@sh scripts/setup.sh test
	@SLOW=1 sh scripts/run_tests.sh $(ARGS)

lint:
	@sh scripts/setup.sh lint
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(VENV)/bin/python scripts/check_names.py
	$(VENV)/bin/codespell
	$(VENV)/bin/validate-pyproject pyproject.toml

screenshots:
	@sh scripts/setup.sh test
	@sh scripts/in_display.sh $(VENV)/bin/python scripts/make_screenshots.py docs/images $(ARGS)

site:
	@sh scripts/setup.sh site
	$(VENV)-site/bin/mkdocs build

tour:
	@sh scripts/setup.sh test
	@sh scripts/in_display.sh $(VENV)/bin/python scripts/tour.py tour $(if $(CASE),"$(CASE)") $(ARGS)

# Pin what is installed in $(VENV) now.
constraints:
	@sh scripts/pin.sh $(VENV) > constraints.txt.new && mv constraints.txt.new constraints.txt

clean:
	rm -rf $(VENV) $(VENV)-site site build dist demo-output tour .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis htmlcov .coverage
