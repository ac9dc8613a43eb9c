/* The attempts of docs/escape-suite.md, by number: what a hostile program tries against whatever
 * holds it. Primitives only, each bounded in size and time, so that a hole in a wall costs a failed
 * test and not the machine.
 *
 * usage: attempts [KEY=VALUE …] NUMBER …
 * Keys name things of the host that nobody inside may reach: pid, abstract, unix, port, dns, canary.
 *
 * One line of JSON on standard error for every primitive:
 *   {"n":17,"try":"attach","got":-1,"errno":1}
 * and one when the attempt's process is over:
 *   {"n":17,"end":"exit","value":0}
 * Each attempt has a process named after its number, which the events then carry. Linked
 * statically: some sandboxes hold nothing else. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
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
#include <sys/xattr.h>
#include <unistd.h>

#define ATTEMPT_SECONDS 60

static char zeros[4096];
static int current;
static pid_t host_pid = 1;
static const char *host_abstract = "nobody", *host_unix = "/nowhere", *host_canary = "/nowhere";
static int host_port = 9, host_dns = 53;

/* One write, so that lines of several processes do not mix. */
static void tell(const char *name, long got) {
    int error = got < 0 ? errno : 0;
    char line[256];
    int length = snprintf(line, sizeof line, "{\"n\":%d,\"try\":\"%s\",\"got\":%ld,\"errno\":%d}\n",
                          current, name, got, error);
    if (write(2, line, length) < 0) _exit(3);
}

/* For what is no call: a hole is told as success, its absence as a refusal without an errno. */
static void hole(const char *name, int open) {
    errno = 0;
    tell(name, open ? 0 : -1);
}

/* ---- resources ---- */

static void fork_bomb(void) {
    long children = 0;
    pid_t child = 0;
    for (; children < 20000; children++) {
        child = fork();
        if (child == 0) {
            sleep(5);
            _exit(0);
        }
        if (child < 0) break;
    }
    int error = errno;
    tell("children", children);
    errno = error;
    tell("fork", child);
}

static void memory_bomb(void) {
    for (long mib = 0; mib < 1024; mib++) {
        char *block = mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (block == MAP_FAILED) {
            tell("memory", -1);
            return;
        }
        memset(block, 1, 1 << 20);
    }
    tell("memory", 1024);
}

static void fill(const char *name, const char *path) {
    static char block[1 << 18];
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (file < 0) {
        tell(name, -1);
        return;
    }
    long written = 0;
    ssize_t some = 0;
    memset(block, 'x', sizeof block);
    while (written < (256l << 20) && (some = write(file, block, sizeof block)) > 0) written += some;
    int error = errno;
    close(file);
    unlink(path);
    errno = error;
    tell(name, written < (256l << 20) ? -1 : written);
}

static void disk_fill(void) {
    fill("tmp", "/tmp/fill");
    fill("cwd", "./fill");
    fill("shm", "/dev/shm/fill");
}

static void inode_fill(void) {
    char name[64];
    long made = 0;
    int file = 0;
    mkdir("./inodes", 0700);
    for (; made < 100000; made++) {
        snprintf(name, sizeof name, "./inodes/%ld", made);
        file = open(name, O_WRONLY | O_CREAT, 0600);
        if (file < 0) break;
        close(file);
    }
    tell("create", file);
}

static void descriptors(void) {
    long count = 0;
    while (count < 2000000 && dup(2) >= 0) count++;
    int error = errno;
    for (int fd = 3; fd < count + 3 && fd < 70000; fd++) close(fd);
    errno = error;
    tell("dup", count < 70000 ? -1 : count);
}

static void output_flood(void) {
    static char block[1 << 16];
    memset(block, 'y', sizeof block);
    long written = 0;
    while (written < (64l << 20)) {
        ssize_t some = write(1, block, sizeof block);
        if (some < 0) break;
        written += some;
    }
    tell("output", written);
}

static void spin(void) {
    tell("spin", 0);
    for (;;) (void)getppid();
}

static void *hang(void *unused) {
    sleep(5);
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
    tell("threads", threads);
    errno = error;
    tell("thread", error ? -1 : 0);
}

static void sparse(void) {
    int file = open("./huge", O_WRONLY | O_CREAT, 0600);
    tell("truncate", ftruncate(file, 1l << 40));
    tell("write", pwrite(file, "end", 3, 1l << 39));
    close(file);
}

/* A gzip file of 2 MiB that holds 330 MB of one byte: deflate's fixed codes, one literal and then
 * the longest match again and again (RFC 1951, 3.2.6). */
static void zip_bomb(void) {
    static unsigned char bomb[2 << 20] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3};
    long bit = 80, end = (long)sizeof bomb * 8 - 32;
    const char *head = "11000110000", *match = "1100010100000";
    for (const char *code = head; bit < end; code = match)
        for (; *code && bit < end; code++, bit++) bomb[bit / 8] |= (*code - '0') << bit % 8;
    int file = open("./bomb.gz", O_WRONLY | O_CREAT, 0600);
    tell("bomb", write(file, bomb, sizeof bomb));
    close(file);
}

/* ---- lifetime ---- */

static void survive(void) {
    if (fork() == 0) {
        setsid();
        if (fork()) _exit(0);
        sleep(120);
        _exit(0);
    }
}

static void survivor(void) {
    survive();
    tell("double-fork", 0);
}

static void ignore_signals(void) {
    for (int i = 1; i < 65; i++) signal(i, SIG_IGN);
    survive();
    tell("ignore", 0);
}

static void clear_death_signal(void) {
    if (fork() == 0) {
        setsid();
        prctl(PR_SET_PDEATHSIG, 0);
        prctl(PR_SET_CHILD_SUBREAPER, 1);
        survive();
        sleep(120);
        _exit(0);
    }
    tell("cleared", 0);
}

static void zombies(void) {
    long made = 0;
    for (; made < 2000; made++) {
        pid_t child = fork();
        if (child == 0) _exit(0);
        if (child < 0) break;
    }
    int error = errno;
    tell("zombies", made);
    errno = error;
    tell("fork", made < 2000 ? -1 : 0);
}

static void kill_supervisor(void) {
    tell("kill-host", kill(host_pid, SIGKILL));
    tell("kill-parent", kill(getppid(), SIGKILL));
    tell("kill-1", kill(1, SIGKILL));
    for (int pid = 2; pid < 400; pid++)
        if (pid != getpid()) kill(pid, SIGKILL);
    tell("alive", 0);
}

static void kill_all(void) {
    tell("kill-all", kill(-1, SIGKILL));
}

/* ---- kernel surface ---- */

static void trace(void) {
    tell("attach-1", ptrace(PTRACE_ATTACH, 1, 0, 0));
    tell("attach-host", ptrace(PTRACE_ATTACH, host_pid, 0, 0));
    tell("seize-host", ptrace(PTRACE_SEIZE, host_pid, 0, 0));
}

static void foreign_memory(void) {
    struct iovec here = {zeros, 8}, there = {(void *)0x400000, 8};
    tell("write-1", process_vm_writev(1, &here, 1, &there, 1, 0));
    tell("write-host", process_vm_writev(host_pid, &here, 1, &there, 1, 0));
    tell("read-host", process_vm_readv(host_pid, &here, 1, &there, 1, 0));
}

static void foreign_descriptor(void) {
    int first = syscall(SYS_pidfd_open, 1, 0);
    tell("getfd-1", syscall(SYS_pidfd_getfd, first, 0, 0));
    int other = syscall(SYS_pidfd_open, host_pid, 0);
    tell("getfd-host", syscall(SYS_pidfd_getfd, other, 0, 0));
}

static void bpf(void) {
    tell("map", syscall(SYS_bpf, 0, zeros, 72));
    tell("program", syscall(SYS_bpf, 5, zeros, 72));
}

static void perf(void) { tell("open", syscall(SYS_perf_event_open, zeros, 0, -1, -1, 0)); }

static void io_uring(void) { tell("setup", syscall(SYS_io_uring_setup, 4, zeros)); }

static void user_faults(void) {
    tell("userfaultfd", syscall(SYS_userfaultfd, 0));
    tell("device", open("/dev/userfaultfd", O_RDWR));
}

static void keys(void) {
    tell("keyctl", syscall(SYS_keyctl, 0, -3, 0));
    tell("add_key", syscall(SYS_add_key, "user", "x", "y", 1, -3));
    tell("request_key", syscall(SYS_request_key, "user", "x", 0, -3));
}

static void modules(void) {
    tell("init", syscall(SYS_init_module, zeros, 64, ""));
    tell("finit", syscall(SYS_finit_module, 0, "", 0));
    tell("delete", syscall(SYS_delete_module, "nothing", 0));
}

static void kexec(void) {
    tell("load", syscall(SYS_kexec_load, 0, 0, 0, 0));
    tell("file", syscall(SYS_kexec_file_load, -1, -1, 0, 0, 0));
    tell("reboot", syscall(SYS_reboot, 0, 0, 0, 0));
}

static void user_namespace(void) {
    tell("unshare", unshare(CLONE_NEWUSER));
    tell("unshare-all", unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET));
    tell("unshare-net", unshare(CLONE_NEWNET));
    long child = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
    if (child == 0) _exit(0);
    tell("clone", child);
}

static void set_namespace(void) {
    tell("self", setns(open("/proc/self/ns/net", O_RDONLY), 0));
    tell("first", setns(open("/proc/1/ns/mnt", O_RDONLY), 0));
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/ns/mnt", host_pid);
    tell("host", setns(open(path, O_RDONLY), 0));
    tell("pidfd", setns(syscall(SYS_pidfd_open, host_pid, 0), CLONE_NEWNS));
}

static void mounts(void) {
    tell("tmpfs", mount("none", "/tmp", "tmpfs", 0, 0));
    tell("proc", mount("proc", "/tmp", "proc", 0, 0));
    tell("bind", mount("/", "/tmp", 0, MS_BIND | MS_REC, 0));
    tell("disk", mount("/dev/vda", "/tmp", "ext4", 0, 0));
    tell("umount", umount2("/proc", MNT_DETACH));
    tell("remount", mount(0, "/", 0, MS_REMOUNT | MS_BIND, 0));
    tell("open_tree", syscall(SYS_open_tree, AT_FDCWD, "/", 1));
    tell("move_mount", syscall(SYS_move_mount, AT_FDCWD, "/proc", AT_FDCWD, "/tmp", 0));
    tell("fsopen", syscall(SYS_fsopen, "tmpfs", 0));
    tell("mount_setattr", syscall(SYS_mount_setattr, AT_FDCWD, "/", 0, zeros, 32));
}

static void change_root(void) {
    tell("pivot", syscall(SYS_pivot_root, ".", "."));
    mkdir("./cage", 0755);
    tell("chroot", chroot("./cage"));
    for (int i = 0; i < 64; i++)
        if (chdir("..")) break;
    tell("again", chroot("."));
    tell("canary", open(host_canary, O_WRONLY));
}

static void handles(void) {
    struct file_handle *handle = calloc(1, sizeof *handle + 8);
    handle->handle_bytes = 8;
    handle->handle_type = 1;
    handle->f_handle[0] = 2;
    tell("root", open_by_handle_at(open("/", O_RDONLY | O_DIRECTORY), handle, O_RDONLY));
    tell("cwd", open_by_handle_at(AT_FDCWD, handle, O_RDONLY));
}

/* Tried with what would not pass a clock's own checks either: nothing is set even by root. */
static void clocks(void) {
    struct timespec then = {.tv_sec = -1};
    struct timeval long_ago = {.tv_sec = -1};
    tell("namespace", unshare(CLONE_NEWTIME));
    tell("settimeofday", syscall(SYS_settimeofday, &long_ago, 0));
    tell("clock_settime", syscall(SYS_clock_settime, CLOCK_REALTIME, &then));
    int offsets = open("/proc/self/timens_offsets", O_WRONLY);
    tell("offsets", offsets < 0 ? -1 : write(offsets, "monotonic 1 0\n", 14));
}

static void other_abis(void) {
    tell("x32", syscall(0x40000000 | 39));
    int pid;
    __asm__ volatile("int $0x80" : "=a"(pid) : "a"(20) : "memory", "r8", "r9", "r10", "r11");
    errno = pid < 0 ? -pid : 0;
    tell("int80", pid < 0 ? -1 : pid);
}

static void inject_input(void) {
    tell("plain", ioctl(0, 0x5412, "x"));
    tell("high-bits", syscall(SYS_ioctl, 0, 0x100000000ul | 0x5412, "x"));
    tell("console", syscall(SYS_ioctl, open("/dev/tty", O_RDWR | O_NOCTTY), 0x5412, "x"));
}

static void select_text(void) { tell("tioclinux", ioctl(0, 0x541c, "\x02")); }

static void clone_flags(void) {
    uint64_t arguments[11] = {CLONE_NEWUSER | CLONE_NEWNS, 0, 0, 0, SIGCHLD};
    long child = syscall(SYS_clone3, arguments, sizeof arguments);
    if (child == 0) _exit(0);
    tell("namespaces", child);
    uint64_t into_group[11] = {0x200000000ull, 0, 0, 0, SIGCHLD};
    into_group[10] = 2;
    child = syscall(SYS_clone3, into_group, sizeof into_group);
    if (child == 0) _exit(0);
    tell("into-cgroup", child);
}

/* ---- files ---- */

/* Only opened: had the door been open, writing would change the host. */
static void writable(const char *name, const char *path) {
    int file = open(path, O_WRONLY);
    tell(name, file);
    if (file >= 0) close(file);
}

/* A file that gives nothing is as good as one that is not there: some doors are papered over. */
static void readable(const char *name, const char *path) {
    int file = open(path, O_RDONLY);
    char byte;
    if (file >= 0 && read(file, &byte, 1) == 0) hole(name, 0);
    else tell(name, file < 0 ? -1 : 1);
    if (file >= 0) close(file);
}

static void core_pattern(void) {
    writable("core_pattern", "/proc/sys/kernel/core_pattern");
    writable("core_pipe_limit", "/proc/sys/kernel/core_pipe_limit");
}

static void release_agent(void) {
    writable("release_agent", "/sys/fs/cgroup/release_agent");
    writable("memory", "/sys/fs/cgroup/memory/release_agent");
    writable("notify", "/sys/fs/cgroup/notify_on_release");
    writable("procs", "/sys/fs/cgroup/cgroup.procs");
    tell("mkdir", mkdir("/sys/fs/cgroup/owned", 0755));
}

static void sysrq(void) { writable("trigger", "/proc/sysrq-trigger"); }

static void modprobe(void) {
    writable("modprobe", "/proc/sys/kernel/modprobe");
    writable("hotplug", "/sys/kernel/uevent_helper");
    writable("binfmt", "/proc/sys/fs/binfmt_misc/register");
}

static void kernel_memory(void) {
    readable("kcore", "/proc/kcore");
    readable("mem", "/dev/mem");
    readable("kmsg", "/dev/kmsg");
    readable("disk", "/dev/vda");
}

static void own_program(void) {
    writable("self", "/proc/self/exe");
    writable("first", "/proc/1/exe");
    writable("parent-memory", "/proc/1/mem");
    /* As runc's attackers did: through a descriptor that is opened again. */
    int path = open("/proc/self/exe", O_PATH);
    char again[64];
    snprintf(again, sizeof again, "/proc/self/fd/%d", path);
    writable("again", again);
    if (path >= 0) close(path);
}

static void leaked_folder(void) {
    char path[96];
    int out = 0;
    for (int fd = 3; fd < 256; fd++) {
        struct stat about;
        if (fstat(fd, &about) == 0 && S_ISDIR(about.st_mode)) out++;
    }
    hole("folders", out);
    snprintf(path, sizeof path, "/proc/1/cwd/../../../../../..%s", host_canary);
    writable("first-cwd", path);
    snprintf(path, sizeof path, "/proc/%d/root%s", host_pid, host_canary);
    writable("host-root", path);
    snprintf(path, sizeof path, "../../../../../../../..%s", host_canary);
    writable("up", path);
}

static void *swap(void *unused) {
    for (int i = 0; i < 300; i++) {
        unlink("/dev/null");
        if (symlink("/proc/sys/kernel/core_pattern", "/dev/null") == 0) break;
        rename("./link", "/dev/null");
    }
    return unused;
}

static void masked_race(void) {
    pthread_t thread;
    int opened = 0;
    symlink("/proc/sys/kernel/core_pattern", "./link");
    int raced = pthread_create(&thread, 0, swap, 0);
    for (int i = 0; i < 300; i++) {
        int file = open("/proc/kcore", O_WRONLY);
        if (file >= 0) {
            struct stat about;
            opened += fstat(file, &about) == 0 && !S_ISCHR(about.st_mode);
            close(file);
        }
    }
    if (!raced) pthread_join(thread, 0);
    hole("masked", opened);
    tell("unlink-null", unlink("/dev/null"));
    tell("link-null", symlink("/proc/sys/kernel/core_pattern", "/dev/null"));
}

/* Leaves artefacts that a careless collector would follow. */
static void artefacts(void) {
    mkdir("./drop", 0755);
    tell("symlink", symlink(host_canary, "./drop/link"));
    tell("folder", symlink("/", "./drop/root"));
    tell("up", symlink("../../../../../../../../etc", "./drop/up"));
    tell("fifo", mkfifo("./drop/pipe", 0600));
    link(host_canary, "./drop/hard");
    int file = open("./drop/plain", O_WRONLY | O_CREAT, 0644);
    tell("plain", write(file, "plain\n", 6));
    close(file);
    close(open("./drop/-rf \x1b[31m\n..", O_WRONLY | O_CREAT, 0644));
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, "./drop/socket");
    bind(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&address, sizeof address);
    mknod("./drop/device", S_IFCHR | 0600, makedev(1, 1));
}

static int copy_self(const char *path, mode_t mode) {
    static char block[1 << 16];
    int from = open("/proc/self/exe", O_RDONLY), to = open(path, O_WRONLY | O_CREAT, 0755);
    ssize_t some;
    while ((some = read(from, block, sizeof block)) > 0)
        if (write(to, block, some) != some) return -1;
    int done = fchmod(to, mode);
    close(from);
    close(to);
    return done;
}

/* `attempts whoami`: exits with 0 for whoever is root in any sense. */
static int is_root(void) {
    uid_t real, effective, saved;
    getresuid(&real, &effective, &saved);
    return real != effective || effective != saved || (prctl(PR_CAPBSET_READ, 21, 0, 0, 0) == 1 && setuid(0) == 0);
}

static void exec_as(const char *name, const char *path) {
    pid_t child = fork();
    if (child == 0) {
        execl(path, path, "whoami", (char *)0);
        _exit(1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    hole(name, WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void setuid_program(void) {
    hole("privileges", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1);
    copy_self("./setuid", 04755);
    exec_as("setuid", "./setuid");
    tell("setuid-0", geteuid() == 0 ? -1 : setuid(0));
}

static void file_capabilities(void) {
    /* VFS_CAP_REVISION_2, every permitted capability, effective. */
    static const uint32_t all[5] = {0x02000001, 0xffffffff, 0, 0xff, 0};
    copy_self("./caps", 0755);
    tell("setxattr", setxattr("./caps", "security.capability", all, sizeof all, 0));
    exec_as("exec", "./caps");
    tell("ambient", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 21, 0, 0));
}

static void device_nodes(void) {
    tell("disk", mknod("./disk", S_IFBLK | 0600, makedev(254, 0)));
    tell("memory", mknod("./memory", S_IFCHR | 0600, makedev(1, 1)));
}

static void inherited(void) {
    int leaked = 0;
    for (int fd = 3; fd < 1024; fd++) leaked += fcntl(fd, F_GETFD) >= 0;
    hole("descriptors", leaked);
}

/* ---- network ---- */

static int to_path(const char *path) {
    struct sockaddr_un peer = {.sun_family = AF_UNIX};
    strncpy(peer.sun_path, path, sizeof peer.sun_path - 1);
    int out = socket(AF_UNIX, SOCK_STREAM, 0);
    return connect(out, (struct sockaddr *)&peer, sizeof peer) < 0 ? -1 : out;
}

static void host_sockets(void) {
    tell("docker", to_path("/run/docker.sock"));
    tell("docker-var", to_path("/var/run/docker.sock"));
    tell("dbus", to_path("/run/dbus/system_bus_socket"));
    tell("host", to_path(host_unix));
}

static void family(const char *name, int domain, int type, int protocol) {
    int made = socket(domain, type, protocol);
    tell(name, made);
    if (made >= 0) close(made);
}

static void raw(void) {
    family("packet", AF_PACKET, SOCK_RAW, htons(3));
    family("raw", AF_INET, SOCK_RAW, 1);
    family("raw6", AF_INET6, SOCK_RAW, 58);
    family("xdp", 44, SOCK_RAW, 0);
}

/* Asks for a new link; the kernel's answer to the message is the result. */
static void new_link(void) {
    struct {
        struct nlmsghdr head;
        struct ifinfomsg link;
        char attributes[64];
    } ask = {.head = {.nlmsg_type = RTM_NEWLINK, .nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_ACK}};
    struct rtattr *name = (struct rtattr *)ask.attributes;
    name->rta_type = IFLA_IFNAME;
    name->rta_len = RTA_LENGTH(6);
    memcpy(RTA_DATA(name), "owned", 6);
    ask.head.nlmsg_len = NLMSG_LENGTH(sizeof ask.link) + RTA_ALIGN(name->rta_len);
    int out = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    if (out < 0) {
        tell("new-link", -1);
        return;
    }
    struct { struct nlmsghdr head; struct nlmsgerr error; char rest[256]; } answer = {0};
    struct timeval second = {.tv_sec = 1};
    setsockopt(out, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second);
    long done = send(out, &ask, ask.head.nlmsg_len, 0);
    if (done >= 0 && (done = recv(out, &answer, sizeof answer, 0)) >= 0) {
        errno = -answer.error.error;
        done = answer.error.error ? -1 : 0;
    }
    tell("new-link", done);
    close(out);
}

static void netlink(void) {
    family("audit", AF_NETLINK, SOCK_RAW, 9);
    family("netfilter", AF_NETLINK, SOCK_RAW, 12);
    family("uevent", AF_NETLINK, SOCK_DGRAM, 15);
    new_link();
}

static void vsock(void) {
    struct { unsigned short family, zero; unsigned port, cid; char rest[4]; } host = {40, 0, 1024, 2};
    int out = socket(40, SOCK_STREAM, 0);
    tell("vsock", out < 0 ? -1 : connect(out, (struct sockaddr *)&host, sizeof host));
}

static void algorithms(void) {
    family("alg", 38, SOCK_SEQPACKET, 0);
    family("bluetooth", 31, SOCK_RAW, 1);
}

static void abstract_socket(void) {
    struct sockaddr_un peer = {.sun_family = AF_UNIX};
    strncpy(peer.sun_path + 1, host_abstract, sizeof peer.sun_path - 2);
    int out = socket(AF_UNIX, SOCK_STREAM, 0);
    tell("abstract", connect(out, (struct sockaddr *)&peer,
                             offsetof(struct sockaddr_un, sun_path) + 1 + strlen(host_abstract)));
}

static void reach(const char *name, const char *ip, int port) {
    int out = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, ip, &peer.sin_addr);
    long done = connect(out, (struct sockaddr *)&peer, sizeof peer);
    if (done < 0 && errno == EINPROGRESS) {
        struct pollfd wait = {.fd = out, .events = POLLOUT};
        int error = ETIMEDOUT;
        socklen_t length = sizeof error;
        if (poll(&wait, 1, 1000) > 0) getsockopt(out, SOL_SOCKET, SO_ERROR, &error, &length);
        errno = error;
        done = error ? -1 : 0;
    }
    tell(name, done);
    close(out);
}

static void metadata(void) {
    reach("aws", "169.254.169.254", 80);
    reach("alibaba", "100.100.100.200", 80);
}

static void gateways(void) {
    reach("loopback", "127.0.0.1", host_port);
    reach("docker", "172.17.0.1", host_port);
    reach("qemu", "10.0.2.2", host_port);
}

static void question(const char *name, const char *ip, int port) {
    static const char ask[] = "\x12\x34\1\0\0\1\0\0\0\0\0\0\x20" "61626364656667686162636465666768"
                              "\x07" "example\0\0\1\0\1";
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, ip, &server.sin_addr);
    int out = socket(AF_INET, SOCK_DGRAM, 0);
    long sent = sendto(out, ask, sizeof ask - 1, 0, (struct sockaddr *)&server, sizeof server);
    tell(name, sent);
    close(out);
}

static void dns_tunnel(void) {
    question("public", "192.0.2.53", 53);
    question("host", "127.0.0.1", host_dns);
    question("stub", "127.0.0.53", 53);
}

static long pass(int over, int descriptor) {
    char byte = 'x', space[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec data = {&byte, 1};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(head), &descriptor, sizeof descriptor);
    return sendmsg(over, &message, MSG_NOSIGNAL);
}

static void smuggle(void) {
    int out = to_path(host_unix);
    tell("to-host", out < 0 ? -1 : pass(out, 0));
    for (int fd = 0; fd < 3; fd++)
        if (pass(fd, 1) >= 0) {
            tell("over-stdio", fd);
            return;
        }
    tell("over-stdio", -1);
}

/* ---- monitor ---- */

/* Calls that mean nothing, calls that repeat, calls that all differ; then one that matters. */
static void event_flood(void) {
    char name[64];
    for (long i = 0; i < 100000; i++) syscall(SYS_getppid);
    for (long i = 0; i < 5000; i++) close(open("./flood", O_WRONLY | O_CREAT, 0600));
    for (long i = 0; i < 5000; i++) {
        snprintf(name, sizeof name, "./flood-%ld", i);
        unlink(name);
    }
    tell("last", ptrace(PTRACE_ATTACH, 1, 0, 0));
}

static void spoof(void) {
    prctl(PR_SET_NAME, "\x1b[2Jsystemd\n");
    tell("named", 0);
    execl("/proc/self/exe", "\x1b]0;owned\x07[kworker/0:0]", "noop", "\xff\xfe\x1b[31m", (char *)0);
    tell("exec", -1);
}

/* Told in words: the sandbox may be told apart, but not by things of this very host. */
static void fingerprint(void) {
    char name[128] = "", line[256];
    gethostname(name, sizeof name - 1);
    unsigned a = 1, b = 0, c = 0, d = 0;
    __asm__ volatile("cpuid" : "+a"(a), "+b"(b), "+c"(c), "+d"(d));
    int length = snprintf(line, sizeof line, "{\"n\":62,\"hostname\":\"%s\",\"hypervisor\":%u,\"pid\":%d}\n",
                          name, c >> 31, getpid());
    if (write(2, line, length) < 0) _exit(3);
    readable("machine-id", "/etc/machine-id");
    readable("product", "/sys/class/dmi/id/product_uuid");
    writable("canary", host_canary);
}

static void (*const attempts[])(void) = {
    [1] = fork_bomb, [2] = memory_bomb, [3] = disk_fill, [4] = inode_fill, [5] = descriptors,
    [6] = output_flood, [7] = spin, [8] = thread_bomb, [9] = sparse, [10] = zip_bomb,
    [11] = survivor, [12] = ignore_signals, [13] = zombies, [14] = kill_supervisor, [15] = kill_all,
    [16] = clear_death_signal, [17] = trace, [18] = foreign_memory, [19] = foreign_descriptor,
    [20] = bpf, [21] = perf, [22] = io_uring, [23] = user_faults, [24] = keys, [25] = modules,
    [26] = kexec, [27] = user_namespace, [28] = set_namespace, [29] = mounts, [30] = change_root,
    [31] = handles, [32] = clocks, [33] = other_abis, [34] = inject_input, [35] = select_text,
    [36] = clone_flags, [37] = core_pattern, [38] = release_agent, [39] = sysrq, [40] = modprobe,
    [41] = kernel_memory, [42] = own_program, [43] = leaked_folder, [44] = masked_race,
    [45] = artefacts, [46] = setuid_program, [47] = file_capabilities, [48] = device_nodes,
    [49] = inherited, [50] = host_sockets, [51] = raw, [52] = netlink, [53] = vsock,
    [54] = algorithms, [55] = abstract_socket, [56] = metadata, [57] = gateways, [58] = dns_tunnel,
    [59] = smuggle, [60] = event_flood, [61] = spoof, [62] = fingerprint,
};

static void attempt(int number) {
    char name[16];
    current = number;
    snprintf(name, sizeof name, "n%02d", number);
    prctl(PR_SET_NAME, name);
    attempts[number]();
}

/* In a process and a group of its own, which end with it. */
static void apart(int number) {
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        setpgid(0, 0);
        if (number != 7) alarm(ATTEMPT_SECONDS);
        attempt(number);
        _exit(0);
    }
    current = number;
    if (child < 0) {
        tell("start", -1);
        return;
    }
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
    if (number == 1 || number == 8 || number == 13) {
        kill(-child, SIGKILL);
        while (waitpid(-1, 0, WNOHANG) > 0) continue;
        usleep(300000);
    }
    char line[128];
    int killed = WIFSIGNALED(status);
    int length = snprintf(line, sizeof line, "{\"n\":%d,\"end\":\"%s\",\"value\":%d}\n", number,
                          killed ? "signal" : "exit", killed ? WTERMSIG(status) : WEXITSTATUS(status));
    if (write(2, line, length) < 0) _exit(3);
}

static void given(const char *key, const char *value) {
    if (!strcmp(key, "pid")) host_pid = atoi(value);
    if (!strcmp(key, "abstract")) host_abstract = value;
    if (!strcmp(key, "unix")) host_unix = value;
    if (!strcmp(key, "port")) host_port = atoi(value);
    if (!strcmp(key, "dns")) host_dns = atoi(value);
    if (!strcmp(key, "canary")) host_canary = value;
}

int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "whoami")) return is_root() ? 0 : 1;
    signal(SIGXFSZ, SIG_IGN);
    for (int i = 1; i < argc; i++) {
        char *equals = strchr(argv[i], '=');
        if (equals) {
            *equals = 0;
            given(argv[i], equals + 1);
            continue;
        }
        int number = atoi(argv[i]);
        if (number < 1 || number > 62) continue;
        /* These two are about whoever started this program, so nobody may stand between. */
        if (number == 14 || number == 15) attempt(number);
        else apart(number);
    }
    return 0;
}
