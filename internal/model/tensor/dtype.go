package tensor

// DTypeSize returns how many bits one element of a safetensors dtype takes, for
// example 16 for "BF16" and 4 for "F4". ok is false for a name that the format
// does not have.
func DTypeSize(name string) (bits int, ok bool) {
	switch name {
	case "F4":
		return 4, true
	case "F6_E2M3", "F6_E3M2":
		return 6, true
	case "BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E5M2FNUZ", "F8_E4M3FNUZ":
		return 8, true
	case "I16", "U16", "F16", "BF16":
		return 16, true
	case "I32", "U32", "F32":
		return 32, true
	case "I64", "U64", "F64", "C64":
		return 64, true
	case "C128":
		return 128, true
	}
	return 0, false
}

// looksNumeric says whether a name that is not in the table could be a type of
// numbers that was added to the format later, such as "F8_E3M4" or "I4".
func looksNumeric(name string) bool {
	const longest = 16
	if len(name) > longest {
		return false
	}
	rest := name
	for _, kind := range []string{"BF", "F", "U", "I", "C"} {
		if len(name) > len(kind) && name[:len(kind)] == kind {
			rest = name[len(kind):]
			break
		}
	}
	if rest == name || rest[0] < '1' || rest[0] > '9' {
		return false
	}
	for i := range len(rest) {
		if c := rest[i]; c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}
