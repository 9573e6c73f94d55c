package manifest

import (
	"path"
	"strings"

	"github.com/apexlogic/apex/internal/oci/reference"
	"github.com/apexlogic/apex/verdict"
)

// program is a command whose grammar may be known.
type program struct {
	words   []string // the program and its arguments, variables expanded
	input   string   // what a here-document gives it
	from    bool     // its input, or a word of it, is fetched from somewhere
	fetched map[string]bool
	env     map[string]string
	sure    bool
	xargs   bool // more words come from its input
	depth   int
}

// isProgram says whether a program fetches, runs or installs something, in a
// grammar that [extractor.program] knows.
func isProgram(name string) bool {
	switch name {
	case "docker", "podman", "nerdctl", "crictl", "ctr", "buildah", "skopeo", "crane", "gcrane", "oras", "regctl", "kubectl", "oc", "helm", "kustomize",
		"argocd", "flux", "curl", "wget", "pip", "pip3", "pipx", "uvx", "npm", "npx", "huggingface-cli", "hf", "ollama", "ramalama", "vllm", "lmdeploy", "trtllm-serve", "git",
		"sh", "bash", "zsh", "dash", "ash", "ksh", "busybox", "python", "python3", "perl", "ruby", "node", "php", "source", ".", "eval", "sglang", "llama-server", "llama-cli", "lms":
		return true
	}
	return strings.HasPrefix(name, "python3.")
}

// namesProgram spares text that names no such program the cost of parsing it.
func namesProgram(text string) bool {
	for line := range strings.Lines(text) {
		for part := range strings.FieldsFuncSeq(line, func(r rune) bool { return r == ';' || r == '|' || r == '&' }) {
			for range 4 { // sudo -E docker …
				part = strings.TrimLeft(part, " \t@-\"'")
				word, rest, _ := strings.Cut(part, " ")
				word = strings.TrimRight(word, "\r\n\"'")
				if isProgram(path.Base(word)) && word != "." && rest != "" {
					return true
				}
				switch {
				case word == "sudo", word == "exec", word == "then", word == "do", word == "RUN", word == "env", word == "nohup", strings.Contains(word, "="), strings.HasPrefix(word, "-"):
					part = rest
					continue
				}
				break
			}
		}
	}
	return false
}

const whyRemote = "what is fetched from there would be run or applied, and nobody has verified it: commit it, or pack it into a signed image"

// program reports what one command fetches and runs.
func (x *extractor) program(n *node, p program, s scope) error {
	name, args := path.Base(p.words[0]), p.words[1:]
	if p.fetched[p.words[0]] || p.fetched[strings.TrimPrefix(p.words[0], "./")] {
		return x.remote(n, p.words[0], s)
	}
	if len(x.elements) == 0 && p.sure {
		if err := x.options(n, args, p, s); err != nil {
			return err
		}
	}
	switch {
	case strings.HasPrefix(name, "python3."):
		name = "python3"
	case name == "busybox" && len(args) > 0:
		p.words = args
		return x.program(n, p, s)
	}
	switch name {
	case "docker", "podman", "nerdctl":
		return x.engine(n, args, p, s)
	case "crictl", "buildah":
		if rest, verb := after(args, "pull", "from"); verb != "" {
			return x.images(n, positional(rest), 1, p, s)
		}
	case "ctr":
		if rest, verb := after(args, "pull", "fetch", "run", "create"); verb != "" {
			for _, w := range positional(rest) {
				if strings.Contains(w, "/") && !isLocal(w) {
					return x.images(n, []string{w}, 1, p, s)
				}
			}
		}
	case "skopeo":
		if rest, verb := after(args, "copy", "sync"); verb != "" {
			for _, w := range positional(rest) {
				if ref, ok := strings.CutPrefix(w, "docker://"); ok {
					return x.images(n, []string{ref}, 1, p, s)
				}
			}
		}
	case "crane", "gcrane", "oras", "regctl":
		if rest, verb := after(args, "pull", "copy", "cp", "export", "fetch", "get"); verb != "" {
			return x.images(n, positional(rest), 1, p, s)
		}
	case "kubectl", "oc":
		return x.kubectl(n, args, p, s)
	case "helm":
		return x.helm(n, args, s)
	case "kustomize":
		if rest, verb := after(args, "build"); verb != "" {
			for _, w := range positional(rest) {
				if isRemote(w) {
					return x.remote(n, w, s)
				}
			}
		}
	case "argocd", "flux":
		for _, option := range [...]string{"--repo", "--url", "--file", "-f"} {
			if u := optionOf(args, option); isRemote(u) {
				return x.remote(n, u, s)
			}
		}
	case "curl", "wget":
		return x.download(n, name, args, p, s)
	case "pip", "pip3", "pipx", "uvx", "npm", "npx":
		return x.install(n, name, args, s)
	case "sh", "bash", "zsh", "dash", "ash", "ksh", "python", "python3", "perl", "ruby", "node", "php", "source", ".", "eval":
		return x.interpreter(n, name, args, p, s)
	case "huggingface-cli", "hf":
		if rest, verb := after(args, "download"); verb != "" && optionOf(rest, "--repo-type") != "dataset" && optionOf(rest, "--repo-type") != "space" {
			return x.models(n, positional(rest), p, s)
		}
	case "ollama", "ramalama", "lms":
		if rest, verb := after(args, "pull", "run", "serve", "get", "create"); verb != "" {
			return x.models(n, positional(rest), p, s)
		}
	case "vllm", "lmdeploy", "trtllm-serve", "sglang":
		for i, w := range args {
			if isHubID(w) && (i == 0 || !strings.HasPrefix(args[i-1], "-") || strings.Contains(args[i-1], "=")) {
				return x.models(n, []string{w}, p, s)
			}
		}
	case "llama-server", "llama-cli":
		for _, option := range [...]string{"-hf", "-hfr", "--hf-repo", "-hfd", "--hf-repo-draft", "-hfv", "-mu", "--model-url"} {
			if m := optionOf(args, option); m != "" {
				if err := x.models(n, []string{m}, p, s); err != nil {
					return err
				}
			}
		}
	case "git":
		if rest, verb := after(args, "clone", "pull", "fetch"); verb != "" {
			for _, w := range rest {
				if strings.Contains(w, "huggingface.co/") || strings.Contains(w, "hf.co/") || strings.Contains(w, "modelscope.") {
					return x.models(n, []string{w}, p, s)
				}
			}
		}
	}
	return nil
}

// options reads what any program of a script may be given: models and images by
// the usual options, and words that are references by themselves.
func (x *extractor) options(n *node, args []string, p program, s scope) error {
	for i, w := range args {
		option, val, inline := strings.Cut(w, "=")
		if !inline && i+1 < len(args) {
			val = args[i+1]
		}
		var err error
		switch means := modelOption(option); {
		case isReference(w) || looksLikeModel(w, false, true) && !isPlaceholder(w):
			err = x.reference(n, w, s)
		case !strings.HasPrefix(w, "-") || val == "" || strings.HasPrefix(val, "-"):
		case means == alwaysModel, means == maybeModel && isHubID(val):
			err = x.models(n, []string{val}, p, s)
		case means == modelList:
			_, location, _ := strings.Cut(val, "=")
			err = x.models(n, []string{location}, p, s)
		case strings.HasPrefix(val, "{") && (strings.Contains(option, "config") || strings.Contains(option, "model") || strings.Contains(option, "lora")):
			err = x.modelsIn(n, option, val, s)
		case isNamedImage(option):
			err = x.images(n, []string{val}, 1, p, s)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// engine reads the grammar of docker, podman and nerdctl.
func (x *extractor) engine(n *node, args []string, p program, s scope) error {
	rest, verb := after(args, "run", "create", "pull", "build", "import", "play", "kube", "model")
	switch verb {
	case "run", "create":
		if image := afterRun(rest); image != "" {
			return x.images(n, []string{image}, 1, p, s)
		}
		return x.images(n, nil, 1, p, s)
	case "pull":
		return x.images(n, positional(rest), 8, p, s)
	case "model":
		if rest, verb = after(rest, "run", "pull"); verb != "" {
			return x.models(n, positional(rest), p, s)
		}
	case "build", "import", "play", "kube":
		for _, w := range rest {
			if isRemote(w) {
				return x.remote(n, w, s)
			}
		}
	}
	return nil
}

// afterRun skips the options of docker run. All but a few take a value; the
// first word behind them is the image.
func afterRun(args []string) string {
	for i := 0; i < len(args); i++ {
		w := args[i]
		switch {
		case w == "--":
			if i+1 < len(args) {
				return args[i+1]
			}
			return ""
		case !strings.HasPrefix(w, "-"):
			return w
		case strings.HasPrefix(w, "--"):
			switch name, _, inline := strings.Cut(w[2:], "="); name {
			case "detach", "interactive", "tty", "rm", "privileged", "init", "publish-all", "read-only", "no-healthcheck", "oom-kill-disable", "quiet",
				"sig-proxy", "disable-content-trust", "help", "replace", "no-hosts", "tls-verify", "rmi", "env-host", "http-proxy", "no-hostname", "insecure-registry", "all-tags":
			default:
				if !inline {
					i++
				}
			}
		default:
			if letters := strings.TrimLeft(w[1:], "ditPq"); len(letters) == 1 {
				i++ // the value is the next word; else it is the rest of this one
			}
		}
	}
	return ""
}

func (x *extractor) kubectl(n *node, args []string, p program, s scope) error {
	for _, option := range [...]string{"--image", "--copy-to-image"} {
		if image := optionOf(args, option); image != "" {
			if err := x.images(n, []string{image}, 1, p, s); err != nil {
				return err
			}
		}
	}
	for _, option := range [...]string{"--overrides", "--patch", "-p"} {
		if text := optionOf(args, option); strings.ContainsAny(text, "{:") {
			if _, err := x.settings(n, text, s); err != nil {
				return err
			}
		}
	}
	rest, verb := after(args, "apply", "create", "replace", "set", "patch", "kustomize")
	switch verb {
	case "set":
		if rest, verb = after(rest, "image"); verb != "" {
			for _, w := range positional(rest) {
				if _, image, ok := strings.Cut(w, "="); ok {
					if err := x.images(n, []string{image}, 1, p, s); err != nil {
						return err
					}
				}
			}
		}
	case "apply", "create", "replace", "patch", "kustomize":
		if p.from {
			return x.remote(n, "", s)
		}
		for i, w := range rest {
			_, val, _ := strings.Cut(w, "=")
			for _, part := range append(strings.Split(w, ","), val) {
				part = strings.TrimPrefix(strings.TrimPrefix(part, "-f"), "-k")
				isFile := verb == "kustomize" || i > 0 && strings.HasPrefix(rest[i-1], "-") || strings.HasPrefix(w, "-")
				if isFile && isRemote(part) || p.fetched[part] {
					return x.remote(n, part, s)
				}
			}
		}
	}
	return nil
}

func (x *extractor) helm(n *node, args []string, s scope) error {
	rest, verb := after(args, "install", "upgrade", "template", "pull", "fetch", "repo", "plugin", "dependency", "dep")
	if verb == "" {
		return nil
	}
	for i, w := range rest {
		values := i > 0 && (rest[i-1] == "-f" || rest[i-1] == "--values" || rest[i-1] == "--set" || rest[i-1] == "--set-string" || rest[i-1] == "-n" || rest[i-1] == "--namespace")
		_, val, _ := strings.Cut(w, "=")
		switch {
		case isRemote(w) && (!values || rest[i-1] == "-f" || rest[i-1] == "--values"):
			return x.remote(n, w, s)
		case strings.HasPrefix(w, "--repo") && val != "":
			return x.remote(n, val, s)
		case values, strings.HasPrefix(w, "-"):
		case verb != "repo" && verb != "plugin" && strings.Count(w, "/") == 1 && !isLocal(w) && isHubID(w) && !strings.HasPrefix(w, "charts/") && !strings.HasPrefix(w, "../"):
			return x.remote(n, w, s)
		}
	}
	return nil
}

// download remembers the files that curl and wget write.
func (x *extractor) download(n *node, name string, args []string, p program, s scope) error {
	address, file := "", ""
	for i, w := range args {
		switch {
		case strings.Contains(w, "://") && !strings.HasPrefix(w, "-"):
			address = w
		case w == "-o" || name == "wget" && w == "-O" || w == "--output" || w == "--output-document" || w == ">":
			if i+1 < len(args) {
				file = args[i+1]
			}
		}
		if _, val, ok := strings.Cut(w, "="); ok && (strings.HasPrefix(w, "--output=") || strings.HasPrefix(w, "--output-document=")) {
			file = val
		}
	}
	if address == "" || isLoopback(address) {
		return nil
	}
	if file == "" {
		file = path.Base(address)
	}
	if len(p.fetched) < 1000 {
		p.fetched[file] = true
	}
	if looksLikeModel(address, false, true) {
		return x.models(n, []string{address}, p, s)
	}
	return nil
}

// install reads the grammar of installers: what comes from an index is theirs to
// judge, an address is nobody's.
func (x *extractor) install(n *node, name string, args []string, s scope) error {
	rest, verb := after(args, "install", "download", "add", "i", "ci", "exec", "run", "wheel")
	if verb == "" && name != "uvx" && name != "npx" {
		return nil
	}
	if verb == "" {
		rest = args
	}
	for i, w := range rest {
		_, val, _ := strings.Cut(w, "=")
		option := ""
		if i > 0 {
			option = rest[i-1]
		}
		switch {
		case option == "--trusted-host", option == "--proxy", option == "--registry", strings.HasPrefix(w, "--registry="), strings.HasPrefix(w, "--proxy="):
		case isOwnIndex(w), isOwnIndex(val):
		case strings.HasPrefix(w, "git+"), strings.HasPrefix(w, "github:"), strings.Contains(w, "git+"), isRemote(w), isRemote(val), strings.Contains(w, "@http"), strings.Contains(w, "@ http"):
			return x.remote(n, w, s)
		}
	}
	return nil
}

// isOwnIndex recognises the address of the index that pip uses anyway.
func isOwnIndex(text string) bool {
	return strings.HasPrefix(text, "https://pypi.org/") || strings.HasPrefix(text, "https://download.pytorch.org/whl")
}

func (x *extractor) interpreter(n *node, name string, args []string, p program, s scope) error {
	if p.from {
		return x.remote(n, "", s)
	}
	isShell := !strings.HasPrefix(name, "python") && name != "perl" && name != "ruby" && name != "node" && name != "php"
	if name == "eval" {
		return x.inner(n, strings.Join(args, " "), p, s)
	}
	for i, w := range args {
		switch {
		case p.fetched[w], p.fetched[strings.TrimPrefix(w, "./")]:
			return x.remote(n, w, s)
		case strings.HasPrefix(w, "-") && strings.Contains(w, "c") && len(w) <= 5 && !strings.HasPrefix(w, "--"):
			if i+1 == len(args) {
				return nil
			}
			if isShell {
				return x.inner(n, args[i+1], p, s)
			}
			return nil // the calls in it are found wherever they stand
		case strings.HasPrefix(w, "-m") && name[0] == 'p':
			module := strings.TrimPrefix(w, "-m")
			rest := args[i+1:]
			if module == "" && len(rest) > 0 {
				module, rest = rest[0], rest[1:]
			}
			if module == "pip" || module == "uv" {
				return x.install(n, module, rest, s)
			}
			return nil
		case (w == "o" || w == "pipefail" || w == "errexit") && i > 0: // the value of set's -o
		case !strings.HasPrefix(w, "-") && !strings.HasPrefix(w, "+"):
			if isRemote(w) {
				return x.remote(n, w, s)
			}
			return nil // a file, and the rest is for that
		}
	}
	if isShell && p.input != "" {
		return x.inner(n, p.input, p, s)
	}
	return nil
}

// inner reads a script that a command is given.
func (x *extractor) inner(n *node, text string, p program, s scope) error {
	if p.depth >= maxShell {
		return x.unresolved(n, "", verdict.ReferenceUnresolved, "scripts within scripts, too deep to be read: write them out", s)
	}
	return x.script(n, text, p.env, p.sure, p.depth+1, s)
}

// images reports at most count images of a command line.
func (x *extractor) images(n *node, list []string, count int, p program, s scope) error {
	if len(list) == 0 && p.xargs && p.sure {
		return x.place(n, "", func(n *node) error {
			return x.unresolved(n, "", verdict.ReferenceUnresolved, "the image comes from what another command writes: write it out", s)
		})
	}
	for _, w := range list[:min(count, len(list))] {
		w = strings.TrimPrefix(w, "docker://")
		var err error
		switch {
		case w == "" || isLocal(w):
		case isPlaceholder(w):
			if p.sure {
				err = x.place(n, w, func(n *node) error {
					return x.unresolved(n, w, verdict.ReferenceUnresolved, "the image depends on a value that is not known here: write it out", s)
				})
			}
		case p.sure || isReference(w) || strings.ContainsAny(w, ":/"):
			if ref, parseErr := reference.Parse(w); parseErr == nil {
				err = x.place(n, w, func(n *node) error {
					return x.found(n, Ref{Class: ClassUnclassified, Text: w, Reference: ref}, s)
				})
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// models reports the first model of a command line.
func (x *extractor) models(n *node, list []string, p program, s scope) error {
	if len(list) == 0 || isLocal(list[0]) || list[0] == "." {
		return nil
	}
	if isPlaceholder(list[0]) {
		if !p.sure {
			return nil
		}
		return x.place(n, list[0], func(n *node) error {
			return x.unresolved(n, list[0], verdict.ReferenceUnresolved, "the model depends on a value that is not known here: write it out", s)
		})
	}
	return x.place(n, list[0], func(n *node) error { return x.modelText(n, list[0], ClassModel, "", s) })
}

// remote reports what is fetched and run or applied.
func (x *extractor) remote(n *node, address string, s scope) error {
	return x.place(n, address, func(n *node) error {
		return x.unresolved(n, address, verdict.ReferenceRemote, whyRemote, s)
	})
}

// after returns the words behind the first of the verbs.
func after(args []string, verbs ...string) (rest []string, verb string) {
	for i, w := range args {
		if containsWord(verbs, w) {
			return args[i+1:], w
		}
	}
	return nil, ""
}

// positional returns the words that are no options, nor values of those that
// usually take one.
func positional(args []string) (list []string) {
	for i := 0; i < len(args); i++ {
		w := args[i]
		if w == ">" {
			i++
			continue
		}
		if !strings.HasPrefix(w, "-") {
			list = append(list, w)
			continue
		}
		switch strings.TrimLeft(w, "-") {
		case "n", "namespace", "u", "user", "platform", "creds", "authfile", "arch", "os", "variant", "auth", "annotation", "pod-config", "runtime-endpoint", "r", "o", "output",
			"name", "local-dir", "cache-dir", "revision", "token", "include", "exclude", "repo-type", "src-creds", "dest-creds", "src", "dest", "address", "a", "t", "l", "f", "format", "max-workers", "keepalive", "context":
			if i+1 < len(args) && !strings.HasPrefix(args[i+1], "-") {
				i++
			}
		}
	}
	return list
}

// optionOf returns the value of an option, "" when it is not there.
func optionOf(args []string, option string) string {
	for i, w := range args {
		if w == option && i+1 < len(args) {
			return args[i+1]
		}
		if val, ok := strings.CutPrefix(w, option+"="); ok {
			return val
		}
	}
	return ""
}

// isRemote recognises an address that manifests, charts or code are fetched from.
func isRemote(text string) bool {
	switch scheme := schemeOf(text); scheme {
	case "http", "https":
		return !isLoopback(text)
	case "git", "ssh", "oci", "git+https", "git+ssh", "git+http", "s3", "gs", "ftp":
		return true
	}
	return strings.HasPrefix(text, "git@") || strings.HasPrefix(text, "git::") || strings.HasPrefix(text, "github.com/") || strings.HasPrefix(text, "gitlab.com/")
}

// isHubID recognises owner/name, as model hubs have it.
func isHubID(text string) bool {
	owner, name, ok := strings.Cut(text, "/")
	return ok && len(text) <= 200 && isHubName(owner) && isHubName(name)
}

func isHubName(text string) bool {
	for i := range len(text) {
		c := text[i]
		if !(c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || i > 0 && (c == '.' || c == '_' || c == '-')) {
			return false
		}
	}
	return text != ""
}
