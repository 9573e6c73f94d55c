package text

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/apexlogic/apex/internal/model/scan"
)

// Limits of a document of XML, and what a byte of it costs.
const (
	maxXML                = 32 << 20
	maxXMLDepth           = 2_000
	costXML     scan.Cost = 80

	// An entity is a bomb where it becomes a hundred times what declares all of
	// them, which is what libexpat allows too; short ones never are, long ones
	// always.
	bombGrowth   = 100
	fewEntities  = 10_000
	bombEntities = 1_000_000
)

var (
	ruleExternalEntity = &scan.Rule{ID: "pmml.xxe", Severity: scan.Harmful,
		Why:        "The document has its reader fetch a file or an address, and can send out what it found.",
		Mend:       "Do not read the document with a parser that resolves entities.",
		References: []string{"CWE-611"}}
	ruleEntityBomb = &scan.Rule{ID: "xml.bomb", Severity: scan.Doubtful,
		Why:        "A small document becomes huge when its entities are written out.",
		Mend:       "Do not read the document.",
		References: []string{"CWE-776"}}
	ruleParameterEntity = &scan.Rule{ID: "xml.parameter-entity", Severity: scan.Doubtful,
		Why:        "Parameter entities build the document's own grammar while it is read; data needs none.",
		Mend:       "Ask its author for the document without its DOCTYPE.",
		References: []string{"CWE-611"}}
	ruleExternalGrammar = &scan.Rule{ID: "xml.dtd", Severity: scan.Note,
		Why: "Readers may fetch the grammar that the document names.", Mend: "Read the document without its grammar."}
	ruleXInclude = &scan.Rule{ID: "xml.include", Severity: scan.Doubtful,
		Why:        "The document includes another one.",
		Mend:       "Read the document without XInclude.",
		References: []string{"CWE-611"}}
	ruleXMLScript = &scan.Rule{ID: "xml.script", Severity: scan.Harmful,
		Why:        "Readers of this document run the script or make the object that it names.",
		Mend:       "Do not read the document.",
		References: []string{"CWE-94", "CWE-502"}}
	ruleXMLExtension = &scan.Rule{ID: "pmml.extension", Severity: scan.Doubtful,
		Why:        "An extension of the model holds a script.",
		Mend:       "Ask its author for the model without it.",
		References: []string{"CWE-94"}}
	ruleXMLEncoding = &scan.Rule{ID: "xml.encoding", Severity: scan.Doubtful,
		Why:        "The encoding hides from scanners what readers see.",
		Mend:       "Write the document in UTF-8.",
		References: []string{"CWE-173"}}
	ruleXMLSyntax = &scan.Rule{ID: "xml.syntax", Severity: scan.Unreadable,
		Why:  "What stands behind the error was not read.",
		Mend: "Mend the document at this place."}
)

// XML is every document of XML; PMML is named as such.
func XML() scan.Format {
	return scan.Format{Name: "xml", Claim: claimXML, Scan: scanXML,
		Rules: []*scan.Rule{ruleExternalEntity, ruleEntityBomb, ruleParameterEntity, ruleExternalGrammar, ruleXInclude, ruleXMLScript,
			ruleXMLExtension, ruleXMLEncoding, ruleXMLSyntax}}
}

func claimXML(f *scan.File) bool {
	head, err := f.Head()
	if err != nil || len(head) < 4 {
		return false
	}
	if wide(head) {
		return true
	}
	s := significant(f)
	return len(s) > 2 && s[0] == '<' && (s[1] == '?' || s[1] == '!' || s[1]|0x20 >= 'a' && s[1]|0x20 <= 'z' || s[1] == '_' || s[1] >= 0x80)
}

// wide says whether the text has four bytes for each character, or is EBCDIC.
func wide(b []byte) bool {
	if bytes.HasPrefix(b, []byte("Lo\xa7\x94\x93")) {
		return true
	}
	var little, big []byte
	for i := 0; i+3 < min(len(b), 32); i += 4 {
		if b[i+1]|b[i+2]|b[i+3] == 0 {
			little = append(little, b[i])
		}
		if b[i]|b[i+1]|b[i+2] == 0 {
			big = append(big, b[i+3])
		}
	}
	for _, s := range [][]byte{little, big} {
		if bytes.HasPrefix(s, []byte("<?xml")) || bytes.HasPrefix(s, []byte("<!DOC")) {
			return true
		}
	}
	return false
}

func scanXML(p *scan.Place, f *scan.File) error {
	b, whole, err := load(p, f, maxXML, costXML)
	if err != nil {
		return err
	}
	if wide(b) {
		p.Report(ruleXMLEncoding, scan.At(0), "four bytes for each character, or EBCDIC")
		return nil
	}
	b = toUTF8(b)
	x := &xmlWalk{place: p}
	err = x.walk(b)
	x.blowup(b)
	var syntax *xml.SyntaxError
	switch {
	case err == nil:
	case errors.Is(err, errXML), errors.As(err, &syntax), errors.Is(err, io.ErrUnexpectedEOF):
		if x.html || x.elements < 2 && !x.declared && !x.serious {
			return scan.ErrOther
		}
		if whole || !isCutOff(err) {
			p.Report(ruleXMLSyntax, scan.Nowhere, err.Error())
		}
	default:
		return err
	}
	if x.html && !x.serious {
		return scan.ErrOther
	}
	if !whole {
		return searchXML(p, f, int64(len(b)))
	}
	return nil
}

// isCutOff says whether the error is that the rest is missing.
func isCutOff(err error) bool { return strings.Contains(err.Error(), "unexpected EOF") }

// searchXML looks in the rest of a long document for what would have to be
// read; entities stand at its beginning.
func searchXML(p *scan.Place, f *scan.File, from int64) error {
	if f.IsDear() {
		p.Report(ruleXMLSyntax, scan.At(from), fmt.Sprintf("%d of %d bytes were read", from, f.Size()))
		return nil
	}
	const block, overlap = 1 << 20, 64
	for at := from - overlap; at < f.Size(); at += block - overlap {
		n := min(block, f.Size()-at)
		if err := p.Spend(scan.Cost(n) * scan.CostRead * 2); err != nil {
			return err
		}
		b, err := f.Read(at, n)
		if err != nil {
			return err
		}
		for _, word := range []string{"2001/XInclude", "<!ENTITY", "XSL/Transform", "java.lang."} {
			if i := bytes.Index(b, []byte(word)); i >= 0 {
				p.Report(ruleXMLSyntax, scan.At(at+int64(i)), "the document is too long to judge "+word)
				return nil
			}
		}
	}
	return nil
}

// errXML says that the document is none, or none within the limits.
var errXML = errors.New("the document cannot be read")

type xmlWalk struct {
	place    *scan.Place
	elements int
	depth    int
	declared bool // it begins with <?xml
	html     bool
	serious  bool // something was reported
	inside   []string
	entities map[string]int // how long each entity is once it is written out
}

func (x *xmlWalk) report(rule *scan.Rule, at int64, detail string) {
	x.serious = x.serious || rule.Severity != scan.Note
	x.place.Report(rule, scan.At(at), detail)
}

func (x *xmlWalk) walk(b []byte) error {
	d := xml.NewDecoder(bytes.NewReader(b))
	d.Strict = false
	d.CharsetReader = func(name string, r io.Reader) (io.Reader, error) {
		if strings.HasPrefix(strings.ToLower(name), "utf-16") {
			return r, nil // turned into UTF-8 before
		}
		if !isUsualEncoding(name) {
			x.report(ruleXMLEncoding, 0, name)
		}
		return &latin1{r: r}, nil
	}
	for {
		at := d.InputOffset()
		t, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			if x.elements == 0 || x.depth > 0 {
				return fmt.Errorf("%w: unexpected EOF", errXML)
			}
			return nil
		}
		if err != nil {
			return err
		}
		switch t := t.(type) {
		case xml.ProcInst:
			x.instruction(at, t)
		case xml.Directive:
			x.doctype(at, string(t))
		case xml.StartElement:
			x.elements++
			if x.depth++; x.depth > maxXMLDepth {
				return fmt.Errorf("%w: it is nested too deeply", errXML)
			}
			x.element(at, t)
		case xml.EndElement:
			x.depth--
			if n := len(x.inside); n > 0 && x.inside[n-1] == t.Name.Local {
				x.inside = x.inside[:n-1]
			}
		}
	}
}

func (x *xmlWalk) instruction(at int64, t xml.ProcInst) {
	switch t.Target {
	case "xml":
		x.declared = true
	case "xml-stylesheet":
		if s := string(t.Inst); strings.Contains(s, "://") || strings.Contains(s, "data:") || strings.Contains(s, "javascript:") || strings.Contains(s, "..") {
			x.report(ruleXInclude, at, "a style sheet: "+s)
		}
	}
}

// doctype looks at the declaration of the document's grammar.
func (x *xmlWalk) doctype(at int64, s string) {
	words := words(s)
	if len(words) < 2 || !strings.EqualFold(words[0].text, "DOCTYPE") {
		return
	}
	if strings.EqualFold(words[1].text, "html") {
		x.html = true
	}
	if len(words) > 3 && !words[2].quoted {
		switch strings.ToUpper(words[2].text) {
		case "SYSTEM":
			if isElsewhere(words[3].text) {
				x.report(ruleExternalEntity, at, "a grammar at "+words[3].text)
			} else {
				x.report(ruleExternalGrammar, at, words[3].text)
			}
		case "PUBLIC":
			address := ""
			if len(words) > 4 && words[4].quoted {
				address = words[4].text
			}
			if isPublicGrammar(words[3].text, address) {
				x.report(ruleExternalGrammar, at, words[3].text)
			} else if isElsewhere(address) {
				x.report(ruleExternalEntity, at, "a grammar at "+address)
			}
		}
	}
	values := map[string]string{}
	for i := 0; i < len(words); i++ {
		if words[i].quoted || words[i].text != "ENTITY" {
			if !words[i].quoted && strings.HasPrefix(words[i].text, "%") && strings.HasSuffix(words[i].text, ";") && i > 1 && words[i-1].text != "ENTITY" {
				x.report(ruleParameterEntity, at, words[i].text)
			}
			continue
		}
		rest := words[i+1:]
		parameter := len(rest) > 0 && !rest[0].quoted && rest[0].text == "%"
		if parameter {
			rest = rest[1:]
		}
		if len(rest) < 2 {
			continue
		}
		name := rest[0].text
		switch {
		case !rest[1].quoted && (rest[1].text == "SYSTEM" || rest[1].text == "PUBLIC"):
			address := ""
			for _, w := range rest[2:min(len(rest), 4)] {
				if w.quoted {
					address = w.text
				}
			}
			x.report(ruleExternalEntity, at, "the entity "+name+" is "+rest[1].text+" "+address)
		case parameter:
			x.report(ruleParameterEntity, at, "%"+name+";")
		case rest[1].quoted && len(values) < 1000:
			values[name] = rest[1].text
		}
	}
	declared := 0
	for name, value := range values {
		values[name] = references(value)
		declared += len(value)
	}
	x.entities = map[string]int{}
	bomb := false
	for name := range values {
		size := entitySize(name, values, x.entities, 0)
		bomb = bomb || size > bombEntities || size > fewEntities && size/bombGrowth > declared
	}
	if bomb {
		x.report(ruleEntityBomb, at, "entities within entities grow more than a hundredfold")
	}
}

type word struct {
	text   string
	quoted bool
}

// words splits a declaration into names and quoted texts.
func words(s string) (out []word) {
	for i := 0; i < len(s) && len(out) < 20_000; {
		switch c := s[i]; {
		case c == '"' || c == '\'':
			end := strings.IndexByte(s[i+1:], c)
			if end < 0 {
				return out
			}
			out = append(out, word{s[i+1 : i+1+end], true})
			i += end + 2
		case strings.IndexByte(" \t\r\n<>[]!", c) >= 0:
			i++
		default:
			n := strings.IndexAny(s[i:], " \t\r\n<>[]!\"'")
			if n < 0 {
				n = len(s) - i
			}
			out = append(out, word{s[i : i+n], false})
			i += n
		}
	}
	return out
}

// isElsewhere says whether an address is not a file beside the document.
func isElsewhere(s string) bool {
	return strings.Contains(s, ":") || strings.HasPrefix(s, "/") || strings.HasPrefix(s, `\`) || strings.Contains(s, "..")
}

// isPublicGrammar says whether readers have the grammar themselves.
func isPublicGrammar(id, address string) bool {
	for _, prefix := range []string{"-//W3C//", "-//Apple", "-//OASIS//", "-//DMG//", "-//Sun Microsystems", "-//IETF//", "+//ISBN"} {
		if strings.HasPrefix(id, prefix) {
			return address == "" || !isElsewhere(address) || strings.HasPrefix(address, "http://www.w3.org/") || strings.HasPrefix(address, "https://www.w3.org/") ||
				strings.HasPrefix(address, "http://www.apple.com/DTDs/") || strings.HasPrefix(address, "https://www.apple.com/DTDs/") ||
				strings.HasPrefix(address, "http://www.dmg.org/") || strings.HasPrefix(address, "http://java.sun.com/") || strings.HasPrefix(address, "http://www.oasis-open.org/")
		}
	}
	return false
}

// element looks at one start tag.
func (x *xmlWalk) element(at int64, t xml.StartElement) {
	name := t.Name.Local
	if x.elements == 1 {
		switch {
		case name == "PMML":
			x.place.As("pmml")
		case strings.EqualFold(name, "html"):
			x.html = true
		}
	}
	include := false
	for _, a := range t.Attr {
		switch {
		case strings.Contains(a.Value, "www.w3.org/2001/XInclude"):
			include = true
		case strings.HasPrefix(a.Value, "http://xml.apache.org/xalan/java"), strings.HasPrefix(a.Value, "http://xml.apache.org/xslt/java"),
			a.Value == "urn:schemas-microsoft-com:xslt", a.Value == "http://php.net/xsl", strings.HasPrefix(a.Value, "http://saxon.sf.net/java-type"):
			x.report(ruleXMLScript, at, a.Value)
		case isJavaGadget(a.Value):
			x.report(ruleXMLScript, at, "<"+name+" "+a.Name.Local+"="+a.Value)
		case len(x.inside) > 0 && x.inside[len(x.inside)-1] == "transform" && (strings.Contains(a.Value, "document(") || strings.Contains(a.Value, "unparsed-text(")):
			x.report(ruleExternalEntity, at, a.Value)
		case name == "Extension" && (a.Name.Local == "name" || a.Name.Local == "extender") && isScriptName(a.Value):
			x.report(ruleXMLExtension, at, a.Value)
		}
	}
	if (name == "stylesheet" || name == "transform") && t.Name.Space != "" {
		x.inside = append(x.inside, "transform")
	}
	if len(x.inside) > 0 && x.inside[len(x.inside)-1] == "Extension" && isScriptName(name) {
		x.report(ruleXMLExtension, at, "<"+name+">")
	}
	if name == "Extension" && len(x.inside) < 100 {
		x.inside = append(x.inside, name)
	}
	if include || name == "include" && (t.Name.Space == "xi" || t.Name.Space == "xinclude") {
		href := ""
		for _, a := range t.Attr {
			if a.Name.Local == "href" {
				href = a.Value
			}
		}
		rule := ruleXInclude
		if isElsewhere(href) {
			rule = ruleExternalEntity
		}
		if name == "include" || href != "" {
			x.report(rule, at, "includes "+href)
		}
	}
}

// isScriptName says whether an extension of that name holds a script.
func isScriptName(s string) bool {
	switch strings.ToLower(s) {
	case "script", "javascript", "python", "jython", "groovy", "beanshell", "rscript", "eval", "exec", "code", "command", "shell":
		return true
	}
	return false
}

// isJavaGadget says whether the text names a class that runs programs or code.
func isJavaGadget(s string) bool {
	switch s {
	case "java.lang.ProcessBuilder", "java.lang.Runtime", "javax.script.ScriptEngineManager", "java.beans.XMLDecoder", "java.beans.EventHandler",
		"java.net.URLClassLoader", "javax.naming.InitialContext", "com.sun.rowset.JdbcRowSetImpl", "groovy.lang.GroovyShell",
		"org.springframework.context.support.ClassPathXmlApplicationContext", "java.lang.Class", "java.lang.reflect.Method":
		return true
	}
	return false
}

// isUsualEncoding says whether what is ASCII in the encoding is ASCII.
func isUsualEncoding(name string) bool {
	name = strings.ToLower(name)
	for _, prefix := range []string{"utf-8", "utf8", "us-ascii", "ascii", "iso-8859-", "iso8859", "latin", "windows-125", "cp125", "gb2312", "gbk", "gb18030",
		"big5", "shift_jis", "shift-jis", "euc-", "koi8-", "macroman", "iso-2022-jp", "tis-620"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// latin1 reads each byte as a character: enough to see the markup.
type latin1 struct {
	r    io.Reader
	rest []byte
	raw  [4096]byte
}

// Read implements io.Reader.
func (l *latin1) Read(p []byte) (int, error) {
	if len(l.rest) == 0 {
		n, err := l.r.Read(l.raw[:])
		l.rest = l.rest[:0]
		for _, c := range l.raw[:n] {
			l.rest = utf8.AppendRune(l.rest, rune(c))
		}
		if n == 0 {
			return 0, err
		}
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}
