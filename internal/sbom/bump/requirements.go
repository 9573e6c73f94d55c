package bump

import (
	"bytes"
	"io/fs"
	"path"
	"strings"
)

// isRequirements: requirements.txt and .in, dev-requirements.txt,
// requirements/prod.txt, constraints.txt, and the like.
func isRequirements(p string) bool {
	name := path.Base(p)
	ext := path.Ext(name)
	if ext != ".txt" && ext != ".in" {
		return false
	}
	stem := strings.TrimSuffix(name, ext)
	for _, word := range []string{"requirements", "constraints"} {
		if strings.HasPrefix(stem, word) || strings.HasSuffix(stem, word) || path.Base(path.Dir(p)) == word {
			return true
		}
	}
	return false
}

// findRequirements reads what pip is given with -r and -c. Comments and joined
// lines are blanked in a copy, so that places stay what they are.
func findRequirements(f *File) error {
	text := bytes.Clone(f.data)
	if bytes.HasPrefix(text, []byte("\xef\xbb\xbf")) {
		copy(text, "   ")
	}
	joinLines(text, '\\', isComment)
	for at := 0; at < len(text); {
		end := at + length(text[at:])
		if err := f.requirement(text, at, end); err != nil {
			return err
		}
		at = end + 1
	}
	return nil
}

// isComment returns where the comment of a line of requirements begins: at a
// "#" that begins the line or stands after space.
func isComment(line []byte) int {
	for i, c := range line {
		if c == '#' && (i == 0 || line[i-1] == ' ' || line[i-1] == '\t') {
			return i
		}
	}
	return len(line)
}

// joinLines blanks comments, and each escape at the end of a line with the
// line's end. A line that is a comment between joined ones is blanked whole.
func joinLines(text []byte, escape byte, comment func(line []byte) int) {
	joining := false
	for at := 0; at < len(text); {
		end := at + length(text[at:])
		last := end // without "\r" and, where it is joined, space
		if last > at && text[last-1] == '\r' {
			last--
		}
		cut := at + comment(text[at:last])
		only := len(bytes.TrimLeft(text[at:cut], " \t")) == 0 && cut < last
		blank(text[cut:last])
		trimmed := at + len(bytes.TrimRight(text[at:cut], " \t"))
		switch {
		case only && joining:
			blank(text[last:min(end+1, len(text))])
		case trimmed > at && text[trimmed-1] == escape && end < len(text):
			blank(text[trimmed-1 : end+1])
			joining = true
		default:
			joining = false
		}
		at = end + 1
	}
}

func blank(text []byte) {
	for i := range text {
		text[i] = ' '
	}
}

// length is that of the first line, without its "\n".
func length(text []byte) int {
	if i := bytes.IndexByte(text, '\n'); i >= 0 {
		return i
	}
	return len(text)
}

// requirement reads one line.
func (f *File) requirement(text []byte, at, end int) error {
	at += len(text[at:end]) - len(bytes.TrimLeft(text[at:end], " \t\r"))
	line := string(text[at:end])
	if strings.HasPrefix(line, "-") {
		option, value := cutOption(strings.TrimRight(line, " \t\r"))
		switch option {
		case "-r", "--requirement", "-c", "--constraint":
			if p := path.Join(path.Dir(f.Path), value); !strings.Contains(value, "://") && value != "" && !path.IsAbs(value) && fs.ValidPath(p) && len(f.Includes) < maxPins {
				f.Includes = append(f.Includes, p)
			}
		}
		return nil
	}
	p, ok := pep508(line)
	if !ok {
		return nil
	}
	if strings.Contains(line, " --hash") {
		p.Held = "it is pinned by hash as well, and only the package index knows the new ones"
		p.Command = hashCommand(f.Path)
	}
	return f.add(p.at(at))
}

// cutOption splits "-r file", "--requirement=file" and "-rfile".
func cutOption(line string) (option, value string) {
	end := strings.IndexAny(line, " \t=")
	if end < 0 {
		end = len(line)
	}
	if !strings.HasPrefix(line, "--") {
		end = min(end, 2)
	}
	return line[:end], strings.Trim(line[end:], " \t=\"'")
}

// at moves the pin's places.
func (p Pin) at(offset int) Pin {
	p.begin, p.start, p.end = p.begin+offset, p.start+offset, p.end+offset
	return p
}
