// What fetches, unpacks or hides other programs.

import "elf"

rule script_fetches_programs_for_many_machines
{
    meta:
        title = "Script that fetches a program for every kind of machine"
        description = "One file is fetched, made executable and run for processor after processor, as botnets spread"
        level = "high"
        techniques = "T1105"
        reference = "https://attack.mitre.org/techniques/T1105/"
    strings:
        $get = /(wget|curl|tftp|ftpget)\s[^\n;]{4,160}/
        $run = /chmod\s{1,4}(\+x|a\+x|0?777|755)\s[^\n]{1,120}[;&\n]{1,2}\s{0,4}(sh |\.\/|\/tmp\/)/
        $m1 = /[.\/_-](mips|mipsel|mpsl)\b/
        $m2 = /[.\/_-](arm|arm4|arm5|arm6|arm7|armv[4-7]l?)\b/
        $m3 = /[.\/_-](x86|x86_64|i[3-6]86|x32)\b/
        $m4 = /[.\/_-](ppc|powerpc)\b/
        $m5 = /[.\/_-](sh4|superh)\b/
        $m6 = /[.\/_-](m68k|spc|sparc)\b/
    condition:
        place != "memory" and filesize < 64KB and #get >= 3 and #run >= 3 and 3 of ($m*)
}

rule program_text_is_decoded_and_run
{
    meta:
        title = "Script that decodes its own text and runs it"
        description = "Encoded text is decoded, often unpacked, and executed in one expression"
        level = "medium"
        techniques = "T1027.010, T1140"
        reference = "https://attack.mitre.org/techniques/T1027/010/"
    strings:
        $python = /\b(exec|eval)\s{0,2}\(\s{0,2}((zlib|bz2|lzma|gzip|marshal|codecs|base64|__import__\(['"]\w{1,12}['"]\))\.(decompress|loads|decode|b64decode|b32decode|b85decode|a85decode)\(\s{0,2}){1,3}b?['"]/
        $python_lambda = /_\s{0,2}=\s{0,2}lambda __\s{0,2}:\s{0,2}__import__\(['"]zlib['"]\)\.decompress/
        $node = /\b(eval|Function|vm\.runInThisContext)\s{0,2}\(\s{0,2}(atob\(|Buffer\.from\(\s{0,2}['"][A-Za-z0-9+\/=]{64,})/
        $shell = /echo\s{1,3}['"]?[A-Za-z0-9+\/=]{64,}['"]?\s{0,4}\|\s{0,4}base64\s{1,3}(-d|--decode)\s{0,4}\|\s{0,4}(ba|da|z)?sh\b/
        $php = /eval\s{0,2}\(\s{0,2}(gzinflate|gzuncompress|str_rot13|base64_decode)\s{0,2}\(\s{0,2}(base64_decode|str_rot13|gzinflate)?/ nocase
    condition:
        place != "memory" and filesize < 2MB and uint32be(0) != 0x7f454c46 and any of them
}

rule library_hides_files
{
    meta:
        title = "Library made to be preloaded and to hide files"
        description = "A shared object replaces the functions that list folders, finds the real ones, and knows the file that preloads libraries"
        level = "high"
        techniques = "T1014, T1574.006"
        reference = "https://attack.mitre.org/techniques/T1574/006/"
    strings:
        $next = "dlsym"
        $preload = "ld.so.preload"
        $list1 = "readdir64"
        $list2 = "readdir"
        $open = "fopen64"
        $stat = /\b(__lxstat64|__xstat64|lstat64|stat64)\b/
    condition:
        place != "memory" and uint32be(0) == 0x7f454c46 and filesize < 2MB
        and elf.type == elf.ET_DYN and $next and $preload and $list1 and $list2
        and any of ($open, $stat)
        and for any symbol in elf.dynsym : (symbol.name == "readdir64" and symbol.shndx != 0)
}

rule module_hooks_system_calls
{
    meta:
        title = "Kernel module that looks for the table of system calls"
        description = "A module finds what the kernel does not export and hides itself or others"
        level = "medium"
        techniques = "T1014, T1547.006"
        reference = "https://attack.mitre.org/techniques/T1014/"
    strings:
        $modinfo = "vermagic="
        $find1 = "sys_call_table"
        $find2 = "kallsyms_lookup_name"
        $hook1 = "__x64_sys_getdents64"
        $hook2 = "ftrace_set_filter_ip"
        $hook3 = "__x64_sys_kill"
    condition:
        place != "memory" and uint32be(0) == 0x7f454c46 and elf.type == elf.ET_REL and $modinfo
        and any of ($find*) and any of ($hook*)
}

rule agent_of_sliver
{
    meta:
        title = "Agent of the Sliver framework"
        description = "Names of the packages that the agent is built from"
        level = "high"
        techniques = "T1071.001"
        reference = "https://attack.mitre.org/software/S0633/"
    strings:
        $package = "github.com/bishopfox/sliver/"
        $messages = "sliverpb."
    condition:
        uint32be(0) == 0x7f454c46 and $package and #messages >= 8
}

rule agent_of_meterpreter
{
    meta:
        title = "Agent of the Metasploit framework"
        description = "Names of the commands that a Meterpreter answers"
        level = "high"
        techniques = "T1071.001"
        reference = "https://attack.mitre.org/software/"
    strings:
        $c1 = "core_channel_open"
        $c2 = "core_loadlib"
        $c3 = "stdapi_fs_ls"
        $c4 = "stdapi_sys_process_execute"
        $c5 = "stdapi_net_config_get_interfaces"
        $c6 = "stdapi_sys_config_getuid"
    condition:
        4 of them
}
