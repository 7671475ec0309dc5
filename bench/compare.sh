#!/usr/bin/env bash
# `make compare`: the same work on Ringpost and on Debian's Dovecot, side by side: writes bench/results/compare.{md,jsonl,svg,png}.
#
# Dovecot is installed by its package names where it is missing, and runs privately: its own configuration and folders
# below a temporary one, loopback ports of its own, as the user who runs this. Both servers are on the first core and
# the client on the second; rounds are interleaved. RINGPOST_COMPARE_SIZES, RINGPOST_COMPARE_ROUNDS,
# RINGPOST_COMPARE_MESSAGE_BYTES, RINGPOST_BENCH_SECONDS (a delivery scenario).
set -eu -o pipefail
sizes=${RINGPOST_COMPARE_SIZES:-1000,10000}
rounds=${RINGPOST_COMPARE_ROUNDS:-5}
octets=${RINGPOST_COMPARE_MESSAGE_BYTES:-10240}
seconds=${RINGPOST_BENCH_SECONDS:-5}
if ! command -v dovecot >/dev/null || [ ! -e /usr/lib/dovecot/lmtp ]; then
    echo "installing dovecot-imapd and dovecot-lmtpd" >&2
    asroot=$([ "$(id -u)" = 0 ] || echo sudo)
    # The package would start its own server: this one must not.
    $asroot env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install --yes --no-install-recommends \
        dovecot-core dovecot-imapd dovecot-lmtpd >&2
fi
# shellcheck source=bench/lib.sh
. bench/lib.sh
sockets=$(mktemp -d)
chmod 711 "$sockets"
masters=() # process ids of the Dovecots that were started here
finish() {
    stop
    for master in "${masters[@]}"; do kill -TERM "$master" 2>/dev/null || true; done
    for master in "${masters[@]}"; do wait "$master" 2>/dev/null || true; done
    rm -rf "$work" "$sockets"
}
trap finish EXIT

user=$(id -un) group=$(id -gn) internal=$(id -un) internal_group=$(id -gn) login=$(id -un)
# Started by root, it insists on users of its own, who must reach its sockets and folders.
if [ "$(id -u)" = 0 ]; then user=mail group=mail internal=dovecot internal_group=dovecot login=dovenull; fi
chmod 711 "$work"
folder=$(realpath "$work")
dovecot_config() { # dovecot_config FORMAT IMAP-PORT LMTP-PORT
    cat <<CONFIG
protocols = imap lmtp
base_dir = $sockets/$1
state_dir = $folder/$1/state
instance_name = ringpost-compare-$1
log_path = $folder/$1/log
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain login
mail_location = $1:$folder/$1/mail/%u
mail_uid = $user
mail_gid = $group
first_valid_uid = 1
default_internal_user = $internal
default_internal_group = $internal_group
default_login_user = $login
mail_fsync = optimized
passdb {
  driver = static
  args = password=$RINGPOST_BENCH_PASSWORD
}
userdb {
  driver = static
  args = uid=$user gid=$group home=$folder/$1/home/%u
}
default_client_limit = 4096
default_process_limit = 256
service imap-login {
  chroot =
  process_min_avail = 1
  service_count = 0
  inet_listener imap {
    port = $2
  }
  inet_listener imaps {
    port = 0
  }
}
service imap {
  process_min_avail = 8
  service_count = 0
}
service lmtp {
  process_min_avail = 4
  inet_listener lmtp {
    port = $3
  }
}
service anvil {
  chroot =
}
service stats {
  chroot =
}
protocol imap {
  mail_max_userip_connections = 1000
}
CONFIG
}
start_dovecot() { # start_dovecot FORMAT IMAP-PORT LMTP-PORT
    mkdir -p "$sockets/$1" "$work/$1/state" "$work/$1/mail" "$work/$1/home"
    if [ "$(id -u)" = 0 ]; then chown "$user:$group" "$work/$1" "$work/$1/mail" "$work/$1/home"; fi
    dovecot_config "$@" > "$work/$1.conf"
    pin 0 dovecot -F -c "$work/$1.conf" &
    masters+=($!)
    for _ in $(seq 100); do
        (exec 3<>"/dev/tcp/127.0.0.1/$2") 2>/dev/null && return
        sleep 0.1
    done
    cat "$work/$1/log" >&2
    exit 1
}
configure
start
admin domain add example.test
{
    for size in $(echo "$sizes" | tr , ' '); do echo "size$size@example.test,$RINGPOST_BENCH_PASSWORD"; done
    seq 100 | sed "s/.*/user&@example.test,$RINGPOST_BENCH_PASSWORD/"
} | admin account add --csv
start_dovecot sdbox 14143 14024
start_dovecot mdbox 15143 15024

client() { (pin 1 "$programs/ringpost-bench" "$@"); }
each() { # each COMMAND…: the same on every server, in turn; LABEL IMAP-PORT LMTP-PORT are appended
    "$@" ringpost 2143 2424
    "$@" dovecot-sdbox 14143 14024
    "$@" dovecot-mdbox 15143 15024
}
survey() { # survey SCENARIO LABEL IMAP-PORT LMTP-PORT
    echo "  $1 on $2" >&2
    client "$1" --user-pattern "size{}@example.test" --sizes "$sizes" --message-bytes "$octets" --rounds 2 \
        --connections 8 --prepare --timeout-seconds 300 --label "$2" --port "$3" >> "$work/compare.jsonl"
}
deliver() { # deliver LABEL IMAP-PORT LMTP-PORT
    client lmtp --mailboxes 100 --connections 32 --message-bytes 4096 --seconds "$seconds" --port "$3" --label "$1" >> "$work/compare.jsonl"
}
append() { # append LABEL IMAP-PORT LMTP-PORT
    client imap-append --mailboxes 16 --connections 16 --message-bytes 10240 --seconds "$seconds" --port "$2" --label "$1" >> "$work/compare.jsonl"
}
for round in $(seq "$rounds"); do
    echo "round $round of $rounds" >&2
    for scenario in imap-select imap-list imap-search imap-sort imap-thread; do each survey "$scenario"; done
    each deliver
    each append
done

cp "$work/compare.jsonl" "$results/compare.jsonl"
"$programs/ringpost-bench" plot "$results/compare.svg" "$results/compare.png" < "$work/compare.jsonl"
{
    echo "# Side by side, measured by \`make compare\` on $(date -u +%F)"
    echo
    machine
    echo "Dovecot $(dovecot --version) as Debian ships it ($(dpkg-query -W -f '${Version}' dovecot-core)), pinned like" \
        "Ringpost, with sdbox and with mdbox; it writes as shipped (\`mail_fsync = optimized\`)."
    echo "$rounds interleaved rounds. Lists: messages of $octets octets; \"first\" is the very first time, \"again\" the" \
        "median of the others. Stores: durable, closed loop, medians. Raw figures: \`compare.jsonl\`."
    echo
    "$programs/ringpost-bench" compare < "$work/compare.jsonl"
    echo
    echo "![side by side](compare.svg)"
    echo
    echo "Dovecot's settings (sdbox; mdbox differs in the format, folders and ports):"
    echo
    echo '```'
    doveconf -n -c "$work/sdbox.conf" | grep -v '^#' | sed "s|$folder|FOLDER|g; s|$sockets|SOCKETS|g; s|$RINGPOST_BENCH_PASSWORD|PASSWORD|"
    echo '```'
} > "$results/compare.md"
cat "$results/compare.md"
