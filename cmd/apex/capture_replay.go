package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/gateway/capture"
	"github.com/apexlogic/apex/internal/seal"
)

// replaying is what the flags of a replay say.
type replaying struct {
	key, config, to, tokenFile string
	all                        bool
}

func newCaptureReplayCommand() *cobra.Command {
	var f replaying
	c := &cobra.Command{
		Use:   "replay (ID... | --all) --key FILE (--config DIR | --to URL)",
		Short: "Judge captures by other policies, or send them again",
		Long: `With --config, replay judges each capture by the routes and policies of a folder, through
the stages of the gateway: nothing is sent anywhere. Who asked is who asked then, and
the time is that of the request; limits over time are not counted, and what was known
of the model is what was known then. It prints what was decided, and what would be.

With --to, it sends each request to a server or a gateway, without the old credential,
which was not kept; --token-file names a bearer token to send. It prints the status.

Exit codes: 0 no decision changes, or all were sent; 1 some decisions change, or the
folder is wrong; 2 usage; 3 environment; 4 some captures could not be opened or sent.`,
		Example: `  apex capture replay --all --state STATE --key keys/capture.key --config policies
  apex capture replay 019ab2c4-… --key keys/capture.key --to http://127.0.0.1:8080`,
		Args: cobra.ArbitraryArgs,
	}
	output := outputFlag(c, "table", "json", "yaml")
	c.Flags().BoolVar(&f.all, "all", false, "all captures")
	c.Flags().StringVar(&f.key, "key", "", "file with the private key")
	c.Flags().StringVar(&f.config, "config", "", "folder with the routes and policies to judge by")
	c.Flags().StringVar(&f.to, "to", "", "server or gateway to send to: http://HOST:PORT")
	c.Flags().StringVar(&f.tokenFile, "token-file", "", "with --to: file with a bearer token to send")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if (len(args) > 0) == f.all {
			return usage("name captures by their ids, or all of them: --all")
		}
		if (f.config == "") == (f.to == "") {
			return usage("say what to do with them: judge them by a folder, --config DIR, or send them, --to URL")
		}
		if f.tokenFile != "" && f.to == "" {
			return usage("--token-file is what --to sends; with --config it is known who asked")
		}
		key, err := captureKey(f.key)
		if err != nil {
			return err
		}
		entries, err := chosen(cmd, args, f.all)
		if err != nil {
			return err
		}
		if f.to != "" {
			return sendCaptures(cmd, &f, key, entries, *output)
		}
		return judgeCaptures(cmd, &f, key, entries, *output)
	}
	return c
}

// chosen returns the captures that are named.
func chosen(cmd *cobra.Command, ids []string, all bool) ([]capture.Entry, error) {
	if all {
		return captures(cmd)
	}
	var some []capture.Entry
	for _, id := range ids {
		e, err := captureOf(cmd, id)
		if err != nil {
			return nil, err
		}
		some = append(some, *e)
	}
	return some, nil
}

// judgeCaptures judges each by the folder.
func judgeCaptures(cmd *cobra.Command, f *replaying, key *seal.PrivateKey, entries []capture.Entry, output string) error {
	r, err := app.NewReplay(cmd.Context(), f.config)
	if invalid, is := errors.AsType[*config.Invalid](err); is {
		var lines []string
		for i := range invalid.Problems {
			lines = append(lines, invalid.Problems[i].String())
		}
		return &exit{exitDeny, errors.New(strings.Join(lines, "\n"))}
	}
	if err != nil {
		return err
	}
	w := cmd.OutOrStdout()
	document := struct {
		Schema  string         `json:"schema"`
		Judged  int            `json:"judged"`
		Changed int            `json:"changed"`
		Skipped int            `json:"skipped"`
		Failed  int            `json:"failed"`
		Results []app.Replayed `json:"results"`
	}{Schema: "apex.capture-replay/v1", Results: []app.Replayed{}}
	for i := range entries {
		result, err := judgeCapture(r, key, &entries[i])
		if err != nil {
			document.Failed++
			fmt.Fprintln(cmd.ErrOrStderr(), "apex:", err)
			continue
		}
		if result.After == nil {
			document.Skipped++
		} else {
			document.Judged++
		}
		if result.Changed {
			document.Changed++
		}
		document.Results = append(document.Results, result)
		if output == "table" {
			printReplayed(w, &result)
		}
	}
	if output != "table" {
		err = writeDocument(w, output, document)
	} else {
		_, err = fmt.Fprintf(w, "%d judged, %d changed, %d skipped, %d failed\n", document.Judged, document.Changed, document.Skipped, document.Failed)
	}
	switch {
	case err != nil:
		return err
	case document.Changed > 0:
		return &exit{code: exitDeny}
	case document.Failed > 0:
		return &exit{code: exitPartial}
	}
	return nil
}

func judgeCapture(r *app.Replay, key *seal.PrivateKey, e *capture.Entry) (app.Replayed, error) {
	c, _, err := e.Open(key, time.Now())
	if err != nil {
		return app.Replayed{}, err
	}
	return r.Judge(c)
}

// printReplayed prints a line: what was decided, and what would be.
func printReplayed(w io.Writer, r *app.Replayed) {
	line := fmt.Sprintf("%s  %s  %s  %s", r.ID, r.Route, r.Principal, r.Before.String())
	switch {
	case r.After == nil:
		line += "  (not judged: " + r.Skipped + ")"
	case r.Changed:
		line += " -> " + r.After.String()
		if r.After.Detail != "" {
			line += " (" + r.After.Detail + ")"
		}
	default:
		line += " as before"
	}
	fmt.Fprintln(w, app.Printable(line))
}

// sendCaptures sends each.
func sendCaptures(cmd *cobra.Command, f *replaying, key *seal.PrivateKey, entries []capture.Entry, output string) error {
	to, err := url.Parse(f.to)
	if err != nil || to.Host == "" || to.Scheme != "http" && to.Scheme != "https" || to.User != nil || strings.Trim(to.Path, "/") != "" || to.RawQuery != "" {
		return usage("--to is http://HOST:PORT or https://HOST:PORT, without a path")
	}
	token := ""
	if f.tokenFile != "" {
		text, err := bounded.ReadFile(f.tokenFile, maxSentToken)
		if err != nil {
			return err
		}
		token = strings.TrimSpace(string(text))
	}
	type result struct {
		ID     string `json:"id"`
		Status int    `json:"status,omitempty"`
		Error  string `json:"error,omitempty"`
	}
	results := []result{}
	w := cmd.OutOrStdout()
	failed := 0
	for i := range entries {
		e := &entries[i]
		c, _, err := e.Open(key, time.Now())
		status := 0
		if err == nil {
			status, err = app.SendCapture(cmd.Context(), c, to, token)
		}
		r := result{ID: e.ID, Status: status}
		if err != nil {
			failed++
			r.Error = err.Error()
			fmt.Fprintln(cmd.ErrOrStderr(), "apex:", err)
		} else if output == "table" {
			fmt.Fprintf(w, "%s  %d %s\n", e.ID, status, http.StatusText(status))
		}
		results = append(results, r)
	}
	if output != "table" {
		err = writeDocument(w, output, struct {
			Schema  string   `json:"schema"`
			Results []result `json:"results"`
		}{"apex.capture-send/v1", results})
	}
	if err == nil && failed > 0 {
		return &exit{code: exitPartial}
	}
	return err
}

// maxSentToken is the longest token that gateways look at, and an end of line.
const maxSentToken = 16<<10 + 2
