package gateway

import (
	"net/http"
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/gateway/waf"
	"github.com/apexlogic/apex/verdict"
)

// Firewall looks for attacks; *waf.WAF is one.
type Firewall interface {
	Check(*waf.Request) waf.Result
	Score(text []byte) waf.TextScore
}

// firewall holds what steers programs against the rules, and has what people
// wrote scored. Media never comes here: the parser has taken it out.
func firewall(x *Exchange) error {
	f := x.Route.Firewall
	if f == nil {
		return nil
	}
	result := x.check(f)
	record := &WAFRecord{RuleSet: waf.Version(), Score: result.Score, Rules: result.Rules}
	x.Decision.WAF = record
	if result.Block {
		return Refuse(result.Code, "%s", result.Code.Info().Meaning)
	}
	if x.Body == nil {
		return nil
	}
	for i := range x.Body.Texts {
		if x.late() {
			return errLate
		}
		score := f.Score(x.Body.Texts[i].Value)
		if !score.Complete {
			return Refuse(verdict.WAFFailed, "a text could not be scored")
		}
		record.Text += score.Score
	}
	return nil
}

// check holds the request and the message at hand against the rules.
func (x *Exchange) check(f Firewall) waf.Result {
	r := x.Request
	headers := x.headerFields(r)
	all, files := x.bodyFields()
	return f.Check(&waf.Request{
		Method: r.Method, URI: r.RequestURI, Protocol: r.Proto, Headers: all[:headers:headers], Fields: all[headers:], Files: files,
	})
}

// headerFields lists the headers, in an order that is always the same, so that
// the same request is the same to whoever remembers it. Several lines of one name
// are one, as RFC 9110 section 5.3 has it: the rules mix the values of two up.
func (x *Exchange) headerFields(r *http.Request) int {
	x.fields = append(x.fields[:0], waf.Field{Name: "Host", Value: r.Host})
	for name, values := range r.Header {
		value := ""
		if len(values) > 0 {
			value = values[0]
		}
		if len(values) > 1 {
			value = strings.Join(values, ", ")
		}
		x.fields = append(x.fields, waf.Field{Name: name, Value: value})
	}
	slices.SortStableFunc(x.fields[1:], func(a, b waf.Field) int { return strings.Compare(a.Name, b.Name) })
	return len(x.fields)
}

// bodyFields appends the structure of the body, and returns all fields, and the
// names of files apart.
func (x *Exchange) bodyFields() (fields, files []waf.Field) {
	if x.Body == nil {
		return x.fields, nil
	}
	form := strings.HasPrefix(strings.ToLower(x.Request.Header.Get("Content-Type")), "multipart/")
	controls := x.Body.Controls
	for i := range controls {
		c := &controls[i]
		name, value := fieldName(c.Where), string(c.Value)
		key := isKey(c.Where, c.Value) && (i == 0 || controls[i-1].Where != c.Where)
		switch {
		case key && i+1 < len(controls) && controls[i+1].Where == c.Where:
			// What follows is its value: as one field, or the rules would count two
			// of the name.
		case key:
			x.fields = append(x.fields, waf.Field{Name: name})
		case form && x.Body.PartAt(c.Where):
			files = append(files, waf.Field{Name: name, Value: value})
		default:
			x.fields = append(x.fields, waf.Field{Name: name, Value: value})
		}
	}
	if a := x.Route.Addresses; a != nil && a.Pass { // others go no further than here
		for i := range x.Body.Parts {
			if p := &x.Body.Parts[i]; p.URL != "" {
				x.fields = append(x.fields, waf.Field{Name: fieldName(p.Where), Value: p.URL})
			}
		}
	}
	return x.fields, files
}

// isKey reports whether a value is the last segment of its own pointer.
func isKey(pointer string, value []byte) bool {
	last := pointer[strings.LastIndexByte(pointer, '/')+1:]
	if strings.IndexByte(last, '~') < 0 {
		return last == string(value)
	}
	return pointerSegment.Replace(last) == string(value)
}

var pointerSegment = strings.NewReplacer("~1", "/", "~0", "~")

// fieldName spells a JSON pointer as the rules are given names: its segments as
// they were sent, joined by dots. In a pointer a slash is ~1 and a tilde ~0
// (RFC 6901 section 3), by which an attack in a key would be hidden.
func fieldName(pointer string) string {
	return pointerName.Replace(strings.TrimPrefix(pointer, "/"))
}

var pointerName = strings.NewReplacer("/", ".", "~1", "/", "~0", "~")
