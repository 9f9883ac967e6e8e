# Empty Debian root trees: made once, copied for each run, booted with systemd in namespaces of their own.  To be sourced.

PACKAGES_OF_TREE=ca-certificates,git,systemd,systemd-sysv,dbus,udev,procps,kmod,iproute2,daemontools,busybox-static,python3
TREE_PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# tree_copy SUITE ARCH DIR
tree_copy() {
    local made=$base/bms-gateway-tree-$1-$2 sources=/etc/apt/sources.list.d
    if [ ! -e "$made/.done" ]; then
        command -v debootstrap >/dev/null || apt-get -o DPkg::Lock::Timeout=300 install -y -qq debootstrap >/dev/null
        [ "$2" = "$(dpkg --print-architecture)" ] || emulation "$2"
        rm -rf "$made"
        debootstrap --arch="$2" --variant=minbase --include=$PACKAGES_OF_TREE "$1" "$made" "$(mirror)" >"$made.log" ||
            { tail "$made.log"; exit 1; }
        touch "$made/.done"
    fi
    cp -a "$made" "$3"
    mkdir -p "$3/src" "$3/dev"
    # this machine's way to the package registries
    rm -rf "$3/etc/apt/sources.list" "$3$sources"; cp -r $sources "$3/etc/apt/"
    [ ! -e /etc/apt/sources.list ] || cp /etc/apt/sources.list "$3/etc/apt/"
    sed -i "s/\b$(. /etc/os-release; echo "$VERSION_CODENAME")\b/$1/g" $(ls "$3"/etc/apt/sources.list "$3$sources"/* 2>/dev/null)
    for f in /etc/apt/apt.conf.d/99* /etc/pip.conf /etc/resolv.conf /etc/hosts; do [ ! -e "$f" ] || cp -L "$f" "$3$f"; done
    [ ! -d ~/.config/pip ] || { mkdir -p "$3/root/.config"; cp -rL ~/.config/pip "$3/root/.config/"; }
    for d in /usr/local/share/ca-certificates /etc/ssl/certs; do [ ! -d $d ] || { mkdir -p "$3$d"; cp -rL $d/. "$3$d/" 2>/dev/null || true; }; done
}

mirror() { cat /etc/apt/sources.list /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list 2>/dev/null | awk '/^deb |^URIs/ {print $2; exit}'; }

emulation() {
    local emulator; case $1 in arm64) emulator=qemu-aarch64 ;; armhf) emulator=qemu-arm ;; esac
    ls /usr/bin/$emulator-static >/dev/null 2>&1 || apt-get -o DPkg::Lock::Timeout=300 install -y -qq qemu-user-static binfmt-support >/dev/null
    [ -e /proc/sys/fs/binfmt_misc/register ] || mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
    [ -e /proc/sys/fs/binfmt_misc/$emulator ] || update-binfmts --enable $emulator
}

# tree_boot DIR: systemd as process 1 of the tree.  Nothing of this machine's can be written to but the network is shared.
tree_boot() {
    unshare --mount --uts --ipc --pid --cgroup --fork --kill-child "$here/boot" "$1" >"$1.log" 2>&1 &
    tree_parent=$!
    for _ in $(seq 100); do
        tree_init=$(pgrep -P "$tree_parent" || true)
        # running, or degraded by a unit that no container can have
        [ -z "$tree_init" ] || case $(tree_do systemctl is-system-running 2>/dev/null) in running|degraded) return ;; esac
        sleep 0.3
    done
    echo "test-install: systemd does not start in $1:" >&2; tail "$1.log" >&2; exit 1
}

tree_down() {
    [ -n "${tree_parent:-}" ] || return 0
    kill -9 "$tree_parent" 2>/dev/null || true
    wait "$tree_parent" 2>/dev/null || true
    tree_parent=
}

tree_do() {
    nsenter -t "$tree_init" -a env -i HOME=/root LANG=C.UTF-8 PATH=$TREE_PATH \
        $(env | grep -E '^(PIP_|SSL_CERT_FILE|REQUESTS_CA_BUNDLE)') "$@"
}
