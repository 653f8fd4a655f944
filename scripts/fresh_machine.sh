#!/usr/bin/env bash
# Tries the two commands of README on a machine that has nothing: scripts/fresh_machine.sh [--dockerfile] [--keep]
# Makes a minimal Debian 12 in a folder, installs what README's line of apt names and nothing else, clones this checkout's
# HEAD into it and runs both commands there, without any cache: half an hour. --keep leaves the folder and says how to enter it.
# --dockerfile runs the RUN lines of deploy/Dockerfile instead, each as Docker does, and asks the server that they make.
#
# It needs root on a Debian or Ubuntu whose apt sources have bookworm, and debootstrap. Packages come from where this machine
# gets its own: apt's sources and network settings are copied. The user's npmrc and pip.conf and the certificates that
# environment variables name are lent: mounted read-only, in a mount namespace that ends with this script.
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
release=bookworm
# By their names: variables that tell npm, pip, git and the runtimes where the network is and whom to trust.
variables='^(npm_config_.*|NPM_CONFIG_.*|PIP_.*|HTTPS?_PROXY|https?_proxy|NO_PROXY|no_proxy|HF_ENDPOINT|SSL_CERT_FILE|SSL_CERT_DIR|NODE_EXTRA_CA_CERTS|DENO_CERT|DENO_TLS_CA_STORE|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|GIT_SSL_CAINFO)$'

die() {
  printf 'fresh_machine.sh: %s\n' "$*" >&2
  exit 1
}

step() { # NAME COMMAND...
  local name="$1" start=$SECONDS
  shift
  printf -- '-- %s\n' "$name"
  "$@" </dev/null || die "failed after $((SECONDS - start)) s: $name"
  printf 'ok     %6d s  %s\n' $((SECONDS - start)) "$name"
}

# The packages that README names.
packages() {
  sed -n 's/.*apt install \([^`#]*\).*/\1/p' "$root/README.md" | head -n 1
}

make_system() {
  local mirror
  # shellcheck disable=SC2016 # apt's own variable
  mirror="$(apt-get indextargets --format '$(REPO_URI)' "Created-By: Packages" "Release: $release" | head -n 1)"
  [ -n "$mirror" ] || die "this machine's apt sources have no $release"
  debootstrap --variant=minbase "$release" "$machine" "$mirror" >"$log" 2>&1 || { tail "$log" && return 1; }
  apt-config dump Acquire >"$machine/etc/apt/apt.conf.d/99network" && cp /etc/hosts /etc/resolv.conf "$machine/etc/"
}

# inside COMMAND...: runs it in the folder, as root, in /root/llamasaur, with the machine's network settings and nothing else of
# its environment. Mounts and processes are of a namespace of their own, so that none of them outlives the command.
inside() {
  local name environment=(HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 NO_COLOR=1)
  while IFS= read -r name; do
    environment+=("$name=${!name}")
  done < <(compgen -e | grep -E "$variables" || true)
  unshare --mount --pid --fork --kill-child bash -c "$(declare -f lend enter); enter \"\$@\"" enter "$machine" "${HOME:-/root}" \
    env -i "${environment[@]}" "$@"
}

enter() { # MACHINE HOME env -i NAME=VALUE... COMMAND...
  local machine="$1" home="$2" word
  shift 2
  mount -t proc proc "$machine/proc"
  mount --rbind /sys "$machine/sys"
  mount --rbind /dev "$machine/dev"
  if [ -d "$machine/root/llamasaur" ]; then # not before the packages are installed, which write certificates themselves
    lend "$home/.npmrc" /root/.npmrc
    lend "$home/.config/pip/pip.conf" /root/.config/pip/pip.conf
    lend "$home/.pip/pip.conf" /root/.pip/pip.conf
    lend /etc/pip.conf /etc/pip.conf
    for word in "$@"; do
      case "$word" in PIP_FIND_LINKS=/*) ;; *=/*:* | HOME=* | PATH=*) continue ;; *=/*) ;; *) continue ;; esac
      lend "${word#*=}" "${word#*=}"
    done
  fi
  chroot "$machine" /bin/sh -c 'cd /root/llamasaur 2>/dev/null || cd /root; exec "$@"' sh "$@"
}

lend() { # FILE-OR-FOLDER PATH-INSIDE
  [ -e "$1" ] || return 0
  mkdir -p "$(dirname "$machine$2")"
  if [ -d "$1" ]; then mkdir -p "$machine$2"; else [ -e "$machine$2" ] || : >"$machine$2"; fi
  mount --bind "$1" "$machine$2"
  mount -o remount,bind,ro "$machine$2"
}

install_packages() {
  # without what apt merely recommends, so that nothing is there by chance
  inside sh -c "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $names" \
    >"$log" 2>&1 || { tail "$log" && return 1; }
}

reranks() {
  local output
  output="$(inside ./examples/run.sh reranker)" || return 1
  printf '%s\n' "$output"
  [[ "$output" == *"1. score="*"2. score="*"3. score="* ]]
}

passes() {
  inside ./scripts/test.sh 2>&1 | tee "$log" || return 1
  [[ "$(tail -n 1 "$log")" =~ ^[1-9][0-9]*\ passed,\ 0\ failed(,\ [0-9]+\ skipped)?$ ]]
}

# docker_lines PATTERN: the lines of the Dockerfile that begin with such a word, their continued lines joined.
docker_lines() {
  sed -e ':again' -e '/\\$/{N;s/\\\n *//;bagain' -e '}' "$root/deploy/Dockerfile" | grep -E "^($1) "
}

# docker_words WORD: what follows a word of the Dockerfile.
docker_words() {
  docker_lines "$1" | cut -d' ' -f2- | tr -d '[],"'
}

# The image's lines in their order.
run_lines() {
  local word line
  while read -r word line; do
    printf '%s %s\n' "$word" "$line"
    if [ "$word" = COPY ]; then
      git clone --quiet "file://$root" "$machine/llamasaur" && ln -s ../llamasaur "$machine/root/llamasaur" # where `inside` begins
    else
      inside bash -c "$line" >"$log" 2>&1 </dev/null || { tail "$log" && return 1; }
    fi
  done < <(docker_lines 'RUN|COPY')
}

# What ENTRYPOINT starts, as the image's user, answers from outside.
serves() {
  local port=18411 fixture=/llamasaur/tests/fixtures/families/bert_mean.gguf server answer=""
  inside su -s /bin/bash "$(docker_words USER)" -c "export $(docker_words ENV)
    exec $(docker_words ENTRYPOINT) --embed $fixture=tiny --no-auth --port $port" >"$log" 2>&1 &
  server=$!
  for _ in $(seq 60); do
    sleep 1
    answer="$(curl -s "http://127.0.0.1:$port/v1/embeddings" -H 'content-type: application/json' -d '{"input":"a cat"}')" || true
    [[ "$answer" == *'"embedding":['* ]] && break
  done
  pkill -KILL -P "$server" || true # `unshare` minds no other signal, and takes with it what it started
  wait "$server" || true
  [[ "$answer" == *'"embedding":['* ]] || { tail "$log" && return 1; }
}

keep="" dockerfile=""
for word in "$@"; do
  case "$word" in
    --keep) keep=1 ;;
    --dockerfile) dockerfile=1 ;;
    *) die "\"$word\" is unknown: scripts/fresh_machine.sh [--dockerfile] [--keep]" ;;
  esac
done
[ "$EUID" = 0 ] || die "not root: it makes a file system and mounts"
for tool in debootstrap unshare apt-get git; do
  command -v "$tool" >/dev/null || die "no $tool: \`apt install debootstrap util-linux git\`"
done
names="$(packages)"
[ -n "$names" ] || die "README.md has no line with \"apt install\""
[ -z "$(git -C "$root" status --porcelain)" ] || printf 'fresh_machine.sh: what is not committed is not tried\n' >&2

machine="$(mktemp -d "${TMPDIR:-/tmp}/llamasaur-fresh.XXXXXX")"
log="$machine.log"
leave() {
  rm -f "$log"
  if [ -z "$keep" ]; then rm -rf --one-file-system "$machine"; else printf 'kept %s: chroot into it, and remove it\n' "$machine"; fi
}
trap leave EXIT
trap 'exit 130' HUP INT TERM
chmod 755 "$machine"

step "a minimal Debian ($release)" make_system
if [ -n "$dockerfile" ]; then
  step "the RUN and COPY lines of deploy/Dockerfile" run_lines
  step "what ENTRYPOINT starts answers" serves
  printf 'the lines of deploy/Dockerfile make a server that answers\n'
  exit
fi
step "apt install $names" install_packages
step "a clone of $(git -C "$root" rev-parse --short HEAD)" git clone --quiet "file://$root" "$machine/root/llamasaur"
step "./examples/run.sh reranker" reranks
step "./scripts/test.sh" passes
printf 'both commands pass on a machine that has nothing but: %s\n' "$names"
