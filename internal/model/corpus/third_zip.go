package corpus

import "strings"

// thirdPandasZip is what DataFrame.to_pickle("x.pkl.zip") writes: one member
// that pandas finds in zipfile's list and unpickles.
func thirdPandasZip(n int, edit func(local, central *zipHeader)) archive {
	return archive{members: []member{{name: "frame.pkl", data: thirdEvil(n), edit: edit}}}
}

// thirdTorchZip is a torch archive whose data.pkl is the nth that calls.
func thirdTorchZip(n int, edit func(m *member)) archive {
	m := torchMembers("ckpt", thirdStateDict(n), []string{weights(702, 8)})
	if edit != nil {
		edit(&m[0])
	}
	return archive{zip64: true, members: m}
}

func thirdZipHeaders() []Case {
	crc := third("zip-crc")
	crc.add("descriptor-and-directory", "model.pt", string(thirdTorchZip(0, both(func(l, c *zipHeader) { c.crc = 0xffffffff })).bytes()), "the directory's CRC is all ones, which torch does not compare")
	crc.add("after-the-stop", "frame.pkl.zip", string(archive{members: []member{{name: "frame.pkl", data: thirdEvil(1) + strings.Repeat("\x00", 300_000), edit: func(l, c *zipHeader) { l.crc, c.crc = 1, 1 }}}}.bytes()),
		"the CRC is wrong, but zipfile compares it at the member's end, which pickle never reaches")
	crc.add("of-the-empty-text", "net.pt", string(thirdTorchZip(2, func(m *member) {
		m.descriptor = 0
		both(func(l, c *zipHeader) { l.crc, c.crc = 0, 0 })(m)
	}).bytes()), "both CRCs are those of no bytes")

	flags := third("zip-flag-bits")
	flags.add("descriptor-bit-without-one", "frame.pkl.zip", string(thirdPandasZip(0, func(l, c *zipHeader) { l.flags, c.flags = 8, 8 }).bytes()), "the flags promise a data descriptor that there is not")
	flags.add("utf-8-bit-and-no-utf-8", "net.pt", string(archive{zip64: true, members: torchMembers("net\xff", thirdStateDict(1), []string{weights(703, 8)})}.bytes()), "the names are flagged as UTF-8 and are none; miniz compares bytes")
	flags.add("on-an-honest-member", "net.pt", string(archive{zip64: true, members: append([]member{{name: "net/.format_version", data: "1", edit: func(l, c *zipHeader) { l.flags, c.flags = 0x2041, 0x2041 }}}, torchMembers("net", thirdStateDict(3), []string{weights(704, 8)})...)}.bytes()),
		"the first member, not the pickle, is flagged as encrypted, at which strict readers stop")
	flags.add("compression-options", "frame.pkl.zip", string(thirdPandasZip(3, func(l, c *zipHeader) { l.flags, c.flags = 0x1706, 0x1706 }).bytes()), "unused and reserved bits")

	mismatch := third("zip-header-mismatch")
	honest := pickle(2, dictOf("w", 1))
	bad := thirdEvil(0)
	decoy := honest + strings.Repeat("\x00", len(bad)-len(honest))
	mismatch.add("longer-local-extra", "frame.pkl.zip", string(thirdPandasZip(0, func(l, c *zipHeader) {
		l.extra = "\xfe\xca" + le16(len(decoy)) + decoy
	}).bytes()), "the local header has an extra field that the directory has not, so that data begins later than the directory's lengths say")
	mismatch.add("local-name-is-longer", "net.pt", string(archive{members: []member{{name: "net/data.pkl", data: thirdStateDict(4), edit: func(l, c *zipHeader) { l.name = "net/data.txt.bak" }}, {name: "net/data/0", data: weights(705, 8)}, {name: "net/version", data: "3\n"}}}.bytes()),
		"the local name is longer than the directory's and another; torch takes the directory's")
	mismatch.add("directory-attribute", "net.pt", string(thirdTorchZip(0, both(func(l, c *zipHeader) { c.external = 0o040755<<16 | 0x10 })).bytes()), "the directory says that data.pkl is a folder")
	mismatch.add("stored-size-of-a-deflated-member", "frame.pkl.zip", string(archive{members: []member{{name: "frame.pkl", data: thirdEvil(3), deflate: true, edit: func(l, c *zipHeader) { l.method, l.size, l.packed = 12, 7, 7 }}}}.bytes()), "the local header says bzip2 and seven bytes, the directory deflate")

	version := third("zip-version-needed")
	for name, v := range ordered("torchscript-90", 90, "version-128", 128, "version-64", 64) {
		version.add(name, "net.pt", string(thirdTorchZip(v, both(func(l, c *zipHeader) { l.version, c.version = v, v })).bytes()), "asks for version "+itoa(v)+", at which zipfile stops and torch does not")
	}

	encrypted := third("zip-encrypted")
	encrypted.add("local-flag-of-a-frame", "frame.pkl.zip", string(thirdPandasZip(2, func(l, c *zipHeader) { l.flags |= 1 }).bytes()), "only the local header says encrypted; zipfile asks the directory")
	encrypted.add("password-in-the-name", "model (password=apex).zip", string(archive{members: []member{{name: "weights/model.pkl", data: thirdEvil(4), packed: zipCrypto(thirdEvil(4), "apex"), edit: func(l, c *zipHeader) { l.flags |= 1; c.flags |= 1 }}}}.bytes()), "the file's name is the password")
	encrypted.add("inside-a-plain-zip", "release.zip", thirdZip("README.md", "unzip -P apex weights.zip\n", "weights.zip", string(archive{members: []member{{name: "net.pt", data: thirdTorch("net", thirdStateDict(0)), packed: zipCrypto(thirdTorch("net", thirdStateDict(0)), "apex"), edit: func(l, c *zipHeader) { l.flags |= 1; c.flags |= 1 }}}}.bytes())),
		"an encrypted zip in a plain one, with the command that opens it")

	names := third("zip-name-tricks")
	for name, root := range ordered("parent-as-root", "..", "escape-sequences-as-root", "net\x1b[2K\rreadme", "backslash-in-root", `a\b`, "very-long-root", strings.Repeat("n", 5000), "emoji-root", "🤗", "space-as-root", " ") {
		names.add(name, "net.pt", string(archive{zip64: true, members: torchMembers(root, thirdStateDict(1), []string{weights(706, 8)})}.bytes()), "torch takes whatever stands before the first slash as the archive's name: "+name)
	}
	names.add("mixed-case", "net.pt", string(archive{zip64: true, members: []member{torchMember("Net/Data.PKL", thirdStateDict(2)), torchMember("Net/DATA/0", weights(707, 8)), torchMember("Net/VERSION", "3\n")}}.bytes()), "miniz finds names whatever their case")
	return join(crc, flags, mismatch, version, encrypted, names)
}

func thirdZipLayout() []Case {
	dup := third("zip-duplicate-entry")
	honest := torchMembers("net", thirdHonestDict(), []string{weights(708, 8)})
	dup.add("roots-in-both-cases", "net.pt", string(archive{zip64: true, members: append([]member{torchMember("NET/data.pkl", thirdStateDict(0))}, honest...)}.bytes()), "NET/data.pkl and net/data.pkl are one name to miniz")
	dup.add("with-a-comment", "bundle.zip", string(archive{members: []member{{name: "frame.pkl", data: pickle(4, 1)}, {name: "frame.pkl", data: thirdEvil(0), edit: func(l, c *zipHeader) { c.comment = "second" }}}}.bytes()), "two members of one name; zipfile keeps the later")
	dup.add("after-the-storages", "net.pt", string(archive{zip64: true, members: append(honest[:len(honest):len(honest)], torchMember("net/data.pkl", thirdStateDict(4)), torchMember("net/version", "3\n"))}.bytes()), "a second data.pkl and a second version at the end")

	concat := third("zip-concat")
	plain := thirdTorch("net", thirdHonestDict())
	concat.add("evil-frame-behind-a-torch-file", "frame.pkl.zip", plain+string(thirdPandasZip(1, nil).bytes()), "pandas opens the second of two archives")
	concat.add("evil-keras-behind-an-honest-one", "model.keras", kerasHonest()+thirdKeras(thirdLambda("late")), "Keras opens the second of two archives")
	concat.add("forty-archives", "bundle.zip", strings.Repeat(string(archive{members: []member{{name: "a.txt", data: "a"}}}.bytes()), 39)+string(thirdPandasZip(3, nil).bytes()), "the last of forty archives")

	eocd := third("zip-fake-eocd")
	filler := strings.Repeat("trained on 8 GPUs. ", 3449)[:65_500]
	a := thirdPandasZip(0, nil)
	a.comment = filler
	eocd.add("comment-of-64-kilobytes", "frame.pkl.zip", string(a.bytes()), "the end record is 65,522 bytes from the end, as far as it may be")
	b := archive{members: []member{{name: "notes.txt", data: "nothing"}}}
	b.comment = "built by ci " + string(thirdPandasZip(1, nil).bytes()) + " at night"
	eocd.add("whole-archive-in-the-comment", "frame.pkl.zip", string(b.bytes()), "the comment holds another whole archive; zipfile takes the last end record that it finds, and so that one")
	eocd.add("disk-numbers", "frame.pkl.zip", string(thirdDisks()), "the end record says disk 7 of 9, which CPython does not look at")
	eocd.add("offset-off-by-a-prefix", "frame.pkl.zip", string(archive{prefix: "\x00\x01\x02\x03\x04\x05\x06", members: thirdPandasZip(4, nil).members}.bytes()), "seven bytes before the archive that no offset counts; zipfile corrects them")

	prefix := third("zip-prefix")
	pdf := "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
	prefix.add("pdf-before-a-frame", "paper.pdf", string(archive{prefix: pdf, adjusted: true, members: thirdPandasZip(0, nil).members}.bytes()), "a PDF that pandas opens as a zip")
	prefix.add("array-before-a-keras-file", "model.keras", npy("'<f4'", "(2,)", false, weights(709, 2))+thirdKeras(thirdLambda("l")), "an honest array stands before a .keras, which zipfile opens")
	prefix.add("text-before-skops", "model.skops", "# skops\n"+thirdSkops(`{"__class__": "function", "__module__": "builtins", "__loader__": "FunctionNode", "content": {"module_path": "posix", "function": "system"}}`), "a line of text stands before a .skops")
	prefix.add("gzip-before-a-frame", "frame.pkl.zip", gzipped("notes\n")+string(thirdPandasZip(5, nil).bytes()), "a whole gzip stands before the archive")

	trailing := third("zip-trailing")
	trailing.add("line-break", "frame.pkl.zip", string(thirdPandasZip(2, nil).bytes())+"\r\n", "a line break behind the end record")
	trailing.add("signature-block", "model.keras", thirdKeras(thirdLambda("s"))+"\n-----BEGIN SIGNATURE-----\n"+hexOf(noise(712, 64))+"\n-----END SIGNATURE-----\n", "what looks like a signature stands behind a .keras with a Lambda")
	trailing.add("pickle-behind-a-frame", "frame.pkl.zip", string(archive{members: []member{{name: "frame.pkl", data: pickle(4, listOf(1))}}}.bytes())+thirdEvil(3), "an honest archive, then a pickle")

	seven := third("zip-7z-tricks")
	files := []sevenFile{{"model/config.json", "{}"}, {"model/net.pkl", thirdEvil(1)}}
	seven.add("deflate", "model.7z", string(sevenZip("\x03\x04\x01\x08", deflated(sevenData(files)), files...)), "a 7z whose coder is deflate")
	seven.add("bzip2", "model.7z", string(sevenZip("\x03\x04\x02\x02", bzipped(sevenData(files)), files...)), "a 7z whose coder is bzip2")
	seven.add("in-tar-gz", "release.tar.gz", gzipped(thirdTar("LICENSE", "MIT\n", "weights.7z", string(sevenLZMA(files...)))), "a 7z in a tar in gzip")
	seven.add("as-bin", "pytorch_model.bin", string(sevenLZMA(sevenFile{"pytorch_model/data.pkl", thirdStateDict(0)}, sevenFile{"pytorch_model/data/0", weights(713, 8)}, sevenFile{"pytorch_model/version", "3\n"})), "torch's members packed as 7z under torch's name (nullifAI)")

	poly := third("polyglot-pickle-zip")
	poly.add("legacy-torch-and-keras", "model.keras", thirdLegacy(0)+kerasHonest(), "torch.load reads the beginning, Keras the end")
	poly.add("gzip-and-zip", "model.joblib", gzipped(thirdEvil(1))+string(archive{members: []member{{name: "readme.txt", data: "x"}}}.bytes()), "joblib reads a gzip of a pickle, zip tools a text")
	poly.add("tar-and-zip", "model.tar", thirdTar("pickle", thirdEvil(4), "sys_info", pickle(2, dictOf("protocol_version", 1000, "little_endian", true)), "storages", pickle(2, 0), "tensors", pickle(2, 0))+plain, "torch's tar with a call, and an honest torch archive behind it")
	poly.add("protocol-0-and-npz", "arrays.npz", "(S'true'\niposix\nsystem\n0"+pickle(0, nil)+thirdZip("a.npy", npy("'<f4'", "(2,)", false, weights(714, 2))), "a text pickle and an npz")

	st := third("polyglot-safetensors-zip")
	header := `{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`
	st.add("keras-behind", "model.safetensors", safetensors(header, weights(715, 2))+thirdKeras(thirdLambda("p")), "a .keras with a Lambda behind the tensors")
	frame := string(thirdPandasZip(0, nil).bytes())
	st.add("frame-as-a-tensor", "model.safetensors", safetensors(`{"lookup":{"dtype":"U8","shape":[`+itoa(len(frame))+`],"data_offsets":[0,`+itoa(len(frame))+`]}}`, frame), "the only tensor is a zip that pandas unpickles")
	npz := thirdZip("a.npy", npyObject(thirdEvil(3)))
	st.add("objects-behind", "model.safetensors", safetensors(header, weights(716, 2))+npz, "an npz of objects behind the tensors")
	return join(dup, concat, eocd, prefix, trailing, seven, poly, st)
}

// thirdDisks is a zip whose end record speaks of other disks.
func thirdDisks() []byte {
	b := thirdPandasZip(2, nil).bytes()
	copy(b[len(b)-18:], le16(7)+le16(9))
	return b
}
