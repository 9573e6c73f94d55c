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
