#!/usr/bin/env bash
# Runs tests/full_disk on small file systems that it mounts in a mount namespace of its own, so that nothing of them is
# left behind, however it ends. `--can` only says whether this machine allows it.
#
# As root: ext4 on loop devices, one of which a test cuts short, which gives real I/O errors. As anybody else: a tmpfs
# in a user namespace; what needs a device is then said to be not shown, and the run fails.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)

if [ "${1:-}" = --can ]; then
    unshare --mount true 2>/dev/null && [ -e /dev/loop-control ] && command -v mkfs.ext4 >/dev/null
    exit
fi

if [ "${RINGPOST_NAMESPACE:-}" = "" ]; then
    cargo build --quiet --manifest-path "$here/Cargo.toml" --bin ringpost
    cargo test --quiet --manifest-path "$here/Cargo.toml" --test full_disk --no-run
    if "$0" --can; then
        RINGPOST_NAMESPACE=device exec unshare --mount --propagation private "$0" "$@"
    elif unshare --map-root-user --mount true 2>/dev/null; then
        RINGPOST_NAMESPACE=memory exec unshare --map-root-user --mount --propagation private "$0" "$@"
    fi
    echo "full-disk: NOTHING IS SHOWN: this machine lets nobody mount a small file system (neither root with loop" >&2
    echo "full-disk: devices and mkfs.ext4, nor user namespaces). Run it as root, or where one of them is allowed." >&2
    exit 1
fi

place=$(mktemp -d "${TMPDIR:-/tmp}/ringpost-full-disk.XXXXXX")
trap 'cd /; umount -l "$place"/*/mount 2>/dev/null || true; umount -l "$place" 2>/dev/null || true; rmdir "$place"' EXIT
mount -t tmpfs -o size=10m none "$place"

# An ext4 of so many MiB in a file on a tmpfs of so many MiB. Without a journal: an error then stays that of a file.
disk() {
    mkdir -p "$place/$1/under" "$place/$1/mount"
    mount -t tmpfs -o size="$3"m none "$place/$1/under"
    truncate -s "$2"M "$place/$1/under/image"
    mkfs.ext4 -q -O ^has_journal -E lazy_itable_init=1 -m 0 "$place/$1/under/image"
    mount -o loop "$place/$1/under/image" "$place/$1/mount"
}

if [ "$RINGPOST_NAMESPACE" = device ]; then
    disk small 160 200
    disk broken 400 300
    export RINGPOST_SMALL_DISK="$place/small/mount" RINGPOST_BROKEN_DISK="$place/broken"
else
    mkdir -p "$place/small/mount"
    mount -t tmpfs -o size=160m none "$place/small/mount"
    export RINGPOST_SMALL_DISK="$place/small/mount"
fi
cd "$here"
# It takes half a minute; what hangs is ended with everything that it started.
timeout --kill-after=5 60 cargo test --quiet --test full_disk -- --nocapture --test-threads=1
