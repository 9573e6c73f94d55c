package corpus

import "strings"

// R's serialization in XDR, version 2: an item is its flags and what follows.

func rds(item string) string { return "X\n" + be32(2) + be32(0x040301) + be32(0x020300) + item }

func rdsChars(s string) string { return be32(0x00040009) + be32(len(s)) + s }

func rdsSymbol(s string) string { return be32(1) + rdsChars(s) }

func rdsText(values ...string) string {
	s := be32(16) + be32(len(values))
	for _, v := range values {
		s += rdsChars(v)
	}
	return s
}

func rdsNumbers(values ...float64) string {
	s := be32(14) + be32(len(values))
	for _, v := range values {
		s += bef64(v)
	}
	return s
}

func rdsInts(values ...int) string {
	s := be32(13) + be32(len(values))
	for _, v := range values {
		s += be32(v)
	}
	return s
}

func rdsList(items ...string) string {
	return be32(19) + be32(len(items)) + strings.Join(items, "")
}

// rdsNamed is a list with names, of class unless that is empty.
func rdsNamed(class string, names []string, items ...string) string {
	s := be32(0x200|19) + be32(len(items)) + strings.Join(items, "") + be32(0x402) + rdsSymbol("names") + rdsText(names...)
	if class != "" {
		s = be32(0x300|19) + s[4:] + be32(0x402) + rdsSymbol("class") + rdsText(class)
	}
	return s + be32(254)
}

// rdsPromise is an unforced promise to call function with one text.
func rdsPromise(function, argument string) string {
	call := be32(6) + rdsSymbol(function) + be32(2) + rdsText(argument) + be32(254)
	return be32(0x405) + be32(253) + be32(252) + call
}
