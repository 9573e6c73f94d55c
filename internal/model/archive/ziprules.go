package archive

import "github.com/apexlogic/apex/internal/model/scan"

const zipMend = "Unpack it in isolation, look at what it holds, and pack it again with the framework's own writer."

var (
	ruleZipTwoEnds = &scan.Rule{ID: "zip.ends", Severity: scan.Doubtful,
		Why:  "The file has more than one directory, or one that can be found in two ways: which members it has depends on who reads it.",
		Mend: zipMend, References: []string{"CWE-436"}}
	ruleZipFakeEnd = &scan.Rule{ID: "zip.end.fake", Severity: scan.Doubtful,
		Why:  "Readers search the end of the file for the record that begins the reading, and this one misleads those that find it first.",
		Mend: zipMend, References: []string{"CWE-436"}}
	ruleZipCount = &scan.Rule{ID: "zip.count", Severity: scan.Doubtful,
		Why:  "The directory says that it has another number of members or another length than it has: readers that count see other members than those that measure.",
		Mend: zipMend}
	ruleZipMismatch = &scan.Rule{ID: "zip.mismatch", Severity: scan.Doubtful,
		Why:  "The directory and the member's own header disagree, so that two readers read two different members.",
		Mend: zipMend, References: []string{"CWE-436", "CVE-2025-10156"}}
	ruleZipLocal = &scan.Rule{ID: "zip.local", Severity: scan.Doubtful,
		Why:  "The directory names a member where none begins: readers that do not look read whatever stands there.",
		Mend: zipMend}
	ruleZipSize = &scan.Rule{ID: "zip.size", Severity: scan.Doubtful,
		Why:  "The member is longer or shorter than it says: what is behind the stated length is seen by some readers only.",
		Mend: zipMend}
	ruleZipCRC = &scan.Rule{ID: "zip.crc", Severity: scan.Doubtful,
		Why:  "Scanners that verify checksums refuse the member, and loaders that do not verify them load it.",
		Mend: zipMend, References: []string{"CVE-2025-10156", "CWE-354"}}
	ruleZipNoCRC = &scan.Rule{ID: "zip.crc.none", Severity: scan.Note,
		Why: "No member has a checksum, as torch writes them when it is told to: damage goes unnoticed.", Mend: "Compare the file's digest."}
	ruleZipEncrypted = &scan.Rule{ID: "zip.encrypted", Severity: scan.Doubtful,
		Why:  "A member that says it is encrypted stops scanners; loaders that ignore the mark load it.",
		Mend: "Ask its author for a plain archive; weights are not shipped encrypted.", References: []string{"CWE-693"}}
	ruleZipFlags = &scan.Rule{ID: "zip.flags", Severity: scan.Doubtful,
		Why:  "No writer of models sets these flags; some readers refuse the member for them and others ignore them.",
		Mend: zipMend, References: []string{"CWE-436"}}
	ruleZipVersion = &scan.Rule{ID: "zip.version", Severity: scan.Doubtful,
		Why:  "Readers that honour the version refuse the member, and loaders that do not load it.",
		Mend: zipMend, References: []string{"CWE-436"}}
	ruleZipUnicode = &scan.Rule{ID: "zip.name.unicode", Severity: scan.Doubtful,
		Why:  "A second name in an extra field is taken by newer readers only: they see another member.",
		Mend: zipMend}
	ruleZipPrefix = &scan.Rule{ID: "zip.prefix", Severity: scan.Doubtful,
		Why:  "Something stands before the archive: a loader that begins at the front reads that, one that begins at the end reads the archive.",
		Mend: zipMend, References: []string{"CWE-436"}}
	ruleZipTFLite = &scan.Rule{ID: "zip.prefix.tflite", Severity: scan.Note,
		Why:  "TensorFlow Lite's writer of metadata puts labels and vocabularies into an archive behind the model: both are read.",
		Mend: "Read the labels as part of the model."}
	ruleZipCarried = &scan.Rule{ID: "zip.carried", Severity: scan.Note,
		Why:  "The archive is a value of bytes in a pickle, where libraries keep weights that torch has saved: both were read.",
		Mend: "Load the file with the library that wrote it."}
	ruleZipTrailing = &scan.Rule{ID: "zip.trailing", Severity: scan.Doubtful,
		Why:  "Bytes behind the end of the archive make strict readers refuse it and are read by others.",
		Mend: zipMend}
	ruleZipGap = &scan.Rule{ID: "zip.gap", Severity: scan.Doubtful,
		Why:  "Bytes that belong to no member hide content from every reader but the one that knows of it.",
		Mend: zipMend}
	ruleZipUnlisted = &scan.Rule{ID: "zip.unlisted", Severity: scan.Doubtful,
		Why:  "A member that the directory does not name is unpacked by readers that go from the front.",
		Mend: zipMend}
	ruleZipOverlap = &scan.Rule{ID: "zip.overlap", Severity: scan.Doubtful,
		Why:  "Members that share their bytes unpack to far more than the file holds, or are two things at once.",
		Mend: zipMend, References: []string{"CWE-409"}}
	ruleZipAside = &scan.Rule{ID: "zip.aside", Severity: scan.Doubtful,
		Why:  "A comment or an extra field that is a file of its own is hidden from who looks at the members, and found by who knows of it.",
		Mend: zipMend, References: []string{"CWE-506"}}
	ruleZipLink = &scan.Rule{ID: "zip.link", Severity: scan.Harmful,
		Why:        "A link that leads out of the archive makes the unpacker, or the loader after it, write or read outside.",
		Mend:       "Do not unpack it; ask its author for an archive of plain files.",
		References: []string{"CWE-59"}}
	ruleZipThrough = &scan.Rule{ID: "zip.link.through", Severity: scan.Doubtful,
		Why:  "A member is to be written through a link that the archive brings itself, which is how unpackers are led astray.",
		Mend: zipMend, References: []string{"CWE-59"}}
	ruleZipDevice = &scan.Rule{ID: "zip.device", Severity: scan.Doubtful,
		Why: "Models have no devices or pipes; reading one blocks or does what the device does.", Mend: zipMend}
	ruleZipBomb = &scan.Rule{ID: "zip.bomb", Severity: scan.Doubtful,
		Why:  "By its own directory the file unpacks to far more than it is worth, and exhausts the disk of whoever does.",
		Mend: "Do not unpack it; ask its author what the content is for.", References: []string{"CWE-409"}}
	ruleZipSplit = &scan.Rule{ID: "zip.split", Severity: scan.Unreadable,
		Why: "The archive says that it is a part of a larger one.", Mend: "Join the parts and scan the whole."}
	ruleZipBroken = &scan.Rule{ID: "zip.broken", Severity: scan.Unreadable,
		Why:  "The file begins as a zip archive and cannot be read as one; readers that go from the front read what is there.",
		Mend: "Fetch the file again and compare its digest."}
	ruleZipMember = &scan.Rule{ID: "zip.member", Severity: scan.Unreadable,
		Why:  "The content of this member cannot be read, so it is not known.",
		Mend: "Fetch the file again and compare its digest; ask its author for an archive that is stored or deflated."}
	ruleZipUnread = &scan.Rule{ID: "zip.remote", Severity: scan.Unreadable,
		Why: "Over the network only some of the members were read, and these were not.", Mend: "Fetch the file and scan it here."}
	ruleZipNotRead = &scan.Rule{ID: "zip.remote.weights", Severity: scan.Note,
		Why: "Stored tensors that loaders take as plain numbers were not read over the network.", Mend: "Nothing; check the digest when the file is fetched."}
	ruleTorchSource = &scan.Rule{ID: "torch.package.source", Severity: scan.Doubtful,
		Why:  "A torch package brings Python modules, which run as soon as the model in it is loaded.",
		Mend: "Review its source as software, or ask its author for plain weights.", References: []string{"CWE-94"}}
	ruleTorchOdd = &scan.Rule{ID: "torch.member", Severity: scan.Doubtful,
		Why:  "The framework writes no source, program or library into a model; it is there for another reason.",
		Mend: "Find out why it is there; save the model again from its weights.", References: []string{"CWE-506"}}
	ruleHandler = &scan.Rule{ID: "mar.handler", Severity: scan.Doubtful,
		Why:  "The server runs this archive's own code to serve the model.",
		Mend: "Review the handler as software, or use a handler of the server.", References: []string{"CWE-94", "CVE-2023-43654"}}
	ruleRequirements = &scan.Rule{ID: "mar.requirements", Severity: scan.Doubtful,
		Why:  "The server may install the packages that this archive asks for, and installing runs code.",
		Mend: "Install reviewed packages into the server's image instead."}
	ruleManifest = &scan.Rule{ID: "mar.manifest", Severity: scan.Unreadable,
		Why: "What the server would run stands in the manifest, and that cannot be read.", Mend: "Pack the model again with torch-model-archiver."}
)

func zipRules() []*scan.Rule {
	return append(nameRules(), ruleZipTwoEnds, ruleZipFakeEnd, ruleZipCount, ruleZipMismatch, ruleZipLocal, ruleZipSize,
		ruleZipCRC, ruleZipNoCRC, ruleZipEncrypted, ruleZipFlags, ruleZipVersion, ruleZipUnicode, ruleZipPrefix, ruleZipTFLite, ruleZipCarried, ruleZipTrailing,
		ruleZipGap, ruleZipUnlisted, ruleZipOverlap, ruleZipAside, ruleZipLink, ruleZipThrough, ruleZipDevice, ruleZipBomb, ruleZipSplit, ruleZipBroken, ruleZipMember, ruleZipUnread,
		ruleZipNotRead, ruleTorchSource, ruleTorchOdd, ruleHandler, ruleRequirements, ruleManifest)
}
