/*
   The rules in the box of `enqueuer filter yara`.

   Each rule is tried on the whole message and on every part of it, decoded, and on the members of archives.
   Variables: filename (one of the names of the part), extension (its last one, in lower case, without dots and blanks behind
   it), filetype (the Content-Type; text/vba: the macros of an Office file), flags ("" or why a part could not be looked at
   whole: limit, bomb, encrypted, broken, unopened; ambiguous: one of several readings).
   meta: verdict = "ERROR" (the default), "DISCARD" or "ADDHEADER"; text = what the report says;
   header = "Name: value" to add with ADDHEADER. Of several ERRORs in one part the first in this file is reported.

   The test strings are written with [-] for -, so that no other scanner takes this file for one of them.
*/

rule Eicar_Test_File
{
    meta:
        verdict = "ERROR"
        text = "EICAR test file"
    strings:
        $eicar = /X5O!P%@AP\[4\\PZX54\(P\^\)7CC\)7\}\$EICAR[-]STANDARD[-]ANTIVIRUS[-]TEST[-]FILE!\$H\+H\*/
    condition:
        $eicar
}

rule Gtube_Test_Message
{
    meta:
        verdict = "ERROR"
        text = "GTUBE test message (unsolicited bulk mail)"
    strings:
        $gtube = /XJS\*C4JDBQADN1\.NSBN3\*2IDNEN\*GTUBE[-]STANDARD[-]ANTI[-]UBE[-]TEST[-]EMAIL\*C\.34X/
    condition:
        $gtube
}

rule Double_Extension
{
    meta:
        verdict = "ERROR"
        text = "executable that poses as a document"
    condition:
        filename matches /\.(pdf|docx?|xlsx?|pptx?|odt|ods|rtf|txt|csv|html?|jpe?g|png|gif|bmp|tiff?|mp3|mp4|avi|mov|wav|zip|rar|7z|eml|msg)[ ._-]*\.(exe|scr|com|bat|cmd|pif|cpl|hta|jse?|vbe?|vbs|ws[fh]|msi|ps1|lnk|jar|dll)[ .]*$/i
}

rule Reversed_File_Name
{
    meta:
        verdict = "ERROR"
        text = "file name that is turned around to hide its extension"
    condition:
        filename matches /\xe2\x80\xae/    // U+202E, right-to-left override
}

rule Executable_Windows
{
    meta:
        verdict = "ERROR"
        text = "Windows or DOS executable"
    strings:
        $mz = { 4D 5A [0-61] 00 }          // a text that begins with MZ has no zero byte
    condition:
        $mz at 0 or (uint16(0) == 0x5A4D and uint32(uint32(0x3C)) == 0x00004550)
}

rule Executable_Unix
{
    meta:
        verdict = "ERROR"
        text = "Unix executable (ELF)"
    condition:
        uint32be(0) == 0x7F454C46
}

rule Executable_Mac_Or_Java
{
    meta:
        verdict = "ERROR"
        text = "macOS executable (Mach-O) or Java class"
    condition:
        uint32be(0) == 0xFEEDFACE or uint32be(0) == 0xFEEDFACF or uint32(0) == 0xFEEDFACE or uint32(0) == 0xFEEDFACF
        or uint32be(0) == 0xCAFEBABE
}

rule Windows_Shortcut
{
    meta:
        verdict = "ERROR"
        text = "Windows shortcut"
    condition:
        uint32be(0) == 0x4C000000 and uint32be(4) == 0x01140200
}

rule Dangerous_Extension
{
    meta:
        verdict = "ERROR"
        text = "file of a kind that runs when it is opened"
    condition:
        extension matches /^(ade|adp|apk|appx|appxbundle|bat|chm|cmd|com|cpl|dll|exe|hta|ins|isp|jar|jnlp|js|jse|lnk|mde|msc|msi|msix|msp|mst|pif|ps1|ps1xml|ps2|psc1|reg|scf|scr|sct|shb|sys|vb|vbe|vbs|vxd|ws|wsc|wsf|wsh|xll)$/
}

rule Archive_Bomb
{
    meta:
        verdict = "ERROR"
        text = "archive bomb"
    condition:
        flags == "bomb"
}

rule Beyond_Limits
{
    meta:
        verdict = "ERROR"
        text = "too much in it to be looked at whole"
    condition:
        flags == "limit"
}

/* Only a field: what many mails of some senders have is no proof. docs/filters.md has a rule that refuses them. */
rule Macro_Runs_Programs
{
    meta:
        verdict = "ADDHEADER"
        header = "X-Office-Macro: runs by itself and starts programs"
    strings:
        $by_itself = /\b(auto_?(open|exec|new|close|exit)|(document|workbook|presentation)_?(open|new|close|activate|beforeclose)|auto_activate)\b/i
        $starts = /\b(shell|shellexecute[aw]?|wscript\.shell|createprocess[aw]?|win32_process|winexec|macscript|powershell|pwsh|mshta|rundll32|regsvr32|certutil|bitsadmin|urldownloadtofile[aw]?|cmd(\.exe)? {1,4}\/[ck])\b/i
        $excel_4 = /=(EXEC|CALL|REGISTER)\(/i
    condition:
        filetype == "text/vba" and $by_itself and ($starts or $excel_4)
}
