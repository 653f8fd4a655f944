#!/usr/bin/env bash
# Sourced by test.sh: lets tests/src/models/cache_test.ts compare our cache with that of Python's huggingface_hub, where Python
# and its packages can be had. Without them the test is skipped and says so.
hub_version=2.4.0
hub_directory="${XDG_CACHE_HOME:-$HOME/.cache}/llamasaur/python/huggingface_hub-$hub_version"
if [ ! -d "$hub_directory" ] && command -v python3 >/dev/null; then
  hub_partial="$hub_directory.$$"
  if python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target "$hub_partial" \
    "huggingface_hub==$hub_version"; then
    mv "$hub_partial" "$hub_directory" 2>/dev/null || rm -rf "$hub_partial" # another run was first
  else
    rm -rf "$hub_partial"
    echo "huggingface_hub cannot be installed: its cache is not compared"
  fi
fi
if [ -d "$hub_directory" ]; then
  export PYTHONPATH="$hub_directory${PYTHONPATH:+:$PYTHONPATH}"
fi
