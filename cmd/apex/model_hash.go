package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/internal/model/oms"
)

// hashFlags say how a model is listed and hashed.
type hashFlags struct {
	algorithm, method, state string
	shard                    int64
	ignore                   []string
	links                    bool
}

func (f *hashFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.algorithm, "hash", string(oms.SHA256), "hash of files: sha256, blake2b or blake3 (artifacts need sha256)")
	c.Flags().StringVar(&f.method, "method", string(oms.Files), "files: a digest for each file; shards: one for each part of a file")
	c.Flags().Int64Var(&f.shard, "shard-size", 0, "bytes of a shard (default 1000000000)")
	c.Flags().StringVar(&f.state, "resume", "", "file that keeps finished digests, so that an interrupted run goes on; it must be yours alone")
	f.addPaths(c)
	_ = c.RegisterFlagCompletionFunc("hash", cobra.FixedCompletions([]string{"sha256", "blake2b", "blake3"}, cobra.ShellCompDirectiveNoFileComp)) // fails for an unknown flag only
	_ = c.RegisterFlagCompletionFunc("method", cobra.FixedCompletions([]string{"files", "shards"}, cobra.ShellCompDirectiveNoFileComp))           // fails for an unknown flag only
}

func (f *hashFlags) addPaths(c *cobra.Command) {
	c.Flags().StringArrayVar(&f.ignore, "ignore", nil, "path that is not part of the model; may be repeated")
	c.Flags().BoolVar(&f.links, "allow-symlinks", false, "follow links that stay inside of the model")
}

func (f *hashFlags) options(signature string, bar *byteBar) (oms.Options, error) {
	o := oms.Options{Algorithm: oms.Algorithm(f.algorithm), Method: oms.Method(f.method), ShardSize: f.shard,
		AllowSymlinks: f.links, Signature: signature, State: f.state}
	o.Ignore = f.ignore
	o.Work.Progress = func(p oms.Progress) { bar.set(p.Bytes, p.TotalBytes) }
	if o.Method != oms.Files && o.Method != oms.Shards {
		return o, usage("--method %q is neither files nor shards", f.method)
	}
	return o, nil
}

func newModelHashCommand() *cobra.Command {
	var flags hashFlags
	c := &cobra.Command{
		Use:   "hash PATH",
		Short: "List the files of a model with their digests",
		Long: `Hash lists what an OpenSSF Model Signing signature would cover, and the root
digest by which other statements name the model. The same files give the same
answer, whatever their order on disk.`,
		Example: `  apex model hash ./captioner
  apex model hash --method shards --resume /var/tmp/big.state ./big-model`,
		Args: cobra.ExactArgs(1),
	}
	flags.add(c)
	output := outputFlag(c, "table", "json", "yaml")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		bar := newByteBar(cmd.ErrOrStderr(), "hashing", 0)
		o, err := flags.options("", bar)
		if err != nil {
			return err
		}
		hashed, err := oms.Hash(cmd.Context(), args[0], o)
		bar.end()
		if err != nil {
			return err
		}
		return printHashed(cmd, *output, hashed)
	}
	return c
}

type hashedDocument struct {
	Schema    string           `json:"schema"`
	Root      string           `json:"root"`
	Method    oms.Method       `json:"method"`
	Algorithm oms.Algorithm    `json:"algorithm"`
	Files     int              `json:"files"`
	Bytes     int64            `json:"bytes"`
	Resources []hashedResource `json:"resources"`
	Ignored   []string         `json:"ignored,omitempty"`
	Twins     [][]string       `json:"twins,omitempty"`
}

type hashedResource struct {
	Name   string `json:"name"`
	Digest string `json:"digest"`
}

func printHashed(cmd *cobra.Command, format string, h *oms.Hashed) error {
	w, s := cmd.OutOrStdout(), h.Manifest.Serialization
	doc := hashedDocument{Schema: "apex.model-hash/v1", Root: string(h.Manifest.Root()), Method: s.Method, Algorithm: s.Algorithm,
		Files: h.Files, Bytes: h.Bytes, Resources: []hashedResource{}, Ignored: h.Ignored, Twins: h.Twins}
	for _, r := range h.Manifest.Resources {
		doc.Resources = append(doc.Resources, hashedResource{r.Name, string(s.Algorithm) + ":" + r.Digest})
	}
	switch format {
	case "json":
		return printJSON(w, doc)
	case "yaml":
		return printYAML(w, doc)
	}
	for _, r := range doc.Resources {
		fmt.Fprintf(w, "%s  %s\n", r.Digest, oneLine(r.Name))
	}
	for _, twins := range doc.Twins {
		fmt.Fprintf(w, "note: %q are one file on some systems\n", twins)
	}
	_, err := fmt.Fprintf(w, "root %s, %d files, %d bytes\n", doc.Root, doc.Files, doc.Bytes)
	return err
}
