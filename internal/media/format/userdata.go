package format

import (
	"bytes"
	"encoding/binary"
	"math"

	"github.com/apexlogic/apex/internal/media"
)

// float is the whole part of an IEEE 754 number, 0 when it is none of interest.
func float(bits uint64) int64 {
	f := math.Float64frombits(bits)
	if !(f >= 1 && f < 1<<31) {
		return 0
	}
	return int64(f)
}

// userData notes what the boxes of user data carry. What cannot be taken apart
// counts as carrying everything.
func userData(d []byte, p *media.Part, depth int) {
	for len(d) >= 8 {
		size := int64(binary.BigEndian.Uint32(d))
		kind := string(d[4:8])
		if size < 8 || size > int64(len(d)) || depth > boxDepth {
			Unread(p)
			return
		}
		in := d[8:size]
		switch kind {
		case "meta":
			if len(in) >= 8 && string(in[4:8]) != "hdlr" {
				in = in[4:]
			}
			userData(in, p, depth+1)
		case "ilst":
			if len(in) > 0 {
				p.Carries |= media.Personal
			}
			userData(in, p, depth+1)
		case "keys", "mdta":
			if bytes.Contains(in, []byte("location")) {
				p.Carries |= media.Location
			}
			p.Carries |= media.Personal
		case "\xa9xyz", "loci", "GPS0", "gps ", "GPSM":
			p.Carries |= media.Location
		case "covr", "thmb", "snal", "tnal":
			p.Carries |= media.Thumbnail
		case "XMP_":
			XMP(p, in)
		case "hdlr", "free", "skip", "data", "mean", "name", "hinf", "hnti":
		default:
			Comment(p, in)
		}
		d = d[size:]
	}
}
