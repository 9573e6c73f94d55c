package message

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"mime"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/verdict"
)

// Event is a CloudEvent. Attributes holds all context attributes by name, in
// their canonical text, also datacontenttype, and never data.
type Event struct {
	Attributes map[string]string
	Data       []byte
}

// Bounds of an event. A chain of three certificates has some 4,000 bytes in
// base64; the specification asks for names of at most 20 characters.
const (
	maxAttributes = 64
	maxName       = 20
	maxValue      = 12 << 10
	maxContext    = 32 << 10 // all attributes together
	maxDepth      = 64       // of structured data
)

// The media types of structured mode.
const (
	structured      = "application/cloudevents+json"
	structuredBatch = "application/cloudevents-batch+json"
)

// core are the attributes that the specification itself has.
var core = []string{"datacontenttype", "dataschema", "id", "source", "specversion", "subject", "time", "type"}

func malformed(format string, args ...any) error {
	return media.Refuse(verdict.MessageMalformed, "", format, args...)
}

// Read takes an event out of what a transport carries: headers or metadata, and
// content. Names are compared without regard to case; in binary mode attributes
// begin with "ce-" (HTTP, NATS, SQS) or "ce_" (Kafka), and escaped says that
// their values are percent-encoded, as HTTP has it. Anything that two readers
// could take differently is refused.
func Read(metadata map[string][]string, content []byte, escaped bool) (*Event, error) {
	e := &Event{Attributes: map[string]string{}, Data: content}
	contentType, typed, family := "", false, ""
	for name, values := range metadata {
		name = strings.ToLower(name)
		attribute := ""
		switch {
		case name == "content-type" || name == "content_type":
			if typed || len(values) != 1 {
				return nil, malformed("the type of the content is there twice")
			}
			contentType, typed = values[0], true
			continue
		case strings.HasPrefix(name, "ce-"), strings.HasPrefix(name, "ce_"):
			if family != "" && family != name[:3] {
				return nil, malformed("attributes are spelled in two ways")
			}
			family, attribute = name[:3], name[3:]
		default:
			continue
		}
		if _, twice := e.Attributes[attribute]; twice || len(values) != 1 {
			return nil, malformed("an attribute is there twice")
		}
		value := values[0]
		if escaped {
			var err error
			if value, err = url.PathUnescape(value); err != nil {
				return nil, malformed("an attribute is not percent-encoded")
			}
		}
		e.Attributes[attribute] = value
	}
	if mediaType, parameters, err := mime.ParseMediaType(contentType); err == nil && strings.HasPrefix(mediaType, "application/cloudevents") {
		switch charset := parameters["charset"]; {
		case mediaType != structured:
			return nil, malformed("events in batches or in other formats than JSON are not taken")
		case len(e.Attributes) > 0:
			return nil, malformed("the event is in structured mode and in binary mode")
		case charset != "" && !strings.EqualFold(charset, "utf-8"):
			return nil, malformed("the event is not in UTF-8")
		}
		if err := e.readStructured(content); err != nil {
			return nil, err
		}
		return e, e.check()
	}
	if _, twice := e.Attributes["datacontenttype"]; twice {
		return nil, malformed("datacontenttype is the transport's Content-Type in binary mode")
	}
	if typed {
		e.Attributes["datacontenttype"] = contentType
	}
	return e, e.check()
}

// readStructured reads the JSON format of CloudEvents.
func (e *Event) readStructured(content []byte) error {
	var fields map[string]json.RawMessage
	if err := (bounded.Rules{Depth: maxDepth, Keys: 4096}).Unmarshal(content, &fields); err != nil {
		return malformed("the event is not one JSON object that has every key once")
	}
	if fields == nil || len(fields) > maxAttributes+2 {
		return malformed("the event is not an object, or has more than %d attributes", maxAttributes)
	}
	e.Data = nil
	data, hasData := fields["data"]
	encoded, hasEncoded := fields["data_base64"]
	delete(fields, "data")
	delete(fields, "data_base64")
	for name, raw := range fields {
		value, err := scalar(raw)
		if err != nil {
			return err
		}
		if value != nil {
			e.Attributes[name] = *value
		}
	}
	switch {
	case hasData && hasEncoded:
		return malformed("the event has data twice")
	case hasEncoded:
		var text string
		if json.Unmarshal(encoded, &text) != nil {
			return malformed("data_base64 is not a string")
		}
		var err error
		if e.Data, err = base64.StdEncoding.Strict().DecodeString(text); err != nil || strings.ContainsAny(text, "\r\n") {
			return malformed("data_base64 is not base64")
		}
	case hasData && isJSON(e.Attributes["datacontenttype"]):
		e.Data = data
	case hasData:
		var text string
		if json.Unmarshal(data, &text) != nil || data[0] != '"' {
			return malformed("data that is not JSON by its type is not a string")
		}
		e.Data = []byte(text)
	}
	return nil
}

// scalar reads an attribute in JSON: a string, a bool or a whole number. Null
// stands for an attribute that is not there.
func scalar(raw json.RawMessage) (*string, error) {
	text := string(raw)
	switch {
	case text == "null":
		return nil, nil
	case text == "true", text == "false":
		return &text, nil
	case raw[0] == '"':
		if err := json.Unmarshal(raw, &text); err != nil {
			return nil, malformed("an attribute cannot be read")
		}
		return &text, nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || strconv.FormatInt(n, 10) != text {
		return nil, malformed("an attribute is neither a string nor true, false or a whole number of 32 bits")
	}
	return &text, nil
}

func isJSON(contentType string) bool {
	if contentType == "" {
		return true
	}
	t, _, err := mime.ParseMediaType(contentType)
	return err == nil && (strings.HasSuffix(t, "/json") || strings.HasSuffix(t, "+json"))
}

// check holds the attributes to the specification and to the bounds.
func (e *Event) check() error {
	if len(e.Attributes) > maxAttributes {
		return malformed("the event has more than %d attributes", maxAttributes)
	}
	size := 0
	for name, value := range e.Attributes {
		if name == "" || len(name) > maxName || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789") != "" || name == "data" {
			return malformed("the name of an attribute is not %d or fewer lower-case letters and digits", maxName)
		}
		if size += len(name) + len(value); len(value) > maxValue || size > maxContext {
			return malformed("the attributes have too many bytes")
		}
		if !isText(value) {
			return malformed("an attribute holds characters that are not allowed")
		}
	}
	if e.Attributes["specversion"] != "1.0" {
		return malformed("the event is not of CloudEvents 1.0")
	}
	for _, name := range []string{"id", "source", "type"} {
		if e.Attributes[name] == "" {
			return malformed("the attribute %s is missing", name)
		}
	}
	if _, err := url.Parse(e.Attributes["source"]); err != nil {
		return malformed("the attribute source is not a URI reference")
	}
	return nil
}

// isText reports whether a value is a string of CloudEvents: no control
// characters and no noncharacters, in UTF-8. The two separators that JSON and
// JavaScript read differently are refused as well.
func isText(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if r < ' ' || r >= 0x7f && r <= 0x9f || r >= 0xfdd0 && r <= 0xfdef || r&0xfffe == 0xfffe || r == 0x2028 || r == 0x2029 {
			return false
		}
	}
	return true
}

// Metadata returns the event in binary mode: attributes with a prefix ("ce-" or
// "ce_"), and the content's type under "content-type". Values are as they are,
// not percent-encoded.
func (e *Event) Metadata(prefix string) map[string]string {
	out := make(map[string]string, len(e.Attributes))
	for name, value := range e.Attributes {
		if name == "datacontenttype" {
			out["content-type"] = value
			continue
		}
		out[prefix+name] = value
	}
	return out
}

// names returns the names of all attributes, sorted.
func (e *Event) names() []string { return slices.Sorted(maps.Keys(e.Attributes)) }
