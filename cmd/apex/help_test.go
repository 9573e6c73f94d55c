package main

import (
	"io"
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
