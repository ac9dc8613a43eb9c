// Programs that hide what they are: packed, stripped to nothing but code, or changed so that the
// packer's own tool cannot undo it.

import "elf"

rule upx_packed_program
{
    meta:
        title = "Program packed with UPX"
        description = "The header of the UPX packer follows the program headers"
        level = "low"
        techniques = "T1027.002"
        reference = "https://attack.mitre.org/techniques/T1027/002/"
    strings:
        $magic = "UPX!"
    condition:
        place != "memory" and uint32be(0) == 0x7f454c46 and $magic in (0x40 .. 0x200)
}

rule upx_packed_program_changed
{
    meta:
        title = "Packed program whose packer's marks were removed"
        description = "The text of UPX is there and its header is not: it cannot be unpacked with UPX"
        level = "medium"
        techniques = "T1027.002"
        reference = "https://attack.mitre.org/techniques/T1027/002/"
    strings:
        $text = "$Info: This file is packed with the UPX executable packer"
        $magic = "UPX!"
    condition:
        place != "memory" and uint32be(0) == 0x7f454c46 and elf.number_of_sections == 0
        and $text in (0 .. 0x1000) and not $magic in (0x40 .. 0x200)
}

rule program_of_bare_code
{
    meta:
        title = "Program that is nothing but a piece of code"
        description = "A very small program in one segment that can be written and executed, without sections: the shape into which payload generators put machine code"
        level = "high"
        techniques = "T1620"
        reference = "https://attack.mitre.org/techniques/T1620/"
    condition:
        place != "memory" and uint32be(0) == 0x7f454c46 and filesize < 8KB
        and (elf.type == elf.ET_EXEC or elf.type == elf.ET_DYN)
        and elf.number_of_sections == 0 and elf.number_of_segments <= 3
        and for any segment in elf.segments : (
            segment.type == elf.PT_LOAD and segment.flags & 7 == 7
        )
}

rule program_with_writable_code_and_no_sections
{
    meta:
        title = "Program without sections whose code can be written"
        description = "Compilers leave sections and never make code writable; packers and hand-made loaders do both"
        level = "low"
        techniques = "T1027.002"
        reference = "https://attack.mitre.org/techniques/T1027/002/"
    condition:
        place != "memory" and uint32be(0) == 0x7f454c46 and filesize >= 8KB
        and elf.number_of_sections == 0
        and for any segment in elf.segments : (
            segment.type == elf.PT_LOAD and segment.flags & 7 == 7
        )
}
