#!/usr/bin/env bash
# Gets models into models/: scripts/download_models.sh [minilm | bge]..., without a name the list.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
exec deno run -A "$(dirname "${BASH_SOURCE[0]}")/models/mod.ts" "$@"
