package tools

import (
	"slices"

	"github.com/apexlogic/apex/internal/scanhub/sarif"
)

// secretCWE is "Use of Hard-coded Credentials", which scanners of secrets state.
const secretCWE = 798

// apexFunctions is the built-in scan of serverless functions. A secret in a
// function's environment is a secret in a file: it is one finding with that of a
// scanner of secrets at the same line.
func apexFunctions() Tool {
	const inEnvironment = "function_secret_in_env"
	return Tool{
		Name:    "apex-functions",
		Classes: map[string]sarif.Class{inEnvironment: sarif.Secret},
		Fill: func(r *sarif.Result) {
			if r.Rule == inEnvironment && !slices.Contains(r.CWE, secretCWE) {
				r.CWE = append(r.CWE, secretCWE)
			}
		},
	}
}
