#!/usr/bin/env bash
# Gets models: scripts/download_models.sh [minilm | bge | bge-base | bge-reranker | NAME | hf:...]..., without one the list.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
exec deno run -A "$(dirname "${BASH_SOURCE[0]}")/models/mod.ts" "$@"
