#!/bin/busybox sh
# The first program of a guest: loads modules, finds its two disks, and becomes the agent.
# Knows nothing of jobs. With `shieldx.canary` it only says that it is there; with `shieldx.exec` it
# runs the script on its disk as root, for tests of the kernel.
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t devtmpfs dev /dev
$b mount -t sysfs sys /sys
for module in $($b cat /modules/order); do
    $b insmod "/modules/$module.ko"
done
stop() {
    $b sync
    $b reboot -f
}
case " $($b cat /proc/cmdline) " in
*" shieldx.canary "*)
    echo "shieldx guest is up"
    stop
    ;;
esac
for disk in /dev/vd[a-z]; do
    $b mount -t erofs -o ro "$disk" /agent 2>/dev/null || continue
    if [ -e /agent/shieldx ] || [ -e /agent/exec.sh ]; then
        continue
    fi
    $b umount /agent
    $b mount -t erofs -o ro "$disk" /image
done
case " $($b cat /proc/cmdline) " in
*" shieldx.exec "*)
    $b tar -x -f /dev/vda -C /image
    $b sh /image/exec.sh
    echo "shieldx exec status $?"
    stop
    ;;
esac
if [ -e /agent/loader ]; then
    exec /agent/loader --library-path /agent/lib /agent/shieldx guest
fi
exec /agent/shieldx guest
