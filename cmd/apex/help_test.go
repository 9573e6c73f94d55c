package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// eachCommand calls f for every command that Apex has.
func eachCommand(f func(*cobra.Command)) {
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		f(c)
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(newRoot(streams{strings.NewReader(""), io.Discard, io.Discard}))
}

func TestEveryCommandExplainsItself(t *testing.T) {
	n := 0
	eachCommand(func(c *cobra.Command) {
		n++
		path := c.CommandPath()
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: Short is %q, want one line without a full stop", path, c.Short)
		}
		if c.Example == "" {
			t.Errorf("%s has no Example", path)
		}
		for line := range strings.Lines(c.Example) {
			if strings.TrimSpace(line) != "" && !strings.HasPrefix(line, "  ") {
				t.Errorf("%s: the example %q is not indented", path, line)
			}
		}
		if c.Example != "" && !strings.Contains(c.Example, path) {
			t.Errorf("%s: its example does not show it", path)
		}
		if c.Args == nil && !c.HasSubCommands() {
			t.Errorf("%s takes any arguments", path)
		}
	})
	if n < 15 {
		t.Errorf("only %d commands were looked at", n)
	}
}

func TestEveryOutputFlagKnowsJSON(t *testing.T) {
	n := 0
	eachCommand(func(c *cobra.Command) {
		flag := c.Flags().ShorthandLookup("o")
		if flag == nil {
			return
		}
		n++
		// A stream of objects is one on each line.
		if flag.Value.Set("json") != nil && flag.Value.Set("jsonl") != nil {
			t.Errorf("%s -o takes neither json nor jsonl", c.CommandPath())
		}
		if err := flag.Value.Set("nonsense"); err == nil {
			t.Errorf("%s -o nonsense is taken", c.CommandPath())
		}
	})
	if n < 5 {
		t.Errorf("only %d commands with -o were looked at", n)
	}
}

// commandsOf returns the apex commands of a text, each as its words: what stands
// at the beginning of a line, also behind a prompt or a pipe. Comments, and what
// a shell does with the output, are left out.
func commandsOf(text string) (all [][]string) {
	text = strings.ReplaceAll(text, "\\\n", " ")
	text = strings.ReplaceAll(text, "|\n", "| ")
	for line := range strings.Lines(text) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "$ ")
		if !strings.HasPrefix(line, "apex ") {
			continue
		}
		var words []string
		var word strings.Builder
		quote, begun := rune(0), false
		end := func() {
			if begun {
				words = append(words, word.String())
			}
			word.Reset()
			begun = false
		}
		for _, c := range line + "\n" {
			switch {
			case quote != 0 && c == quote:
				quote = 0
			case quote == 0 && (c == '"' || c == '\''):
				quote, begun = c, true
			case quote == 0 && (c == ' ' || c == '\t' || c == '\n'):
				end()
			default:
				word.WriteRune(c)
				begun = true
			}
		}
		if i := slices.IndexFunc(words, func(w string) bool { return strings.HasPrefix(w, "#") }); i >= 0 {
			words = words[:i]
		}
		for len(words) > 0 {
			n := slices.IndexFunc(words, func(w string) bool { return strings.ContainsAny(w[:min(1, len(w))], "|>&;<") })
			if n < 0 {
				n = len(words)
			}
			if n > 1 && words[0] == "apex" {
				all = append(all, words[1:n])
			}
			words = words[min(n+1, len(words)):]
		}
	}
	return all
}

// understood reports why the program would not take a command for one of its own.
func understood(words []string) error {
	c, rest, err := newRoot(streams{strings.NewReader(""), io.Discard, io.Discard}).Find(words)
	if err != nil {
		return err
	}
	if err := c.ParseFlags(rest); err != nil {
		return err
	}
	args := c.Flags().Args()
	if c.Args == nil && len(args) > 0 { // only its subcommands take some
		return fmt.Errorf("%s knows no %s", c.CommandPath(), args[0])
	}
	return c.ValidateArgs(args)
}

func TestEveryCommandThatIsShownIsUnderstood(t *testing.T) {
	texts := map[string]string{}
	eachCommand(func(c *cobra.Command) { texts[c.CommandPath()+" --help"] = c.Example })
	for _, pattern := range []string{"../../README.md", "../../docs/*.md", "../../docs/kinds/*.md", "../../examples/*/*.md", "../../internal/*/README.md"} {
		pages, err := filepath.Glob(pattern)
		if err != nil || len(pages) == 0 {
			t.Fatalf("%s: %d pages, %v", pattern, len(pages), err)
		}
		for _, page := range pages {
			data, err := os.ReadFile(page)
			if err != nil {
				t.Fatal(err)
			}
			texts[page] = string(data)
		}
	}
	n := 0
	for where, text := range texts {
		for _, words := range commandsOf(text) {
			n++
			if err := understood(words); err != nil {
				t.Errorf("%s: apex %s: %v", where, strings.Join(words, " "), err)
			}
		}
	}
	if n < 150 {
		t.Errorf("only %d commands were looked at", n)
	}
	for _, wrong := range []string{"apex gateway --config policies --no-such-flag", "apex gitops paln", "apex why", "apex ledger tail --count many"} {
		if all := commandsOf(wrong); len(all) != 1 || understood(all[0]) == nil {
			t.Errorf("%s is understood", wrong)
		}
	}
}
