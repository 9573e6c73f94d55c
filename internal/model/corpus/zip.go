package corpus

import (
	"bytes"
	"compress/flate"
	"hash/crc32"
	"strings"
)

// zipHeader is what a local header, or a central one, says of a member. The
// two are separate values, so that a case can make them disagree.
type zipHeader struct {
	signature          string
	madeBy, version    int
	flags, method      int
	time, date         int
	crc                uint32
	packed, size       int
	name, extra        string
	comment            string
	internal, external int
	offset             int
}

func (h zipHeader) local() string {
	return h.signature + le16(h.version) + le16(h.flags) + le16(h.method) + le16(h.time) + le16(h.date) +
		le32(int(h.crc)) + le32(h.packed) + le32(h.size) + le16(len(h.name)) + le16(len(h.extra)) + h.name + h.extra
}

func (h zipHeader) central() string {
	return h.signature + le16(h.madeBy) + le16(h.version) + le16(h.flags) + le16(h.method) + le16(h.time) + le16(h.date) +
		le32(int(h.crc)) + le32(h.packed) + le32(h.size) + le16(len(h.name)) + le16(len(h.extra)) + le16(len(h.comment)) +
		le16(0) + le16(h.internal) + le32(h.external) + le32(h.offset) + h.name + h.extra + h.comment
}

// member is one file of a zip, honest unless edit changes its headers.
type member struct {
	name, data string
	deflate    bool
	descriptor int  // 0 none, 16 with 32-bit sizes, 24 with 64-bit sizes
	unixTime   bool // the UT and ux extras that Info-ZIP writes
	align      int  // torch pads the local extra field so that data is aligned
	zip64      bool
	hidden     bool // no central entry
	packed     string
	edit       func(local, central *zipHeader)
}

// archive is a zip. The numbers of its end record are right unless edit says
// otherwise.
type archive struct {
	prefix   string // before the first member
	adjusted bool   // offsets count from the file's beginning, as a self-extracting zip's should
	members  []member
	gap      string              // between the last member and the central directory
	tail     func(at int) string // between the central directory and the end record
	zip64    bool
	comment  string
	trailing string
	edit     func(end *zipEnd)
}

type zipEnd struct {
	entries, size, offset int
	signature             string
}

const (
	dosTime = 0x6c32 // 13:33:36
	dosDate = 0x58cf // 2024-06-15
)

func deflated(s string) string {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.DefaultCompression)
	w.Write([]byte(s))
	w.Close()
	return b.String()
}

func (a archive) bytes() []byte {
	var out, directory strings.Builder
	out.WriteString(a.prefix)
	base := 0
	if a.adjusted || a.prefix == "" {
		base = len(a.prefix)
	}
	at := func() int { return out.Len() - len(a.prefix) + base }
	entries := 0
	for _, m := range a.members {
		h := zipHeader{signature: "PK\x03\x04", madeBy: 0x031e, version: 20, time: dosTime, date: dosDate,
			crc: crc32.ChecksumIEEE([]byte(m.data)), size: len(m.data), name: m.name, external: 0o100644 << 16}
		packed := m.data
		if m.deflate {
			h.method, packed = 8, deflated(m.data)
		}
		if m.packed != "" {
			packed = m.packed
		}
		h.packed = len(packed)
		local, central := h, h
		central.signature, central.offset = "PK\x01\x02", at()
		if m.unixTime {
			local.extra = "UT\x09\x00\x03" + le32(1718458416) + le32(1718458416) + "ux\x0b\x00\x01\x04" + le32(1000) + "\x04" + le32(1000)
			central.extra = "UT\x05\x00\x03" + le32(1718458416) + "ux\x0b\x00\x01\x04" + le32(1000) + "\x04" + le32(1000)
		}
		if m.zip64 {
			local.version, central.version = 45, 45
			local.extra += "\x01\x00\x10\x00" + le64(local.size) + le64(local.packed)
			local.size, local.packed = 0xffffffff, 0xffffffff
		}
		if m.descriptor > 0 {
			local.flags |= 8
			central.flags |= 8
			local.crc, local.packed, local.size = 0, 0, 0
		}
		if m.edit != nil {
			m.edit(&local, &central)
		}
		if m.align > 0 {
			pad := m.align - (at()+len(local.local())+4)%m.align
			local.extra += "FB" + le16(pad) + strings.Repeat("Z", pad)
		}
		out.WriteString(local.local() + packed)
		switch m.descriptor {
		case 16:
			out.WriteString("PK\x07\x08" + le32(int(h.crc)) + le32(h.packed) + le32(h.size))
		case 24:
			out.WriteString("PK\x07\x08" + le32(int(h.crc)) + le64(h.packed) + le64(h.size))
		}
		if !m.hidden {
			directory.WriteString(central.central())
			entries++
		}
	}
	out.WriteString(a.gap)
	end := zipEnd{entries, directory.Len(), at(), "PK\x05\x06"}
	out.WriteString(directory.String())
	if a.zip64 {
		record := at()
		out.WriteString("PK\x06\x06" + le64(44) + le16(0x031e) + le16(45) + le32(0) + le32(0) +
			le64(end.entries) + le64(end.entries) + le64(end.size) + le64(end.offset))
		out.WriteString("PK\x06\x07" + le32(0) + le64(record) + le32(1))
	}
	if a.tail != nil {
		out.WriteString(a.tail(at()))
	}
	if a.edit != nil {
		a.edit(&end)
	}
	out.WriteString(end.signature + le16(0) + le16(0) + le16(end.entries) + le16(end.entries) + le32(end.size) + le32(end.offset) +
		le16(len(a.comment)) + a.comment + a.trailing)
	return []byte(out.String())
}

// torchMember is a member as PyTorch's writer leaves it: stored, aligned to 64
// bytes, sizes in a data descriptor, no date.
func torchMember(name, data string) member {
	return member{name: name, data: data, descriptor: 16, align: 64, edit: func(local, central *zipHeader) {
		for _, h := range []*zipHeader{local, central} {
			h.version, h.madeBy, h.time, h.date, h.external = 0, 0, 0, 0, 0
			h.flags |= 0x800
		}
	}}
}

// torchZip is what torch.save writes since 1.6: the pickle, the storages by
// their keys, and the small members around them.
func torchZip(root, pkl string, storages []string, extra ...member) []byte {
	return archive{zip64: true, members: torchMembers(root, pkl, storages, extra...)}.bytes()
}

func torchMembers(root, pkl string, storages []string, extra ...member) []member {
	m := []member{torchMember(root+"/data.pkl", pkl), torchMember(root+"/byteorder", "little")}
	for i, s := range storages {
		m = append(m, torchMember(root+"/data/"+itoa(i), s))
	}
	m = append(m, torchMember(root+"/version", "3\n"))
	m = append(m, extra...)
	return append(m, torchMember(root+"/.data/serialization_id", "1018238812731904122303948301928374650192"))
}
