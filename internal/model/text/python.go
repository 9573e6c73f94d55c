package text

import (
	"strings"

	"github.com/apexlogic/apex/internal/model/scan"
)

// maxPython is the longest source that is read.
const maxPython = 2 << 20

// costPython is what a byte of Python costs.
const costPython scan.Cost = 40

var rulePython = &scan.Rule{ID: "python.code", Severity: scan.Doubtful,
	Why:        "Loading with trust_remote_code, or a dataset by its script, runs this code, and it runs programs or code that it puts together.",
	Mend:       "Read the code; load the model without it.",
	References: []string{"CWE-94", "CWE-829"}}

var rulePythonSize = &scan.Rule{ID: "python.size", Severity: scan.Unreadable,
	Why: "A source this long was not read to its end.", Mend: "Split the source."}

// Python is source that a loader runs when it is asked to trust the model's
// code. Source without anything doubtful in it stays unknown: nobody said that
// it may run.
func Python() scan.Format {
	return scan.Format{Name: "python", Rules: []*scan.Rule{rulePython, rulePythonSize}, Claim: claimPython, Scan: scanPython}
}

func claimPython(f *scan.File) bool {
	head := significant(f)
	return len(head) > 0 && head[0] != '<' && head[0] != '{'
}

func scanPython(p *scan.Place, f *scan.File) error {
	b, whole, err := load(p, f, maxPython, costPython)
	if err != nil {
		return err
	}
	if !whole {
		if !isSource(toUTF8(b)) {
			return scan.ErrOther
		}
		p.Report(rulePythonSize, scan.Nowhere, "it has more than 2 MiB")
	}
	if _, err := p.Hold(int64(len(b)) * 40); err != nil { // tokens
		return err
	}
	b = toUTF8(b)
	source := readPython(b)
	if whole && (!source.isPython || len(source.does) == 0 || looksLikeYAML(b) && !isSource(b)) {
		return scan.ErrOther
	}
	for _, finding := range source.does {
		p.Report(rulePython, scan.Op(-1, finding.where()), finding.what)
	}
	return nil
}

// pythonDoes says what an expression does that configurations must not, ""
// when it does none of it.
func pythonDoes(src []byte) string {
	if len(src) > 64<<10 {
		return "is too long to judge"
	}
	source := readPython(src)
	if len(source.does) == 0 {
		return ""
	}
	return source.does[0].what
}

// isRunnerOf says whether name, an attribute of the module, runs programs or
// code.
func isRunnerOf(module, name string) bool {
	switch module {
	case "os", "posix", "nt":
		return name == "system" || strings.HasPrefix(name, "popen") || strings.HasPrefix(name, "exec") || strings.HasPrefix(name, "spawn") ||
			strings.HasPrefix(name, "posix_spawn") || name == "startfile" || name == "fork" || name == "forkpty" || name == "__dict__"
	case "subprocess":
		switch name {
		case "run", "call", "Popen", "check_call", "check_output", "getoutput", "getstatusoutput", "*":
			return true
		}
	case "commands":
		return name == "getoutput" || name == "getstatusoutput"
	case "builtins", "__builtins__", "__builtin__":
		return name == "exec" || name == "eval" || name == "__import__" || name == "__dict__"
	case "pty":
		return name == "spawn"
	case "runpy":
		return name == "run_path" || name == "run_module"
	case "marshal", "cloudpickle", "dill", "_pickle":
		return name == "loads" || name == "load"
	case "pickle", "cPickle":
		return name == "loads"
	case "ctypes":
		return name == "CDLL" || name == "WinDLL" || name == "cdll" || name == "windll" || name == "PyDLL" || name == "pythonapi" || name == "memmove" || name == "CFUNCTYPE"
	case "socket":
		return name == "socket" || name == "create_connection"
	case "code":
		return name == "InteractiveConsole" || name == "interact" || name == "InteractiveInterpreter"
	case "types":
		return name == "FunctionType" || name == "CodeType"
	case "sys":
		return name == "meta_path"
	case "webbrowser":
		return strings.HasPrefix(name, "open")
	case "pip":
		return name == "main"
	case "asyncio":
		return name == "create_subprocess_shell" || name == "create_subprocess_exec"
	case "telnetlib":
		return name == "Telnet"
	case "smtplib":
		return name == "SMTP" || name == "SMTP_SSL"
	case "ftplib":
		return name == "FTP"
	case "paramiko":
		return name == "SSHClient"
	case "shutil":
		return name == "rmtree"
	case "timeit":
		return name == "timeit" || name == "Timer" || name == "repeat"
	case "platform":
		return name == "popen"
	case "importlib.util":
		return name == "spec_from_loader"
	case "imp":
		return name == "load_source" || name == "load_dynamic" || name == "load_module"
	}
	return false
}
