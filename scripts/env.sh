# Source this file (bash or zsh): `. scripts/env.sh` puts the pinned Deno and Bun on PATH and brings node_modules up to date.
#
# The runtimes come from npm into the user cache and stay out of package.json. As dependencies they would give `deno task`
# the npm program "bun", which it runs inside Deno, and `npm ci` would fail wherever a registry lacks one platform's package.

LLAMASAUR_DENO=2.9.6
LLAMASAUR_BUN=1.4.5

llamasaur_say() {
  printf '%s\n' "$*" >&2
}

# The user cache, as cacheDirectory() of ffi/host/paths.ts has it.
llamasaur_cache() {
  if [ -n "${XDG_CACHE_HOME:-}" ]; then
    printf '%s\n' "$XDG_CACHE_HOME/llamasaur"
    return
  fi
  case "$(uname -s)" in
    Darwin) printf '%s\n' "$HOME/Library/Caches/llamasaur" ;;
    MINGW* | MSYS*) printf '%s\n' "$(cygpath -u "$LOCALAPPDATA")/llamasaur/Cache" ;;
    *) printf '%s\n' "$HOME/.cache/llamasaur" ;;
  esac
}

# llamasaur_pinned DENO BUN: are these two programs the pinned versions?
llamasaur_pinned() {
  local deno bun
  deno="$("$1" --version 2>/dev/null)" && bun="$("$2" --version 2>/dev/null)" || return 1
  case "$deno" in "deno $LLAMASAUR_DENO" | "deno $LLAMASAUR_DENO "*) ;; *) return 1 ;; esac
  [ "$bun" = "$LLAMASAUR_BUN" ]
}

# llamasaur_pick WORD VERSION: of the program files on stdin, the first that starts and names the version. npm may have
# installed several for one platform: builds for musl start only there, "baseline" ones are for CPUs without AVX2.
llamasaur_pick() {
  local file kind pass all=""
  all="$(cat)"
  kind=plain
  case "$(uname -s)-$(uname -m)" in
    Linux-x86_64) grep -qw avx2 /proc/cpuinfo || kind=baseline ;;
    Darwin-x86_64) [ "$(sysctl -n hw.optional.avx2_0 2>/dev/null)" = 1 ] || kind=baseline ;;
  esac
  for pass in right any; do
    while IFS= read -r file; do
      [ -f "$file" ] || continue
      if [ "$pass" = right ]; then
        case "$kind $file" in "plain "*-baseline/*) continue ;; "baseline "*-baseline/*) ;; "baseline "*) continue ;; esac
      fi
      chmod +x "$file"
      case "$("$file" --version </dev/null 2>/dev/null)" in
        "$1$2" | "$1$2 "*) printf '%s\n' "$file" && return ;;
      esac
    done <<EOF
$all
EOF
  done
  return 1
}

# llamasaur_swap NEW TARGET: puts a finished directory in its place by one rename. If another process does so first, its stays.
llamasaur_swap() {
  [ ! -e "$2" ] || mv "$2" "$1.old" 2>/dev/null || true
  node -e 'require("node:fs").renameSync(process.argv[1], process.argv[2])' "$1" "$2" 2>/dev/null || [ -d "$2" ]
}

# llamasaur_runtimes DIR: installs both runtimes and links them into DIR/bin.
llamasaur_runtimes() (
  llamasaur_say "installing Deno $LLAMASAUR_DENO and Bun $LLAMASAUR_BUN from npm into $1"
  mkdir -p "$(dirname "$1")" || exit 1
  find "$(dirname "$1")" -maxdepth 1 -name '.installing.*' -mmin +60 -exec rm -rf {} + # left by a set-up that was killed
  temporary="$(mktemp -d "$(dirname "$1")/.installing.XXXXXX")" || exit 1
  trap 'rm -rf "$temporary"' EXIT
  trap 'exit 130' HUP INT TERM
  mkdir "$temporary/new" && cd "$temporary/new" || exit 1
  npm install --prefix "$temporary/new" --no-package-lock --no-save --ignore-scripts --include=optional --no-audit --no-fund \
    --loglevel=error "deno@$LLAMASAUR_DENO" "bun@$LLAMASAUR_BUN" </dev/null >&2 || exit 1
  exe=""
  case "$(uname -s)" in MINGW* | MSYS*) exe=.exe ;; esac
  deno="$(find node_modules/@deno -name "deno$exe" | sort | llamasaur_pick "deno " "$LLAMASAUR_DENO")" &&
    bun="$(find node_modules/@oven -name "bun$exe" | sort | llamasaur_pick "" "$LLAMASAUR_BUN")" || {
    llamasaur_say "error: npm has no Deno $LLAMASAUR_DENO or no Bun $LLAMASAUR_BUN that starts on $(uname -sm)." \
      "Install both by other means and put them on PATH: they are used if their versions are exactly these."
    exit 1
  }
  mkdir bin && ln -s "../$deno" "bin/deno$exe" && ln -s "../$bun" "bin/bun$exe" &&
    ln -s "bun$exe" "bin/bunx$exe" && cd / || exit 1
  llamasaur_pinned "$1/bin/deno" "$1/bin/bun" || llamasaur_swap "$temporary/new" "$1"
)

# llamasaur_current ROOT: is node_modules newer than the lock?
llamasaur_current() {
  [ "$1/node_modules/.package-lock.json" -nt "$1/package-lock.json" ]
}

# llamasaur_packages ROOT: npm ci, beside the tree and moved in when it is complete.
llamasaur_packages() (
  llamasaur_say "installing the development dependencies (npm ci)"
  temporary="$(mktemp -d "$1/.installing.XXXXXX")" || exit 1
  trap 'rm -rf "$temporary"' EXIT
  trap 'exit 130' HUP INT TERM
  cp "$1/package.json" "$1/package-lock.json" "$1/.npmrc" "$temporary" &&
    mkdir "$temporary/cli" && cp "$1/cli/package.json" "$temporary/cli" && cd "$temporary" || exit 1
  npm ci --ignore-scripts --include=dev --no-audit --no-fund --loglevel=error </dev/null >&2 || exit 1
  cd / || exit 1
  llamasaur_current "$1" || llamasaur_swap "$temporary/node_modules" "$1/node_modules"
)

llamasaur_set_up() {
  local root runtimes
  root="$(cd "$(dirname "$1")/.." && pwd)" || return 1
  if ! llamasaur_pinned deno bun; then
    runtimes="$(llamasaur_cache)/runtimes/deno-$LLAMASAUR_DENO-bun-$LLAMASAUR_BUN" || return 1
    llamasaur_pinned "$runtimes/bin/deno" "$runtimes/bin/bun" ||
      { bash "$root/scripts/need.sh" npm && llamasaur_runtimes "$runtimes"; } || return 1
    [ -e "$runtimes/bin/bunx" ] || ln -s bun "$runtimes/bin/bunx" 2>/dev/null || true # installed before bunx was linked
    PATH="$runtimes/bin:$PATH"
    export PATH
    hash -r
  fi
  llamasaur_current "$root" || { bash "$root/scripts/need.sh" npm && llamasaur_packages "$root"; }
}

llamasaur_set_up "${BASH_SOURCE[0]:-$0}"
