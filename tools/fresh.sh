#!/usr/bin/env bash
# Try README's two commands as a stranger would: in a bare Debian that has git, make and python3.
#
#   tools/fresh.sh [SUITE...]     default: bookworm trixie (Debian 12 and 13)
#
# For each suite, as root and as a user: `make demo` and `make test` name what is missing, the
# named packages are installed, both run, and run again without a network. Prints one line a step
# with its seconds and those of the processor. Needs root, debootstrap, and about 6 GB in $FRESH.
set -euo pipefail

FRESH=${FRESH:-/var/tmp/hexconv-fresh}
MIRROR=${MIRROR:-http://deb.debian.org/debian}
USERS=${FRESH_USERS:-root stranger}
TESTS=${FRESH_TESTS:-tests}
OFFLINE=${FRESH_OFFLINE:-tests/cli tests/quantize} # what the second run tests
PROJECT=$(cd "$(dirname "$0")/.." && pwd)
CERTIFICATES=/etc/ssl/certs/ca-certificates.crt
mkdir -p "$FRESH"

base() { # the bare system, made once a suite
  local base="$FRESH/base-$1"
  [ -e "$base/.complete" ] && return
  remove "$base"
  debootstrap --variant=minbase --include=git,make,python3,ca-certificates \
    "$1" "$base" "$MIRROR" >"$FRESH/debootstrap-$1.log"
  touch "$base/.complete"
}

# Everything is mounted in a namespace of the one command: nothing is left behind when it ends or
# is killed, and the machine's own /dev is never inside a folder that is removed.
inside() { # USER COMMAND [unshare's option]: with the machine's certificates and proxies only
  local home=/root
  [ "$1" = root ] || home=/home/$1
  unshare --mount ${3:-} -- bash -ec 'mount -t proc proc "$0/proc"; mount -t tmpfs tmpfs "$0/dev/shm"
    exec chroot "$@"' "$ROOT" --userspec="$1:$1" "$ROOT" /usr/bin/env -i \
    HOME="$home" PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
    http_proxy="${http_proxy:-}" https_proxy="${https_proxy:-}" PIP_CERT=$CERTIFICATES \
    SSL_CERT_FILE=$CERTIFICATES CI="${CI:-}" bash -c "cd ~/hexconv 2>/dev/null; $2"
}

remove() { # FOLDER: unless something is mounted in it
  ! grep -q " $1/" /proc/mounts || { echo "unmount what is in $1 first"; exit 1; }
  rm -rf --one-file-system "$1"
}

step() { # NAME COMMAND...: its fate, seconds, and seconds of processor time; the output is kept
  local name=$1 begin=$SECONDS log fate=ok TIMEFORMAT='%U %S'
  log="$FRESH/$TAG-${name// /-}.log"
  shift
  { time "$@" >"$log" 2>&1 || fate=failed; } 2>"$log.time"
  [ "$fate" = "$EXPECT" ] && note="as it should" || note="WRONG"
  printf '%-18s %-26s %-6s %-12s %5d s %5.0f s CPU  %s\n' "$TAG" "$name" "$fate" "$note" \
    $((SECONDS - begin)) "$(awk '{print $1 + $2}' "$log.time")" \
    "$(grep -E '[0-9]+ passed' "$log" | tail -1)"
  [ "$note" != WRONG ] || { tail -20 "$log"; failures=$((failures + 1)); }
}

try() { # SUITE USER
  TAG="$1-$2" ROOT="$FRESH/$1-$2"
  remove "$ROOT" && cp -a "$FRESH/base-$1" "$ROOT"
  cp -L /etc/resolv.conf "$ROOT/etc/" && cp -L $CERTIFICATES "$ROOT$CERTIFICATES"
  [ "$2" = root ] || chroot "$ROOT" useradd -m "$2"
  local home="$ROOT/home/$2"
  [ "$2" != root ] || home="$ROOT/root"
  git clone -q "$PROJECT" "$home/hexconv"
  mkdir "$home/hexconv/.venv" && touch "$home/hexconv/.venv/pyvenv.cfg" # of an interrupted run
  chroot "$ROOT" chown -R "$2:$2" "${home#"$ROOT"}"

  EXPECT=failed step "demo names what is missing" inside "$2" "make demo"
  EXPECT=failed step "test names what is missing" inside "$2" "make test"
  local install
  install=$(sed -n 's/^on Debian.*: sudo //p' "$FRESH/$TAG-test-names-what-is-missing.log")
  EXPECT=ok step "what it names" inside root "apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
    ${install/install/install -y -qq --no-install-recommends}"
  EXPECT=ok step "make demo" inside "$2" "make demo"
  EXPECT=ok step "make test" inside "$2" "make test TESTS='$TESTS' && du -sm .venv"
  EXPECT=ok step "make demo, offline" inside "$2" "make demo" --net
  EXPECT=ok step "make test, offline" inside "$2" "make test TESTS='$OFFLINE'" --net
  echo "$TAG: $(tail -1 "$FRESH/$TAG-make-test.log") (MB), installed: ${install#*install }"
  remove "$ROOT"
}

failures=0
[ $# -gt 0 ] || set -- bookworm trixie
for suite in "$@"; do
  base "$suite"
  for user in $USERS; do try "$suite" "$user"; done
done
exit "$failures"
