#!/bin/sh
# In the new root of the virtual board's card image: the Python that runs the checkout, and the board's few files.
# /wheels has what pip installs, /files this directory; $1 is where the Python goes, $2 the machine's id.
set -e
python3 -m venv --system-site-packages "$1"
venv=$1
pip() { "$venv/bin/pip" install --quiet --disable-pip-version-check --no-index --no-deps "$@"; }
pip /wheels/setuptools-*.whl /wheels/wheel-*.whl
pip --ignore-installed $(ls /wheels/*.whl | grep -v -e /setuptools- -e /wheel-)
export PYPI=1  # lgpio's own word for "compile what is in this archive"
pip --no-build-isolation /wheels/*.tar.gz
site=$(ls -d "$venv"/lib/python3.*/site-packages)
echo /mnt/dandelion > "$site/dandelion.pth"
cp /files/pykms.py "$site/"
# picamera2 and rpi-lgpio, which are apt's on a Raspberry Pi, for the system's Python: behind what it has itself
echo "$site" > "$(ls -d /usr/local/lib/python3.*/dist-packages)/board.pth"
gcc -O2 -Wall -shared -fPIC -o /usr/local/lib/dmaheap.so /files/dmaheap.c
mkdir -p /usr/share/libcamera/pipeline/virtual /mnt/dandelion /mnt/host /var/lib/dandelion
cp /files/virtual.yaml /usr/share/libcamera/pipeline/virtual/
cp /files/fstab /etc/fstab
cp /files/*.service /etc/systemd/system/
systemctl --quiet enable board.service clock-1970.service
systemctl --quiet mask getty.target e2scrub_reap.service
systemctl --quiet disable apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer
echo "$2" > /etc/machine-id
echo board > /etc/hostname
rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*  # there is no network
touch /etc/.updated /var/.updated  # nothing is left for the first boot to bring up to date
rm -r /wheels /files
