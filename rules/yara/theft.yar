// Scripts that gather secrets and send them away, and notes that ask for money.

rule script_gathers_and_sends_secrets
{
    meta:
        title = "Script that gathers secrets and sends them away"
        description = "Many places where secrets lie are named in one small file that also sends data"
        level = "high"
        techniques = "T1552.001, T1552.004, T1041"
        reference = "https://attack.mitre.org/techniques/T1552/001/"
    strings:
        $a01 = ".ssh/id_rsa"
        $a02 = ".ssh/id_ed25519"
        $a03 = ".aws/credentials"
        $a04 = ".kube/config"
        $a05 = ".docker/config.json"
        $a06 = ".git-credentials"
        $a07 = ".config/gcloud"
        $a08 = "/etc/shadow"
        $a09 = ".bash_history"
        $a10 = ".netrc"
        $a11 = ".npmrc"
        $a12 = ".pypirc"
        $a13 = "wallet.dat"
        $a14 = "Login Data"
        $a15 = ".gnupg"
        $a16 = "logins.json"
        $a17 = ".config/gh/hosts.yml"
        $s1 = /requests\.(post|put)\(/
        $s2 = /curl\s[^\n]{0,120}(--data|--upload-file|-d |-F |-T |--form)/
        $s3 = /https?\.request\(/
        $s4 = /urlopen\(/
        $s5 = /axios\.post\(/
        $s6 = /fetch\([^)\n]{1,120}method\s{0,4}:\s{0,4}['"](POST|PUT)/ nocase
        $s7 = /wget\s[^\n]{0,120}--post-(data|file)/
        $s8 = /\.connect\(\(/
        $s9 = /\bnc\s{1,4}[a-zA-Z0-9.$\{\}_-]{3,64}\s{1,4}[0-9]{2,5}/
    condition:
        place != "memory" and filesize < 128KB and uint32be(0) != 0x7f454c46
        and 5 of ($a*) and any of ($s*)
}

rule token_of_a_call_back_service
{
    meta:
        title = "Token of a chat service to send data to"
        description = "The address of a web hook, or the token of a bot, that anybody can send to"
        level = "medium"
        techniques = "T1567.004"
        reference = "https://attack.mitre.org/techniques/T1567/004/"
    strings:
        $discord = /discord(app)?\.com\/api\/(v[0-9]{1,2}\/)?webhooks\/[0-9]{17,20}\/[A-Za-z0-9_-]{60,72}/
        $telegram = /api\.telegram\.org\/bot[0-9]{8,10}:[A-Za-z0-9_-]{35}/
        $slack = /hooks\.slack\.com\/services\/T[A-Z0-9]{8,12}\/B[A-Z0-9]{8,12}\/[A-Za-z0-9]{24}/
    condition:
        place != "memory" and filesize < 4MB and any of them
}

rule note_that_asks_for_ransom
{
    meta:
        title = "Note that asks for ransom"
        description = "A short text says that files were encrypted, how to pay and whom to ask"
        level = "high"
        techniques = "T1486"
        reference = "https://attack.mitre.org/techniques/T1486/"
    strings:
        $lost1 = /(all|your)( of)?( your)?( important)? (files|documents|data|network|servers)[^.\n]{0,60}(were|are|have been|has been) (\w{1,12} ){0,2}(encrypted|locked|stolen)/ nocase
        $lost2 = /(encrypted|locked) (all )?(of )?your (\w{1,12} )?(files|data|documents|network|servers)/ nocase
        $back = /(decrypt(ion|or|er)?|restore|recover|get (them|your files) back)/ nocase
        $pay1 = /\b(bitcoins?|btc|monero|xmr|ransom)\b/ nocase
        $pay2 = /\.onion\b/
        $pay3 = "Tor Browser" nocase
        $pay4 = /(private|secret|decryption) key (is |are )?(stored|kept|only)/ nocase
        $warn = /(do not|don'?t) (try|attempt|rename|delete|modify|move|shut|contact|use)/ nocase
        $mail = /[a-z0-9._-]{3,40}@(onionmail|protonmail|proton|tutanota|tuta|cock|mail2tor|keemail|airmail)\.[a-z]{2,5}/ nocase
    condition:
        place != "memory" and filesize < 32KB and uint32be(0) != 0x7f454c46
        and any of ($lost*) and $back and 2 of ($pay*, $warn, $mail) and any of ($pay*, $mail)
}

rule private_key
{
    meta:
        title = "Private key"
        description = "A file begins as a private key does"
        level = "informational"
        techniques = "T1552.004"
        reference = "https://attack.mitre.org/techniques/T1552/004/"
    strings:
        $key = /-----BEGIN ((RSA|EC|DSA|OPENSSH|ENCRYPTED) )?PRIVATE KEY-----/
    condition:
        place != "memory" and $key in (0 .. 256)
}
