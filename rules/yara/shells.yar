// Ways to give somebody else a shell, as text and as machine code.

rule reverse_shell_in_shell
{
    meta:
        title = "Reverse shell in the language of the shell"
        description = "An interactive shell is tied to a network address by redirection"
        level = "high"
        techniques = "T1059.004"
        reference = "https://attack.mitre.org/techniques/T1059/004/"
    strings:
        $bash = /(ba|z|k)?sh -i\s{0,4}([0-9]?[<>]&?|&>)\s{0,4}\/dev\/(tcp|udp)\/[a-zA-Z0-9._:$\{\}-]{1,80}\/[0-9$]/
        $descriptor = /exec [0-9]{1,3}<>\s{0,4}\/dev\/tcp\/[^\n]{3,80}\n?[^\n]{0,80}(sh -i|\/bin\/(ba)?sh)/
        $pipe = /mkfifo\s[^\n]{1,80}[\n;][^\n]{0,120}sh -i[^\n]{0,40}\|\s{0,4}(nc|ncat|netcat|openssl s_client|telnet)\s/
        $netcat = /\b(nc|ncat|netcat)\s[^\n|;]{0,60}-(e|c)\s{1,3}(\/bin\/|\/usr\/bin\/)?(ba|da|z)?sh\b/
        $socat = /socat\s[^\n]{0,80}(exec|EXEC|system|SYSTEM):['"]?(\/bin\/)?(ba)?sh[^\n]{0,80}(tcp|TCP|openssl|OPENSSL)[^:\n]{0,12}:/
    condition:
        place != "memory" and filesize < 64KB and any of them
        and (uint16be(0) == 0x2321 or filesize < 8KB)
}

rule reverse_shell_in_python
{
    meta:
        title = "Reverse shell in Python"
        description = "A socket takes the place of the standard streams before a shell is started"
        level = "high"
        techniques = "T1059.006, T1059.004"
        reference = "https://attack.mitre.org/techniques/T1059/006/"
    strings:
        $socket = /socket\.socket\(/
        $connect = ".connect(("
        $streams = /os\.dup2\(\s{0,4}[a-zA-Z_][a-zA-Z0-9_]{0,20}\.fileno\(\)\s{0,4},\s{0,4}[012]\s{0,4}\)/
        $terminal = "pty.spawn("
        $shell = /['"](\/usr)?(\/bin\/)?(ba|da|z)?sh['"]/
    condition:
        place != "memory" and filesize < 256KB and $socket and $connect and $shell
        and (#streams >= 2 or ($streams and $terminal))
}

rule reverse_shell_in_perl_ruby_or_php
{
    meta:
        title = "Reverse shell in Perl, Ruby or PHP"
        description = "A socket takes the place of the standard streams before a shell is started"
        level = "high"
        techniques = "T1059"
        reference = "https://attack.mitre.org/techniques/T1059/"
    strings:
        $perl_socket = /use (IO::)?Socket/
        $perl_streams = /open\(?\s{0,4}(STDIN|STDOUT|STDERR),?\s{0,4}['"]\s{0,2}[<>]&/
        $perl_fdopen = /STD(IN|OUT|ERR)->fdopen\(/
        $perl_shell = /(exec|system)\s{0,4}\(?\s{0,4}[\{'"]{1,2}(\/bin\/)?(ba)?sh/
        $ruby = /TCPSocket\.(new|open)\([^\n]{1,80}\n?[^\n]{0,120}exec\s{0,2}\(?sprintf\(|TCPSocket\.(new|open)\([^\n]{1,120}IO\.popen\(/
        $php = /fsockopen\([^\n]{1,120}\n?[^\n]{0,160}(proc_open|shell_exec|passthru|system|exec|popen)\(['"](\/bin\/)?(ba)?sh -i/
    condition:
        place != "memory" and filesize < 256KB
        and ($ruby or $php
            or ($perl_socket and $perl_shell and (#perl_streams >= 2 or #perl_fdopen >= 2)))
}

rule shellcode_starts_a_shell
{
    meta:
        title = "Machine code that starts a shell"
        description = "The name of the shell is built in a register and execve is called at once (x86-64)"
        level = "high"
        techniques = "T1620, T1059.004"
        reference = "https://attack.mitre.org/techniques/T1620/"
    strings:
        $push = { 48 (B8 | B9 | BA | BB | BE | BF) 2F 62 69 6E 2F (2F 73 68 | 73 68 00) [0-24] 6A 3B 58 [0-24] 0F 05 }
        $move = { 48 (B8 | B9 | BA | BB | BE | BF) 2F 62 69 6E 2F (2F 73 68 | 73 68 00) [0-24] B0 3B [0-16] 0F 05 }
        $first = { 6A 3B 58 [0-16] 48 (B8 | B9 | BA | BB | BE | BF) 2F 62 69 6E 2F (2F 73 68 | 73 68 00) [0-32] 0F 05 }
        $old = { 68 (2F 2F 73 68 68 2F 62 69 6E | 2F 73 68 00 68 2F 62 69 6E) [0-24] B0 0B [0-8] CD 80 }
    condition:
        any of them
}

rule shellcode_connects
{
    meta:
        title = "Machine code that connects or listens for commands"
        description = "socket, connect or bind, and dup2 called one after the other with constants pushed and popped (x86-64)"
        level = "high"
        techniques = "T1620, T1095"
        reference = "https://attack.mitre.org/techniques/T1620/"
    strings:
        $socket = { 6A 29 58 99 6A 02 5F 6A 01 5E 0F 05 }
        $connect = { 6A 29 58 [2-40] 0F 05 [2-60] 6A (2A | 31) 58 [0-16] 0F 05 }
        $stage = { 6A 09 58 99 B6 10 48 89 D6 4D 31 C9 6A 22 41 5A }
    condition:
        any of them
}
