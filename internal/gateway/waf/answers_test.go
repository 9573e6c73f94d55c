package waf

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	coreruleset "github.com/corazawaf/coraza-coreruleset/v4"
	"github.com/corazawaf/coraza/v3"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/verdict"
)

// page is an answer of a server that says one thing.
func page(status int, text string) *Answer {
	return &Answer{Status: status, Structure: [][]byte{[]byte(text)}}
}

func TestAnAnswerThatLeaksIsBlockedAndItsTwinPasses(t *testing.T) {
	w := newWAF(t, Strict(clock.System{}))
	for name, c := range map[string]struct {
		rule       int
		leak, twin string
	}{
		"an error of MySQL":          {951230, "You have an error in your SQL syntax; check the manual", "Your question has an error in its second line."},
		"an error of PostgreSQL":     {951240, "ERROR: org.postgresql.util.PSQLException: relation missing", "The relation is missing."},
		"an exception of Java":       {952110, "java.lang.NullPointerException at com.example.Claims.load(Claims.java:12)", "The claim could not be loaded."},
		"an error of PHP":            {953100, "Fatal error: Allowed memory size of 1024 bytes exhausted (tried to allocate 20 bytes)", "There was not enough memory."},
		"source text of PHP":         {953120, "<?php echo $secret; ?>", "The secret is not shown."},
		"an exception of Ruby":       {956100, "NoMethodError: undefined method 'x' for nil", "The method is not known."},
		"an exception of ASP.NET":    {950150, "System.NullReferenceException: Object reference not set", "The object is not there."},
		"a listing of a directory":   {950130, "<title>Index of /backup</title><h1>Index of /backup</h1>", "<title>Backups</title><h1>Backups of today</h1>"},
		"a web shell of PHP":         {955100, "<h1>.:NCC:. Shell v1.2</h1>", "<h1>The shells of our beaches</h1>"},
		"a web shell by its lines":   {955260, "<html>\n<head>\n<title>Ru24PostWebShell - ", "<html>\n<head>\n<title>A post - "},
		"a web shell, spread out":    {955300, "<title>PuNkHoLic   Shell</title>", "<title>Punk rock</title>"},
		"an install location":        {954100, "see C:\\inetpub\\wwwroot", "see the folder"},
		"an error of IIS, not 404":   {954130, "Server Error in '/' Application.", "There was an error in the application."},
		"the first line of a script": {950140, "#!/bin/bash\necho", "# Read me\necho"},
	} {
		if got := w.CheckAnswer(page(200, c.leak)); !got.Block || got.Code != verdict.AnswerBlocked || !slices.Contains(got.Rules, c.rule) || got.Score < 4 {
			t.Errorf("%s: %+v", name, got)
		}
		if got := w.CheckAnswer(page(200, c.twin)); got.Block || got.Score != 0 || got.Partial {
			t.Errorf("the twin of %s: %+v", name, got)
		}
		if got := w.CheckAnswer(&Answer{Status: 200, Texts: [][]byte{[]byte(c.leak)}}); got.Block || got.Score != 0 || got.Text < 4 {
			t.Errorf("%s in what a model wrote: %+v", name, got)
		}
	}
}

func TestAProfileSaysWhatComesOfAnAnswer(t *testing.T) {
	leak := page(200, "You have an error in your SQL syntax; check the manual")
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	excluded := func(until time.Time) func(*Profile) {
		return func(p *Profile) {
			p.Exclusions = []Exclusion{{Rule: 951230, Until: until, Reason: "a course about SQL"}}
		}
	}
	for name, c := range map[string]struct {
		change func(*Profile)
		answer *Answer
		block  bool
		score  int
	}{
		"as it comes":                   {func(*Profile) {}, leak, true, 5},
		"which only observes":           {func(p *Profile) { p.Answers = Observe }, leak, false, 5},
		"which does not look":           {func(p *Profile) { p.Answers, p.AnswerThreshold = 0, 0 }, leak, false, 0},
		"with a higher threshold":       {func(p *Profile) { p.AnswerThreshold = 6 }, leak, false, 5},
		"with an exclusion":             {excluded(now.Add(time.Hour)), leak, false, 0},
		"with an exclusion that is old": {excluded(now.Add(-time.Hour)), leak, true, 5},
		"of level 1, of a status":       {func(*Profile) {}, page(500, "It failed."), false, 0},
		"of level 2, of a status":       {func(p *Profile) { p.Paranoia = 2 }, page(500, "It failed."), true, 4},
		"of level 2, of another status": {func(p *Profile) { p.Paranoia = 2 }, page(404, "It is not there."), false, 0},
		"of level 1, of a page 404":     {func(*Profile) {}, page(404, "Server Error in '/' Application."), false, 0},
		"of level 1, of a page 403":     {func(*Profile) {}, page(403, "Server Error in '/' Application."), true, 4},
	} {
		p := Strict(clock.At(now))
		c.change(&p)
		if got := newWAF(t, p).CheckAnswer(c.answer); got.Block != c.block || got.Score != c.score {
			t.Errorf("a profile %s: %+v", name, got)
		}
	}
}

func TestAProfileForAnswersThatCannotBeIsRefused(t *testing.T) {
	for name, change := range map[string]func(*Profile){
		"a mode that is none": func(p *Profile) { p.Answers = 9 },
		"no threshold":        func(p *Profile) { p.AnswerThreshold = 0 },
		"an exclusion that says where": func(p *Profile) {
			p.Exclusions = []Exclusion{{Rule: 951230, Where: "ARGS:q", Until: time.Now(), Reason: "r"}}
		},
		"an exclusion of the sum":         func(p *Profile) { p.Exclusions = []Exclusion{{Rule: 959100, Until: time.Now(), Reason: "r"}} },
		"an exclusion of what is no rule": func(p *Profile) { p.Exclusions = []Exclusion{{Rule: 949110, Until: time.Now(), Reason: "r"}} },
	} {
		p := Strict(clock.System{})
		change(&p)
		if w, err := New(p); err == nil {
			t.Errorf("%s is taken", name)
			w.Close()
		}
	}
}

func TestAnAnswerThatIsTooMuchWorkIsBlockedAndAsLongAProseIsNot(t *testing.T) {
	w := newWAF(t, Strict(clock.System{}))
	// Each of many texts has what a rule needs, and none is a match.
	many := &Answer{Status: 200}
	for range mostAnswerWork/(1<<20) + 1 {
		many.Structure = append(many.Structure, []byte(strings.Repeat("Exception in thread. ", 1<<20/20)))
	}
	if got := w.CheckAnswer(many); !got.Block || got.Code != verdict.AnswerUnchecked || !got.Partial {
		t.Errorf("%+v", got)
	}
	if got := w.CheckAnswer(&Answer{Status: 200, Texts: many.Structure}); got.Block || !got.Partial {
		t.Errorf("as texts: %+v", got)
	}
	for i := range many.Structure {
		many.Structure[i] = []byte(strings.Repeat("The left side was hit.  ", 1<<20/20))
	}
	if got := w.CheckAnswer(many); got.Block || got.Partial {
		t.Errorf("as much prose: %+v", got)
	}
}

// leaks are what the generated answers are put together from.
var leaks = []string{
	"java.lang.Error", "at com.example.A", "Exception", "Error", "org.x.Exception", "Exception in thread \"main\"", "ORA-00933:", "SQL syntax", "MySQL", "Warning: mysql_query()", "Warning", "pg_query() [",
	"driver", "SQL Server", "[SqlException", "sybase", "SQLite.Exception", "DB2 SQL error", "CLI Driver", "Dynamic SQL Error", "<?php ", "<?= ", "<?xml ", "fopen", "fgets(", "$_GET", "$_post",
	"readdir", "session_start", "Chunks:", "Got chunk", "(path:", "NoMethodError:", "#{a}", "<%= x", "#!/bin/sh", "#! /", "\n", "\r\n", "<html>", "<head>", "<title>", "</title>", "r57 shell", "Index of /", "<h1>",
	"c:\\inetpub", "/inetpub", "Server Error in '/' Application", "Timeout expired", "cannot connect to the server: timed out", "punk", "holic", "shell", "<title>punk\u00a0holic shell</title>", "<title>punkholic\tshell</title>", " ", "\t", "\"", "é", "\u212a", "ſql", "\xff", "the function", "Header \"", "Empty string",
	"System.Data.SqlClient.SqlException", "HttpException", "a claim", "the left side", "400", "File", "ERROR 1064 (42000):", "Table 'a' doesn't exist", "com.informix.jdbc",
}

// stockAnswer is what stock Coraza makes of a text, with every rule run.
func stockAnswer(t *testing.T, p Profile) func(status int, text string) (Result, error) {
	t.Helper()
	engine, err := coraza.NewWAF(coraza.NewWAFConfig().WithRootFS(coreruleset.FS).WithDirectives(p.answerDirectives()))
	if err != nil {
		t.Fatal(err)
	}
	w := &WAF{profile: p, answers: &answerRules{engine: engine, filter: &filter{}}}
	w.texts.New = func() any { return new(texts) }
	t.Cleanup(func() {
		if err := closeEngine(engine); err != nil {
			t.Error(err)
		}
	})
	return func(status int, text string) (Result, error) { return w.runAnswer(status, text, new(conditions)) }
}

func TestLeavingRulesOutNeverChangesWhatIsSaidOfAnAnswer(t *testing.T) {
	for _, paranoia := range []int{1, 2} { // the set has none of higher levels
		t.Run(fmt.Sprintf("at paranoia level %d", paranoia), func(t *testing.T) {
			p := Strict(clock.System{})
			p.Paranoia = paranoia
			ours, theirs := newWAF(t, p), stockAnswer(t, p)
			r := rand.New(rand.NewPCG(3, uint64(paranoia)))
			blocked := 0
			for i := range *requests * 10 {
				var b strings.Builder
				for range 1 + r.IntN(7) {
					b.WriteString(leaks[r.IntN(len(leaks))])
					if r.IntN(2) == 0 {
						b.WriteByte(' ')
					}
				}
				status := []int{200, 404, 500}[r.IntN(3)]
				got := ours.CheckAnswer(page(status, b.String()))
				want, err := theirs(status, b.String())
				if err != nil {
					t.Fatal(err)
				}
				if got.Score != want.Score || !slices.Equal(got.Rules, want.Rules) || got.Partial {
					t.Fatalf("answer %d, %d %q:\n ours  %+v\n stock %+v", i, status, b.String(), got, want)
				}
				if got.Block {
					blocked++
				}
			}
			if blocked == 0 || blocked == *requests*10 {
				t.Errorf("%d are blocked: the comparison says little", blocked)
			}
			t.Logf("%d of %d are blocked", blocked, *requests*10)
		})
	}
}

func TestWhatGoesWrongWithAnAnswerBlocksIt(t *testing.T) {
	w := newWAF(t, Strict(clock.System{}))
	engine := w.answers.engine
	w.answers.engine = nil
	leak := page(200, "You have an error in your SQL syntax;")
	if got := w.CheckAnswer(leak); !got.Block || got.Code != verdict.AnswerUnchecked {
		t.Errorf("%+v", got)
	}
	w.answers.engine = engine
	if got := w.CheckAnswer(leak); got.Code != verdict.AnswerBlocked {
		t.Errorf("%+v", got)
	}
}
