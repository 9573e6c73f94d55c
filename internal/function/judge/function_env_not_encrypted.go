package judge

import "strings"

func functionEnvNotEncrypted() Class {
	return Class{
		ID: "function_env_not_encrypted", Severity: "low",
		Why:  "the environment is not encrypted with a key of your own: whoever may read the configuration reads it",
		Mend: "set the KMS key of the function (kms_key_arn, KmsKeyArn, kmsKeyArn)",
		find: func(sc *scene) {
			for i := range sc.stack.Functions {
				f := &sc.stack.Functions[i]
				if !lambda(f.Kind) || len(f.Environment) == 0 || f.KMSKey.Value != "" {
					continue
				}
				sc.report(f.Where, f.ID, "has environment variables and no KMS key of its own")
			}
		},
	}
}

// lambda says whether a kind of function is AWS's, whose environment takes a key.
func lambda(kind string) bool {
	k := strings.ToLower(kind)
	return strings.Contains(k, "lambda") || strings.Contains(k, "aws::serverless::function") || strings.HasPrefix(k, "serverless")
}
