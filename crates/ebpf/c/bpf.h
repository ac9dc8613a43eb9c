/* The kernel's eBPF interface, as far as it is used: helper numbers are ABI (uapi/linux/bpf.h). */
#ifndef SHIELDX_BPF_H
#define SHIELDX_BPF_H

#define SEC(name) __attribute__((section(name), used))
#define INLINE static inline __attribute__((always_inline))
/* A function that the verifier checks once, by itself, whoever calls it. */
#define APART __attribute__((noinline))

#define BPF_MAP_TYPE_HASH 1
#define BPF_MAP_TYPE_ARRAY 2
#define BPF_MAP_TYPE_PERCPU_ARRAY 6
#define BPF_MAP_TYPE_RINGBUF 27
#define BPF_F_NO_PREALLOC 1
#define BPF_NOEXIST 1
#define BPF_RB_NO_WAKEUP 1
#define BPF_RB_FORCE_WAKEUP 2
#define BPF_RB_AVAIL_DATA 0
#define BPF_RB_CONS_POS 2

#define DECLARE_INT(name, value) int(*name)[value]
#define DECLARE_TYPE(name, value) value *name

static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*const bpf_map_update_elem)(void *map, const void *key, const void *value,
					 u64 flags) = (void *)2;
static long (*const bpf_map_delete_elem)(void *map, const void *key) = (void *)3;
static u64 (*const bpf_ktime_get_ns)(void) = (void *)5;
static u64 (*const bpf_get_current_pid_tgid)(void) = (void *)14;
static long (*const bpf_get_current_comm)(void *buffer, u32 size) = (void *)16;
static long (*const bpf_skb_load_bytes)(const void *packet, u32 offset, void *to, u32 len) =
	(void *)26;
static u64 (*const bpf_get_current_task)(void) = (void *)35;
static u64 (*const bpf_get_current_cgroup_id)(void) = (void *)80;
static long (*const bpf_probe_read_user)(void *dst, u32 size, const void *from) = (void *)112;
static long (*const bpf_probe_read_kernel)(void *dst, u32 size, const void *from) = (void *)113;
static long (*const bpf_probe_read_user_str)(void *dst, u32 size, const void *from) = (void *)114;
static long (*const bpf_probe_read_kernel_str)(void *dst, u32 size, const void *from) = (void *)115;
static long (*const bpf_ringbuf_output)(void *ring, void *data, u64 size, u64 flags) = (void *)130;
static void *(*const bpf_ringbuf_reserve)(void *ring, u64 size, u64 flags) = (void *)131;
static void (*const bpf_ringbuf_submit)(void *data, u64 flags) = (void *)132;
static u64 (*const bpf_ringbuf_query)(void *ring, u64 flags) = (void *)134;
static long (*const bpf_d_path)(struct path *path, char *to, u32 len) = (void *)147;
static struct task_struct *(*const bpf_get_current_task_btf)(void) = (void *)158;
static struct pt_regs *(*const bpf_task_pt_regs)(struct task_struct *task) = (void *)175;
static long (*const bpf_find_vma)(struct task_struct *task, u64 addr, void *callback, void *context,
				  u64 flags) = (void *)180;
static long (*const bpf_loop)(u32 count, void *callback, void *context, u64 flags) = (void *)181;

/* How programs see a packet; the start of it. */
struct __sk_buff {
	u32 len;
	u32 pkt_type;
	u32 mark;
	u32 queue_mapping;
	u32 protocol; /* EtherType in network order */
};
#define ETH_P_IP 0x0008
#define ETH_P_IPV6 0xdd86

struct bpf_raw_tracepoint_args {
	u64 args[3];
};

/* Loads through a typed pointer are faster when the program runs, but for each load of a further
 * pointer the verifier searches the kernel's whole BTF by name, several times, at half a
 * millisecond each. So typed pointers are for the path that every system call takes, and FIELD for
 * the paths that make an event. */

/* A field of a kernel object of which only the address is known; 0 when it cannot be read (the
 * helper clears what it could not fill). */
#define FIELD(type, address, field)                                                              \
	({                                                                                        \
		const type *object_ = (const type *)(address);                                    \
		__typeof__(((type *)0)->field) value_;                                            \
		bpf_probe_read_kernel(                                                            \
			&value_, sizeof(value_),                                                  \
			(const void *)__builtin_preserve_access_index(&object_->field));          \
		value_;                                                                           \
	})

#define FIELD_OFFSET(type, field) ((u64)__builtin_preserve_field_info(((type *)0)->field, 0))

#endif
