package manifest

import (
	"maps"
	"path"
	"strings"
)

// A script is parted into simple commands much as a shell does it (POSIX Shell
// Command Language, sections 2.2 to 2.9): quotes, comments, here-documents and
// substitutions are understood; control flow is not, every branch counts.

const (
	// maxScript is far above any script that a manifest carries.
	maxScript = 1 << 20
	// maxShell bounds scripts in scripts: sh -c "…", $(…).
	maxShell = 6
)

// simple is one simple command.
type simple struct {
	words []string
	input string // of its here-document
	piped bool   // its input is what the command before it writes
	inner bool   // within parentheses or a substitution
	loads bool   // a substitution among its words fetches something
}

// shell reads one script.
type shell struct {
	text    string
	i       int
	depth   int
	all     []simple
	now     simple
	word    []byte
	inWord  bool
	waiting []heredoc
}

// heredoc is a here-document whose text begins on the next line.
type heredoc struct {
	end  string
	trim bool
	at   int // index of its command in all; the one in the making has len(all)
}

// parseShell returns the commands of a script, those of substitutions before
// the one that they are part of.
func parseShell(text string, depth int) []simple {
	if len(text) > maxScript {
		text = text[:maxScript]
	}
	sh := &shell{text: text, depth: depth}
	sh.run()
	return sh.all
}

func (sh *shell) run() {
	for sh.i < len(sh.text) {
		c := sh.text[sh.i]
		sh.i++
		switch c {
		case ' ', '\t', '\r':
			sh.endWord()
		case '\n':
			sh.endCommand(false)
			sh.bodies()
		case ';':
			sh.endCommand(false)
		case '&':
			switch {
			case sh.peek('>'):
				sh.redirect('>')
			case sh.i > 1 && (sh.text[sh.i-2] == '>' || sh.text[sh.i-2] == '<'): // 2>&1
			default:
				if sh.peek('&') {
					sh.i++
				}
				sh.endCommand(false)
			}
		case '|':
			piped := !sh.peek('|')
			if !piped || sh.peek('&') {
				sh.i++
			}
			sh.endCommand(piped)
		case '(':
			sh.endCommand(false)
			sh.nested(sh.until('(', ')'), false)
		case ')':
			sh.endCommand(false)
		case '#':
			if !sh.inWord {
				for sh.i < len(sh.text) && sh.text[sh.i] != '\n' {
					sh.i++
				}
				continue
			}
			sh.put(c)
		case '<', '>':
			sh.redirect(c)
		default:
			sh.quoted(c)
		}
	}
	sh.endCommand(false)
}

func (sh *shell) peek(c byte) bool { return sh.i < len(sh.text) && sh.text[sh.i] == c }

func (sh *shell) put(c byte) { sh.word, sh.inWord = append(sh.word, c), true }

// quoted reads c, which is part of a word, and what it quotes.
func (sh *shell) quoted(c byte) {
	switch c {
	case '\\':
		if sh.peek('\r') {
			sh.i++
		}
		if sh.i < len(sh.text) {
			if sh.text[sh.i] != '\n' {
				sh.put(sh.text[sh.i])
			}
			sh.i++
		}
	case '\'':
		sh.inWord = true
		end := strings.IndexByte(sh.text[sh.i:], '\'')
		if end < 0 {
			end = len(sh.text) - sh.i
		}
		sh.word = append(sh.word, sh.text[sh.i:sh.i+end]...)
		sh.i = min(len(sh.text), sh.i+end+1)
	case '"':
		sh.inWord = true
		for sh.i < len(sh.text) {
			c := sh.text[sh.i]
			sh.i++
			switch {
			case c == '"':
				return
			case c == '\\' && sh.i < len(sh.text):
				if strings.IndexByte("\"\\$`\n", sh.text[sh.i]) < 0 {
					sh.put(c)
				}
				if sh.text[sh.i] != '\n' {
					sh.put(sh.text[sh.i])
				}
				sh.i++
			case c == '$' || c == '`':
				sh.expansion(c)
			default:
				sh.put(c)
			}
		}
	case '$', '`':
		sh.expansion(c)
	default:
		sh.put(c)
	}
}

// expansion reads what begins with a dollar or a backquote. A variable stays as
// it is written, a command's output becomes $(…).
func (sh *shell) expansion(c byte) {
	switch {
	case c == '`':
		end := strings.IndexByte(sh.text[sh.i:], '`')
		if end < 0 {
			sh.put(c)
			return
		}
		body := sh.text[sh.i : sh.i+end]
		sh.i += end + 1
		sh.nested(body, true)
	case sh.peek('(') && sh.isVariable():
		sh.put(c) // $(NAME), which the container's own variables replace
		for sh.i < len(sh.text) && sh.text[sh.i] != ')' {
			sh.put(sh.text[sh.i])
			sh.i++
		}
		if sh.i < len(sh.text) {
			sh.put(')')
			sh.i++
		}
	case sh.peek('('):
		sh.i++
		sh.nested(sh.until('(', ')'), true)
	case sh.peek('{'):
		sh.i++
		body := sh.until('{', '}')
		sh.word, sh.inWord = append(sh.word, "${"+body+"}"...), true
	default:
		sh.put(c)
	}
}

// isVariable recognises Kubernetes' own $(NAME) by its capital letters: a
// command in a substitution has small ones.
func (sh *shell) isVariable() bool {
	body, _, closed := strings.Cut(sh.text[sh.i+1:], ")")
	return closed && body != "" && len(body) < 128 && strings.Trim(body, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == ""
}

// until returns the text up to the bracket that closes the one before.
func (sh *shell) until(open, end byte) string {
	start, depth := sh.i, 1
	for ; sh.i < len(sh.text); sh.i++ {
		switch sh.text[sh.i] {
		case '\\':
			sh.i++
		case '\'':
			if end := strings.IndexByte(sh.text[sh.i+1:], '\''); end >= 0 {
				sh.i += end + 1
			}
		case open:
			depth++
		case end:
			if depth--; depth == 0 {
				sh.i++
				return sh.text[start : sh.i-1]
			}
		}
	}
	sh.i = len(sh.text)
	return sh.text[start:]
}

// nested reads a script within the script; value is true when its output is
// part of a word.
func (sh *shell) nested(body string, value bool) {
	if value {
		sh.word, sh.inWord = append(sh.word, "$()"...), true
	}
	if sh.depth >= maxShell {
		return
	}
	current := len(sh.all)
	for _, c := range parseShell(body, sh.depth+1) {
		c.inner = true
		if value && fetches(c.words) {
			sh.now.loads = true
		}
		sh.all = append(sh.all, c)
	}
	for i := range sh.waiting {
		if sh.waiting[i].at == current {
			sh.waiting[i].at = len(sh.all)
		}
	}
}

// redirect reads < or >, its operator and what follows.
func (sh *shell) redirect(c byte) {
	rest := sh.text[sh.i:]
	switch {
	case strings.HasPrefix(rest, "("): // <(…)
		sh.i++
		sh.nested(sh.until('(', ')'), true)
		return
	case c == '<' && strings.HasPrefix(rest, "<<"):
		sh.i += 2
		sh.endWord()
		return // a string: read like a word
	case c == '<' && strings.HasPrefix(rest, "<"):
		sh.i++
		h := heredoc{trim: sh.peek('-'), at: len(sh.all)}
		if h.trim {
			sh.i++
		}
		for sh.peek(' ') {
			sh.i++
		}
		start := sh.i
		for sh.i < len(sh.text) && strings.IndexByte(" \t\r\n;|&)", sh.text[sh.i]) < 0 {
			sh.i++
		}
		h.end = strings.Trim(sh.text[start:sh.i], `'"\`)
		if h.end != "" && len(sh.waiting) < 16 {
			sh.waiting = append(sh.waiting, h)
		}
		return
	}
	if sh.inWord && strings.Trim(string(sh.word), "0123456789") == "" {
		sh.word, sh.inWord = sh.word[:0], false // the number of a file
	}
	sh.endWord()
	for sh.i < len(sh.text) && strings.IndexByte("<>&| \t", sh.text[sh.i]) >= 0 {
		sh.i++
	}
	count := len(sh.now.words)
	for sh.i < len(sh.text) && strings.IndexByte(" \t\r\n;|&()<>", sh.text[sh.i]) < 0 {
		c := sh.text[sh.i]
		sh.i++
		sh.quoted(c)
	}
	sh.endWord()
	if c == '>' && count < len(sh.now.words) {
		sh.now.words = append(sh.now.words[:count], ">", sh.now.words[count])
	}
}

// bodies reads the here-documents that the last line has announced.
func (sh *shell) bodies() {
	for _, h := range sh.waiting {
		var b strings.Builder
		for sh.i < len(sh.text) {
			line, _, _ := strings.Cut(sh.text[sh.i:], "\n")
			sh.i = min(len(sh.text), sh.i+len(line)+1)
			line = strings.TrimSuffix(line, "\r")
			if h.trim {
				line = strings.TrimLeft(line, "\t")
			}
			if strings.TrimSpace(line) == h.end {
				break
			}
			b.WriteString(line)
			b.WriteByte('\n')
		}
		if h.at < len(sh.all) {
			sh.all[h.at].input += b.String()
		}
	}
	sh.waiting = sh.waiting[:0]
}

func (sh *shell) endWord() {
	if sh.inWord {
		sh.now.words = append(sh.now.words, string(sh.word))
	}
	sh.word, sh.inWord = sh.word[:0], false
}

func (sh *shell) endCommand(pipes bool) {
	sh.endWord()
	if len(sh.now.words) > 0 {
		sh.all = append(sh.all, sh.now)
	}
	sh.now = simple{piped: pipes}
}

// bare takes away what stands before the program itself: assignments, which it
// enters into env, reserved words, and programs that run others.
func bare(words []string, env map[string]string) []string {
	for len(words) > 0 {
		w := words[0]
		if name, val, ok := strings.Cut(w, "="); ok && isName(name) {
			env[name], words = expandShell(val, env), words[1:]
			continue
		}
		switch path.Base(w) {
		case "if", "then", "else", "elif", "do", "while", "until", "!", "{", "}", "done", "fi", "exec", "nohup", "time", "command", "builtin", "setsid", "-", "@", "RUN", "CMD", "ENTRYPOINT",
			"k3s", "rke2", "microk8s", "tini", "dumb-init", "catatonit", "gosu", "su-exec", "uv", "poetry", "accelerate":
			if path.Base(w) == "gosu" || path.Base(w) == "su-exec" {
				words = words[min(2, len(words)):]
				continue
			}
			words = words[1:]
			if len(words) > 0 && words[0] == "--" {
				words = words[1:]
			}
			if len(words) > 0 && words[0] == "run" && (path.Base(w) == "uv" || path.Base(w) == "poetry") {
				words = words[1:]
			}
		case "export", "local", "declare", "readonly", "env", "sudo", "doas", "nice", "ionice", "timeout", "stdbuf", "chroot", "nsenter", "unshare", "xargs", "retry", "case", "for", "flock", "watch", "parallel":
			words = operand(words)
		default:
			return words
		}
	}
	return nil
}

// operand skips the options of a program that runs another one, and their values.
func operand(words []string) []string {
	runs := path.Base(words[0])
	if runs == "for" || runs == "case" {
		return nil
	}
	words = words[1:]
	for len(words) > 0 {
		w := words[0]
		switch {
		case w == "--":
			return words[1:]
		case strings.HasPrefix(w, "-"):
			words = words[1:]
			// Of these options, the value is the next word.
			takes := len(w) == 2 && strings.Contains("ugnICpsktLPdESN", w[1:])
			if takes && len(words) > 0 && !isProgram(path.Base(words[0])) && !strings.HasPrefix(words[0], "-") {
				words = words[1:]
			}
		case (runs == "timeout" || runs == "chroot" || runs == "flock" || runs == "retry" || runs == "watch" || runs == "nice") && !isProgram(path.Base(w)):
			words = words[1:]
			return words
		default:
			return words
		}
	}
	return nil
}

func isName(text string) bool {
	if text == "" || len(text) > 128 || text[0] >= '0' && text[0] <= '9' {
		return false
	}
	for i := range len(text) {
		if c := text[i]; c != '_' && (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// expandShell replaces the variables that are known, by their defaults if need
// be. What is left of dollars is not known.
func expandShell(text string, env map[string]string) string {
	if !strings.Contains(text, "$") {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		c := text[i]
		i++
		if c != '$' || i == len(text) {
			b.WriteByte(c)
			continue
		}
		start, name, known, val := i-1, "", false, ""
		switch {
		case text[i] == '{' || text[i] == '(':
			closing := byte('}')
			if text[i] == '(' {
				closing = ')'
			}
			end := strings.IndexByte(text[i:], closing)
			if end < 0 {
				b.WriteString(text[start:])
				return b.String()
			}
			name = text[i+1 : i+end]
			i += end + 1
			name, fallback, has := cutDefault(name)
			if val, known = env[name]; (!known || val == "") && has {
				val, known = fallback, true
			}
		default:
			end := i
			for end < len(text) && isName(text[i:end+1]) {
				end++
			}
			name = text[i:end]
			i = end
			val, known = env[name]
		}
		if !known || b.Len()+len(val) > maxModel {
			val = text[start:i]
		}
		b.WriteString(val)
	}
	return b.String()
}

// cutDefault reads NAME:-default and NAME-default.
func cutDefault(text string) (name, fallback string, has bool) {
	i := strings.IndexByte(text, '-')
	if i < 1 {
		return text, "", false
	}
	return strings.TrimSuffix(text[:i], ":"), text[i+1:], true
}

// script reports what the commands of a script fetch and run. Unless sure, the
// text may be prose, and only whole lines that begin with a program count.
func (x *extractor) script(n *node, text string, env map[string]string, sure bool, depth int, s scope) error {
	known := map[string]string{}
	maps.Copy(known, env)
	all := parseShell(text, depth)
	fetched := map[string]bool{} // files that were fetched
	fed, input := false, ""
	for i := range all {
		c := &all[i]
		if c.inner && !sure {
			continue
		}
		if !c.piped {
			fed, input = false, ""
		}
		from := fed || c.loads
		fed = from || fetches(c.words) // for the next one of the pipe
		if c.input != "" {
			input = c.input
		}
		if c.input != "" {
			if _, err := x.settings(n, c.input, s); err != nil {
				return err
			}
		}
		xargs := len(c.words) > 0 && containsWord(c.words, "xargs")
		ws := bare(c.words, known)
		for j := range ws {
			ws[j] = expandShell(ws[j], known)
		}
		if len(ws) == 0 {
			continue
		}
		if err := x.program(n, program{words: ws, input: input, from: from, fetched: fetched, env: known, sure: sure, xargs: xargs, depth: depth}, s); err != nil {
			return err
		}
	}
	return nil
}

func containsWord(list []string, word string) bool {
	for _, w := range list {
		if w == word {
			return true
		}
	}
	return false
}

// fetches says whether a command writes what it has fetched to its output.
func fetches(words []string) bool {
	words = bare(append([]string(nil), words...), map[string]string{})
	if len(words) == 0 {
		return false
	}
	switch path.Base(words[0]) {
	case "curl", "wget", "fetch", "aria2c", "http", "https", "lynx":
	default:
		return false
	}
	for _, w := range words[1:] {
		if strings.Contains(w, "://") || strings.Contains(w, "$") || strings.Contains(w, "/") && strings.Contains(w, ".") && w[0] != '-' && w[0] != '/' {
			return !isLoopback(w)
		}
	}
	return false
}

// isLoopback recognises the container's own addresses: what answers there is
// part of the same pod.
func isLoopback(text string) bool {
	_, rest, ok := strings.Cut(text, "://")
	if !ok {
		rest = text
	}
	host, _, _ := strings.Cut(rest, "/")
	if !strings.HasPrefix(host, "[") {
		host, _, _ = strings.Cut(host, ":")
	}
	return host == "localhost" || host == "127.0.0.1" || strings.HasPrefix(host, "[::1]")
}
