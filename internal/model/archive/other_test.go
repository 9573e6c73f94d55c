package archive_test

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/model/scan"
)

func elf(kind uint16, interpreter bool) []byte {
	b := make([]byte, 64+56+100)
	copy(b, "\x7fELF\x02\x01\x01")
	le := binary.LittleEndian
	le.PutUint16(b[16:], kind)
	le.PutUint64(b[32:], 64)
	le.PutUint16(b[54:], 56)
	le.PutUint16(b[56:], 1)
	segment := uint32(1)
	if interpreter {
		segment = 3
	}
	le.PutUint32(b[64:], segment)
	return b
}

func pe(characteristics uint16) []byte {
	b := make([]byte, 512)
	copy(b, "MZ")
	le := binary.LittleEndian
	le.PutUint32(b[60:], 128)
	copy(b[128:], "PE\x00\x00")
	le.PutUint16(b[128+22:], characteristics)
	return b
}

func macho(kind uint32) []byte {
	b := make([]byte, 100)
	binary.LittleEndian.PutUint32(b, 0xfeedfacf)
	binary.LittleEndian.PutUint32(b[12:], kind)
	return b
}

func fat() []byte {
	b := make([]byte, 4096)
	be := binary.BigEndian
	be.PutUint32(b, 0xcafebabe)
	be.PutUint32(b[4:], 1)
	be.PutUint32(b[16:], 2048)
	return append(b[:2048], macho(2)...)
}

// universal is a table of programs for processors, with no program behind it.
func universal(wide bool, cpus ...uint32) []byte {
	be := binary.BigEndian
	b := be.AppendUint32(nil, map[bool]uint32{false: 0xcafebabe, true: 0xcafebabf}[wide])
	b = be.AppendUint32(b, uint32(len(cpus)))
	for i, cpu := range cpus {
		b = be.AppendUint32(be.AppendUint32(b, cpu), 3)
		if at := 4096 * (i + 1); wide {
			b = be.AppendUint32(be.AppendUint64(be.AppendUint64(b, uint64(at)), 64), 12)
		} else {
			b = be.AppendUint32(be.AppendUint32(b, uint32(at)), 64)
		}
		b = be.AppendUint32(b, map[bool]uint32{false: 12}[wide])
	}
	return append(b, make([]byte, 4096*(len(cpus)+1)-len(b))...)
}

func TestTablesOfProgramsAreToldFromJavaClasses(t *testing.T) {
	const x86, arm = 0x01000007, 0x0100000c
	change := func(at int, with byte) []byte {
		b := universal(false, x86, arm)
		b[at] = with
		return b
	}
	many := make([]uint32, 60)
	for i := range many {
		many[i] = 7
	}
	class := append([]byte("\xca\xfe\xba\xbe\x00\x00\x00\x37\x00\x02\x07\x00\x01"), make([]byte, 9000)...)
	for name, one := range map[string]struct {
		file    []byte
		verdict scan.Verdict
	}{
		"two processors":                    {universal(false, x86, arm), scan.Malicious},
		"two processors, in 64 bits":        {universal(true, x86, arm), scan.Malicious},
		"three old processors":              {universal(false, 7, 18, 0x01000012), scan.Malicious},
		"as many as Java's version":         {universal(false, many...), scan.Malicious},
		"the last one cut off":              {universal(false, x86, arm)[:8200], scan.Malicious},
		"a Java class":                      {class, scan.Suspicious},
		"a processor that there is not":     {change(8+3, 99), scan.Unknown},
		"a program that is not aligned":     {change(8+11, 1), scan.Unknown},
		"a program without a length":        {change(8+15, 0), scan.Unknown},
		"a program in the table":            {change(8+10, 0), scan.Unknown},
		"an alignment that no linker has":   {change(8+19, 16), scan.Unknown},
		"a program behind the file":         {change(28+8, 1), scan.Unknown},
		"one processor and no program":      {universal(false, x86), scan.Unknown},
		"a table longer than what was read": {universal(false, x86, arm)[:40], scan.Unknown},
	} {
		t.Run(name, func(t *testing.T) { wantRules(t, examine(t, one.file), one.verdict) })
	}
}

func TestProgramsThatPoseAsModels(t *testing.T) {
	for name, one := range map[string]struct {
		file    []byte
		verdict scan.Verdict
	}{
		"ELF program":               {elf(2, false), scan.Malicious},
		"ELF program, relocatable":  {elf(3, true), scan.Malicious},
		"ELF library":               {elf(3, false), scan.Suspicious},
		"ELF object":                {elf(1, false), scan.Suspicious},
		"ELF that breaks off":       {elf(2, false)[:18], scan.Malicious},
		"Windows program":           {pe(0x22), scan.Malicious},
		"Windows library":           {pe(0x2022), scan.Suspicious},
		"Mach-O program":            {macho(2), scan.Malicious},
		"Mach-O library":            {macho(6), scan.Suspicious},
		"Mach-O for two processors": {fat(), scan.Malicious},
		"llamafile":                 {[]byte("MZqFpD='\n\n\x00" + strings.Repeat("x", 100)), scan.Malicious},
		"shell script":              {[]byte("#!/bin/sh\nid\n"), scan.Malicious},
		"shell script by env":       {[]byte("#! /usr/bin/env -S bash -e\nid\n"), scan.Malicious},
		"Perl script":               {[]byte("#!/usr/bin/perl\n"), scan.Malicious},
		"Python script":             {[]byte("#!/usr/bin/env python3\n"), scan.Suspicious},
		"Windows shortcut":          {[]byte("\x4c\x00\x00\x00\x01\x14\x02\x00\x00\x00\x00\x00\xc0\x00\x00\x00\x00\x00\x00\x46" + strings.Repeat("x", 60)), scan.Malicious},
		"Dalvik":                    {[]byte("dex\n035\x00" + strings.Repeat("x", 60)), scan.Suspicious},
		"WebAssembly":               {[]byte("\x00asm\x01\x00\x00\x00" + strings.Repeat("x", 60)), scan.Suspicious},
		"Java class":                {[]byte("\xca\xfe\xba\xbe\x00\x00\x00\x34" + strings.Repeat("\x01", 200)), scan.Suspicious},
		"text that begins with MZ":  {[]byte("MZ is how it begins " + strings.Repeat("and goes on ", 50)), scan.Unknown},
		"text that begins with #!":  {[]byte("#! not a path\n" + strings.Repeat("x", 60)), scan.Unknown},
		"a comment":                 {[]byte("# /bin/sh\n" + strings.Repeat("x", 60)), scan.Unknown},
		"bytes with a magic of fat": {[]byte("\xca\xfe\xba\xbe\x00\x00\x00\x02" + strings.Repeat("\x00", 400)), scan.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			res := examine(t, one.file)
			wantRules(t, res, one.verdict)
			inside := examine(t, zipOf(part{name: "weights.bin", content: string(one.file)}))
			switch {
			case strings.HasPrefix(string(one.file), "#!"), name == "WebAssembly", name == "Java class": // archives of software have them
				wantRules(t, inside, scan.Clean)
			case one.verdict > scan.Clean:
				wantRules(t, inside, one.verdict)
			}
		})
	}
}

func TestAProgramWithAnArchiveBehindItIsReadAsBoth(t *testing.T) {
	for _, head := range [][]byte{elf(2, false), pe(2), []byte("#!/bin/sh\nexit\n"), []byte("MZqFpD='\n" + strings.Repeat("x", 90))} {
		res := examine(t, append(head, zipOf(torch(payload)...)...))
		wantRules(t, res, scan.Malicious, "zip.prefix", "test.evil")
		if len(res.Formats) != 2 {
			t.Errorf("want two formats: %s", said(res))
		}
	}
}

func TestArchivesThatNoLoaderReadsAreUnscannable(t *testing.T) {
	iso := make([]byte, 40000)
	copy(iso[32769:], "CD001")
	for name, b := range map[string][]byte{
		"rar": []byte("Rar!\x1a\x07\x01\x00" + strings.Repeat("x", 100)), "cab": []byte("MSCF\x00\x00\x00\x00" + strings.Repeat("x", 100)),
		"ar": []byte("!<arch>\n" + strings.Repeat("x", 100)), "squashfs": []byte("hsqs" + strings.Repeat("x", 100)),
		"lha": []byte("\x24\x10-lh5-" + strings.Repeat("x", 100)), "iso": iso,
	} {
		res := examine(t, b)
		wantRules(t, res, scan.Unscannable, "archive.foreign")
		if res.Formats[0] != name {
			t.Errorf("want %s: %s", name, said(res))
		}
	}
	if res := examine(t, []byte("Rar is a name"+strings.Repeat("x", 100))); res.Verdict != scan.Unknown {
		t.Errorf("%s", said(res))
	}
}
