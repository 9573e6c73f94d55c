package egress

import (
	"encoding/binary"
	"io"
	"strings"

	"golang.org/x/crypto/cryptobyte"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/verdict"
)

// What a TLS greeting may have. With post-quantum keys ordinary ones have some
// 2,000 bytes in one or two records.
const (
	maxGreeting = 16 << 10
	maxRecords  = 16
)

// The numbers of TLS (RFC 8446, RFC 6066, RFC 9849 and its drafts).
const (
	recordHandshake      = 22
	messageClientHello   = 1
	extensionServerName  = 0
	nameTypeHost         = 0
	extensionECH         = 0xfe0d
	extensionESNI        = 0xffce
	extensionECHOuter    = 0xfd00
	recordHeader         = 5
	maxPlaintextFragment = 16 << 10
)

// readGreeting reads the first message of a TLS client, and nothing behind it.
// It returns the bytes as they came, and the server name, in lower case; "" when
// there is none. Errors that are not the connection's are *media.Refusal.
func readGreeting(r io.Reader) (raw []byte, name string, err error) {
	refuse := func(what string) ([]byte, string, error) {
		return nil, "", media.Refuse(verdict.EgressHello, "", "%s", what)
	}
	var message []byte // of all records, without their headers
	for range maxRecords {
		var header [recordHeader]byte
		if _, err := io.ReadFull(r, header[:]); err != nil {
			return nil, "", err
		}
		n := int(binary.BigEndian.Uint16(header[3:]))
		if header[0] != recordHandshake || header[1] != 3 || n == 0 || n > maxPlaintextFragment {
			return refuse("what is sent is not TLS")
		}
		if len(message)+n > maxGreeting {
			return refuse("the TLS greeting is too long")
		}
		raw = append(raw, header[:]...)
		at := len(raw)
		raw = append(raw, make([]byte, n)...)
		if _, err := io.ReadFull(r, raw[at:]); err != nil {
			return nil, "", err
		}
		message = append(message, raw[at:]...)
		if message[0] != messageClientHello {
			return refuse("what is sent is not a TLS greeting")
		}
		if len(message) < 4 {
			continue
		}
		size := 4 + int(message[1])<<16 + int(message[2])<<8 + int(message[3])
		switch {
		case size > maxGreeting:
			return refuse("the TLS greeting is too long")
		case len(message) > size:
			return refuse("something follows the TLS greeting before it is answered")
		case len(message) == size:
			name, err := serverName(message[4:])
			if err != nil {
				return nil, "", err
			}
			return raw, name, nil
		}
	}
	return refuse("the TLS greeting is in too many pieces")
}

// serverName reads the body of a ClientHello. What a server could read
// differently, or what hides the name, is refused.
func serverName(hello []byte) (string, error) {
	refuse := func(what string) (string, error) {
		return "", media.Refuse(verdict.EgressHello, "", "%s", what)
	}
	const malformed = "the TLS greeting cannot be read"
	s := cryptobyte.String(hello)
	var session, suites, compressions, extensions cryptobyte.String
	if !s.Skip(2+32) || !s.ReadUint8LengthPrefixed(&session) || len(session) > 32 ||
		!s.ReadUint16LengthPrefixed(&suites) || len(suites) == 0 || len(suites)%2 != 0 ||
		!s.ReadUint8LengthPrefixed(&compressions) || len(compressions) == 0 {
		return refuse(malformed)
	}
	if s.Empty() {
		return "", nil // before TLS 1.2 a greeting had no extensions
	}
	if !s.ReadUint16LengthPrefixed(&extensions) || !s.Empty() {
		return refuse(malformed)
	}
	name := ""
	seen := map[uint16]bool{}
	for !extensions.Empty() {
		var kind uint16
		var data cryptobyte.String
		if !extensions.ReadUint16(&kind) || !extensions.ReadUint16LengthPrefixed(&data) {
			return refuse(malformed)
		}
		if seen[kind] {
			return refuse("the TLS greeting has an extension twice")
		}
		seen[kind] = true
		switch kind {
		case extensionECH, extensionESNI, extensionECHOuter:
			return refuse("the TLS greeting hides its server name (encrypted client hello)")
		case extensionServerName:
			var list, host cryptobyte.String
			var kind uint8
			if !data.ReadUint16LengthPrefixed(&list) || !data.Empty() || !list.ReadUint8(&kind) || kind != nameTypeHost ||
				!list.ReadUint16LengthPrefixed(&host) || !list.Empty() || len(host) == 0 {
				return refuse("the TLS greeting does not have exactly one server name")
			}
			name = strings.ToLower(string(host))
		}
	}
	return name, nil
}
