# Several releases side by side, one of them current; a new one stays only if it comes up healthy.  To be sourced.
# POSIX sh (busybox on a GX).
#
#     $HOME_DIR/releases/NAME/          each whole, with bin/bms-gateway and check-able by itself
#     $HOME_DIR/current -> releases/NAME
#     $HOME_DIR/before/                 state and status from just before the last change
#
# Whoever sources it sets HOME_DIR, CONFIG, STATE, and says how the service is driven:
#     service_fit NAME        put in place what the service manager reads (from releases/NAME)
#     service_running         is it running?
#     service_restart, service_stop
#     service_words           its last log lines

SETTLED=${SETTLED:-10}      # s that a new version must be well
PATIENCE=${PATIENCE:-90}    # s that it may take

say() { printf 'bms-gateway: %s\n' "$*"; }
fail() { printf 'bms-gateway: %s\n' "$*" >&2; exit 1; }

current() { readlink "$HOME_DIR/current" 2>/dev/null | sed 's,.*/,,' || true; }

# point NAME: `current` is NAME from now on, at no moment nothing.
point() {
    ln -sfn "releases/$1" "$HOME_DIR/current.new"
    mv -T "$HOME_DIR/current.new" "$HOME_DIR/current" 2>/dev/null || {
        rm -f "$HOME_DIR/current"; mv "$HOME_DIR/current.new" "$HOME_DIR/current"; }
}

# sound NAME: does the release start at all, and does it accept the configuration?  Nothing is touched yet.
sound() {
    "$HOME_DIR/releases/$1/bin/bms-gateway" --version >/dev/null ||
        { say "the new release does not start on this machine" >&2; return 1; }
    [ ! -e "$CONFIG" ] || "$HOME_DIR/releases/$1/bin/bms-gateway" check "$CONFIG" >/dev/null ||
        { say "the new release refuses $CONFIG" >&2; return 1; }
}

# remember: the state file, and how the running gateway is.
remember() {
    rm -rf "$HOME_DIR/before"; mkdir -p "$HOME_DIR/before"; chmod 700 "$HOME_DIR/before"
    "$HOME_DIR/current/bin/bms-gateway" status --json >"$HOME_DIR/before/status.json" 2>/dev/null ||
        : >"$HOME_DIR/before/status.json"
    [ ! -e "$STATE/state.json" ] || cp -p "$STATE/state.json" "$HOME_DIR/before/state.json"
}

# well NAME: has the release come up, with whatever answered before?
well() {
    "$HOME_DIR/releases/$1/bin/bms-gateway" status --settled "$SETTLED" --patience "$PATIENCE" \
        --as "$HOME_DIR/before/status.json" >/dev/null
}

# change_to NAME: make it current; where it does not come up healthy, the former one with its state again, and 1.
change_to() {
    new=$1; old=$(current); was_running=; service_running && was_running=yes
    remember
    point "$new"; service_fit "$new"
    [ -e "$CONFIG" ] || return 0
    [ -n "$was_running$START" ] || return 0
    service_restart && well "$new" && return 0
    service_words >&2
    say "$new is not healthy" >&2
    [ -n "$old" ] && [ "$old" != "$new" ] || { service_stop; return 1; }
    roll_back "$old"
    return 1
}

roll_back() {
    say "going back to $1" >&2
    service_stop
    point "$1"; service_fit "$1"
    [ ! -e "$HOME_DIR/before/state.json" ] || cp -p "$HOME_DIR/before/state.json" "$STATE/state.json"
    if [ -z "$was_running" ]; then say "$1 is in place again, not running as before" >&2; return; fi
    service_restart && well "$1" && { say "$1 runs again, as before" >&2; return; }
    say "$1 is not healthy any more either; look at bms-gateway doctor" >&2
}

# tidy: only the current release and the one before it are kept.
tidy() {
    for one in "$HOME_DIR"/releases/*; do
        name=${one##*/}
        [ "$name" = "$(current)" ] || [ "$name" = "${1:-}" ] || rm -rf "$one"
    done
}
