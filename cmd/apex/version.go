package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the release build with -ldflags -X main.version=.
var version = "dev"

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version, and that of the firewall's rules",
		Example: "  apex version",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			revision := "unknown"
			var rules, engine string
			if info, ok := debug.ReadBuildInfo(); ok {
				for _, s := range info.Settings {
					if s.Key == "vcs.revision" {
						revision = s.Value
					}
				}
				for _, m := range info.Deps {
					switch m.Path {
					case "github.com/corazawaf/coraza-coreruleset/v4":
						rules = m.Version
					case "github.com/corazawaf/coraza/v3":
						engine = m.Version
					}
				}
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "apex %s (commit %s, %s %s/%s)\n", version, revision, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			if err == nil && rules != "" {
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "firewall: OWASP Core Rule Set %s, Coraza %s\n", rules, engine)
			}
			return err
		},
	}
}
