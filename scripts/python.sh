#!/usr/bin/env bash
# Sourced by test.sh: gets the packages of Python with which tests of the gate compare, and puts them on PYTHONPATH:
# huggingface_hub for tests/src/models/cache_test.ts, pyarrow and duckdb for tests/cli/data/python_test.ts. Where Python or they
# cannot be had, these tests are skipped and say so. The pins are those of the tests that `deno task slow` runs.
python_packages="$(grep -E '^(duckdb|huggingface_hub|pyarrow)==' tests/support/python_requirements.txt | tr '\n' ' ')"
python_version="$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" || python_version=""
# Wheels are for one version of Python.
python_directory="$(llamasaur_cache)/python/gate-$python_version-$(printf '%s' "$python_packages" | cksum | cut -d ' ' -f 1)"
if [ -n "$python_version" ] && [ ! -d "$python_directory" ]; then
  python_partial="$python_directory.$$"
  # shellcheck disable=SC2086 # words
  if python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-compile \
    --target "$python_partial" $python_packages; then
    mv "$python_partial" "$python_directory" 2>/dev/null || rm -rf "$python_partial" # another run was first
  else
    rm -rf "$python_partial"
    echo "$python_packages cannot be installed: the tests that compare with them are skipped"
  fi
fi
if [ -d "$python_directory" ]; then
  export PYTHONPATH="$python_directory${PYTHONPATH:+:$PYTHONPATH}"
fi
