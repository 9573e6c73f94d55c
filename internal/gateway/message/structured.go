package message

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
)

// ReadStructured reads an event in structured mode, the JSON format of CloudEvents.
func ReadStructured(content []byte) (*Event, error) {
	return Read(map[string][]string{"content-type": {structured}}, content, false)
}

// Structured writes the event in structured mode, as one line without an end of
// line. Data that is JSON by its type stands there as it is, byte for byte, since
// it is signed so; everything else in base64. Attributes are in order.
//
// Data that is JSON in more than one line would be cut in two by what sends a
// line a message: [Compact] it before it is signed.
func (e *Event) Structured() []byte {
	var b bytes.Buffer
	text := json.NewEncoder(&b)
	text.SetEscapeHTML(false)
	write := func(value string) {
		text.Encode(value)      // strings are always JSON
		b.Truncate(b.Len() - 1) // its end of line
	}
	for i, name := range e.names() {
		b.WriteByte("{,"[min(i, 1)])
		write(name)
		b.WriteByte(':')
		write(e.Attributes[name])
	}
	switch {
	case e.Data == nil:
	case isJSON(e.Attributes["datacontenttype"]) && json.Valid(e.Data):
		b.WriteString(`,"data":`)
		b.Write(e.Data)
	default:
		b.WriteString(`,"data_base64":"`)
		b.WriteString(base64.StdEncoding.EncodeToString(e.Data))
		b.WriteByte('"')
	}
	b.WriteByte('}')
	return b.Bytes()
}

// Compact writes data that is JSON by its type in one line. Nothing else of it
// changes; data that is not what its type says stays as it is.
func (e *Event) Compact() {
	if !isJSON(e.Attributes["datacontenttype"]) {
		return
	}
	var b bytes.Buffer
	if json.Compact(&b, e.Data) == nil {
		e.Data = b.Bytes()
	}
}
