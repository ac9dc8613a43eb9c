/* Executable memory without a file behind it, and code that calls the kernel from there. */
#ifndef SHIELDX_MEMORY_H
#define SHIELDX_MEMORY_H

/* Remembers a range of the current process; 1 for its first. */
APART int remember_range(u64 start, u64 len)
{
	struct control *c = get_control();
	if (!c)
		return 0;
	u32 tgid = current_tgid();
	int first = 0;
	struct ranges *known = bpf_map_lookup_elem(&ranges, &tgid);
	if (!known) {
		struct ranges none = {};
		first = 1;
		bpf_map_update_elem(&ranges, &tgid, &none, BPF_NOEXIST);
		known = bpf_map_lookup_elem(&ranges, &tgid);
		if (!known)
			return 0;
	}
	/* The same pages made executable again are executed "again". */
	u32 at = RANGES_PER_TASK;
	for (u32 i = 0; i < RANGES_PER_TASK; i++)
		if (known->list[i].start == start)
			at = i;
	if (at == RANGES_PER_TASK) {
		at = known->next % RANGES_PER_TASK;
		known->next++;
	}
	if (at >= RANGES_PER_TASK)
		return 0;
	known->list[at].start = start;
	known->list[at].end = start + len;
	known->list[at].told = 0;
	c->ranges_active = 1;
	return first;
}

/* The start of the range that this address lies in, when that was not told before; else 0. */
APART u64 range_executed(u64 ip)
{
	u32 tgid = current_tgid();
	struct ranges *known = bpf_map_lookup_elem(&ranges, &tgid);
	if (!known)
		return 0;
	for (u32 i = 0; i < RANGES_PER_TASK; i++) {
		struct range *r = &known->list[i];
		if (ip > r->start && ip <= r->end && !r->told) {
			r->told = 1;
			return r->start;
		}
	}
	return 0;
}

struct mapping {
	u64 file;
	u32 found;
	u32 pad;
};

static long note_mapping(struct task_struct *task, struct vm_area_struct *vma, struct mapping *m)
{
	m->found = 1;
	m->file = (u64)FIELD(struct vm_area_struct, vma, vm_file);
	return 0;
}

/* The file mapped at an address of the current process: 0 for none, 1 when it cannot be told. */
APART u64 file_mapped_at(u64 address)
{
	struct mapping m = {};
	bpf_find_vma(bpf_get_current_task_btf(), address, note_mapping, &m, 0);
	return m.found ? m.file : 1;
}

#endif
