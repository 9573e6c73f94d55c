package manifest

import (
	"strings"
)

// isVariable recognises a variable or a parameter wherever it stands: a name and
// its value.
func isVariable(n *node) bool {
	if len(n.items) < 2 || len(n.items) > 4 {
		return false
	}
	v := n.get("value")
	return v != nil && v.kind == scalar && n.str("name") != ""
}

// isRun says whether a field holds a command: a script, or a list of words.
func isRun(it *item) bool {
	switch it.key {
	case "command", "args", "script", "cmd", "entrypoint":
	default:
		return false
	}
	return it.val.isString() || it.val.kind == sequence && len(it.val.items) > 0 && it.val.items[0].val.kind == scalar
}

// runs reads the command that a mapping outside of a container holds: a probe's,
// a hook's, that of a kind which nobody knows.
func (x *extractor) runs(n *node, s scope) (bool, error) {
	var line []word
	for i := range n.items {
		it := &n.items[i]
		if isRun(it) {
			line = appendWords(line, it.key, it.val)
		}
	}
	if len(line) == 0 {
		return false, nil
	}
	if err := x.command(line, nil, s); err != nil {
		return false, err
	}
	return true, x.executes(n, line, nil, s)
}

// executes reads a container's command by the grammar of its programs. line are
// its words, where those of one element stand beside each other.
func (x *extractor) executes(n *node, line []word, env map[string]string, s scope) error {
	if len(line) == 0 {
		return nil
	}
	var elements []word // one for each element
	long := false
	for i, w := range line {
		if i > 0 && w.n == line[i-1].n && w.index == line[i-1].index && w.field == line[i-1].field {
			continue
		}
		long = long || strings.ContainsAny(w.n.text, " \t\n")
		elements = append(elements, w)
	}
	if !long && !isProgram(base(elements[0].n.text)) && bareProgram(elements[0].n.text) {
		return nil
	}
	texts := make([]string, len(elements))
	known := make(map[string]string, len(env)+1)
	for name, val := range env {
		known[name] = val
	}
	for i := range elements {
		texts[i] = elements[i].n.text
	}
	x.elements = elements
	defer func() { x.elements = nil }()
	read := false
	if words := bare(texts, known); len(words) > 0 && isProgram(base(words[0])) {
		read = true
		words = append([]string(nil), words...)
		for i := range words {
			if !strings.ContainsAny(words[i], " \t\n") {
				words[i] = expandShell(words[i], known)
			}
		}
		if err := x.program(elements[0].n, program{words: words, fetched: map[string]bool{}, env: known, sure: true}, s); err != nil {
			return err
		}
	}
	for i := range elements {
		w := &elements[i]
		text := w.n.text
		if !strings.ContainsAny(text, " \t\n") || strings.HasPrefix(text, "{") {
			continue
		}
		if x.work += len(text); x.work > maxWork {
			return problem(w.n.line, w.n.col, "more than %d bytes of text within the file's values: split it", maxWork)
		}
		if err := x.calls(w.n, text, s); err != nil {
			return err
		}
		alone := w.index < 0 // a script, or a command in one string
		if read && !alone {
			continue
		}
		found := false
		err := x.inWord(*w, func() (err error) {
			if found, err = x.listed(w.n, text, s); !found && err == nil && strings.ContainsAny(text, "[:") {
				found, err = x.settings(w.n, text, s)
			}
			return err
		})
		if found || err != nil {
			if err != nil {
				return err
			}
			continue
		}
		if err := x.script(w.n, text, known, alone || len(elements) == 1, 0, s); err != nil {
			return err
		}
	}
	return nil
}

// bareProgram reports whether nothing that stands before programs begins the
// command: not sudo, env or the like.
func bareProgram(text string) bool {
	switch base(text) {
	case "env", "sudo", "timeout", "nohup", "exec", "nice", "xargs", "tini", "dumb-init", "catatonit", "gosu", "su-exec", "k3s", "rke2", "microk8s", "nsenter", "chroot", "uv", "poetry",
		"accelerate", "time", "setsid", "stdbuf", "flock", "command", "doas", "unshare", "retry", "watch", "ionice":
		return false
	}
	return !strings.Contains(text, "=")
}

func base(text string) string { return text[strings.LastIndexByte(text, '/')+1:] }

// place calls report at the element of the command that holds text.
func (x *extractor) place(n *node, text string, report func(*node) error) error {
	if len(x.elements) == 0 {
		return report(n)
	}
	at := x.elements[0]
	for _, w := range x.elements {
		if w.n.text == text {
			at = w
			break
		}
		if text != "" && at.n == x.elements[0].n && strings.Contains(w.n.text, text) {
			at = w
		}
	}
	return x.inWord(at, func() error { return report(at.n) })
}
