/* What the kernel side and user space say to each other. src/abi.rs is the other half; a test reads
 * the numbers and the asserted offsets below and compares them with it. Plain data, no policy. */
#ifndef SHIELDX_ABI_H
#define SHIELDX_ABI_H

/* Event types, in the order of the counters. */
#define KIND_NONE 0
#define KIND_EXEC 1
#define KIND_FORK 2
#define KIND_EXIT 3
#define KIND_OPEN 4
#define KIND_WRITE 5
#define KIND_UNLINK 6
#define KIND_RENAME 7
#define KIND_MKDIR 8
#define KIND_CHMOD 9
#define KIND_CHOWN 10
#define KIND_LINK 11
#define KIND_MKNOD 12
#define KIND_TRUNCATE 13
#define KIND_SET_XATTR 14
#define KIND_SET_TIMES 15
#define KIND_SOCKET 16
#define KIND_CONNECT 17
#define KIND_BIND 18
#define KIND_LISTEN 19
#define KIND_ACCEPT 20
#define KIND_SEND 21
#define KIND_DNS 22
#define KIND_STDIO_SOCKET 23
#define KIND_MEMORY 24
#define KIND_MEMORY_EXECUTED 25
#define KIND_MEMFD_CREATE 26
#define KIND_PTRACE 27
#define KIND_PROCESS_MEMORY 28
#define KIND_KILL 29
#define KIND_SET_IDS 30
#define KIND_SET_NAME 31
#define KIND_SYSCALL 32
#define KIND_COUNT 33

/* How a system call is looked at when it returns. */
#define HANDLER_IGNORE 0
#define HANDLER_PLAIN 1
#define HANDLER_OPEN 2
#define HANDLER_WRITE 3
#define HANDLER_SEND 4
#define HANDLER_MMAP 5
#define HANDLER_MPROTECT 6
#define HANDLER_CLONE 7
#define HANDLER_DUP 8
#define HANDLER_KILL 9
#define HANDLER_PRCTL 10
#define HANDLER_IOCTL 11
#define HANDLER_PERSONALITY 12
#define HANDLER_TRANSFER 13
#define HANDLER_ACCEPT 14
#define HANDLER_FILE_MADE 15

/* recipe.flags */
#define RECIPE_REFUSABLE 1   /* the policy may refuse this call: a refusal is always an event */
#define RECIPE_FAILED_ONLY 2 /* only failures are events */
#define RECIPE_SOCK_RESULT 4 /* the descriptor of interest is the return value */
#define RECIPE_BULK 8
#define RECIPE_VECTOR 16 /* HANDLER_WRITE, HANDLER_SEND: the buffer is a list */
#define RECIPE_MANY 32   /* HANDLER_SEND: sendmmsg */
#define RECIPE_NULL_IS_FD 64 /* a null path means the descriptor in its place */
#define RECIPE_RAW_PATH 128 /* the first path is kept as it was passed */

#define NO_ARG 255
#define AT_CWD 254
#define RECIPES_LEN 512
#define CALLS_OTHER 511 /* where calls of another table, and numbers beyond it, are counted */

/* record.flags */
#define RECORD_TRUNCATED 1
#define RECORD_COMPAT 2      /* a 32-bit call (int 0x80): `nr` counts in the i386 table */
#define RECORD_UNREADABLE 4  /* a string of the task could not be read */
#define RECORD_ANONYMOUS 8   /* memory without a file behind it */
#define RECORD_THREAD 16
#define RECORD_TCP 32        /* DNS: the message has a length in front */
#define RECORD_ADDRESS_GIVEN 64 /* the peer came from the task's memory */
#define RECORD_GUARD 128     /* a guard refused it: what it was aimed at is the kernel's word */

/* What a slot of variable data is. */
#define SLOT_EMPTY 0
#define SLOT_STRING 1     /* NUL-terminated string from the task's memory */
#define SLOT_COMPONENTS 2 /* path components from the file to the root, NUL after each */
#define SLOT_BYTES 3
#define SLOT_STDIO 4      /* three struct stdio */
#define SLOT_PATH 5       /* NUL-terminated path as the kernel names it */

#define SLOTS 5
#define PATH_LEN_MAX 4096
#define PATH_COMPONENTS_MAX 128
#define ARGV_LEN_MAX 16384
#define HEAD_LEN_MAX 64
#define DNS_LEN_MAX 256
#define ADDRESS_LEN_MAX 128
#define DATA_LEN_MAX 28672

#define STDIO_CLOSED 0
#define STDIO_FILE 1
#define STDIO_PIPE 2
#define STDIO_TTY 3
#define STDIO_SOCKET 4
#define STDIO_OTHER 5

#define FILE_MEMFD 1
#define FILE_DELETED 2

/* Places of the bytes of packets: a direction and a protocol. */
#define TRAFFIC_IN 0
#define TRAFFIC_OUT 4
#define TRAFFIC_TCP 0
#define TRAFFIC_UDP 1
#define TRAFFIC_ICMP 2
#define TRAFFIC_OTHER 3
#define TRAFFIC_LEN 8

#define TOTALS_LEN 16384
#define NO_TOTAL 0xffffffff
#define RANGES_PER_TASK 4

/* control.deny: what guards refuse to the run. */
#define DENY_EXEC 1
#define DENY_OPEN 2
#define DENY_CONNECT 4 /* to anything but a Unix socket, and sends that name an address */
#define DENY_BIND 8 /* to anything but a Unix socket */
#define DENY_WRITE_EXECUTE 16
#define DENY_PTRACE 32
#define DENY_MOUNT 64
#define DENY_BPF 128
#define DENY_MODULE 256
#define DENY_SET_IDS 512

#define NR_RT_SIGRETURN 15
#define NR_EXIT 60
#define NR_EXIT_GROUP 231
#define FLIGHTS_LEN 4096
#define DURATION_BUCKETS 15

struct sock_info {
	__u16 family; /* AF_*, 0 when there is no socket */
	__u16 type;
	__u16 protocol;
	__u16 remote_port; /* host order */
	__u16 local_port;
	__u16 pad;
	__u32 pad2;
	__u8 remote[16]; /* IPv4 in the first four bytes */
	__u8 local[16];
};

struct stdio {
	__u32 kind;
	__u32 pad;
	struct sock_info sock;
};

struct record {
	__u64 time_ns;  /* CLOCK_MONOTONIC */
	__u64 start_ns; /* of the thread group leader, CLOCK_MONOTONIC */
	__u32 pid;
	__u32 tid;
	__u32 ppid;
	__u32 euid; /* in the kernel's own user namespace */
	__u8 comm[16];
	__u8 kind;
	__u8 flags;
	__u8 file_flags;
	__u8 replaced; /* the descriptor does not name the file that the call opened any more */
	__s32 nr;
	__s64 ret;
	__u64 args[6];
	__u64 extra[4];
	__u32 file_mode; /* type and permission bits of the file in question */
	__u32 total;     /* index of the totals that later writes and sends go to */
	struct sock_info sock;
	__u16 slot_len[SLOTS];
	__u8 slot_what[SLOTS];
	__u8 urgent; /* somebody waits for it: the ring's reader is woken */
	__u32 data_len;
	__u8 pad3[4];
};

struct recipe {
	__u8 kind;
	__u8 handler;
	__u8 flags;
	__u8 path0; /* argument index of the first path */
	__u8 base0; /* argument index of its directory descriptor, or AT_CWD */
	__u8 path1;
	__u8 base1;
	__u8 fd;   /* argument index of a descriptor to resolve */
	__u8 text; /* argument index of a plain string */
	__u8 address; /* argument index of a socket address, its length follows it */
	__u8 bytes;   /* argument index of a buffer */
	__u8 bytes_len;
	__u8 pad[4];
};

struct counters {
	__u64 seen;
	__u64 sent;
	__u64 dropped;
	__u64 truncated;
	__u64 aggregated;
	__u64 throttled;
};

struct total {
	__u64 count;
	__u64 bytes;
};

struct control {
	__u64 cgroup_id;     /* 0: watch nobody */
	__u32 ranges_active; /* some task has made memory executable */
	__u32 totals_used;
	__u64 files_made; /* grows with every call that can make a file */
	__u64 exits;
	__u32 pid_level; /* depth of the run's pid namespace: the outermost that was seen */
	__u32 deny;      /* DENY_*: what guards refuse, where there are any */
	__u32 captures;  /* the paths that the kernel resolved are captured */
	__u32 pad;
};

/* What this CPU knows about the task of the run that it saw last, so that a system call costs no
 * helper and a copy loop no hash lookup. An address can be used again: a task's after an exit, a
 * file's after a call that makes one, so either ends what is known here. And, because it is at hand
 * whenever a call returns, how many did: that costs an increment and no lookup. */
struct here {
	__u64 calls[RECIPES_LEN]; /* of all tasks of the run on this CPU, by number */
	__u64 task;
	__u64 exits;
	__u64 file; /* the last one written to */
	__u64 files_made;
	__u32 total; /* its total, or UNINTERESTING */
	__u32 identified; /* what follows is known */
	__u64 start_ns;
	__u32 pid;
	__u32 tid;
	__u32 ppid;
	__u32 window; /* the sampling window at which it was last looked whether the task is in flight */
	__u64 no_room; /* writes that found their filesystem full, of all tasks on this CPU */
};

/* Durations of system calls are sampled in windows, outside of which nobody looks at entries. */
struct window {
	__u32 number; /* odd: open; grows when one is opened or closed, 0 when there never was one */
	__s32 left;   /* how many more calls may be entered in it before it closes itself */
};

struct sampling {
	__u64 entered;
	__u64 unmatched; /* entries that no return belonged to */
	__u64 untracked; /* not sampled because too many threads were known already */
	__s64 threads;   /* known now */
};

/* Sampled durations of the calls of one number; a bucket holds those up to its bound and above the
 * bound before. */
struct duration {
	__u64 sum_ns;
	__u64 buckets[DURATION_BUCKETS];
};

_Static_assert(sizeof(struct window) == 8, "");
_Static_assert(sizeof(struct sampling) == 32, "");
_Static_assert(sizeof(struct duration) == 128, "");
_Static_assert(sizeof(struct here) == 4168, "");
_Static_assert(sizeof(struct sock_info) == 48, "");
_Static_assert(sizeof(struct stdio) == 56, "");
_Static_assert(sizeof(struct record) == 224, "");
_Static_assert(__builtin_offsetof(struct record, comm) == 32, "");
_Static_assert(__builtin_offsetof(struct record, nr) == 52, "");
_Static_assert(__builtin_offsetof(struct record, args) == 64, "");
_Static_assert(__builtin_offsetof(struct record, extra) == 112, "");
_Static_assert(__builtin_offsetof(struct record, sock) == 152, "");
_Static_assert(__builtin_offsetof(struct record, slot_len) == 200, "");
_Static_assert(__builtin_offsetof(struct record, slot_what) == 210, "");
_Static_assert(__builtin_offsetof(struct record, data_len) == 216, "");
_Static_assert(sizeof(struct recipe) == 16, "");
_Static_assert(sizeof(struct counters) == 48, "");
_Static_assert(sizeof(struct total) == 16, "");
_Static_assert(sizeof(struct control) == 48, "");

#endif
