package corpus

import (
	"hash/crc32"
	"strings"
)

// hidden builds a torch archive whose data.pkl is the nth payload, with its
// member changed as edit says.
func hidden(n int, edit func(m *member)) archive {
	members := torchMembers("archive", evilStateDict(n), []string{weights(7, 8)})
	if edit != nil {
		edit(&members[0])
	}
	return archive{zip64: true, members: members}
}

// both edits the headers after what the member's own edit did to them.
func both(edit func(local, central *zipHeader)) func(*member) {
	return func(m *member) {
		before := m.edit
		m.edit = func(local, central *zipHeader) {
			if before != nil {
				before(local, central)
			}
			edit(local, central)
		}
	}
}

func zipCRC() []Case {
	s := &set{technique: "zip-crc", reference: "CVE-2025-10156"}
	s.add("both-headers", "model.pt", string(hidden(0, func(m *member) {
		m.descriptor = 0
		both(func(l, c *zipHeader) { l.crc, c.crc = 0xbad, 0xbad })(m)
	}).bytes()), "the pickle's CRC is wrong, which torch does not check")
	s.add("central-only", "model.pt", string(hidden(1, both(func(_, c *zipHeader) { c.crc ^= 1 })).bytes()), "only the central CRC is wrong")
	s.add("zero-crc-deflated", "model.zip", string(archive{members: []member{{name: "model/data.pkl", data: evil(2), deflate: true, edit: func(l, c *zipHeader) { l.crc, c.crc = 0, 0 }},
		{name: "model/version", data: "3\n"}}}.bytes()), "a deflated pickle with CRC 0")
	s.add("of-another-member", "model.pt", string(hidden(3, both(func(_, c *zipHeader) { c.crc = crc32.ChecksumIEEE([]byte("3\n")) })).bytes()), "the CRC belongs to another member")
	return s.cases
}

func zipFlagBits() []Case {
	s := &set{technique: "zip-flag-bits", reference: "GHSA-w8jq-xcqf-f792"}
	for i, v := range []struct {
		name           string
		local, central int
	}{{"encrypted-bit-in-both", 1, 1}, {"encrypted-bit-central", 0, 1}, {"encrypted-bit-local", 1, 0}, {"strong-encryption", 0x41, 0x41},
		{"patched-data", 0x20, 0x20}, {"masked-headers", 0x2000, 0x2000}, {"reserved-bits", 0xc780, 0xc780}} {
		s.add(v.name, "model.pt", string(hidden(i, both(func(l, c *zipHeader) { l.flags |= v.local; c.flags |= v.central })).bytes()),
			"the flags say what is not true of the pickle, so that readers refuse what torch loads")
	}
	return s.cases
}

func zipHeaderMismatch() []Case {
	s := &set{technique: "zip-header-mismatch", reference: "GHSA-7q5r-7gvp-wc82"}
	change := func(n int, variation, truth string, edit func(l, c *zipHeader)) {
		s.add(variation, "model.pt", string(hidden(n, both(edit)).bytes()), truth)
	}
	change(0, "local-name", "the local header names another file", func(l, _ *zipHeader) { l.name = "archive/info.txt" })
	change(1, "central-name", "the central directory calls the pickle a text; readers of local headers see data.pkl", func(_, c *zipHeader) { c.name = "archive/info.txt" })
	change(2, "method", "the central directory says deflated, the local header stored", func(_, c *zipHeader) { c.method = 8 })
	change(3, "local-method", "the local header says deflated, the central directory stored", func(l, _ *zipHeader) { l.method = 8 })
	change(4, "central-size", "the central directory says two bytes", func(_, c *zipHeader) { c.packed, c.size = 2, 2 })
	change(5, "local-size", "the local header says two bytes, without a data descriptor", func(l, c *zipHeader) {
		l.flags, c.flags, l.packed, l.size = 0, 0, 2, 2
	})
	change(6, "unknown-method", "method 99 in the local header", func(l, _ *zipHeader) { l.method = 99 })
	change(7, "local-signature", "the local header's signature is broken", func(l, _ *zipHeader) { l.signature = "PK\x03\x05" })
	plain := member{name: "archive/data.pkl", data: plainStateDict()}
	s.add("offset-points-to-another", "model.pt", string(archive{members: []member{
		{name: "archive/data.pkl", data: evilStateDict(0), hidden: true}, plain, {name: "archive/version", data: "3\n"},
		{name: "archive/data/0", data: weights(3, 8), edit: func(_, c *zipHeader) { c.offset = 0 }}}}.bytes()),
		"data/0 points to a second data.pkl that the directory does not list")
	s.add("unlisted-member", "model.pt", string(archive{members: []member{plain, {name: "archive/data.pkl", data: evilStateDict(1), hidden: true}, {name: "archive/version", data: "3\n"}}}.bytes()),
		"a second data.pkl that only readers of local headers see")
	return s.cases
}

func zipDuplicates() []Case {
	s := &set{technique: "zip-duplicate-entry"}
	version := member{name: "archive/version", data: "3\n"}
	pkl := func(data string) member { return member{name: "archive/data.pkl", data: data} }
	s.add("last-is-evil", "model.pt", string(archive{members: []member{pkl(plainStateDict()), version, pkl(evilStateDict(0))}}.bytes()), "two data.pkl; CPython reads the last")
	s.add("first-is-evil", "model.pt", string(archive{members: []member{pkl(evilStateDict(1)), version, pkl(plainStateDict())}}.bytes()), "two data.pkl; miniz reads the first")
	s.add("middle-of-five", "model.pt", string(archive{members: []member{pkl(plainStateDict()), pkl(plainStateDict()), pkl(evilStateDict(2)), pkl(plainStateDict()), pkl(plainStateDict()), version}}.bytes()), "the third of five")
	s.add("by-case", "model.pt", string(archive{members: []member{pkl(plainStateDict()), {name: "archive/DATA.PKL", data: evilStateDict(3)}, version}}.bytes()), "the same name to a reader that folds case, as miniz does")
	s.add("by-backslash", "model.pt", string(archive{members: []member{pkl(plainStateDict()), {name: "archive\\data.pkl", data: evilStateDict(4), deflate: true}, version}}.bytes()), "the same name after backslashes are turned")
	return s.cases
}

// twoDirectories is an archive that lists the harmless pickle, and holds
// another directory that lists the evil one, which tail makes reachable.
func twoDirectories(n int, tail func(directory string, at int) string) []byte {
	var alternative string
	bad := member{name: "archive/data.pkl", data: evilStateDict(n), hidden: true, edit: func(_, c *zipHeader) { alternative = c.central() }}
	good := member{name: "archive/data.pkl", data: plainStateDict()}
	return archive{members: []member{bad, good}, tail: func(at int) string { return tail(alternative, at) }}.bytes()
}

func endRecord(entries, size, offset, comment int) string {
	return "PK\x05\x06" + le32(0) + le16(entries) + le16(entries) + le32(size) + le32(offset) + le16(comment)
}

func zipFakeEnds() []Case {
	s := &set{technique: "zip-fake-eocd"}
	s.add("first-of-two-ends", "model.pt", string(twoDirectories(0, func(d string, at int) string { return d + endRecord(1, len(d), at, 22) })), "the first end record lists the evil pickle and swallows the second as its comment")
	s.add("zip64-disagrees", "model.pt", string(twoDirectories(1, func(d string, at int) string {
		record := at + len(d)
		return d + "PK\x06\x06" + le64(44) + le16(45) + le16(45) + le32(0) + le32(0) + le64(1) + le64(1) + le64(len(d)) + le64(at) +
			"PK\x06\x07" + le32(0) + le64(record) + le32(1)
	})), "the zip64 end record lists the evil pickle, the plain one the other")
	s.add("last-end-is-empty", "model.pt", string(hidden(2, nil).bytes())+endRecord(0, 0, 0, 0), "an end record of no entries follows the real one")
	s.add("end-in-the-comment", "model.pt", string(archive{members: torchMembers("archive", evilStateDict(3), nil), comment: endRecord(0, 0, 0, 0) + "apex"}.bytes()), "the comment looks like an end record")
	s.add("count-too-small", "model.pt", string(archive{members: torchMembers("archive", evilStateDict(4), nil), edit: func(e *zipEnd) { e.entries = 1; e.size = 40 }}.bytes()), "the end record counts fewer entries than there are")
	s.add("no-end", "model.pt", string(archive{members: torchMembers("archive", evilStateDict(5), nil), edit: func(e *zipEnd) { e.signature = "PK\x05\x07" }}.bytes()), "the end record's signature is broken; streaming readers do not look")
	return s.cases
}

func zipNames() []Case {
	s := &set{technique: "zip-name-tricks"}
	name := func(n int, variation, as, truth string) {
		s.add(variation, "model.pt", string(archive{members: []member{{name: as, data: evilStateDict(n), deflate: n%2 == 0}, {name: "archive/version", data: "3\n"}}}.bytes()), truth)
	}
	name(0, "nul", "archive/data.pkl\x00.txt", "the name ends at a NUL for C readers")
	name(1, "directory-with-content", "archive/data.pkl/", "a directory that has content")
	name(2, "dot-segments", "archive/./x/../data.pkl", "the name is data.pkl after cleaning")
	name(3, "right-to-left", "archive/\u202elkp.atad", "the name is shown backwards")
	name(4, "bare", "data.pkl", "no root directory")
	name(5, "empty", "", "a member without a name")
	name(6, "control-characters", "archive/data.pkl\r\n", "the name ends in a line break")
	name(7, "long", "archive/"+strings.Repeat("a/", 2000)+"data.pkl", "a name of 4,000 bytes")
	s.add("unicode-path-extra", "model.pt", string(archive{members: []member{{name: "archive/readme.txt", data: evilStateDict(8), edit: func(l, c *zipHeader) {
		body := "\x01" + le32(int(crc32.ChecksumIEEE([]byte("archive/readme.txt")))) + "archive/data.pkl"
		l.extra = "\x75\x70" + le16(len(body)) + body
		c.extra = l.extra
	}}, {name: "archive/version", data: "3\n"}}}.bytes()), "the Unicode path extra field says data.pkl")
	return s.cases
}

func zipPrefixes() []Case {
	s := &set{technique: "zip-prefix"}
	script := "#!/bin/sh\necho apex\nexit 0\n"
	with := func(n int, variation, prefix string, adjusted bool, truth string) {
		a := hidden(n, nil)
		a.prefix, a.adjusted = prefix, adjusted
		s.add(variation, "model.pt", string(a.bytes()), truth)
	}
	with(0, "shell-script", script, true, "a script stands before the archive")
	with(1, "unadjusted-offsets", "\x00\x00\x00\x00", false, "four bytes before the archive; offsets do not count them, as CPython allows")
	with(2, "noise", noise(9, 70_000), true, "70,000 bytes of noise before the archive")
	with(3, "image", "GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;", true, "an image that is an archive")
	with(4, "plain-archive-first", string(torchZip("archive", plainStateDict(), nil)), true, "a harmless archive stands before")
	return s.cases
}

func zipTrailers() []Case {
	s := &set{technique: "zip-trailing"}
	s.add("pickle-after-a-plain-archive", "model.pt", string(torchZip("archive", plainStateDict(), []string{weights(1, 8)}))+evil(0), "a pickle after the end record")
	s.add("noise-after", "model.pt", string(hidden(1, nil).bytes())+noise(4, 900), "noise after the end record: strict readers refuse, CPython does not")
	s.add("far-from-the-end", "model.pt", string(hidden(2, nil).bytes())+strings.Repeat("\x00", 80_000), "the end record is too far from the end for CPython, not for scanning readers")
	s.add("pickle-as-comment", "model.pt", string(archive{members: torchMembers("archive", plainStateDict(), nil), comment: evil(3)}.bytes()), "the comment is a pickle")
	s.add("pickle-in-the-gap", "model.pt", string(archive{members: torchMembers("archive", plainStateDict(), nil), gap: string(archive{members: []member{{name: "archive/data.pkl", data: evilStateDict(4)}}}.bytes())}.bytes()),
		"a whole second archive between members and directory")
	return s.cases
}

func zipVersions() []Case {
	s := &set{technique: "zip-version-needed"}
	for i, v := range []int{99, 255, 63, 46} {
		s.add("version-"+itoa(v), "model.pt", string(hidden(i, both(func(l, c *zipHeader) {
			c.version = v
			if i%2 == 0 {
				l.version = v
			}
		})).bytes()), "asks for a version that readers refuse and torch ignores")
	}
	return s.cases
}

// zipCrypto is PKWARE's traditional encryption, with the twelve bytes before.
func zipCrypto(data, password string) string {
	k0, k1, k2 := uint32(0x12345678), uint32(0x23456789), uint32(0x34567890)
	step := func(c byte) {
		k0 = crc32.IEEETable[byte(k0)^c] ^ k0>>8
		k1 = (k1+k0&0xff)*134775813 + 1
		k2 = crc32.IEEETable[byte(k2)^byte(k1>>24)] ^ k2>>8
	}
	for _, c := range []byte(password) {
		step(c)
	}
	plain := noise(5, 11) + string([]byte{byte(crc32.ChecksumIEEE([]byte(data)) >> 24)}) + data
	out := make([]byte, 0, len(plain))
	for _, c := range []byte(plain) {
		t := uint16(k2) | 2
		out = append(out, c^byte(uint32(t)*uint32(t^1)>>8))
		step(c)
	}
	return string(out)
}

func zipEncrypted() []Case {
	s := &set{technique: "zip-encrypted"}
	locked := func(name, data string) member {
		return member{name: name, data: data, packed: zipCrypto(data, "infected"), edit: func(l, c *zipHeader) { l.flags |= 1; c.flags |= 1 }}
	}
	s.add("pickle", "model.zip", string(archive{members: []member{locked("archive/data.pkl", evil(0)), {name: "archive/version", data: "3\n"}}}.bytes()), "the pickle is encrypted")
	s.add("all-members", "model.zip", string(archive{members: []member{locked("README.md", "# model\n"), locked("model.pkl", evil(1))}}.bytes()), "everything is encrypted; the card says the password")
	s.add("aes", "model.zip", string(archive{members: []member{{name: "model.pkl", data: evil(2), packed: noise(6, len(evil(2))+28), edit: func(l, c *zipHeader) {
		l.flags, c.flags, l.method, c.method = 1, 1, 99, 99
		l.extra = "\x01\x99\x07\x00\x02\x00AE\x03\x00\x00"
		c.extra = l.extra
	}}}}.bytes()), "a member with WinZip's AES header")
	return s.cases
}

func zipConcatenated() []Case {
	s := &set{technique: "zip-concat"}
	plain, bad := string(torchZip("archive", plainStateDict(), nil)), string(hidden(0, nil).bytes())
	s.add("evil-then-plain", "model.pt", bad+plain, "two archives; forward readers take the first")
	s.add("plain-then-evil", "model.pt", plain+string(hidden(1, nil).bytes()), "two archives; readers of the last end record take the second")
	s.add("three", "model.pt", plain+string(hidden(2, nil).bytes())+plain, "the evil one is between two plain ones")
	s.add("zip-then-tar", "model.pt", plain+tarOf(tarFile{"data.pkl", evil(3)}), "a tar follows the archive")
	return s.cases
}

func sevenZipTricks() []Case {
	s := &set{technique: "zip-7z-tricks", reference: "nullifAI, ReversingLabs 2025-02"}
	broken := strings.TrimSuffix(evil(0), opStop) + "\xff\xff"
	s.add("stored-broken-pickle", "model.pt", string(sevenStored(sevenFile{"archive/data.pkl", broken}, sevenFile{"archive/version", "3\n"})), "a 7z under torch's name, with a pickle that breaks after the call")
	s.add("lzma", "pytorch_model.bin", string(sevenLZMA(sevenFile{"archive/data.pkl", evil(1)}, sevenFile{"archive/version", "3\n"}, sevenFile{"archive/data/0", weights(2, 64)})), "the same, compressed")
	s.add("behind-a-prefix", "model.7z", "MZ"+noise(3, 300)+string(sevenStored(sevenFile{"data.pkl", evil(2)})), "a 7z behind a stub, as self-extracting ones are")
	s.add("in-a-zip", "model.zip", string(archive{members: []member{{name: "weights.7z", data: string(sevenLZMA(sevenFile{"model.pkl", evil(3)}))}}}.bytes()), "a 7z in a zip")
	s.add("traversal", "model.7z", string(sevenStored(sevenFile{"../../model.pkl", evil(4)}, sevenFile{"C:\\apex.pkl", evil(5)})), "member names leave the directory")
	crc := []byte(sevenStored(sevenFile{"data.pkl", evil(5)}))
	crc[8] ^= 0xff
	s.add("wrong-start-crc", "model.7z", string(crc), "the start header's CRC is wrong, which lenient readers accept")
	return s.cases
}
