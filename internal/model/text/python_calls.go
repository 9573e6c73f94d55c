package text

import "strings"

// pyReader goes through the tokens of a source once, and follows what names
// stand for as far as imports and plain assignments say.
type pyReader struct {
	tokens  []pyToken
	modules map[string]string // names that stand for a module
	names   map[string]string // names that stand for "module.name"
	does    []pyFinding
}

func (r *pyReader) at(i int) pyToken {
	if i < 0 || i >= len(r.tokens) {
		return pyToken{kind: '\n'}
	}
	return r.tokens[i]
}

func (r *pyReader) found(line int, what string) {
	if len(r.does) < maxPyFindings {
		r.does = append(r.does, pyFinding{line, what})
	}
}

// read goes through twice: names can be used above their import, in functions.
func (r *pyReader) read() {
	for i := range r.tokens {
		if r.at(i).kind == 'n' && r.at(i-1).kind != '.' {
			switch r.at(i).text {
			case "import":
				if r.at(i-1).kind == '\n' || r.at(i-1).kind == ':' || r.at(i-1).kind == ';' {
					r.imports(i + 1)
				}
			case "from":
				if r.at(i-1).kind == '\n' || r.at(i-1).kind == ':' || r.at(i-1).kind == ';' {
					r.importsFrom(i + 1)
				}
			}
		}
		r.assigns(i)
	}
	for i := range r.tokens {
		if r.at(i).kind == 'n' {
			r.name(i)
		}
	}
}

// dotted reads a name with dots from i, and returns what follows it.
func (r *pyReader) dotted(i int) (string, int) {
	name := ""
	for {
		switch t := r.at(i); t.kind {
		case 'n':
			if t.text == "import" || t.text == "as" {
				return name, i
			}
			name += t.text
		case '.':
			name += "."
		default:
			return name, i
		}
		i++
	}
}

func (r *pyReader) imports(i int) {
	for range 64 {
		module, next := r.dotted(i)
		if module == "" {
			return
		}
		as := strings.SplitN(module, ".", 2)[0]
		stands := as
		if r.at(next).kind == 'n' && r.at(next).text == "as" {
			as, stands = r.at(next+1).text, module
			next += 2
		}
		r.modules[as] = stands
		if r.at(next).kind != ',' {
			return
		}
		i = next + 1
	}
}

func (r *pyReader) importsFrom(i int) {
	module, next := r.dotted(i)
	if r.at(next).kind != 'n' || r.at(next).text != "import" {
		return
	}
	next++
	if r.at(next).kind == '*' {
		for _, name := range []string{"system", "popen", "execv", "run", "call", "Popen", "check_call", "check_output", "getoutput", "CDLL", "loads"} {
			if isRunnerOf(module, name) {
				r.names[name] = module + "." + name
			}
		}
		return
	}
	if r.at(next).kind == '(' {
		next++
	}
	for range 256 {
		name := r.at(next)
		if name.kind != 'n' {
			return
		}
		as := name.text
		next++
		if r.at(next).kind == 'n' && r.at(next).text == "as" {
			as = r.at(next + 1).text
			next += 2
		}
		switch {
		case isRunnerOf(module, name.text):
			r.names[as] = module + "." + name.text
		case isDangerousModule(name.text) && module != "." && !strings.HasPrefix(module, "."):
			r.modules[as] = name.text
		case module == "importlib" && name.text == "import_module":
			r.names[as] = "importlib.import_module"
		}
		if r.at(next).kind != ',' {
			return
		}
		next++
	}
}

// assigns follows "name = module" and "name = builtin".
func (r *pyReader) assigns(i int) {
	if r.at(i).kind != 'n' || r.at(i+1).kind != '=' || r.at(i+2).kind != 'n' || r.at(i-1).kind == '.' || r.at(i-1).kind == ',' || r.at(i-1).kind == '(' {
		return
	}
	if end := r.at(i + 3); end.kind != '\n' && end.kind != ';' {
		return
	}
	as, what := r.at(i).text, r.at(i+2).text
	if module, ok := r.modules[what]; ok {
		r.modules[as] = module
	}
	if isPyRunner(what) {
		r.names[as] = "builtins." + what
	}
	if what == "__builtins__" {
		r.modules[as] = what
	}
}

// isPyRunner says whether the builtin runs code.
func isPyRunner(name string) bool {
	return name == "eval" || name == "exec" || name == "__import__" || name == "execfile"
}

// name looks at one use of a name.
func (r *pyReader) name(i int) {
	t, before, after := r.at(i), r.at(i-1), r.at(i+1)
	if before.kind == '.' {
		switch t.text {
		case "__subclasses__", "__globals__", "__builtins__", "f_globals", "f_builtins", "gi_frame":
			r.found(t.line, "reaches for "+t.text)
		case "run_line_magic", "load_inline":
			if after.kind == '(' {
				r.found(t.line, "calls "+t.text)
			}
		}
		return
	}
	if before.kind == 'n' && (before.text == "def" || before.text == "class" || before.text == "import" || before.text == "as" || before.text == "from") {
		return
	}
	if full, ok := r.names[t.text]; ok && after.kind != '=' && full != "importlib.import_module" {
		if after.kind == '(' || after.kind == ')' || after.kind == ',' || after.kind == ']' {
			r.found(t.line, "calls "+full)
		}
		return
	}
	switch t.text {
	case "exec", "eval", "execfile", "__import__":
		called := after.kind == '('
		handed := before.kind == '(' && (after.kind == ')' || after.kind == ',') || before.kind == '=' && after.kind == '\n' || before.kind == '[' && after.kind == ']'
		if called && t.text == "eval" && r.at(i+2).kind == ')' {
			return // a function of the same name
		}
		if called || handed && t.text != "eval" {
			if t.text == "__import__" && r.at(i+2).kind == 's' && r.at(i+3).kind == ')' && !isDangerousModule(r.at(i+2).text) && r.at(i+4).kind != '.' {
				return
			}
			r.found(t.line, "calls "+t.text)
		}
		if t.text == "exec" && after.kind == 's' { // a statement of Python 2
			r.found(t.line, "calls exec")
		}
		return
	case "getattr", "vars":
		if after.kind == '(' && r.at(i+2).kind == 'n' {
			module, ok := r.modules[r.at(i+2).text]
			if !ok {
				module = r.at(i + 2).text
			}
			if (isDangerousModule(module) && (ok || strings.HasPrefix(module, "__")) || module == "__builtins__") && module != "sys" {
				name, next := r.at(i+4), r.at(i+5).kind
				if t.text == "vars" || name.kind != 's' || next != ')' && next != ',' || isRunnerOf(module, name.text) {
					r.found(t.line, t.text+" of "+module)
				}
			}
		}
		return
	case "globals", "locals":
		if after.kind == '(' && r.at(i+2).kind == ')' && r.at(i+3).kind == '[' && r.at(i+4).kind == 's' && strings.HasPrefix(r.at(i+4).text, "__b") {
			r.found(t.line, t.text+" of __builtins__")
		}
		return
	case "__builtins__":
		if after.kind == '.' || after.kind == '[' {
			r.found(t.line, "reaches into __builtins__")
		}
		return
	}
	module, ok := r.modules[t.text]
	if !ok {
		if !isDangerousModule(t.text) { // an expression that imports nothing
			return
		}
		module = t.text
	}
	r.attribute(i, module)
}

// attribute looks at module.name from the module's name on.
func (r *pyReader) attribute(i int, module string) {
	line := r.at(i).line
	for n := 0; n < 6 && r.at(i+1).kind == '.' && r.at(i+2).kind == 'n'; n++ {
		name := r.at(i + 2).text
		if isRunnerOf(module, name) {
			r.found(line, "uses "+module+"."+name)
			return
		}
		if module == "sys" && name == "modules" && r.at(i+3).kind == '[' && r.at(i+4).kind == 's' && isDangerousModule(r.at(i+4).text) {
			r.found(line, "reaches "+r.at(i+4).text+" through sys.modules")
			return
		}
		if module == "importlib" && name == "import_module" && r.at(i+3).kind == '(' && r.at(i+4).kind == 's' &&
			(r.at(i+4).text == "os" || r.at(i+4).text == "subprocess" || r.at(i+4).text == "builtins" || r.at(i+4).text == "pty") {
			r.found(line, "imports "+r.at(i+4).text+" by name")
			return
		}
		module += "." + name
		i += 2
		if isDangerousModule(name) {
			module = name
		}
	}
}
