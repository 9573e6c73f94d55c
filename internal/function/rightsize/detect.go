package rightsize

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Format is what a log was written by.
type Format string

// The formats.
const (
	FormatCloudTrail Format = "cloudtrail"
	FormatAudit      Format = "kubernetes-audit"
	FormatGateway    Format = "gateway"
)

// ErrFormat is wrapped by the error about a log that is none of those.
var ErrFormat = errors.New("it is no log of CloudTrail, of a Kubernetes API server or of the gateway")

// Read reads a log of whatever format, told by its content: the first record
// decides, and all others must be like it. Calls of AWS go to event, those of
// Kubernetes to access.
func Read(r io.Reader, event func(Event), access func(Access)) (Format, error) {
	b, err := unpacked(r)
	if err != nil {
		return "", fmt.Errorf("read log: %w", err)
	}
	// A whole buffer: errors are about what is shorter than it.
	head, err := b.Peek(b.Size())
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return "", fmt.Errorf("read log: %w", err)
	}
	if len(bytes.TrimSpace(head)) == 0 && len(head) < b.Size() {
		return "", nil // an hour in which nothing happened
	}
	format := formatOf(head)
	switch format {
	case FormatCloudTrail:
		return format, CloudTrail(b, event)
	case FormatAudit:
		return format, Audit(b, access)
	case FormatGateway:
		return format, Gateway(b, event)
	}
	return "", fmt.Errorf("read log: %w", ErrFormat)
}

// formatOf looks at the keys of the first object, as far as they were read.
func formatOf(head []byte) Format {
	d := json.NewDecoder(bytes.NewReader(head))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return ""
	}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return ""
		}
		switch t {
		case "Records", "eventVersion", "eventSource", "eventName", "userIdentity":
			return FormatCloudTrail
		case "auditID", "stage", "verb", "requestURI", "objectRef", "stageTimestamp":
			return FormatAudit
		case "principal", "action":
			return FormatGateway
		}
		var skipped json.RawMessage
		if d.Decode(&skipped) != nil {
			return ""
		}
	}
	return ""
}
