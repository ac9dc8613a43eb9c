/* Bytes of the run's IP packets. These programs hang on its cgroup and not on system calls: what is
 * written to a socket is not what goes over a network, and a read says nothing of its file. */
#ifndef SHIELDX_PACKETS_H
#define SHIELDX_PACKETS_H

struct {
	DECLARE_INT(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	DECLARE_INT(max_entries, TRAFFIC_LEN);
	DECLARE_TYPE(key, u32);
	DECLARE_TYPE(value, u64);
} traffic SEC(".maps");

INLINE u32 protocol_of(struct __sk_buff *packet)
{
	u8 number = 0;
	if (packet->protocol == ETH_P_IP)
		bpf_skb_load_bytes(packet, 9, &number, 1);
	else if (packet->protocol == ETH_P_IPV6) /* with extension headers: other */
		bpf_skb_load_bytes(packet, 6, &number, 1);
	switch (number) {
	case 6:
		return TRAFFIC_TCP;
	case 17:
		return TRAFFIC_UDP;
	case 1:
	case 58:
		return TRAFFIC_ICMP;
	default:
		return TRAFFIC_OTHER;
	}
}

/* Every packet passes: this counts and decides nothing. */
INLINE int count_packet(struct __sk_buff *packet, u32 direction)
{
	u32 index = direction + protocol_of(packet);
	u64 *bytes = bpf_map_lookup_elem(&traffic, &index);
	if (bytes)
		__sync_fetch_and_add(bytes, packet->len);
	return 1;
}

SEC("cgroup_skb/ingress")
int on_packet_in(struct __sk_buff *packet)
{
	return count_packet(packet, TRAFFIC_IN);
}

SEC("cgroup_skb/egress")
int on_packet_out(struct __sk_buff *packet)
{
	return count_packet(packet, TRAFFIC_OUT);
}

#endif
