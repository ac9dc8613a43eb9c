/* One abuse attempt per sub command, each bounded in size and time by itself as well.
 * Prints `RESULT ATTEMPT VALUE errno=NAME-OR-NUMBER` for every primitive it tries; the test that
 * starts it decides what should have come out. Numbers are those of docs/abuse.md. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif
#ifndef SYS_clone3
#define SYS_clone3 435
#endif
#ifndef SYS_open_tree
#define SYS_open_tree 428
#endif
#ifndef SYS_move_mount
#define SYS_move_mount 429
#endif
#ifndef SYS_fsopen
#define SYS_fsopen 430
#endif
#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif
#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

static char zeros[4096];

static void result(const char *attempt, long value) {
    int error = value < 0 ? errno : 0;
    printf("RESULT %s %ld errno=%d\n", attempt, value, error);
    fflush(stdout);
}

/* ---- resources ---- */

static void fork_bomb(void) {
    long children = 0;
    pid_t child = 0;
    for (; children < 20000; children++) {
        child = fork();
        if (child == 0) {
            sleep(2);
            _exit(0);
        }
        if (child < 0) break;
    }
    int error = errno;
    printf("RESULT children %ld errno=0\n", children);
    errno = error;
    result("fork", child);
}

static void memory_bomb(void) {
    for (long mib = 0; mib < 2048; mib++) {
        char *block = mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (block == MAP_FAILED) {
            result("memory", -1);
            return;
        }
        memset(block, 1, 1 << 20);
    }
    result("memory", 2048);
}

static void fill(const char *path) {
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (file < 0) {
        result("fill-open", -1);
        return;
    }
    static char block[1 << 20];
    memset(block, 'x', sizeof block);
    long written = 0;
    for (int i = 0; i < 1024; i++) {
        ssize_t some = write(file, block, sizeof block);
        if (some < 0) {
            int error = errno;
            printf("RESULT bytes %ld errno=0\n", written);
            errno = error;
            result("fill", -1);
            return;
        }
        written += some;
    }
    result("fill", written);
}

static void inode_fill(void) {
    char name[64];
    for (long i = 0; i < 400000; i++) {
        snprintf(name, sizeof name, "./i%ld", i);
        int file = open(name, O_WRONLY | O_CREAT, 0600);
        if (file < 0) {
            int error = errno;
            printf("RESULT inodes %ld errno=0\n", i);
            errno = error;
            result("create", -1);
            return;
        }
        close(file);
    }
    result("create", 400000);
}

static void descriptors(void) {
    long count = 0;
    while (count < 2000000 && open("/dev/null", O_RDONLY) >= 0) count++;
    int error = errno;
    printf("RESULT descriptors %ld errno=0\n", count);
    errno = error;
    result("open", -1);
}

static void output_flood(void) {
    static char block[1 << 16];
    memset(block, 'y', sizeof block);
    long written = 0;
    while (written < (256l << 20)) {
        ssize_t some = write(1, block, sizeof block);
        if (some < 0) break;
        written += some;
    }
    fprintf(stderr, "wrote %ld\n", written);
}

static void *hang(void *unused) {
    sleep(2);
    return unused;
}

static void thread_bomb(void) {
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 64 << 10);
    long threads = 0;
    int error = 0;
    pthread_t thread;
    for (; threads < 20000; threads++)
        if ((error = pthread_create(&thread, &small, hang, 0))) break;
    printf("RESULT threads %ld errno=0\nRESULT thread -1 errno=%d\n", threads, error);
}

static void sparse(void) {
    int file = open("./huge", O_WRONLY | O_CREAT, 0600);
    result("truncate", ftruncate(file, 1l << 40));
    result("write", pwrite(file, "end", 3, (1l << 39)));
}

/* ---- lifetime ---- */

static void survivor(int seconds) {
    prctl(PR_SET_PDEATHSIG, 0);
    for (int i = 1; i < 32; i++) signal(i, SIG_IGN);
    for (int i = 0; i < 4; i++)
        if (fork() == 0) {
            setsid();
            if (fork()) _exit(0);
            prctl(PR_SET_PDEATHSIG, 0);
            sleep(seconds);
            _exit(0);
        }
    result("survivors", 4);
}

static void zombies(void) {
    long made = 0;
    for (; made < 2000; made++) {
        pid_t child = fork();
        if (child == 0) _exit(0);
        if (child < 0) break;
    }
    int error = errno;
    printf("RESULT zombies %ld errno=0\n", made);
    errno = error;
    result("fork", made < 2000 ? -1 : 0);
}

static void kill_supervisor(void) {
    result("kill-parent", kill(getppid(), SIGKILL));
    result("kill-1", kill(1, SIGKILL));
    result("kill-group", kill(-getpgid(getppid()), SIGKILL));
    for (int pid = 2; pid < 400; pid++)
        if (pid != getpid()) kill(pid, SIGKILL);
    result("alive", 0);
}

/* ---- kernel surface ---- */

static void surface(const char *what) {
    struct iovec here = {zeros, 8}, there = {zeros, 8};
    if (!strcmp(what, "ptrace")) result(what, ptrace(PTRACE_ATTACH, 1, 0, 0));
    else if (!strcmp(what, "process_vm_writev")) result(what, process_vm_writev(1, &here, 1, &there, 1, 0));
    else if (!strcmp(what, "pidfd_getfd")) {
        int pidfd = syscall(SYS_pidfd_open, 1, 0);
        result(what, syscall(SYS_pidfd_getfd, pidfd < 0 ? 3 : pidfd, 0, 0));
    } else if (!strcmp(what, "bpf")) result(what, syscall(SYS_bpf, 0, zeros, 72));
    else if (!strcmp(what, "perf_event_open")) result(what, syscall(SYS_perf_event_open, zeros, 0, -1, -1, 0));
    else if (!strcmp(what, "io_uring_setup")) result(what, syscall(SYS_io_uring_setup, 4, zeros));
    else if (!strcmp(what, "userfaultfd")) result(what, syscall(SYS_userfaultfd, 0));
    else if (!strcmp(what, "keyctl")) result(what, syscall(SYS_keyctl, 0, -3, 0));
    else if (!strcmp(what, "add_key")) result(what, syscall(SYS_add_key, "user", "x", "y", 1, -3));
    else if (!strcmp(what, "init_module")) result(what, syscall(SYS_init_module, zeros, 64, ""));
    else if (!strcmp(what, "kexec_load")) result(what, syscall(SYS_kexec_load, 0, 0, 0, 0));
    else if (!strcmp(what, "unshare-user")) result(what, unshare(CLONE_NEWUSER));
    else if (!strcmp(what, "unshare-all")) result(what, unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET));
    else if (!strcmp(what, "clone-user")) result(what, syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
    else if (!strcmp(what, "setns")) result(what, setns(open("/proc/self/ns/net", O_RDONLY), 0));
    else if (!strcmp(what, "mount")) result(what, mount("none", "/tmp", "tmpfs", 0, 0));
    else if (!strcmp(what, "umount")) result(what, umount2("/proc", MNT_DETACH));
    else if (!strcmp(what, "remount")) result(what, mount(0, "/", 0, MS_REMOUNT | MS_BIND, 0));
    else if (!strcmp(what, "open_tree")) result(what, syscall(SYS_open_tree, AT_FDCWD, "/", 1));
    else if (!strcmp(what, "move_mount")) result(what, syscall(SYS_move_mount, AT_FDCWD, "/proc", AT_FDCWD, "/tmp", 0));
    else if (!strcmp(what, "fsopen")) result(what, syscall(SYS_fsopen, "tmpfs", 0));
    else if (!strcmp(what, "mount_setattr")) result(what, syscall(SYS_mount_setattr, AT_FDCWD, "/", 0, zeros, 32));
    else if (!strcmp(what, "pivot_root")) result(what, syscall(SYS_pivot_root, ".", "."));
    else if (!strcmp(what, "chroot")) result(what, chroot("."));
    else if (!strcmp(what, "open_by_handle_at")) {
        struct file_handle *handle = calloc(1, sizeof *handle + 8);
        handle->handle_bytes = 8;
        handle->handle_type = 1;
        handle->f_handle[0] = 2;
        result(what, open_by_handle_at(open("/", O_RDONLY | O_DIRECTORY), handle, O_RDONLY));
    } else if (!strcmp(what, "unshare-time")) result(what, unshare(CLONE_NEWTIME));
    else if (!strcmp(what, "settimeofday")) {
        struct timeval then = {.tv_sec = 0};
        result(what, syscall(SYS_settimeofday, &then, 0));
    } else if (!strcmp(what, "clock_settime")) {
        struct timespec then = {.tv_sec = 0};
        result(what, syscall(SYS_clock_settime, CLOCK_REALTIME, &then));
    } else if (!strcmp(what, "tiocsti")) result(what, ioctl(0, 0x5412, "x"));
    else if (!strcmp(what, "tiocsti-high")) result(what, syscall(SYS_ioctl, 0, 0x100000000ul | 0x5412, "x"));
    else if (!strcmp(what, "tioclinux")) result(what, ioctl(0, 0x541c, "\x02"));
    else if (!strcmp(what, "clone3")) {
        uint64_t arguments[11] = {CLONE_NEWUSER | CLONE_NEWNS};
        arguments[4] = SIGCHLD;
        long child = syscall(SYS_clone3, arguments, sizeof arguments);
        if (child == 0) _exit(0);
        result(what, child);
    } else if (!strcmp(what, "mknod")) result(what, mknod("./disk", S_IFBLK | 0600, makedev(8, 0)));
    else if (!strcmp(what, "swapon")) result(what, syscall(SYS_swapon, "/dev/null", 0));
    else if (!strcmp(what, "reboot")) result(what, syscall(SYS_reboot, 0, 0, 0, 0));
    else if (!strcmp(what, "sethostname")) result(what, sethostname("owned", 5));
    else if (!strcmp(what, "acct")) result(what, syscall(SYS_acct, "/tmp/acct"));
    else if (!strcmp(what, "syslog")) result(what, syscall(SYS_syslog, 5, 0, 0));
#if defined(__x86_64__)
    else if (!strcmp(what, "iopl")) result(what, syscall(SYS_iopl, 3));
    else if (!strcmp(what, "x32")) {
        long pid = syscall(0x40000000 | 39);
        result(what, pid);
    } else if (!strcmp(what, "int80")) {
        int pid;
        __asm__ volatile("int $0x80" : "=a"(pid) : "a"(20) : "memory", "r8", "r9", "r10", "r11");
        errno = pid < 0 ? -pid : 0;
        result(what, pid < 0 ? -1 : pid);
    }
#endif
    else printf("UNKNOWN %s\n", what);
}

/* ---- files ---- */

/* Only opened: had the door been open, writing would change the host. */
static void writable(const char *path) {
    int file = open(path, O_WRONLY);
    result(path, file);
    if (file >= 0) close(file);
}

static void readable(const char *path) {
    int file = open(path, O_RDONLY);
    char byte;
    result(path, file < 0 ? -1 : read(file, &byte, 1));
    if (file >= 0) close(file);
}

static void proc_writes(void) {
    writable("/proc/sys/kernel/core_pattern");
    writable("/proc/sys/kernel/modprobe");
    writable("/proc/sys/kernel/randomize_va_space");
    writable("/proc/sysrq-trigger");
    writable("/sys/fs/cgroup/release_agent");
    writable("/sys/fs/cgroup/memory/release_agent");
    writable("/sys/fs/cgroup/notify_on_release");
    writable("/sys/fs/cgroup/cgroup.procs");
    writable("/sys/kernel/uevent_helper");
    writable("/proc/1/mem");
    writable("/proc/1/oom_score_adj");
    readable("/proc/kcore");
    readable("/dev/mem");
    readable("/dev/kmsg");
    readable("/etc/shadow");
    readable("/dev/vda");
    readable("/dev/sda");
}

static void self_exe(void) {
    writable("/proc/self/exe");
    writable("/proc/1/exe");
    char name[64], target[512];
    for (int fd = 0; fd < 256; fd++) {
        snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
        ssize_t length = readlink(name, target, sizeof target - 1);
        if (length < 0) continue;
        target[length] = 0;
        printf("FD %d %s\n", fd, target);
    }
    for (int fd = 0; fd < 256; fd++) {
        snprintf(name, sizeof name, "/proc/1/cwd/../../../../etc/shadow");
        if (fd == 0) readable(name);
    }
}

static void no_new_privileges(void) {
    result("no_new_privs", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    result("euid", geteuid());
    FILE *status = fopen("/proc/self/status", "r");
    char line[256];
    while (status && fgets(line, sizeof line, status))
        if (!strncmp(line, "Cap", 3) || !strncmp(line, "NoNewPrivs", 10) || !strncmp(line, "Seccomp:", 8))
            printf("STATUS %s", line);
}

/* Leaves artefacts that a careless collector would follow. */
static void artefacts(void) {
    mkdir("./drop", 0755);
    result("symlink", symlink("/etc/passwd", "./drop/link"));
    result("symlink-dir", symlink("/", "./drop/root"));
    result("fifo", mkfifo("./drop/pipe", 0600));
    result("hardlink", link("/etc/passwd", "./drop/hard"));
    int file = open("./drop/plain", O_WRONLY | O_CREAT, 0644);
    write(file, "plain\n", 6);
    close(file);
    file = open("./drop/-rf \x1b[31m\n..", O_WRONLY | O_CREAT, 0644);
    close(file);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, "./drop/socket");
    int server = socket(AF_UNIX, SOCK_STREAM, 0);
    result("socket", bind(server, (struct sockaddr *)&address, sizeof address));
}

/* ---- network ---- */

static void family(const char *name, int domain, int type, int protocol) {
    int made = socket(domain, type, protocol);
    result(name, made);
    if (made >= 0) close(made);
}

static void sockets(void) {
    family("packet", AF_PACKET, SOCK_RAW, htons(3));
    family("raw", AF_INET, SOCK_RAW, 1);
    family("vsock", 40, SOCK_STREAM, 0);
    family("alg", 38, SOCK_SEQPACKET, 0);
    family("netlink-audit", AF_NETLINK, SOCK_RAW, 9);
    family("bluetooth", 31, SOCK_RAW, 1);
    family("xdp", 44, SOCK_RAW, 0);
}

static void reach(const char *ip, int port) {
    int out = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, ip, &peer.sin_addr);
    long done = connect(out, (struct sockaddr *)&peer, sizeof peer);
    result("connect", done);
    close(out);
}

static void abstract_unix(const char *name) {
    struct sockaddr_un peer = {.sun_family = AF_UNIX};
    strncpy(peer.sun_path + 1, name, sizeof peer.sun_path - 2);
    int out = socket(AF_UNIX, SOCK_STREAM, 0);
    result("abstract", connect(out, (struct sockaddr *)&peer,
                               offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name)));
}

static void path_unix(const char *path) {
    struct sockaddr_un peer = {.sun_family = AF_UNIX};
    strncpy(peer.sun_path, path, sizeof peer.sun_path - 1);
    int out = socket(AF_UNIX, SOCK_STREAM, 0);
    result(path, connect(out, (struct sockaddr *)&peer, sizeof peer));
}

/* ---- monitor ---- */

/* Calls that mean nothing, calls that repeat, calls that all differ; then one that matters. */
static void event_flood(void) {
    char name[64];
    for (long i = 0; i < 400000; i++) syscall(SYS_getppid);
    for (long i = 0; i < 20000; i++) close(open("./flood", O_WRONLY | O_CREAT, 0600));
    for (long i = 0; i < 20000; i++) {
        snprintf(name, sizeof name, "./flood-%ld", i);
        unlink(name);
    }
    ptrace(PTRACE_ATTACH, 1, 0, 0);
    result("flood", 440000);
}

static void spoof(void) {
    prctl(PR_SET_NAME, "\x1b[2Jsystemd\n");
    execl("/bin/echo", "\x1b]0;owned\x07[kworker/0:0]\n", "\xff\xfe\x1b[31m", (char *)0);
}

int main(int argc, char **argv) {
    if (argc < 2) return 2;
    const char *what = argv[1], *more = argc > 2 ? argv[2] : "";
    if (!strcmp(what, "fork-bomb")) fork_bomb();
    else if (!strcmp(what, "memory-bomb")) memory_bomb();
    else if (!strcmp(what, "fill")) fill(more);
    else if (!strcmp(what, "inode-fill")) inode_fill();
    else if (!strcmp(what, "descriptors")) descriptors();
    else if (!strcmp(what, "output-flood")) output_flood();
    else if (!strcmp(what, "spin")) for (;;) (void)getppid();
    else if (!strcmp(what, "thread-bomb")) thread_bomb();
    else if (!strcmp(what, "sparse")) sparse();
    else if (!strcmp(what, "survivor")) survivor(atoi(more));
    else if (!strcmp(what, "zombies")) zombies();
    else if (!strcmp(what, "kill-supervisor")) kill_supervisor();
    else if (!strcmp(what, "kill-all")) result("kill-all", kill(-1, SIGKILL));
    else if (!strcmp(what, "surface")) for (int i = 2; i < argc; i++) surface(argv[i]);
    else if (!strcmp(what, "proc-writes")) proc_writes();
    else if (!strcmp(what, "self-exe")) self_exe();
    else if (!strcmp(what, "no-new-privileges")) no_new_privileges();
    else if (!strcmp(what, "artefacts")) artefacts();
    else if (!strcmp(what, "sockets")) sockets();
    else if (!strcmp(what, "reach")) reach(more, argc > 3 ? atoi(argv[3]) : 80);
    else if (!strcmp(what, "abstract")) abstract_unix(more);
    else if (!strcmp(what, "unix")) for (int i = 2; i < argc; i++) path_unix(argv[i]);
    else if (!strcmp(what, "event-flood")) event_flood();
    else if (!strcmp(what, "spoof")) spoof();
    else return 2;
    return 0;
}
