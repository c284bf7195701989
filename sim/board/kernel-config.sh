#!/bin/sh
# Builds the virtual board's kernel, user-mode Linux, from Debian's linux-source that is unpacked in $1: 13 CPU-minutes.
set -e
cd "$1"
# gpio-sim needs interrupt numbers beyond user-mode Linux's own.
sed -i 's/^#define NR_IRQS\t\t\tUM_LAST_SIGNAL_IRQ$/#define NR_IRQS\t\t\t(UM_LAST_SIGNAL_IRQ + 64)/' arch/um/include/asm/irq.h
grep -q 'UM_LAST_SIGNAL_IRQ + 64' arch/um/include/asm/irq.h
# A processor with AMX has 11008 bytes of floating-point state; with less room for it, init is killed at once. The room
# is on each kernel stack, which has to grow with it.
sed -i 's/DEFINE_LONGS(HOST_FP_SIZE, 2696)/DEFINE_LONGS(HOST_FP_SIZE, 12288)/' arch/x86/um/user-offsets.c
grep -q 12288 arch/x86/um/user-offsets.c
# Once a serial port has been throttled, because nobody read it for 4 kB, nothing more ever comes in.
sed -i '/= line_throttle,$/d; /= line_unthrottle,$/d' arch/um/drivers/ssl.c
if grep -q throttle arch/um/drivers/ssl.c; then exit 1; fi
export ARCH=um
make --silent defconfig
on() { for name; do ./scripts/config --enable "$name"; done; }
off() { for name; do ./scripts/config --disable "$name"; done; }
./scripts/config --set-val KERNEL_STACK_ORDER 3
# what systemd needs
on EXPERT CGROUPS MEMCG CGROUP_PIDS CGROUP_DEVICE CGROUP_BPF BPF_SYSCALL NAMESPACES SECCOMP SECCOMP_FILTER DEVTMPFS \
    DEVTMPFS_MOUNT TMPFS TMPFS_POSIX_ACL TMPFS_XATTR AUTOFS_FS FHANDLE UNIX NET INET HW_RANDOM UML_RANDOM
# the board: pins, serial ports on the host's ptys, watchdog
on GPIOLIB GPIO_CDEV GPIO_CDEV_V1 GPIO_SYSFS CONFIGFS_FS GPIO_SIM SSL NULL_CHAN PTY_CHAN TTY_CHAN UML_WATCHDOG \
    SOFT_WATCHDOG
# the card: its file systems, one that lies or fails, an overlay over a root that is only read
on EXT4_FS EXT4_FS_POSIX_ACL VFAT_FS NLS_CODEPAGE_437 NLS_ISO8859_1 MD BLK_DEV_DM DM_FLAKEY DM_LOG_WRITES DM_DUST \
    DM_DELAY BLK_DEV_LOOP FUSE_FS OVERLAY_FS HOSTFS
on UDMABUF DMABUF_HEAPS DMABUF_HEAPS_SYSTEM DEBUG_INFO_NONE
# so that it runs beside any C library
on STATIC_LINK
off WERROR SOUND WLAN MODULES IPV6 ETHERNET REISERFS_FS QUOTA UML_NET
make --silent olddefconfig
make --silent -j"$(nproc)" linux
strip linux
