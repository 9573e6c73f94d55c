package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/app"
)

func newBaseCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "base",
		Short: "Lock the layers of approved base images",
		Long: `Base keeps a BaseImageLock: which layers the approved base images consisted of
when they were looked at. The rule AllowOnlyApprovedBaseImages compares the
layers of an image with them; a name in an annotation proves nothing.`,
		Example: `  apex base update pytorch/pytorch:2.6.0-cuda12.4-cudnn9-runtime
  apex base list`,
	}
	c.AddCommand(newBaseUpdateCommand(), newBaseListCommand())
	return c
}

// lockFlag adds --lock; lockFile says which file it names.
func lockFlag(c *cobra.Command) *string {
	return c.Flags().String("lock", "", "lock file (default: policies/approved-base-images.yaml of the workspace, else approved-base-images.yaml)")
}

func lockFile(given string) string {
	if given != "" {
		return given
	}
	if w, inside := app.FindWorkspace("."); inside {
		return w.BaseLockFile()
	}
	return "approved-base-images.yaml"
}

func newBaseUpdateCommand() *cobra.Command {
	var flags clientFlags
	var platforms []string
	var check bool
	c := &cobra.Command{
		Use:   "update [IMAGE:TAG...]",
		Short: "Record what base images consist of now",
		Long: `Update resolves each image and adds its digest, platforms and layers to the lock
file; without an image, it looks at all images that the file has. Older digests
of an image stay, because what is built on them may still run: delete them from
the file when it must not.

It writes the file and commits nothing: a lock is reviewed like code.`,
		Example: `  apex base update pytorch/pytorch:2.6.0-cuda12.4-cudnn9-runtime --platform linux/amd64
  apex base update --check   # in CI: exit 1 when a tag has moved`,
		Args: cobra.ArbitraryArgs,
	}
	flags.add(c)
	lock := lockFlag(c)
	output := outputFlag(c, "table", "json", "yaml")
	c.Flags().StringSliceVar(&platforms, "platform", nil, "lock only these platforms, os/arch[/variant]")
	c.Flags().BoolVar(&check, "check", false, "write nothing; exit 1 when the lock is behind")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		ctx := cmd.Context()
		file := lockFile(*lock)
		l, err := app.OpenBaseLock(ctx, file)
		if err != nil {
			return err
		}
		if len(args) == 0 {
			if args = l.Names(); len(args) == 0 {
				return usage("%s locks no image yet; name one as repository:tag", file)
			}
		}
		client, err := flags.open()
		if err != nil {
			return err
		}
		defer client.Close()
		var changes []app.BaseChange
		behind := false
		for _, image := range args {
			change, err := l.Update(ctx, client, image, platforms, time.Now())
			if err != nil {
				return err // before anything is written
			}
			changes = append(changes, change)
			behind = behind || change.Added
		}
		if behind && !check {
			if err := l.Write(ctx); err != nil {
				return err
			}
		}
		if err := printChanges(cmd, *output, file, changes, check); err != nil {
			return err
		}
		if behind && check {
			return &exit{code: exitDeny}
		}
		return nil
	}
	return c
}

func printChanges(cmd *cobra.Command, format, file string, changes []app.BaseChange, check bool) error {
	w := cmd.OutOrStdout()
	document := struct {
		Schema  string           `json:"schema"`
		Lock    string           `json:"lock"`
		Changes []app.BaseChange `json:"changes"`
	}{"apex.base-update/v1", file, changes}
	switch format {
	case "json":
		return printJSON(w, document)
	case "yaml":
		return printYAML(w, document)
	}
	behind := false
	for _, c := range changes {
		word := "current"
		if c.Added {
			behind = true
			word = "added  "
			if check {
				word = "behind "
			}
		}
		fmt.Fprintf(w, "%s  %s  %s  %s\n", word, c.Image, c.Digest, strings.Join(c.Platforms, ", "))
		for _, d := range c.Kept {
			fmt.Fprintf(w, "kept     %s  %s\n", c.Image, d)
		}
	}
	switch {
	case behind && check:
		fmt.Fprintf(w, "\n%s is behind; run apex base update and commit it\n", file)
	case behind:
		fmt.Fprintf(w, "\nwrote %s; review and commit it\n", file)
	}
	return nil
}

func newBaseListCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "list",
		Short:   "List the locked base images",
		Example: `  apex base list --lock policies/approved-base-images.yaml -o json`,
		Args:    cobra.NoArgs,
	}
	lock := lockFlag(c)
	output := outputFlag(c, "table", "json", "yaml")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		file := lockFile(*lock)
		l, err := app.OpenBaseLock(cmd.Context(), file)
		if err != nil {
			return err
		}
		document := struct {
			Schema string                     `json:"schema"`
			Lock   string                     `json:"lock"`
			Images []v1alpha1.LockedBaseImage `json:"images"`
		}{"apex.base-images/v1", file, l.Images()}
		w := cmd.OutOrStdout()
		switch *output {
		case "json":
			return printJSON(w, document)
		case "yaml":
			return printYAML(w, document)
		}
		if len(document.Images) == 0 {
			_, err := fmt.Fprintf(w, "%s locks no image yet; apex base update IMAGE:TAG adds one\n", file)
			return err
		}
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "IMAGE\tDIGEST\tPLATFORM\tLAYERS\tRESOLVED")
		for _, i := range document.Images {
			for _, p := range i.Platforms {
				fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\n", i.Image, i.Digest, p.Platform, len(p.DiffIDs), i.ResolvedAt.UTC().Format(time.RFC3339))
			}
		}
		return t.Flush()
	}
	return c
}
