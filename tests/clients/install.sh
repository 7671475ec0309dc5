#!/usr/bin/env bash
# Makes sure that the mail clients of tests/clients are here: installs the missing ones by package name when it may,
# otherwise says precisely what to install and fails.
set -eu
declare -A packages=([swaks]=swaks [curl]=curl [mbsync]=isync [fetchmail]=fetchmail [getmail]=getmail6 [python3]=python3)
missing=()
for command in "${!packages[@]}"; do
    command -v "$command" >/dev/null 2>&1 || missing+=("${packages[$command]}")
done
# swaks speaks TLS only with this.
command -v perl >/dev/null 2>&1 && perl -MNet::SSLeay -e1 2>/dev/null || missing+=(libnet-ssleay-perl)
[ "${#missing[@]}" -eq 0 ] && exit 0
install=(apt-get install -y --no-install-recommends "${missing[@]}")
run() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi
}
if command -v apt-get >/dev/null 2>&1 && run true 2>/dev/null; then
    echo "installing for tests/clients: ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    run apt-get update -qq && run "${install[@]}" >/dev/null && exit 0
fi
echo "tests/clients needs these Debian packages: ${missing[*]}" >&2
echo "install them with: sudo ${install[*]}" >&2
exit 1
