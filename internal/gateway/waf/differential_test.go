package waf

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	coreruleset "github.com/corazawaf/coraza-coreruleset/v4"
	"github.com/corazawaf/coraza/v3"

	"github.com/apexlogic/apex/internal/clock"
)

// requests is how many are compared; the claim was checked with 5000, which takes
// a minute: go test ./internal/gateway/waf -run Leaving -requests 5000
var requests = flag.Int("requests", 200, "requests to compare with stock Coraza")

// stock is Coraza as it comes: its own operators, and every rule run.
func stock(t testing.TB, p Profile) *WAF {
	t.Helper()
	engine, err := coraza.NewWAF(coraza.NewWAFConfig().WithRootFS(coreruleset.FS).WithDirectives(p.directives()))
	if err != nil {
		t.Fatal(err)
	}
	w := &WAF{profile: p, engine: engine, text: engine, filter: &filter{}, results: newResults()}
	w.texts.New = func() any { return new(texts) }
	t.Cleanup(func() { w.Close() })
	return w
}

// pieces are what the generated requests are put together from: ordinary words,
// and the characters and fragments that rules look for.
var pieces = []string{
	"user", "assistant", "model", "captioner-small", "image", "en-US", "2026-11-23", "a@b.example", "hello world", "tool_call",
	"'", "\"", ";", "--", "/*", "*/", "<", ">", "=", "(", ")", "%27", "%3Cscript%3E", "&lt;", "\\u003c", "\\x3c", "+", "&", "#", "$", "`", "|", "{", "}", "\n", "\t", "\x00",
	"select", "union", "from", "users", "or 1=1", "sleep(5)", "concat(", "information_schema", "drop table", "waitfor delay",
	"<script>", "</script>", "onerror=", "javascript:", "alert(1)", "<img src=x", "<svg/onload=", "document.cookie", "data:text/html",
	"../", "..\\", "/etc/passwd", "%2e%2e%2f", ".env", "web.config", ".git/config", "C:\\windows\\win.ini",
	"cat ", "wget http://", "curl ", "/bin/sh", "bash -c", "$(id)", "`id`", "powershell", "nc -e", "cmd.exe", "&& ls", "| whoami", "ping -c 1",
	"<?php", "system(", "base64_decode", "$_GET", "phpinfo()", "eval(", "assert(", "O:8:\"stdClass\":0:{}", "php://input",
	"${jndi:ldap://", "java.lang.Runtime", "getRuntime", "classLoader", "rO0ABQ", "#{", "{{7*7}}", "<%=", "__proto__", "constructor", "require('child_process')", "process.env",
	"http://169.254.169.254/", "file://", "gopher://", "http://10.0.0.1/", "\r\nSet-Cookie: a=b", "%0d%0a", "sessionid", "phpsessid=",
	"ſcript", "\u212aill", "é", "日本語", "\xff\xfe", "\xbcscript\xbe", "SELECT", "UnIoN", "<SCRIPT", "K", "S",
}

func generated(r *rand.Rand) string {
	var b strings.Builder
	for range r.IntN(6) {
		b.WriteString(pieces[r.IntN(len(pieces))])
		if r.IntN(2) == 0 {
			b.WriteByte(' ')
		}
	}
	return b.String()
}

func generatedRequest(r *rand.Rand) *Request {
	q := chat()
	switch r.IntN(6) {
	case 0:
		q.URI = "/v1/" + strings.Map(printable, generated(r)) + "?" + "q=" + strings.Map(printable, generated(r)) + "&x=1"
	case 1:
		q.Headers = append(q.Headers, Field{"Cookie", "a=" + generated(r) + "; b=2"})
	case 2:
		// No header comes twice: stock Coraza mixes up the values of such a one
		// in its cache of transformations, by the order of a map.
		if r.IntN(2) == 0 {
			q.Headers[1].Value = generated(r)
		} else {
			q.Headers = append(q.Headers, Field{[]string{"Referer", "X-Custom"}[r.IntN(2)], generated(r)})
		}
	case 3:
		q.Fields = append(q.Fields, Field{generated(r), ""})
	case 4:
		q.Files = append(q.Files, Field{"file", generated(r)})
	}
	q.Fields = append(q.Fields, Field{"arg", generated(r)}, Field{"long", strings.Repeat(generated(r)+" ", r.IntN(12))})
	return q
}

func printable(c rune) rune {
	if c <= ' ' || c > '~' || c == '#' {
		return '-'
	}
	return c
}

func TestLeavingRulesOutNeverChangesTheAnswer(t *testing.T) {
	n := *requests
	for _, paranoia := range []int{1, 4} {
		t.Run(fmt.Sprintf("at paranoia level %d", paranoia), func(t *testing.T) {
			p := Strict(clock.System{})
			p.Paranoia = paranoia
			ours, theirs := newWAF(t, p), stock(t, p)
			r := rand.New(rand.NewPCG(1, uint64(paranoia)))
			blocked := 0
			count := n
			if paranoia > 1 {
				count = n / 10
			}
			for i := range count {
				q := generatedRequest(r)
				got, want := ours.Check(q), theirs.Check(q)
				got.Cached, want.Cached = false, false
				// A chain of rules sees what its first one captured last, in the order
				// of a map: where the stock answers differ, ours is to be one of them.
				for again := 0; again < 50 && !alike(got, want); again++ {
					theirs.results.clear()
					want = theirs.Check(q)
					want.Cached = false
				}
				if !alike(got, want) {
					t.Fatalf("request %d %q:\n ours  %+v\n stock %+v", i, q, got, want)
				}
				if want.Block {
					blocked++
				}
			}
			if blocked < count/10 || paranoia == 1 && blocked == count { // the highest level lets nothing of this pass
				t.Errorf("%d of %d were blocked: the requests say nothing", blocked, count)
			}
		})
	}
}

func alike(a, b Result) bool {
	return a.Block == b.Block && a.Score == b.Score && a.Code == b.Code && slices.Equal(a.Rules, b.Rules)
}

func TestTheOrderOfAMapIsAllThatStockAnswersDifferBy(t *testing.T) {
	p := Strict(clock.System{})
	p.Paranoia = 4
	q := chat()
	q.Fields = append(q.Fields, Field{"arg", "or 1=1 "}, Field{"long", "a =b "})
	theirs := stock(t, p)
	scores := map[int]bool{}
	for range 200 {
		theirs.results.clear()
		if scores[theirs.Check(q).Score] = true; len(scores) > 1 {
			return
		}
	}
	t.Error("the stock answers are always the same: compare them once only")
}

func TestScoringTextAgreesWithStockRules(t *testing.T) {
	p := Strict(clock.System{})
	ours, theirs := newWAF(t, p), stock(t, p)
	r := rand.New(rand.NewPCG(2, 1))
	found := 0
	for range 60 {
		var b strings.Builder
		for range 1 + r.IntN(8) {
			b.WriteString(generated(r))
			b.WriteString(prose[:r.IntN(len(prose))])
		}
		got, want := ours.Score([]byte(b.String())), theirs.Score([]byte(b.String()))
		if got.Score != want.Score || got.Complete != want.Complete || !slices.Equal(got.Rules, want.Rules) {
			t.Fatalf("%q:\n ours  %+v\n stock %+v", b.String(), got, want)
		}
		if want.Score > 0 {
			found++
		}
	}
	if found < 10 {
		t.Errorf("only %d texts score: they say nothing", found)
	}
}

// FuzzNeeds holds that what is derived from an expression is in every text that
// the expression matches.
func FuzzNeeds(f *testing.F) {
	for _, s := range []string{`(?i)select.+from`, `a|b|cd*`, `^(?:x[yz]|q{2,3})$`, `[^a-z]k+`, `(?i)\bſet\b`, `(a|)b`, `\x{bc}`, `(?:^|b)c`, `.*`, `c["']*(?:\$[a-z]*)?u["']*r["']*l`, `\$\{|[)(]x`} {
		f.Add(s, "SELECT a FROM b")
		f.Add(s, "xy qq K ck")
	}
	f.Fuzz(func(t *testing.T, expression, text string) {
		if len(expression) > 200 || len(text) > 500 {
			return
		}
		re, err := regexp.Compile(multiline + expression)
		if err != nil {
			return
		}
		tree, err := parse(expression)
		if err != nil {
			t.Fatalf("%q compiles, but is not read: %v", expression, err)
		}
		clauses := needs(tree)
		literals, never := squeezedNeeds(tree)
		b, short := newBuilder(), newBuilder()
		c := condition{squeezed: len(literals) > 0, never: never}
		c.need(b, clauses, 0)
		short.add(literals, 0)
		flt := &filter{conditions: []condition{c}, literals: b.build(), squeezed: short.build()}
		var s scanned
		long := text + strings.Repeat(" ", keptText) // what is short is not squeezed
		for _, text := range []string{text, long} {
			s.look(flt, text)
			if re.MatchString(text) && !s.could(flt, 0) {
				t.Fatalf("%q matches %q, which does not hold what it needs: %+v %q %v", expression, text, clauses, literals, never)
			}
		}
	})
}
