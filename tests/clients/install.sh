#!/usr/bin/env bash
# Makes sure that the mail clients of tests/clients are here: Debian packages by name when it may install them, Python
# and Node libraries in their pinned versions below target/clients. Otherwise says precisely what is missing and fails.
set -eu
cd "$(dirname "$0")/../.."
clients=tests/clients
installed=target/clients

debian() {
    declare -A packages=(
        [swaks]=swaks [curl]=curl [mbsync]=isync [fetchmail]=fetchmail [getmail]=getmail6 [python3]=python3
        [offlineimap]=offlineimap3 [neomutt]=neomutt [script]=bsdutils [perl]=perl [node]=nodejs [npm]=npm
    )
    local missing=() command install
    for command in "${!packages[@]}"; do
        command -v "$command" >/dev/null 2>&1 || missing+=("${packages[$command]}")
    done
    local part
    for part in imap pop3 lmtp; do
        [ -x "/usr/lib/dovecot/$part" ] || missing+=("dovecot-${part}d")
    done
    # swaks speaks TLS only with the first.
    perl -MNet::SSLeay -e1 2>/dev/null || missing+=(libnet-ssleay-perl)
    perl -MMail::IMAPClient -e1 2>/dev/null || missing+=(libmail-imapclient-perl)
    perl -MIO::Socket::SSL -e1 2>/dev/null || missing+=(libio-socket-ssl-perl)
    python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
    [ "${#missing[@]}" -eq 0 ] && return
    install=(apt-get install -y --no-install-recommends "${missing[@]}")
    if command -v apt-get >/dev/null 2>&1 && as_root true 2>/dev/null; then
        echo "installing for tests/clients: ${missing[*]}"
        # Dovecot's package would start its own server: this one must not.
        as_root apt-get update -qq &&
            as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 "${install[@]}" >/dev/null && return
    fi
    echo "tests/clients needs these Debian packages: ${missing[*]}" >&2
    echo "install them with: sudo ${install[*]}" >&2
    exit 1
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi
}

# A library's folder is made anew unless a copy of the list that it was made from lies in it.
python_libraries() {
    local list=$clients/python/requirements.txt folder=$installed/python
    cmp -s "$list" "$folder/installed" && return
    echo "installing for tests/clients: $(tr '\n' ' ' <$list)"
    rm -rf "$folder"
    python3 -m venv "$folder"
    "$folder/bin/pip" install --quiet --disable-pip-version-check --requirement "$list"
    cp "$list" "$folder/installed"
}

node_libraries() {
    local list=$clients/node/package-lock.json folder=$installed/node
    cmp -s "$list" "$folder/installed" && return
    echo "installing for tests/clients: imapflow and what it needs"
    rm -rf "$folder"
    mkdir -p "$folder"
    cp "$clients/node/package.json" "$list" "$folder"
    (cd "$folder" && npm ci --silent --ignore-scripts --no-audit --no-fund)
    cp "$list" "$folder/installed"
}

debian
mkdir -p "$installed"
python_libraries
node_libraries
