package corpus

import (
	"hash/crc32"
	"strings"
)

// heldEvilMembers is a torch zip whose pickle calls, with edit applied to the
// member that holds it.
func heldEvilMembers(n int, edit func(m *member)) []member {
	m := torchMembers("archive", evilStateDict(n), []string{weights(31, 8)})
	if edit != nil {
		edit(&m[0])
	}
	return m
}

func heldEvilZip(n int, edit func(m *member)) []byte {
	return archive{zip64: true, members: heldEvilMembers(n, edit)}.bytes()
}

// heldEdit applies to both headers what torchMember sets, and then f.
func heldEdit(f func(local, central *zipHeader)) func(m *member) {
	return func(m *member) {
		old := m.edit
		m.edit = func(local, central *zipHeader) {
			if old != nil {
				old(local, central)
			}
			f(local, central)
		}
	}
}

// heldZipHeaders are zips whose headers lie about the member that calls.
func heldZipHeaders() []Case {
	crc := heldCase("zip-crc")
	crc.add("of-another-file", "model.pt", string(heldEvilZip(0, heldEdit(func(l, c *zipHeader) { c.crc = crc32.ChecksumIEEE([]byte("honest")) }))), "the central CRC is another text's")
	crc.add("zero-without-descriptor", "model.npz", string(archive{members: []member{{name: "arr_0.npy", data: npyObject(evil(0)), deflate: true,
		edit: func(l, c *zipHeader) { l.crc, c.crc = 0, 0 }}}}.bytes()), "both CRCs are zero")
	crc.add("inverted-in-the-local-header", "model.zip", string(archive{members: []member{{name: "data.pkl", data: evil(1), edit: func(l, c *zipHeader) { l.crc = ^l.crc }}}}.bytes()), "the local CRC is the complement")

	flags := heldCase("zip-flag-bits")
	for name, bit := range ordered("patched-data", 0x20, "strong-encryption", 0x40, "masked-headers", 0x2000, "reserved-15", 0x8000, "enhanced-deflate", 0x10) {
		flags.add(name, "model.pt", string(heldEvilZip(1, heldEdit(func(l, c *zipHeader) { l.flags |= bit; c.flags |= bit }))), "flag "+name+" on the member that calls, at which some readers stop")
	}

	mismatch := heldCase("zip-header-mismatch")
	mismatch.add("local-name-is-a-readme", "model.pt", string(heldEvilZip(0, heldEdit(func(l, c *zipHeader) { l.name = "archive/README.m" }))), "the local name is as long and another")
	mismatch.add("method-only-central", "model.zip", string(archive{members: []member{{name: "data.pkl", data: evil(0), deflate: true, edit: func(l, c *zipHeader) { l.method = 0 }}}}.bytes()), "the local header says stored")
	mismatch.add("local-size-of-nothing", "model.zip", string(archive{members: []member{{name: "model.pkl", data: evil(2), edit: func(l, c *zipHeader) { l.size, l.packed = 0, 0 }}, {name: "b.txt", data: "b"}}}.bytes()), "the local header says zero bytes without a descriptor")
	mismatch.add("zip64-extra-differs", "model.zip", string(archive{members: []member{{name: "model.pkl", data: evil(3), edit: func(l, c *zipHeader) {
		c.extra = "\x01\x00\x10\x00" + le64(len(evil(3))) + le64(len(evil(3)))
		c.size, c.packed, c.version = 0xffffffff, 0xffffffff, 45
		l.size, l.packed = 4, 4
	}}}}.bytes()), "the size is in a central zip64 extra, the local one is four bytes")
	mismatch.add("only-in-local-headers", "model.zip", string(archive{members: []member{{name: "config.json", data: "{}"}, {name: "data.pkl", data: evil(0), hidden: true}}}.bytes()), "a member that streaming readers see and the directory does not name")

	version := heldCase("zip-version-needed")
	version.add("99", "model.pt", string(heldEvilZip(2, heldEdit(func(l, c *zipHeader) { l.version, c.version = 99, 99 }))), "version 9.9 needed")
	version.add("255-on-another-system", "model.npz", string(archive{members: []member{{name: "a.npy", data: npyObject(evil(1)), edit: func(l, c *zipHeader) { c.version, c.madeBy = 255, 0xff3f }}}}.bytes()), "version 25.5 needed, in the directory only")

	encrypted := heldCase("zip-encrypted")
	encrypted.add("flag-only-central", "model.pt", string(heldEvilZip(0, heldEdit(func(l, c *zipHeader) { c.flags |= 1 }))), "the directory says encrypted, the member is plain")
	encrypted.add("flag-only-local", "model.zip", string(archive{members: []member{{name: "m.pkl", data: evil(1), edit: func(l, c *zipHeader) { l.flags |= 1 }}}}.bytes()), "the local header says encrypted, the member is plain")
	encrypted.add("winzip-aes", "model.zip", string(archive{members: []member{{name: "README.md", data: "password: infected"}, {name: "model.pkl", data: noise(905, 220), edit: func(l, c *zipHeader) {
		for _, h := range []*zipHeader{l, c} {
			h.flags, h.method, h.version, h.crc, h.size = h.flags|1, 99, 51, 0, 192
			h.extra = "\x01\x99\x07\x00\x02\x00AE\x03\x00\x00"
		}
	}}}}.bytes()), "a member in WinZip's AES, with its password beside it")

	names := heldCase("zip-name-tricks")
	for name, at := range ordered("nul-in-the-name", "archive/data.pkl\x00.txt", "double-slash", "archive//data.pkl", "dot", "./archive/./data.pkl", "backslash", `archive\data.pkl`, "upper-case", "archive/DATA.PKL", "right-to-left", "archive/\u202elkp.atad", "trailing-space", "archive/data.pkl ") {
		names.add(name, "model.pt", string(heldEvilZip(1, heldEdit(func(l, c *zipHeader) { l.name, c.name = at, at }))), "the pickle's name is written with "+name)
	}
	names.add("unicode-path-extra", "model.zip", string(archive{members: []member{{name: "notes.txt", data: evil(0), edit: func(l, c *zipHeader) {
		extra := "\x01" + le32(int(crc32.ChecksumIEEE([]byte("notes.txt")))) + "model/data.pkl"
		l.extra, c.extra = "up"+le16(len(extra))+extra, "up"+le16(len(extra))+extra
	}}}}.bytes()), "Info-ZIP's Unicode path says that notes.txt is data.pkl")
	return join(crc, flags, mismatch, version, encrypted, names)
}

// heldZipLayout are zips whose records are not where a reader looks first.
func heldZipLayout() []Case {
	dup := heldCase("zip-duplicate-entry")
	good := torchMember("archive/data.pkl", plainStateDict())
	dup.add("last-one-calls", "model.pt", string(archive{members: append(heldHonestMembers(), torchMember("archive/data.pkl", evilStateDict(0)))}.bytes()), "two data.pkl, the second calls")
	dup.add("first-one-calls", "model.pt", string(archive{members: append([]member{torchMember("archive/data.pkl", evilStateDict(1))}, heldHonestMembers()...)}.bytes()), "two data.pkl, the first calls")
	dup.add("deflated-twin", "model.pt", string(archive{members: append([]member{good, {name: "archive/data.pkl", data: evilStateDict(2), deflate: true}}, heldHonestMembers()[1:]...)}.bytes()), "the twin is deflated")
	dup.add("same-local-header-twice", "model.npz", string(archive{members: []member{{name: "a.npy", data: npyObject(evil(0))}, {name: "a.npy", data: npy("'<f4'", "(2,)", false, weights(1, 2)), edit: func(l, c *zipHeader) { c.offset = 0 }}}}.bytes()), "two entries point at one member")

	concat := heldCase("zip-concat")
	honest, evilOne := string(torchZip("archive", plainStateDict(), []string{weights(1, 8)})), string(heldEvilZip(0, nil))
	concat.add("evil-first", "model.pt", evilOne+honest, "two zips, readers of the beginning open the first")
	concat.add("evil-second", "model.pt", honest+evilOne, "two zips, readers of the end open the second")
	concat.add("three", "model.zip", honest+string(archive{members: []member{{name: "x.pkl", data: evil(3)}}}.bytes())+honest, "the zip in the middle calls")

	eocd := heldCase("zip-fake-eocd")
	members := archive{members: []member{{name: "data.pkl", data: evil(0)}}}
	fake := "PK\x05\x06" + le16(0) + le16(0) + le16(0) + le16(0) + le32(0) + le32(0) + le16(0)
	members.comment = fake
	eocd.add("empty-end-in-the-comment", "model.zip", string(members.bytes()), "the comment is the end record of an empty zip")
	members.comment = "built by ci " + fake + strings.Repeat("x", 300)
	eocd.add("end-inside-the-comment", "model.zip", string(members.bytes()), "an end record that does not reach the end, inside the comment")
	eocd.add("zip64-names-another-directory", "model.zip", string(heldTwoDirectories()), "the zip64 end record names another directory than the classic one")
	eocd.add("count-of-zero", "model.zip", string(archive{members: []member{{name: "data.pkl", data: evil(2)}}, edit: func(e *zipEnd) { e.entries = 0 }}.bytes()), "the end record counts no entries; the directory has one")
	eocd.add("no-end", "model.zip", strings.TrimRight(string(archive{members: []member{{name: "data.pkl", data: evil(2)}}, edit: func(e *zipEnd) { e.signature = "PK\x05\x07" }}.bytes()), ""), "the end record's signature is spoilt; recovering readers list the local headers")

	prefix := heldCase("zip-prefix")
	prefix.add("shell-script", "model.pt", string(archive{prefix: "#!/bin/sh\nexec python3 \"$0\"\n", members: heldEvilMembers(0, nil)}.bytes()), "a script stands before the zip")
	prefix.add("jpeg", "photo.jpg", string(archive{prefix: heldJPEG(), adjusted: true, members: []member{{name: "data.pkl", data: evil(0)}}}.bytes()), "a JPEG stands before the zip")
	prefix.add("one-byte", "model.pt", string(archive{prefix: "\n", members: heldEvilMembers(1, nil)}.bytes()), "one byte stands before the zip")
	prefix.add("gguf-magic", "model.gguf", string(archive{prefix: ggufFile{pairs: []string{ggufWord("general.architecture", "llama")}}.bytes(), members: heldEvilMembers(2, nil)}.bytes()), "a whole GGUF stands before the zip")

	trailing := heldCase("zip-trailing")
	trailing.add("seventy-thousand-zeros", "model.pt", string(archive{members: heldEvilMembers(0, nil), trailing: strings.Repeat("\x00", 70_000)}.bytes()), "the end record is further from the end than a comment may be")
	trailing.add("pickle-behind", "model.pt", string(archive{members: heldHonestMembers(), trailing: evil(2)}.bytes()), "an honest zip, and behind it a pickle")
	trailing.add("pickle-in-a-gap", "model.pt", string(archive{members: heldHonestMembers(), gap: evil(0)}.bytes()), "a pickle between the last member and the directory")
	return join(dup, concat, eocd, prefix, trailing)
}

func heldHonestMembers() []member {
	return torchMembers("archive", plainStateDict(), []string{weights(32, 8)})
}

// heldTwoDirectories is a zip whose classic end record lists a text and whose
// zip64 end record lists a pickle.
func heldTwoDirectories() []byte {
	text, bad := "nothing to see", evil(0)
	header := func(name, data string, offset int) zipHeader {
		return zipHeader{madeBy: 0x031e, version: 45, time: dosTime, date: dosDate, crc: crc32.ChecksumIEEE([]byte(data)), packed: len(data), size: len(data), name: name, offset: offset}
	}
	local := func(h zipHeader) string { h.signature = "PK\x03\x04"; return h.local() }
	central := func(h zipHeader) string { h.signature = "PK\x01\x02"; return h.central() }
	a := header("notes.txt", text, 0)
	out := local(a) + text
	b := header("data.pkl", bad, len(out))
	out += local(b) + bad
	first := len(out)
	out += central(b)
	second := len(out)
	out += central(a)
	record := len(out)
	out += "PK\x06\x06" + le64(44) + le16(0x031e) + le16(45) + le32(0) + le32(0) + le64(1) + le64(1) + le64(second-first) + le64(first)
	out += "PK\x06\x07" + le32(0) + le64(record) + le32(1)
	return []byte(out + "PK\x05\x06" + le16(0) + le16(0) + le16(1) + le16(1) + le32(record-second) + le32(second) + le16(0))
}

// heldJPEG is the head of a JFIF picture and its end.
func heldJPEG() string {
	return "\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00\xff\xdb\x00\x43\x00" + strings.Repeat("\x10", 64) +
		"\xff\xc0\x00\x0b\x08\x00\x08\x00\x08\x01\x01\x11\x00\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" + strings.ReplaceAll(noise(906, 400), "\xff", "\x7f") + "\xff\xd9"
}

func heldPolyglots() []Case {
	s := heldCase("polyglot-pickle-zip")
	honest := string(torchZip("archive", plainStateDict(), []string{weights(33, 8)}))
	s.add("legacy-torch-before-zip", "model.pt", torchLegacyEvil()+honest, "torch.load looks at the first four bytes, zip readers at the end")
	s.add("zip-inside-binbytes-comment-holds-the-rest", "model.pkl", heldZipInPickle(), "the pickle carries the zip as bytes; the zip's comment is the rest of the pickle")
	s.add("proto-0-before-npz", "arrays.npz", sysTrue+opStop+string(archive{members: []member{{name: "a.npy", data: npy("'<f4'", "(4,)", false, weights(2, 4))}}}.bytes()), "a text pickle stands before an honest npz")
	s.add("pickle-before-keras", "model.keras", evil(1)+kerasHonest(), "a pickle stands before an honest .keras")

	t := heldCase("polyglot-safetensors-zip")
	header := `{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`
	t.add("zip-behind-the-tensors", "model.safetensors", safetensors(header, weights(1, 2))+string(heldEvilZip(0, nil)), "a torch zip that calls stands behind the tensors")
	bad := string(heldEvilZip(1, nil))
	t.add("zip-in-the-last-tensor", "model.safetensors", safetensors(`{"codebook":{"dtype":"U8","shape":[`+itoa(len(bad))+`],"data_offsets":[0,`+itoa(len(bad))+`]}}`, bad), "the last tensor's bytes are a torch zip that calls")
	t.add("adjusted-offsets", "model.safetensors", string(archive{prefix: safetensors(header, weights(4, 2)), adjusted: true, members: []member{{name: "data.pkl", data: evil(0)}}}.bytes()), "the zip counts its offsets from the safetensors' beginning")
	return join(s, t)
}

// heldZipInPickle is a pickle, and a zip: BINBYTES carries the zip up to its
// end record, whose comment is what follows in the pickle.
func heldZipInPickle() string {
	rest := opPop + sysTrue + opStop
	inner := string(archive{members: []member{{name: "config.json", data: `{"a": 1}`}}, comment: rest}.bytes())
	inner = inner[:len(inner)-len(rest)]
	return opProto(3) + opBinBytes(inner) + rest
}

func heldSeven() []Case {
	s := heldCase("zip-7z-tricks")
	s.add("self-extracting", "model.bin", "MZ"+noise(907, 600)+string(sevenStored(sevenFile{"model.pkl", evil(0)})), "a 7z behind the stub of an installer")
	s.add("lzma-among-texts", "model.7z", string(sevenLZMA(sevenFile{"README.md", "# model"}, sevenFile{"weights/pytorch_model.bin", evil(2)}, sevenFile{"config.json", "{}"})), "the pickle is the second of three files in a solid block")
	s.add("named-as-torch", "pytorch_model.pt", string(sevenStored(sevenFile{"data.pkl", evilStateDict(0)})), "a 7z under the name of a torch file (nullifAI)")
	s.add("two-in-a-row", "model.7z", string(sevenStored(sevenFile{"a.txt", "hello"}))+string(sevenStored(sevenFile{"b.pkl", evil(1)})), "a second 7z behind the first one's end")
	s.add("zip-in-7z", "model.7z", string(sevenLZMA(sevenFile{"model.pt", string(heldEvilZip(0, nil))})), "a torch zip in a 7z")
	return s.cases
}
