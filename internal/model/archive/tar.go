package archive

import (
	stdtar "archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/apexlogic/apex/internal/model/scan"
)

const tarMend = "Unpack it in isolation, look at what it holds, and pack it again."

var (
	ruleTarLink = &scan.Rule{ID: "tar.link", Severity: scan.Harmful,
		Why:        "A link that leads out of the archive makes the unpacker, or the loader after it, write or read outside.",
		Mend:       "Do not unpack it; ask its author for an archive of plain files.",
		References: []string{"CWE-59", "CVE-2025-4517"}}
	ruleTarThrough = &scan.Rule{ID: "tar.link.through", Severity: scan.Doubtful,
		Why:  "A member is to be written through a link that the archive brings itself, which is how unpackers are led astray.",
		Mend: tarMend, References: []string{"CWE-59"}}
	ruleTarDevice = &scan.Rule{ID: "tar.device", Severity: scan.Doubtful,
		Why: "Models have no devices or pipes; reading one blocks or does what the device does.", Mend: tarMend}
	ruleTarSize = &scan.Rule{ID: "tar.size", Severity: scan.Doubtful,
		Why:  "Two headers of a member give two sizes, so that readers disagree about where the next member begins.",
		Mend: tarMend, References: []string{"CVE-2025-62518", "CWE-436"}}
	ruleTarTrailing = &scan.Rule{ID: "tar.trailing", Severity: scan.Doubtful,
		Why:  "What follows the end of the archive is a part of it for some readers only.",
		Mend: tarMend}
	ruleTarBroken = &scan.Rule{ID: "tar.broken", Severity: scan.Unreadable,
		Why:  "The archive breaks off or is damaged; readers have unpacked what stands before.",
		Mend: "Fetch the file again and compare its digest."}
	ruleTarPickle = &scan.Rule{ID: "tar.pickle", Severity: scan.Unreadable,
		Why:  "Loaders unpickle a member by this name, and its content could not be read as a pickle.",
		Mend: "Find out what it is; save the data in a plain format."}
	ruleTarRemote = &scan.Rule{ID: "tar.remote", Severity: scan.Unreadable,
		Why: "A tar archive has no directory, so that over the network only its beginning is read.", Mend: "Fetch the file and scan it here."}
)

const (
	tarBlock = 512
	// maxTarHeader bounds the long names and pax records of one member.
	maxTarHeader = 1 << 20
	// remoteTar is how much of an archive is read over a network.
	remoteTar = 8 << 20
)

// Tar reads tar archives: v7, ustar, pax and GNU, sparse ones too. It walks
// the headers itself, because what matters is where readers disagree.
func Tar() scan.Format {
	return scan.Format{Name: "tar", Scan: scanTar,
		Rules: append(nameRules(), ruleTarLink, ruleTarThrough, ruleTarDevice, ruleTarSize, ruleTarTrailing, ruleTarBroken, ruleTarPickle, ruleTarRemote),
		Claim: beginsTar}
}

func beginsTar(f *scan.File) bool {
	head, err := f.Head()
	return err == nil && len(head) >= tarBlock && isTarHeader(head[:tarBlock])
}

// isTarHeader verifies the checksum, and for what has no magic that the fields
// are those of an old archive.
func isTarHeader(b []byte) bool {
	sum, ok := octal(b[148:156])
	if !ok {
		return false
	}
	var unsigned, signed int64
	for i, c := range b {
		if i >= 148 && i < 156 {
			c = ' '
		}
		unsigned += int64(c)
		signed += int64(int8(c))
	}
	if sum != unsigned && sum != signed {
		return false
	}
	if bytes.HasPrefix(b[257:], []byte("ustar")) {
		return true
	}
	_, sized := octal(b[124:136])
	return b[0] != 0 && sized
}

// octal reads a number as tar writes it: octal digits between spaces and NULs,
// or base 256 behind a set bit.
func octal(b []byte) (n int64, ok bool) {
	if b[0]&0x80 != 0 {
		if b[0]&0x40 != 0 {
			return 0, false // negative
		}
		for i, c := range b {
			if i == 0 {
				c &= 0x7f
			}
			if n >= 1<<54 {
				return 0, false
			}
			n = n<<8 | int64(c)
		}
		return n, true
	}
	digits := strings.Trim(string(b), " \x00")
	if digits == "" {
		return 0, true
	}
	digits, _, _ = strings.Cut(digits, "\x00")
	for _, c := range digits {
		if c == ' ' {
			break
		}
		if c < '0' || c > '7' || n >= 1<<59 {
			return 0, false
		}
		n = n<<3 | int64(c-'0')
	}
	return n, true
}

// A tarFile is one archive while it is scanned.
type tarFile struct {
	p      *limited
	f      *scan.File
	names  map[string]string // to what the member is
	links  map[string]bool
	global map[string]string // records that hold for all members
	shape  tarShape
}

// A tarMember is one member, by all of its headers together.
type tarMember struct {
	start      int64 // of its first header
	data, size int64
	other      int64 // the size by the other header, -1 when they agree
	name, link string
	kind       byte
	sparse     bool
}

func newTar(p *scan.Place, f *scan.File) *tarFile {
	return &tarFile{p: limit(p), f: f, names: map[string]string{}, links: map[string]bool{}, global: map[string]string{}}
}

// after is where the next header is.
func (m *tarMember) after() int64 { return m.data + (m.size+tarBlock-1)/tarBlock*tarBlock }

func scanTar(p *scan.Place, f *scan.File) error {
	t := newTar(p, f)
	whole := f.Size()
	if f.IsDear() && whole > remoteTar {
		p.Report(ruleTarRemote, scan.Nowhere, fmt.Sprintf("of %d bytes the first %d were read", whole, remoteTar))
		part, err := f.Read(0, remoteTar)
		if err != nil {
			return err
		}
		t.f = scan.Bytes(part)
	}
	at := int64(0)
	for count := 0; ; count++ {
		if err := p.Spend(scan.CostMember); err != nil {
			return err
		}
		if count&255 == 0 {
			if _, err := p.Hold(256 * 512); err != nil { // names
				return err
			}
		}
		m, end, err := t.next(at)
		if err != nil {
			if !errors.Is(err, errTar) {
				return err
			}
			if m.data > 0 && m.size > 0 {
				t.content(&m) // what is there of it
			}
			if t.f.Size() == whole {
				p.Report(ruleTarBroken, scan.At(at), err.Error())
				if rest := t.f.Section(at, whole-at); at > 0 && !beginsTar(rest) {
					p.Inside("", at, rest) // else it is the member whose content was looked at
				}
			}
			break
		}
		if end {
			if t.f.Size() == whole {
				if err := t.ending(at); err != nil {
					return err
				}
			}
			break
		}
		if err := t.member(&m); err != nil {
			return err
		}
		at = m.after()
	}
	if name := t.shape.name(); name != "" {
		p.As(name)
	}
	return nil
}

// errTar is wrapped by errors about the archive's structure.
var errTar = errors.New("the archive is damaged")

func isZeroBlock(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// next reads the headers of one member. end says that the archive ends here.
func (t *tarFile) next(at int64) (m tarMember, end bool, err error) {
	m = tarMember{start: at, other: -1}
	pax := map[string]string{}
	var longName, longLink *string
	for {
		if at >= t.f.Size() {
			if at == m.start {
				return m, true, nil // archives without an end block are read
			}
			return m, false, fmt.Errorf("%w: it breaks off at byte %d", errTar, at)
		}
		if t.f.Size()-at < tarBlock {
			return m, false, fmt.Errorf("%w: it breaks off within the header at byte %d", errTar, at)
		}
		b, err := t.f.Read(at, tarBlock)
		if err != nil {
			return m, false, err
		}
		if err := t.p.Spend(tarBlock * scan.CostRead); err != nil {
			return m, false, err
		}
		if isZeroBlock(b) {
			if at != m.start {
				return m, false, fmt.Errorf("%w: a header at byte %d belongs to no member", errTar, m.start)
			}
			return m, true, nil
		}
		if !isTarHeader(b) {
			return m, false, fmt.Errorf("%w: there is no header at byte %d", errTar, at)
		}
		size, ok := octal(b[124:136])
		if !ok || size < 0 {
			return m, false, fmt.Errorf("%w: the size of the member at byte %d is no number", errTar, at)
		}
		at += tarBlock
		switch kind := b[156]; kind {
		case 'x', 'g', 'X', 'L', 'K':
			if size > maxTarHeader || size > t.f.Size()-at {
				return m, false, fmt.Errorf("%w: the extended header at byte %d is too long", errTar, at)
			}
			content, err := t.f.Read(at, size)
			if err != nil {
				return m, false, err
			}
			if err := t.p.Spend(scan.Cost(size) * scan.CostInflate); err != nil {
				return m, false, err
			}
			at += (size + tarBlock - 1) / tarBlock * tarBlock
			text, _, _ := strings.Cut(string(content), "\x00")
			switch kind {
			case 'L':
				longName = &text
			case 'K':
				longLink = &text
			case 'g':
				if len(t.global) < 1000 {
					err = records(content, t.global)
				}
			default:
				err = records(content, pax)
			}
			if err != nil {
				return m, false, err
			}
			continue
		default:
			m.kind, m.data, m.size = kind, at, size
			m.fields(b)
			t.apply(&m, pax, longName, longLink)
			return m, false, t.finish(&m, b)
		}
	}
}

// fields reads the name and the link of a header.
func (m *tarMember) fields(b []byte) {
	text := func(b []byte) string {
		s, _, _ := strings.Cut(string(b), "\x00")
		return s
	}
	m.name, m.link = text(b[:100]), text(b[157:257])
	if bytes.HasPrefix(b[257:], []byte("ustar\x00")) {
		if prefix := text(b[345:500]); prefix != "" {
			m.name = prefix + "/" + m.name
		}
	}
	m.sparse = m.kind == 'S'
}

// apply lets the extended headers speak.
func (t *tarFile) apply(m *tarMember, pax map[string]string, longName, longLink *string) {
	if longName != nil {
		m.name = *longName
	}
	if longLink != nil {
		m.link = *longLink
	}
	for _, from := range [2]map[string]string{t.global, pax} {
		if name, has := from["path"]; has {
			m.name = name
		}
		if name, has := from["GNU.sparse.name"]; has {
			m.name = name
		}
		if link, has := from["linkpath"]; has {
			m.link = link
		}
		if digits, has := from["size"]; has {
			var size int64
			if _, err := fmt.Sscanf(digits, "%d", &size); err == nil && size >= 0 && size != m.size {
				if m.size != 0 {
					m.other = m.size
				}
				m.size = size
			}
		}
		for key := range from {
			m.sparse = m.sparse || strings.HasPrefix(key, "GNU.sparse.")
		}
	}
}

// finish corrects where the content is, and whether there is any.
func (t *tarFile) finish(m *tarMember, header []byte) error {
	switch m.kind {
	case '1', '2', '3', '4', '5', '6': // no content follows, whatever the size says
		m.size, m.other = 0, -1
	case 'S': // the map of holes goes on in blocks
		for more := header[482] != 0; more; {
			if err := t.p.Spend(tarBlock * scan.CostRead); err != nil {
				return err
			}
			b, err := t.f.Read(m.data, tarBlock)
			if err != nil {
				return fmt.Errorf("%w: the map of a sparse member breaks off at byte %d", errTar, m.data)
			}
			m.data += tarBlock
			more = b[504] != 0
		}
	}
	if m.size > t.f.Size()-m.data {
		return fmt.Errorf("%w: the member %q of %d bytes at byte %d goes on behind the end", errTar, cut(m.name), m.size, m.start)
	}
	return nil
}

// records reads pax records: "length key=value\n".
func records(b []byte, into map[string]string) error {
	for len(b) > 0 && b[0] != 0 {
		var n int
		space := bytes.IndexByte(b[:min(len(b), 20)], ' ')
		if space < 1 {
			return fmt.Errorf("%w: a pax record has no length", errTar)
		}
		for _, c := range b[:space] {
			if c < '0' || c > '9' {
				return fmt.Errorf("%w: a pax record has no length", errTar)
			}
			n = min(n*10+int(c-'0'), maxTarHeader+1)
		}
		if n <= space+1 || n > len(b) || b[n-1] != '\n' {
			return fmt.Errorf("%w: a pax record has another length than it says", errTar)
		}
		key, value, ok := strings.Cut(string(b[space+1:n-1]), "=")
		if !ok {
			return fmt.Errorf("%w: a pax record has no value", errTar)
		}
		into[key] = value
		b = b[n:]
	}
	return nil
}

// member judges one member and has its content looked at.
func (t *tarFile) member(m *tarMember) error {
	where := scan.Where{Member: printable(m.name), Offset: -1}
	checkName(t.p, m.name, m.start)
	name := path.Clean(strings.TrimLeft(m.name, "/"))
	if m.other >= 0 {
		t.p.Report(ruleTarSize, where, fmt.Sprintf("it has %d bytes by its extended header and %d by its own", m.size, m.other))
		t.p.Inside(printable(m.name), m.data, t.f.Section(m.data, m.other))
		after := m.data + (m.other+tarBlock-1)/tarBlock*tarBlock
		t.p.Inside("", after, t.f.Section(after, t.f.Size()-after)) // as the other reader goes on
	}
	for dir := path.Dir(name); dir != "." && dir != "/"; dir = path.Dir(dir) {
		if t.links[dir] {
			t.p.Report(ruleTarThrough, where, fmt.Sprintf("%q is a link in this archive", cut(dir)))
			break
		}
	}
	switch m.kind {
	case '1', '2':
		t.link(m, name, where)
	case '3', '4', '6':
		t.p.Report(ruleTarDevice, where, fmt.Sprintf("%q is a device or a pipe", cut(m.name)))
	case '5':
		t.shape.dirs++
	default:
		kind := "a file"
		if t.names[name] == kind {
			t.p.Report(ruleNameTwice, where, fmt.Sprintf("a second member is called %q", cut(m.name)))
		}
		t.names[name] = kind
		took := t.content(m)
		t.shape.add(name)
		if !took && m.size > 0 && hasSuffix(name, ".pkl", ".pickle") {
			t.p.Report(ruleTarPickle, where, fmt.Sprintf("%q is no pickle that can be read", cut(m.name)))
		}
		return nil
	}
	return nil
}

// link judges a link by where it leads.
func (t *tarFile) link(m *tarMember, name string, where scan.Where) {
	if m.kind == '2' {
		t.links[name] = true
	}
	target := strings.ReplaceAll(m.link, `\`, "/")
	base := "" // a hard link is named from the archive's top
	if m.kind == '2' {
		base = path.Dir(name) + "/"
	}
	_, leaves := climbs(base + target)
	if leaves || isAbsolute(target) {
		t.p.Report(ruleTarLink, where, fmt.Sprintf("%q leads to %q", cut(m.name), cut(m.link)))
	}
}

// content has every format look at the content of a member.
func (t *tarFile) content(m *tarMember) (took bool) {
	f := t.f.Section(m.data, m.size)
	if !m.sparse {
		return t.p.Inside(printable(m.name), m.data, f)
	}
	where := scan.Where{Member: printable(m.name), Offset: -1}
	part := t.f.Section(m.start, m.data+m.size-m.start)
	// an error is the budget's, and stands in the result
	_ = t.p.Scoped(func() error {
		inner, err := t.p.Unpack(func() (io.Reader, error) {
			r := stdtar.NewReader(io.NewSectionReader(part, 0, part.Size()))
			_, err := r.Next()
			return r, err
		}, m.size, scan.CostRead)
		if inner != nil && inner.Size() > 0 {
			took = t.p.Inside(where.Member, -1, inner)
		}
		if err != nil && !over(err) {
			t.p.Report(ruleTarBroken, where, fmt.Sprintf("the holes of a sparse member cannot be read: %v", err))
		}
		return err
	})
	return took
}

// ending looks at what follows the first block of zeros.
func (t *tarFile) ending(at int64) error {
	rest := t.f.Section(at, t.f.Size()-at)
	if zero, err := isZero(t.p.Place, rest); err != nil || zero {
		return err
	}
	for at < t.f.Size() { // to the first block that is not empty
		b, err := t.f.Read(at, min(tarBlock, t.f.Size()-at))
		if err != nil {
			return err
		}
		if !isZeroBlock(b) {
			break
		}
		if err := t.p.Spend(tarBlock * scan.CostRead); err != nil {
			return err
		}
		at += tarBlock
	}
	t.p.Report(ruleTarTrailing, scan.At(at), fmt.Sprintf("%d bytes follow the end", t.f.Size()-at))
	t.p.Inside("", at, t.f.Section(at, t.f.Size()-at))
	return nil
}
