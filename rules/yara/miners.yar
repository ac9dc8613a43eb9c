// Mining of cryptocurrency.

rule miner_configuration
{
    meta:
        title = "Configuration of a miner"
        description = "Pools, an algorithm and a wallet in the form that widespread miners read"
        level = "high"
        techniques = "T1496.001"
        reference = "https://attack.mitre.org/techniques/T1496/001/"
    strings:
        $pools = /"pools"\s{0,8}:\s{0,8}\[/
        $donate = /"donate-(level|over-proxy)"\s{0,8}:/
        $randomx = /"(randomx|cn-lite|cn-heavy|argon2|kawpow|astrobwt)"\s{0,8}:/
        $algo = /"algo"\s{0,8}:\s{0,8}("(rx|cn|argon2|randomx|kawpow|ghostrider|cryptonight)|null)/
        $worker = /"(rig-id|nicehash|huge-pages|keepalive|tls-fingerprint)"\s{0,8}:/
    condition:
        place != "memory" and filesize < 256KB and uint8(0) < 0x80 and 3 of them
        and ($donate or $algo)
}

rule miner_program
{
    meta:
        title = "Program that speaks to a mining pool"
        description = "Methods of the stratum protocol together with a pool's address or an algorithm"
        level = "high"
        techniques = "T1496.001"
        reference = "https://attack.mitre.org/techniques/T1496/001/"
    strings:
        $address = /stratum\+(tcp|ssl|udp|tls):\/\//
        $subscribe = "mining.subscribe"
        $authorize = "mining.authorize"
        $submit = "mining.submit"
        $notify = "mining.notify"
        $difficulty = "mining.set_difficulty"
        $donate = "donate-level"
        $randomx = "randomx" nocase
        $job = /"?method"?\s{0,4}:\s{0,4}"(login|submit|keepalived)"/
    condition:
        ($address and 2 of ($subscribe, $authorize, $submit, $notify, $difficulty, $job, $donate, $randomx))
        or ($subscribe and $authorize and $submit and ($difficulty or $notify))
}
