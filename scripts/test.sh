#!/usr/bin/env bash
# The test command: sets up what is missing, then runs the gate and every example on Deno and on Bun.
# The last line is "N passed, N failed"; the exit code is 0 if none failed.
set -euo pipefail
case "${1-}" in
  "") ;;
  -h | --help)
    printf 'Usage: ./scripts/test.sh\n\nSets up what is missing, then runs every check, test and example on Deno and on Bun.\n'
    printf 'Takes no arguments. For a part of it: deno task ok STEP..., such as: deno task ok fmt lint\n'
    exit 0
    ;;
  *)
    printf 'Cannot read %s: test.sh takes no arguments; a part of it is: deno task ok STEP...\n' "$1" >&2
    exit 2
    ;;
esac
cd "$(dirname "${BASH_SOURCE[0]}")/.."

reports="$(mktemp -d "${TMPDIR:-/tmp}/llamasaur-test.XXXXXX")"
trap 'rm -rf "$reports"' EXIT

set_up() { # NAME COMMAND...
  local name="$1" start=$SECONDS
  shift
  printf -- '-- %s\n' "$name"
  "$@" </dev/null || {
    printf 'FAILED %6d s  %s\n0 passed, 1 failed\n' $((SECONDS - start)) "$name"
    exit 1
  }
  printf 'ok     %6d s  %s\n' $((SECONDS - start)) "$name"
}

set_up "tools" bash scripts/need.sh git c++ cmake make npm python3 pip
set_up "runtimes and development dependencies" . scripts/env.sh
set_up "the library" deno run -A build/mod.ts
set_up "a software GPU, where it can be had" bash scripts/vulkan.sh
set_up "the models" bash scripts/download_models.sh minilm splade-tiny
set_up "PostgreSQL with pgvector, where it can be had" bash scripts/postgres.sh get
set_up "Python's hub client and readers of Parquet, where they can be had" . scripts/python.sh

status=0
deno task ok --examples --reports "$reports" </dev/null || status=$?
cat "$reports/summary.txt" 2>/dev/null || { # the gate itself did not start or was ended
  echo "0 passed, 1 failed"
  status=1
}
exit "$status"
