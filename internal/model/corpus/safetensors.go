package corpus

import "strings"

// safetensors puts the length of the header before it, and the data behind.
func safetensors(header, data string) string {
	header += strings.Repeat(" ", (8-len(header)%8)%8)
	return le64(len(header)) + header + data
}
