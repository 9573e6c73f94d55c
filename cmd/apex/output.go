package main

import (
	"encoding/json"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	"sigs.k8s.io/yaml"
)

// outputFlag adds -o with the formats that the command knows; the first one is
// the default.
func outputFlag(c *cobra.Command, formats ...string) *string {
	o := &format{value: formats[0], known: formats}
	c.Flags().VarP(o, "output", "o", "output format: "+strings.Join(formats, ", "))
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp)) // fails for an unknown flag only
	return &o.value
}

type format struct {
	value string
	known []string
}

func (f *format) String() string { return f.value }
func (f *format) Type() string   { return "format" }
func (f *format) Set(v string) error {
	if !slices.Contains(f.known, v) {
		return usage("output format %q is not one of %s", v, strings.Join(f.known, ", "))
	}
	f.value = v
	return nil
}

// printJSON and printYAML write one document for machines.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

func printYAML(w io.Writer, v any) error {
	data, err := yaml.Marshal(v)
	if err != nil {
		return err
	}
	_, err = w.Write(data)
	return err
}

// writeDocument prints a document in a format for machines.
func writeDocument(w io.Writer, format string, v any) error {
	if format == "yaml" {
		return printYAML(w, v)
	}
	return printJSON(w, v)
}

// colourful reports whether w is a terminal whose user does not object to colour.
func colourful(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd()))
}

// width is the terminal's, or 0 where there is none.
func width(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if n, _, err := term.GetSize(int(f.Fd())); err == nil {
			return n
		}
	}
	return 0
}
