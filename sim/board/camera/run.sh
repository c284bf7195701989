#!/bin/sh
# The camera's contract tests with the real picamera2, on libcamera's virtual pipeline, in a Debian trixie root.
#
#     sim/board/camera/run.sh [ROOT]
#
# ROOT is made if it is not there, in some minutes (1 GB, from the archive of this machine's apt and the index of its
# pip), by default in ~/.cache/dandelion-board. Needs to be root, and mmdebstrap. What is adapted for want of a real
# camera is on this side only: a stub of pykms, a dma-heap made of memfds, and sitecustomize.py.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
files=$here/../files
checkout=$(cd "$here/../../.." && pwd)
root=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/dandelion-board/camera-root}
packages=ca-certificates,python3,python3-venv,python3-pip,python3-libcamera,libcamera-tools,libcamera-ipa,python3-prctl,\
python3-piexif,python3-av,python3-numpy,python3-pil,python3-libarchive-c,python3-jsonschema,gcc,libc6-dev,python3-dev
venv=/opt/v

[ "$(id -u)" = 0 ] || { echo "run.sh: needs to be root, to change into a root of its own" >&2; exit 1; }

make_root() {
    command -v mmdebstrap >/dev/null || { echo "run.sh: install mmdebstrap" >&2; exit 1; }
    mirror=$(apt-get indextargets --no-release-info --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
        awk '$1 !~ /-/ && $2 == "main" { print $3; exit }')
    mkdir -p "$(dirname "$root")"
    rm -rf "$root.new"
    mmdebstrap --quiet --variant=apt --include="$packages" --keyring=/usr/share/keyrings/debian-archive-keyring.gpg \
        --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Apt::Install-Recommends "false"' \
        trixie "$root.new" "$mirror"
    cp /etc/resolv.conf "$root.new/etc/resolv.conf"
    cp /etc/ssl/certs/ca-certificates.crt "$root.new/etc/ssl/certs/ca-certificates.crt"
    chroot "$root.new" python3 -m venv --system-site-packages $venv
    # Their needs are the system's packages above.
    in_venv pip install --no-deps picamera2==0.3.38 simplejpeg videodev2 tqdm OpenEXR pidng
    python3 -c 'import configparser as c, sys
made = c.ConfigParser(); made.read(sys.argv[1])
print(*(line for line in made["options"]["install_requires"].split("\n") if line and "Pillow" not in line), sep="\n")' \
        "$checkout/setup.cfg" >"$root.new/tmp/needs"
    in_venv pip install --requirement /tmp/needs 'pytest >= 8' 'pytest-timeout >= 2.3'
    mv "$root.new" "$root"
}

in_venv() {
    program=$1
    shift
    chroot "$root.new" $venv/bin/"$program" --quiet --disable-pip-version-check "$@"
}

[ -d "$root" ] || make_root

# As they are in the checkout now.
install -D -m 644 "$files/virtual.yaml" "$root/usr/share/libcamera/pipeline/virtual/virtual.yaml"
install -D -m 644 "$files/pykms.py" "$root/opt/virtual-camera/pykms.py"
install -D -m 644 "$here/sitecustomize.py" "$root/opt/virtual-camera/sitecustomize.py"
install -D -m 644 "$files/dmaheap.c" "$root/opt/virtual-camera/dmaheap.c"
chroot "$root" gcc -O2 -shared -fPIC -o /opt/virtual-camera/dmaheap.so /opt/virtual-camera/dmaheap.c -ldl
mkdir -p "$root/mnt/dandelion"

export ROOT="$root" CHECKOUT="$checkout" VENV="$venv"
exec unshare --mount sh -eu -c '
    mount --bind /proc "$ROOT/proc"
    mount --bind /dev "$ROOT/dev"
    mount --bind "$CHECKOUT" "$ROOT/mnt/dandelion"
    exec chroot "$ROOT" env -C /mnt/dandelion -u VIRTUAL_ENV PYTHONDONTWRITEBYTECODE=1 \
        PYTHONPATH=/opt/virtual-camera:/mnt/dandelion LD_PRELOAD=/opt/virtual-camera/dmaheap.so \
        "$VENV/bin/python" -m pytest -q -p no:cacheprovider --picamera2 tests/contract/test_camera.py \
        tests/contract/test_picamera2.py'
