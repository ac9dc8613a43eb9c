// Files that give whoever can reach a web server a way to run commands.

rule web_shell_in_php
{
    meta:
        title = "Web shell in PHP"
        description = "A value of the request is run as a command or as program text"
        level = "high"
        techniques = "T1505.003"
        reference = "https://attack.mitre.org/techniques/T1505/003/"
    strings:
        $php = /<\?(php|=)/ nocase
        $direct = /\b(eval|assert|system|passthru|shell_exec|exec|popen|proc_open|pcntl_exec|create_function)\s{0,4}\(\s{0,4}(@|urldecode\(|stripslashes\(|base64_decode\(|gzinflate\(|str_rot13\(|\s){0,4}\$_(GET|POST|REQUEST|COOKIE|SERVER|FILES)\s{0,4}\[/ nocase
        $backtick = /`\s{0,4}(\{)?\$_(GET|POST|REQUEST|COOKIE)\s{0,4}\[[^`]{0,80}`/
        $variable = /\$_(GET|POST|REQUEST|COOKIE)\[[^\]]{1,40}\]\s{0,4}\(\s{0,4}\$_(GET|POST|REQUEST|COOKIE)\[/
    condition:
        place != "memory" and filesize < 1MB and $php and any of ($direct, $backtick, $variable)
}

rule web_shell_in_jsp
{
    meta:
        title = "Web shell in JSP"
        description = "A parameter of the request is run as a command"
        level = "high"
        techniques = "T1505.003"
        reference = "https://attack.mitre.org/techniques/T1505/003/"
    strings:
        $page = "<%"
        $direct = /(getRuntime\(\)\.exec|new ProcessBuilder)\s{0,4}\([^;\n]{0,80}request\.getParameter\s{0,4}\(/
        $later = /=\s{0,4}request\.getParameter\s{0,4}\([^;]{1,40}\)\s{0,4};[^%]{0,400}getRuntime\(\)\.exec\(/
    condition:
        place != "memory" and filesize < 1MB and $page and any of ($direct, $later)
}
