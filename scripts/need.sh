#!/usr/bin/env bash
# Says which programs are missing, all at once, and the command that gets them: scripts/need.sh TOOL...
# Tools: git, c++ (a C++17 compiler), cmake, make (ninja or make), npm, python3, pip (of that python3). Fails if one is missing.
# It starts no program but those that it looks for: on a bare system there may be no other.
set -u

has() {
  command -v "$1" >/dev/null 2>&1
}

# present TOOL: can it be used?
present() {
  case "$1" in
    c++)
      [ -n "${CXX:-}" ] && has "${CXX%% *}" && return # CXX="ccache g++" is two words
      has c++ || has g++ || has clang++ || has cl || [ -n "${VSINSTALLDIR:-}${ProgramFiles:-}" ] # CMake finds MSVC itself
      ;;
    make) has ninja || has make || [ -n "${VSINSTALLDIR:-}${ProgramFiles:-}" ] ;;
    pip) has python3 && python3 -m pip --version >/dev/null 2>&1 ;;
    *) has "$1" ;;
  esac
}

missing="" apt="" dnf="" brew="" xcode=""
for tool in "$@"; do
  present "$tool" && continue
  case "$tool" in
    git) words="git" apt="$apt git" dnf="$dnf git" xcode=1 ;;
    c++) words="a C++17 compiler" apt="$apt g++" dnf="$dnf gcc-c++" xcode=1 ;;
    cmake) words="cmake" apt="$apt cmake" dnf="$dnf cmake" brew="$brew cmake" ;;
    make) words="ninja (or make)" apt="$apt ninja-build" dnf="$dnf ninja-build" brew="$brew ninja" ;;
    npm) words="npm" apt="$apt npm" dnf="$dnf nodejs-npm" brew="$brew node" ;;
    python3) words="python3" apt="$apt python3" dnf="$dnf python3" brew="$brew python" ;;
    pip) words="pip for python3" apt="$apt python3-pip" dnf="$dnf python3-pip" brew="${brew% python} python" ;;
    *) printf 'need.sh: "%s" is unknown: use git, c++, cmake, make, npm, python3 or pip\n' "$tool" >&2 && exit 2 ;;
  esac
  missing="$missing, $words"
done
[ -n "$missing" ] || exit 0

sudo=""
[ "$EUID" = 0 ] || sudo="sudo "
mac="${xcode:+xcode-select --install}${xcode:+${brew:+ && }}${brew:+brew install$brew}"
printf 'error: missing: %s. Get what is missing with\n' "${missing#, }" >&2
if has apt-get; then
  printf '  %sapt install%s\n' "$sudo" "$apt" >&2
elif has dnf; then
  printf '  %sdnf install%s\n' "$sudo" "$dnf" >&2
elif [[ "$OSTYPE" == darwin* ]] || has brew; then
  printf '  %s\n' "$mac" >&2
else
  printf '  Debian, Ubuntu   %sapt install%s\n' "$sudo" "$apt" >&2
  printf '  Fedora, RHEL     %sdnf install%s\n' "$sudo" "$dnf" >&2
  printf '  macOS            %s\n' "$mac" >&2
  printf '  Windows          see docs/building.md\n' >&2
fi
exit 1
