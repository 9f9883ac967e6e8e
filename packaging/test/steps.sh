# How a step is told and judged.  To be sourced.

step() { printf '   %s\n' "$*"; }
die() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }

# until_so SECONDS COMMAND...: it succeeds within that time, $SLOW times longer on a slow machine.
until_so() {
    local end=$(($(date +%s) + $1 * ${SLOW:-1})); shift
    until "$@" >/dev/null 2>&1; do
        [ "$(date +%s)" -lt "$end" ] || die "not within the time: $*"
        sleep 0.5
    done
}

# broken KIND DIR: a copy of $project that is broken in this way; the packages are below its folder $below.
broken() {
    rm -rf "$2"; cp -r "$project" "$2"
    case $1 in
        unstartable) sed -i '1i raise SystemExit("this release is broken")' "$2/${below:-}gateway/cli/main.py" ;;
        crashing) sed -i 's/gateway = await build(.*)/raise RuntimeError("this release is broken")/' "$2/${below:-}gateway/service.py" ;;
        mute) sed -i '/async def open/,/if self/ s/        if self.*/        raise opening_failed(self.url, OSError(5, "this release is broken"))/' "$2/${below:-}bms_drivers/links/serial.py" ;;
        *) die "no such kind: $1" ;;
    esac
    ! diff -rq "$project" "$2" >/dev/null || die "$1: nothing was broken"
}
