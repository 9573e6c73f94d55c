package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/doctor"
	"github.com/apexlogic/apex/internal/registry"
)

func newDoctorCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Find out what is wrong with this installation, and how to mend it",
		Long: `Doctor looks at the workspace, its documents, ledgers, keys, the running apex up,
the clock, the disk and the programs that are needed. Each finding comes with what
was seen and the command that mends it. It changes nothing.

It exits with 0 when nothing failed (warnings included) and with 1 otherwise.`,
		Example: `  apex doctor
  apex doctor -o json | jq -r '.checks[] | select(.status == "fail") | .fix'`,
		Args: cobra.NoArgs,
	}
	output := outputFlag(c, "table", "json", "yaml")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		p, err := patient(cmd)
		if err != nil {
			return err
		}
		r := doctor.Examine(cmd.Context(), p)
		w := cmd.OutOrStdout()
		switch *output {
		case "json":
			err = printJSON(w, &r)
		case "yaml":
			err = printYAML(w, &r)
		default:
			err = printDiagnosis(w, &r)
		}
		if err != nil {
			return err
		}
		if !r.OK {
			return &exit{code: exitDeny}
		}
		return nil
	}
	return c
}

// patient collects what the checks need to be told. What is missing stays
// empty: to find that out is their work.
func patient(cmd *cobra.Command) (doctor.Patient, error) {
	workspace, inside := app.FindWorkspace(".")
	state, err := stateDir(cmd, workspace, inside)
	if err != nil {
		return doctor.Patient{}, err
	}
	if state, err = filepath.Abs(state); err != nil {
		return doctor.Patient{}, err
	}
	p := doctor.Patient{
		State: state,
		VerifierKey: func(dir string) (string, error) {
			return app.LedgerDir{Role: filepath.Base(dir), Dir: dir}.VerifierKey()
		},
		RegistryUser:  registry.LocalUser,
		RegistryToken: readToken(filepath.Join(state, "registry", "token")),
		APIToken:      readToken(filepath.Join(state, "token")),
		DockerConfig:  dockerConfigFile(),
	}
	if inside {
		p.Workspace = workspace.Dir
		p.Head = func() (string, error) {
			head, err := workspace.Head()
			return string(head), err
		}
		p.Documents = func(ctx context.Context) (*config.Set, error) {
			set, _, err := workspace.Load(ctx)
			return set, err
		}
	}
	p.Registry, p.API, _ = app.Listeners(state)              // nothing listens where none ever did
	if in, err := app.SelectLedgers(state, ""); err == nil { // nothing is recorded yet otherwise
		for _, l := range in {
			p.Ledgers = append(p.Ledgers, l.Dir)
		}
	}
	return p, nil
}

// maxToken bounds a token's file.
const maxToken = 4 << 10

// readToken reads a token; the check that uses it says when it is not good.
func readToken(path string) string {
	data, err := bounded.ReadFile(path, maxToken)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(data), "\n")
	return line
}

// dockerConfigFile is where Docker and its friends keep credentials.
func dockerConfigFile() string {
	dir := os.Getenv("DOCKER_CONFIG")
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return ""
		}
		dir = filepath.Join(home, ".docker")
	}
	return filepath.Join(dir, "config.json")
}

func printDiagnosis(w io.Writer, r *doctor.Report) error {
	marks := map[doctor.Status]string{doctor.OK: "✓", doctor.Warn: "!", doctor.Fail: "✗", doctor.Skip: "-"}
	var b strings.Builder
	counts := map[doctor.Status]int{}
	for _, c := range r.Checks {
		counts[c.Status]++
		fmt.Fprintf(&b, "%s %-18s %s\n", marks[c.Status], c.ID, app.Printable(strings.ReplaceAll(c.Evidence, "\n", " ")))
		if c.Fix != "" {
			fmt.Fprintf(&b, "  %-18s fix: %s\n", "", app.Printable(c.Fix))
		}
	}
	fmt.Fprintf(&b, "%d fine, %d warnings, %d failed, %d not there to look at\n",
		counts[doctor.OK], counts[doctor.Warn], counts[doctor.Fail], counts[doctor.Skip])
	_, err := io.WriteString(w, b.String())
	return err
}
