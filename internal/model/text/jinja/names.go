package jinja

import "strings"

// verdicts of a name by which an attribute is asked for.
type nameVerdict uint8

const (
	fine     nameVerdict = iota
	private              // with one underscore before it
	partly               // unknown, and around what is known a name of the interpreter's fits
	unsafety             // leads to the interpreter
)

// isUnsafe says what the sandbox of Jinja would refuse besides underscores,
// and what older interpreters had in their place.
func isUnsafe(name string) bool {
	switch name {
	case "gi_frame", "gi_code", "gi_yieldfrom", "cr_frame", "cr_code", "cr_await", "ag_frame", "ag_code", "ag_await",
		"f_globals", "f_builtins", "f_locals", "f_back", "f_code", "tb_frame", "tb_next",
		"func_globals", "func_code", "func_closure", "func_defaults", "im_func", "im_class", "im_self", "mro":
		return true
	}
	return false
}

// isCore says whether the word, with underscores around it, is a name by
// which templates have been led to the interpreter.
func isCore(word string) bool {
	switch strings.ToLower(word) {
	case "class", "base", "bases", "mro", "subclasses", "init", "globals", "builtins", "import", "dict", "getattribute", "getattr",
		"getitem", "code", "closure", "func", "self", "wrapped", "module", "reduce", "reduce_ex", "new", "call", "loader", "spec",
		"init_subclass", "subclasshook", "enter", "exit", "del", "setattr", "delattr", "dir", "doc", "name", "qualname", "kwdefaults",
		"defaults", "annotations", "weakref", "slots", "get", "set", "format", "main", "file", "path", "context", "templatereference__context":
		return true
	}
	return false
}

// judge says what asking for an attribute of that name means.
func judge(name string) nameVerdict {
	if strings.Contains(name, gap) {
		known := strings.ReplaceAll(name, gap, "")
		switch {
		case strings.Contains(known, "__"), isUnsafe(known) && known != "mro":
			return unsafety
		case strings.HasPrefix(name, gap) && isCore(strings.Trim(known, "_")), strings.HasPrefix(name, "_"+gap):
			return partly
		}
		return fine
	}
	name = plain(name)
	switch {
	case strings.HasPrefix(name, "__"), strings.HasPrefix(name, "_") && strings.Contains(name, "__"), isUnsafe(name):
		return unsafety
	case strings.HasPrefix(name, "_") && name != "_":
		return private
	}
	return fine
}

// isDunder says whether the text is a name that leads to the interpreter.
func isDunder(s string) bool {
	s = plain(s)
	return len(s) > 4 && strings.HasPrefix(s, "__") && strings.HasSuffix(s, "__") && isCore(s[2:len(s)-2]) ||
		s == "_TemplateReference__context"
}

// plain replaces the characters that Python's NFKC takes for an underscore or
// a letter of a keyword argument.
func plain(s string) string {
	ascii := true
	for i := 0; i < len(s); i++ {
		ascii = ascii && s[i] < 0x80
	}
	if ascii {
		return s
	}
	return strings.Map(func(c rune) rune {
		switch {
		case c == 0xff3f || c == 0xfe33 || c == 0xfe34 || c >= 0xfe4d && c <= 0xfe4f:
			return '_'
		case c >= 0xff21 && c <= 0xff3a || c >= 0xff41 && c <= 0xff5a:
			return c - 0xff21 + 'A'
		case c >= 0x1d400 && c <= 0x1d6a3: // mathematical alphabets, 52 letters each
			n := (c - 0x1d400) % 52
			if n < 26 {
				return 'A' + n
			}
			return 'a' + n - 26
		}
		return c
	}, s)
}

// isFunction says whether a template finds a function or class under the name.
// Nothing has to be looked up in any of them.
func isFunction(name string) bool {
	switch name {
	case "lipsum", "cycler", "joiner", "namespace", "range", "dict", "raise_exception", "strftime_now", "url_for",
		"get_flashed_messages", "caller":
		return true
	}
	return false
}

// isSurrounding says whether web frameworks put an object of the program under
// the name.
func isSurrounding(name string) bool {
	switch name {
	case "request", "config", "self", "current_app", "url_for", "get_flashed_messages":
		return true
	}
	return false
}

// runs says whether a call of the name runs a program or code, wherever it
// comes from.
func runs(name string) bool {
	switch name {
	case "popen", "system", "check_output", "check_call", "getoutput", "getstatusoutput", "Popen", "execl", "execv", "execve", "execvp",
		"spawnl", "spawnv", "spawnlp", "spawnvp", "posix_spawn", "load_module", "import_module", "from_pyfile", "from_object", "fromfile":
		return true
	}
	return false
}

// isBuiltin says whether the name is a function of Python's that no template
// has.
func isBuiltin(name string) bool {
	switch name {
	case "eval", "exec", "execfile", "compile", "open", "getattr", "setattr", "globals", "locals", "vars", "dir", "breakpoint", "input", "popen", "system":
		return true
	}
	return false
}

// isModule says whether the name is a module that no template has.
func isModule(name string) bool {
	switch name {
	case "os", "subprocess", "sys", "builtins", "importlib", "shutil", "socket", "ctypes", "pty", "posix", "pickle", "runpy":
		return true
	}
	return false
}

// isTelling says whether the attribute of a surrounding object tells of the
// program. A request can be a template's input, too.
func isTelling(object, attribute string) bool {
	switch object {
	case "self":
		return false // blocks
	case "request":
		switch attribute {
		case "application", "environ", "args", "cookies", "headers", "values", "files", "blueprint", "endpoint":
			return true
		}
		return false
	}
	return true
}

// isModuleUse says whether the attribute of a module does more than tell a
// name: a prompt may well have an input that is called "os".
func isModuleUse(name string) bool {
	switch name {
	case "run", "call", "loads", "load", "rmtree", "listdir", "remove", "unlink", "environ", "getenv", "modules", "exec", "eval", "open", "socket",
		"CDLL", "spawn", "fork", "kill", "run_path", "run_module", "write", "rename", "scandir", "walk", "getattr", "compile":
		return true
	}
	return runs(name)
}
