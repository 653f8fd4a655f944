#!/usr/bin/env bash
# Gets Mesa's software device for the test of the GPU path (tests/runtime/backends_test.ts). Debian and Ubuntu, as root or where
# sudo asks for no password; anywhere else it says why it did nothing, and the test is skipped.
set -u
say() { printf 'vulkan.sh: %s\n' "$*" >&2; }

[ "$(uname -sm)" = "Linux x86_64" ] || exit 0
ls /usr/share/vulkan/icd.d/lvp_icd* >/dev/null 2>&1 && exit 0
command -v apt-get >/dev/null 2>&1 || { say "no apt-get: install Mesa's Vulkan drivers to have the GPU path tested" && exit 0; }
as_root=()
if [ "$(id -u)" != 0 ]; then
  sudo -n true 2>/dev/null || { say "not root: \`sudo apt-get install mesa-vulkan-drivers\` to have the GPU path tested" && exit 0; }
  as_root=(sudo -n)
fi
say "installing mesa-vulkan-drivers"
install() {
  ${as_root[@]+"${as_root[@]}"} env DEBIAN_FRONTEND=noninteractive timeout 300 \
    apt-get install -y -qq --no-install-recommends mesa-vulkan-drivers </dev/null >/dev/null 2>&1
}
install || { ${as_root[@]+"${as_root[@]}"} timeout 120 apt-get update -qq </dev/null >/dev/null 2>&1 && install; } ||
  say "it cannot be installed here: the GPU path is not tested"
exit 0
