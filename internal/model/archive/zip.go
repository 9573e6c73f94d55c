package archive

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/apexlogic/apex/internal/model/scan"
)

// General purpose flags (APPNOTE 4.4.4).
const (
	flagEncrypted  = 1 << 0
	flagLevel      = 3 << 1 // says how hard the writer tried; no reader cares
	flagDescriptor = 1 << 3
	flagUTF8       = 1 << 11
	flagsUsual     = flagLevel | flagDescriptor | flagUTF8
)

// Zip reads zip archives, and what is made of them: torch.save, TorchScript,
// torch.package, TorchServe's MAR, NumPy's npz, .keras. It claims every file in
// whose last 64 KiB a central directory is announced that is really there, and
// every file that begins with a member.
//
// The checksum of a stored member is verified when the member is at most 1 MiB,
// or some format read it and it is at most 64 MiB: reading every tensor for it
// would cost what reading the whole file costs, and a loader does not care.
func Zip() scan.Format {
	return scan.Format{Name: "zip", Claim: claimZip, Scan: scanZip, Rules: zipRules()}
}

func claimZip(f *scan.File) bool {
	if f.Size() < eocdSize {
		return false
	}
	if f.HasPrefix("PK\x03\x04") {
		return true
	}
	found, _, err := ends(f)
	return err == nil && len(found) > 0
}

// A zipFile is one zip file while it is scanned.
type zipFile struct {
	p       *limited
	f       *scan.File
	main    []entry // of the last directory
	spans   []span
	queue   []reading
	done    map[readingKey]bool
	names   map[string]string // as checked for duplicates, to the name as it stands
	slash   bool              // some name has a slash
	back    []string          // names with plain backslashes
	noCRC   bool              // no member of the last directory has a checksum
	links   map[string]bool   // members that are symbolic links
	carried bool              // by a pickle, as a value of bytes
}

// A span is a run of bytes that a structure takes.
type span struct{ start, end int64 }

// A reading is a member as one reader would read it.
type reading struct {
	name         string
	method       uint16
	start        int64
	packed, size int64 // size is -1 when it is not known
	crc          uint32
	check        bool // compare the checksum and the size
	secret       bool // is said to be encrypted; an error is no news
}

type readingKey struct {
	method        uint16
	start, packed int64
}

func scanZip(p *scan.Place, f *scan.File) error {
	found, strays, err := ends(f)
	if err != nil {
		return err
	}
	z := &zipFile{p: limit(p), f: f, done: map[readingKey]bool{}, names: map[string]string{}}
	if len(found) == 0 {
		return z.headless(strays)
	}
	if within, err := z.isMember(found); err != nil || within {
		return cmp.Or(err, scan.ErrOther)
	}
	if f.IsDear() {
		return z.remote(found[0])
	}
	if err := z.directory(found[0], true); err != nil {
		return err
	}
	if err := z.others(found, strays); err != nil {
		return err
	}
	if err := z.gaps(found[0]); err != nil {
		return err
	}
	z.backslashes()
	z.bomb()
	z.comment(found[0])
	if err := z.kind(); err != nil {
		return err
	}
	for _, r := range z.queue {
		if err := z.read(r); err != nil {
			return err
		}
	}
	if z.carried {
		return nil
	}
	return trailing(p, f, found[0].after, ruleZipTrailing)
}

// headless reads a file that begins with a member and has no directory.
func (z *zipFile) headless(strays []int64) error {
	if !z.f.HasPrefix("PK\x03\x04") {
		return scan.ErrOther
	}
	why := "it has no central directory"
	if len(strays) > 0 {
		why = fmt.Sprintf("the record at byte %d points at no central directory", strays[0])
	}
	z.p.Report(ruleZipBroken, scan.At(0), why)
	if z.f.IsDear() {
		return nil
	}
	if _, err := z.unlisted(0, z.f.Size(), false); err != nil {
		return err
	}
	for _, r := range z.queue {
		if err := z.read(r); err != nil {
			return err
		}
	}
	return nil
}

// directory reads one directory and compares it with the members' own headers.
func (z *zipFile) directory(e end, main bool) error {
	if e.split {
		z.p.Report(ruleZipSplit, scan.At(e.at), "the directory is on several disks")
	}
	if e.truncated {
		z.p.Report(ruleZipTrailing, scan.At(e.at), "the comment is said to go on behind the end of the file")
	}
	all, bySize, stop, err := e.entries(z.p.Place, z.f)
	if err != nil {
		if !isDirectoryError(err) {
			return err
		}
		z.p.Report(ruleZipBroken, scan.At(e.start), err.Error())
	}
	if n := int64(len(all)); n != e.count && !(n&0xffff == e.count && !e.zip64) || bySize != len(all) || stop != e.start+e.size {
		z.p.Report(ruleZipCount, scan.At(e.at), fmt.Sprintf(
			"it says %d members in %d bytes; there are %d in %d bytes", e.count, e.size, n, stop-e.start))
	}
	if main {
		z.main = all
		z.noCRC = withoutCRC(all)
	}
	z.spans = append(z.spans, span{e.start, stop}, span{e.recordsEnd, e.after})
	for i := range all {
		if err := z.member(&all[i], e.base); err != nil {
			return err
		}
	}
	z.through(all)
	return nil
}

// withoutCRC says whether the archive was written without checksums, as torch
// does on request (torch.serialization.set_crc32_options).
func withoutCRC(all []entry) bool {
	content := false
	for i := range all {
		if e := &all[i]; e.crc != 0 || e.method != 0 {
			return false
		} else if e.size > 0 {
			content = true
		}
	}
	return content
}

// member checks one entry and queues what readers would read of it.
func (z *zipFile) member(e *entry, base int64) error {
	if err := z.p.Spend(scan.CostMember); err != nil {
		return err
	}
	z.checkEntry(e)
	l, ok := readLocal(z.f, e.local)
	if !ok && base != 0 {
		if l, ok = readLocal(z.f, e.local-base); ok {
			e.local -= base
		}
	}
	where := scan.Where{Member: printable(e.name), Offset: -1}
	if !ok {
		z.p.Report(ruleZipLocal, where, fmt.Sprintf("no member begins at byte %d", e.local))
		if l, ok = looseLocal(z.f, e.local); !ok {
			return nil
		}
	} else {
		z.compare(e, &l, where)
	}
	until := l.data + e.packed
	if until > z.f.Size() || until < l.data {
		z.p.Report(ruleZipSize, where, fmt.Sprintf("%d bytes from byte %d on are more than the file has", e.packed, l.data))
		until = z.f.Size()
	}
	if e.flags&flagDescriptor != 0 || l.flags&flagDescriptor != 0 {
		until += z.descriptor(e, &l, until, where)
	}
	if !e.isDir() || l.data != until {
		z.spans = append(z.spans, span{e.local, until})
	} else {
		z.spans = append(z.spans, span{e.local, l.data})
	}
	if e.isDir() && l.packed <= 0 {
		return nil
	}
	z.asides(e, &l)
	z.special(e)
	secret := (e.flags|l.flags)&flagEncrypted != 0
	z.queue = append(z.queue, reading{name: e.name, method: e.method, start: l.data, packed: e.packed, size: e.size,
		crc: e.crc, check: true, secret: secret})
	if l.method != e.method || l.packed >= 0 && l.packed != e.packed {
		other := reading{name: l.name, method: l.method, start: l.data, packed: e.packed, size: -1, secret: secret}
		if l.packed >= 0 {
			other.packed = l.packed
		}
		z.queue = append(z.queue, other)
	}
	return nil
}

// checkEntry checks what the directory says by itself.
func (z *zipFile) checkEntry(e *entry) {
	where := scan.Where{Member: printable(e.name), Offset: -1}
	checkName(z.p, e.name, e.at)
	z.checkFlags(e.flags, e.version, "directory", where)
	if e.unicode != "" && e.unicode != e.name {
		checkName(z.p, e.unicode, e.at)
		if isASCII(e.name) && !escaped(e.name) {
			z.p.Report(ruleZipUnicode, where, fmt.Sprintf("its other name is %q", cut(e.unicode)))
		}
	}
	key, slash, back := folded(e.name)
	z.slash = z.slash || slash
	if back {
		if len(z.back) < 100 {
			z.back = append(z.back, e.name)
		}
		if host := e.madeBy >> 8; host != 0 && host != 10 && host != 11 && host != 14 { // FAT, NTFS, MVS, VFAT
			z.p.Report(ruleNameBackslash, where, fmt.Sprintf("the name %q has a backslash, and was not written on Windows", cut(e.name)))
		}
	}
	if e.isDir() {
		return
	}
	if before, twice := z.names[key]; twice {
		z.p.Report(ruleNameTwice, where, fmt.Sprintf("two members are called %q and %q", cut(before), cut(e.name)))
		return
	}
	z.names[key] = e.name
}

// checkFlags checks the flags and the version, which stand in either header.
func (z *zipFile) checkFlags(flags, version uint16, header string, where scan.Where) {
	const newest = 63 // of APPNOTE 6.3; CPython refuses what is newer
	if flags&flagEncrypted != 0 {
		z.p.Report(ruleZipEncrypted, where, "the "+header+" says that it is encrypted")
	}
	if odd := flags &^ (flagsUsual | flagEncrypted); odd != 0 {
		z.p.Report(ruleZipFlags, where, fmt.Sprintf("the flags %#04x are set in the %s", odd, header))
	}
	if version&0xff > newest {
		z.p.Report(ruleZipVersion, where, fmt.Sprintf("the %s asks for version %d.%d", header, version&0xff/10, version&0xff%10))
	}
}

// compare reports where the local header says something else.
func (z *zipFile) compare(e *entry, l *local, where scan.Where) {
	differs := func(what string, central, local any) {
		z.p.Report(ruleZipMismatch, where, fmt.Sprintf("its %s is %v by the directory and %v by its own header at byte %d", what, central, local, l.at))
	}
	if l.name != e.name {
		differs("name", fmt.Sprintf("%q", cut(e.name)), fmt.Sprintf("%q", cut(l.name)))
		checkName(z.p, l.name, l.at)
	}
	if l.unicode != e.unicode && l.unicode != "" && (e.unicode != "" || l.unicode != e.name) {
		differs("Unicode name", fmt.Sprintf("%q", cut(e.unicode)), fmt.Sprintf("%q", cut(l.unicode)))
	}
	if l.method != e.method {
		differs("method", e.method, l.method)
	}
	ignored := uint16(flagLevel)
	if isASCII(e.name) {
		ignored |= flagUTF8 // changes nothing
	}
	if l.flags&^ignored != e.flags&^ignored {
		differs("set of flags", fmt.Sprintf("%#04x", e.flags), fmt.Sprintf("%#04x", l.flags))
	}
	version := l.version
	if version == e.version {
		version = 0 // has been judged
	}
	z.checkFlags(l.flags&^e.flags, version, "local header", where)
	streamed := l.flags&flagDescriptor != 0
	if l.packed >= 0 && l.packed != e.packed {
		differs("packed size", e.packed, l.packed)
	}
	if l.size >= 0 && l.size != e.size {
		differs("size", e.size, l.size)
	}
	if l.crc != e.crc && !(streamed && l.crc == 0) {
		differs("checksum", fmt.Sprintf("%08x", e.crc), fmt.Sprintf("%08x", l.crc))
	}
}

// descriptor measures what follows a member that was streamed. Where the next
// structure follows at once there is none, which readers of the directory do
// not mind.
func (z *zipFile) descriptor(e *entry, l *local, at int64, where scan.Where) int64 {
	if n := descriptor(z.f, at, e.crc, e.packed, e.size); n > 0 {
		return n
	}
	b, err := z.f.Read(at, min(16, max(z.f.Size()-at, 0)))
	if err == nil && len(b) == 16 && string(b[:4]) == "PK\x07\x08" {
		z.p.Report(ruleZipMismatch, where, fmt.Sprintf("its descriptor at byte %d says something else than the directory", at))
		return 16
	}
	return 0
}

// others looks at the directories besides the last one.
func (z *zipFile) others(found []end, strays []int64) error {
	for _, at := range strays {
		if at > found[0].at {
			z.p.Report(ruleZipFakeEnd, scan.At(at), "the bytes of an end record follow the real one")
		}
	}
	seen := map[int64]bool{found[0].start: true}
	members := slices.Clone(z.spans[2:])
	if found[0].ambiguous {
		z.p.Report(ruleZipTwoEnds, scan.At(found[0].at), "its records name two places for the directory")
	}
	for _, e := range found[1:] {
		if e.at != found[0].at && slices.ContainsFunc(members, func(s span) bool { return s.start <= e.at && e.at < s.end }) {
			continue // of an archive that is a member
		}
		if e.at != found[0].at {
			z.p.Report(ruleZipTwoEnds, scan.At(e.at), fmt.Sprintf("another directory is announced at byte %d", e.at))
		}
		if seen[e.start] || z.f.IsDear() {
			continue
		}
		seen[e.start] = true
		names := z.names
		z.names = map[string]string{} // each directory by itself
		err := z.directory(e, false)
		z.names = names
		if err != nil {
			return err
		}
	}
	return nil
}

// gaps looks at the bytes that belong to nothing, and for bytes that belong to
// two things.
func (z *zipFile) gaps(main end) error {
	slices.SortFunc(z.spans, func(a, b span) int { return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.end, b.end)) })
	var covered int64
	overlaps := 0
	for _, s := range z.spans {
		if s.start < covered {
			overlaps++
			if overlaps == 1 {
				z.p.Report(ruleZipOverlap, scan.At(s.start), fmt.Sprintf("bytes %d to %d belong to two things", s.start, min(covered, s.end)))
			}
		}
		if s.start > covered {
			rule := ruleZipGap
			if covered == 0 {
				if z.carried = carried(z.f, s.start, main.after); z.carried {
					z.p.Report(ruleZipCarried, scan.At(s.start), fmt.Sprintf("%d bytes", main.after-s.start))
					covered = max(covered, s.end)
					continue
				}
				rule = prefixRule(z.f, s.start)
			}
			if err := z.gap(covered, s.start, rule); err != nil {
				return err
			}
		}
		covered = max(covered, s.end)
	}
	return nil
}

// prefixRule says what n bytes before the first member are reported by. A
// model of TensorFlow Lite, whose table begins within them, has its labels in
// an archive behind it.
func prefixRule(f *scan.File, n int64) *scan.Rule {
	head, err := f.Head()
	if err != nil || len(head) < 8 || string(head[4:8]) != "TFL3" {
		return ruleZipPrefix
	}
	if root := int64(binary.LittleEndian.Uint32(head)); root < 8 || root+4 > n {
		return ruleZipPrefix
	}
	return ruleZipTFLite
}

// gap looks at bytes that no directory speaks of.
func (z *zipFile) gap(from, to int64, rule *scan.Rule) error {
	f := z.f.Section(from, to-from)
	if spanned := to-from == 4 && rule == ruleZipPrefix; spanned && (f.HasPrefix("PK00") || f.HasPrefix("PK\x07\x08")) {
		return nil // a split archive that fitted on one disk (APPNOTE 8.5.4)
	}
	zero, err := isZero(z.p.Place, f)
	if err != nil || zero {
		return err
	}
	n, err := z.unlisted(from, to, true)
	if err != nil {
		return err
	}
	if n == 0 || rule != ruleZipGap {
		z.p.Report(rule, scan.At(from), fmt.Sprintf("bytes %d to %d belong to no member", from, to))
		z.p.Inside("", from, f)
	}
	return nil
}

// bomb adds up what the directory promises.
func (z *zipFile) bomb() {
	const least, ratio = 16 << 20, 250 // as the engine judges single streams
	var total int64
	for i := range z.main {
		if total += z.main[i].size; z.main[i].size < 0 || total < 0 {
			total = 1<<63 - 1
			break
		}
	}
	if total >= least && total/ratio > z.f.Size() {
		z.p.Report(ruleZipBomb, scan.Nowhere, fmt.Sprintf("%d bytes promise %d", z.f.Size(), total))
	}
}

// backslashes judges plain backslashes when all names are known: archives that
// old Windows tools wrote have nothing else.
func (z *zipFile) backslashes() {
	if !z.slash {
		return
	}
	for _, name := range z.back {
		z.p.Report(ruleNameBackslash, scan.Where{Member: name, Offset: -1},
			fmt.Sprintf("the name %q has a backslash, and other names have slashes", cut(name)))
	}
}
