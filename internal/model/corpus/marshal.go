package corpus

import "strings"

// codeObject is a marshalled code object of the Python that minor names (3.8 to
// 3.12), which returns its constant. names are what it would look up.
func codeObject(minor int, name, constant string, names ...string) string {
	short := func(s string) string { return "\xda" + string([]byte{byte(len(s))}) + s } // short ASCII, interned
	octets := func(s string) string { return "s" + le32(len(s)) + s }
	tuple := func(items ...string) string {
		return ")" + string([]byte{byte(len(items))}) + strings.Join(items, "")
	}
	var looked []string
	for _, n := range names {
		looked = append(looked, short(n))
	}
	consts := tuple("N", short(constant))
	bytecode := "d\x01S\x00" // LOAD_CONST 1, RETURN_VALUE
	if minor >= 11 {
		bytecode = "\x97\x00" + bytecode // RESUME
		return "\xe3" + le32(1) + le32(0) + le32(0) + le32(1) + le32(3) + octets(bytecode) + consts + tuple(looked...) +
			tuple(short("x")) + octets("\x20") + short("<string>") + short(name) + short(name) + le32(1) + octets("\x80\x00\xd8\x0b\x0c\x80") + octets("")
	}
	return "\xe3" + le32(1) + le32(0) + le32(0) + le32(1) + le32(1) + le32(0x43) + octets(bytecode) + consts + tuple(looked...) +
		tuple(short("x")) + tuple() + tuple() + short("<string>") + short(name) + le32(1) + octets("\x00\x00")
}
