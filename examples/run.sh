#!/usr/bin/env bash
# usage: examples/run.sh NAME [--bun] [ARGUMENT...]
# Runs examples/NAME.ts on Deno (or Bun), after setting up what is missing: a runtime, the library, a model.
# On Deno it gets --allow-ffi and nothing else, unless a line "// permissions: --allow-ffi --allow-read" among its first says so.
set -euo pipefail
examples="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
root="$(dirname "$examples")"

list() {
  local file
  echo "usage: examples/run.sh NAME [--bun] [ARGUMENT...]"
  for file in "$examples"/*.ts; do
    [ -e "$file" ] || continue
    printf '  %-16s %s\n' "$(basename "$file" .ts)" "$(sed -n -e '/^\/\/ permissions:/d' -e 's|^/[/*]*  *||p' "$file" | head -n 1)"
  done
}

bun=""
if [ "${1:-}" = --bun ]; then bun=1 && shift; fi
case "${1:-}" in
  "" | -h | --help) list && exit ;;
esac
name="$(basename "$1" .ts)"
shift
if [ "${1:-}" = --bun ]; then bun=1 && shift; fi
example="$examples/$name.ts"
if [ ! -f "$example" ]; then
  printf 'Cannot run example "%s": there is no %s\n' "$name" "$example" >&2
  list >&2
  exit 2
fi

# Set-up speaks on stderr, so that stdout is the example's alone.
if [ -z "${LLAMASAUR_LIBRARY:-}" ] && [ ! -d "$root/lib" ]; then
  bash "$root/scripts/need.sh" git c++ cmake make npm >&2 # before anything is downloaded, and all at once
fi
. "$root/scripts/env.sh"
if [ -z "${LLAMASAUR_LIBRARY:-}" ]; then
  deno run -A "$root/build/mod.ts" </dev/null >&2
fi
if [ ! -f "$root/models/bge-small-en-v1.5-q4_k_m.gguf" ] && [ ! -f "$root/models/all-minilm-l6-v2-q8_0.gguf" ]; then
  bash "$root/scripts/download_models.sh" minilm </dev/null >&2
fi

if [ -n "$bun" ]; then exec bun "$example" "$@"; fi
permissions="$(sed -n '1,5s|^// permissions: ||p' "$example" | head -n 1)"
if [ -n "${LLAMASAUR_LIBRARY:-}" ]; then permissions="${permissions:---allow-ffi} --allow-env=LLAMASAUR_LIBRARY"; fi
# shellcheck disable=SC2086 # several words
exec deno run --no-prompt ${permissions:---allow-ffi} "$example" "$@"
