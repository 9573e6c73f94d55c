package judge

import (
	"fmt"
	"math"
	"strings"

	"github.com/apexlogic/apex/internal/function/stack"
)

func functionSecretInEnv() Class {
	return Class{
		ID: "function_secret_in_env", Severity: "high",
		Why:  "a secret stands in the template, and in the configuration of the function that many may read",
		Mend: "keep it in a secret store, give the function its reference, and replace the secret: it has been seen",
		find: func(sc *scene) {
			for i := range sc.stack.Functions {
				f := &sc.stack.Functions[i]
				var first stack.Where
				var others []stack.Where
				var what []string
				for _, v := range f.Environment {
					why := secret(&v)
					if why == "" {
						continue
					}
					where := v.Where
					if where.Line == 0 {
						where = f.Where
					}
					if len(what) == 0 {
						first = where
					} else {
						others = append(others, where)
					}
					// The value is never shown, only what gives it away.
					what = append(what, fmt.Sprintf("%s %s", v.Name, why))
				}
				if len(what) > 0 {
					sc.report(first, f.ID, few(what), others...)
				}
			}
		},
	}
}

// secret says what makes a variable one that holds a secret, "" for others.
func secret(v *stack.Variable) string {
	if v.From != "" {
		return ""
	}
	value := strings.TrimSpace(v.Value.Value)
	if shape := tokenShape(value); shape != "" {
		return "holds " + shape
	}
	if !v.Value.Known || strings.Contains(value, "${") || reference(value) || placeholder(value) {
		return ""
	}
	if name := named(v.Name); name != "" && plausible(value) {
		return "is named like a " + name + " and holds a literal"
	}
	return ""
}

// reference says whether a value only points at where something is kept.
func reference(v string) bool {
	for _, prefix := range []string{"{{resolve:", "arn:", "secretsmanager:", "ssm:", "vault:", "projects/", "/", "./", "@Microsoft.KeyVault", "file:", "s3://", "op://", "sm://", "ref+"} {
		if strings.HasPrefix(v, prefix) {
			return true
		}
	}
	return strings.HasPrefix(v, "<") || strings.Contains(v, "{{") || (strings.HasPrefix(v, "http://") || strings.HasPrefix(v, "https://"))
}

// placeholder says whether a value is plainly none.
func placeholder(v string) bool {
	switch strings.ToLower(v) {
	case "", "true", "false", "none", "null", "nil", "undefined", "todo", "tbd", "n/a", "redacted", "placeholder", "enabled", "disabled", "optional", "required", "yes", "no", "on", "off":
		return true
	}
	return strings.Trim(v, "*x.-_") == "" || strings.Trim(v, "0123456789") == "" && len(v) < 6
}

// named says what the name of a variable promises: "password", "token", …;
// "" for names of something else, such as PASSWORD_MIN_LENGTH or TOKEN_URL.
func named(name string) string {
	words := split(name)
	if len(words) == 0 {
		return ""
	}
	switch words[len(words)-1] {
	case "arn", "name", "id", "url", "uri", "path", "file", "dir", "ttl", "expiry", "expires", "expiration", "seconds", "minutes", "hours", "days", "length", "len", "min", "max", "count", "size",
		"enabled", "disabled", "required", "region", "table", "bucket", "prefix", "suffix", "header", "type", "version", "endpoint", "host", "port", "ref", "store", "provider", "rotation", "policy", "limit", "issuer", "audience", "algorithm", "field", "column", "location", "namespace", "stage", "parameter", "param", "timeout", "username", "user", "scope", "scopes", "interval", "alias", "mode", "regex", "pattern":
		if !(len(words) >= 3 && words[len(words)-1] == "id" && words[len(words)-2] == "key" && words[len(words)-3] == "access") {
			return ""
		}
		return "access key"
	}
	joined := "_" + strings.Join(words, "_") + "_"
	for _, x := range []struct{ part, what string }{
		{"_password_", "password"}, {"_passwd_", "password"}, {"_pwd_", "password"}, {"_passphrase_", "password"}, {"_pass_", "password"},
		{"_secret_", "secret"}, {"_secrets_", "secret"}, {"_client_secret_", "secret"}, {"_private_key_", "private key"}, {"_access_key_", "access key"}, {"_secret_key_", "access key"},
		{"_api_key_", "key"}, {"_apikey_", "key"}, {"_auth_key_", "key"}, {"_encryption_key_", "key"}, {"_signing_key_", "key"}, {"_token_", "token"}, {"_credential_", "credential"}, {"_credentials_", "credential"}, {"_jwt_", "token"}, {"_connection_string_", "credential"},
	} {
		if strings.Contains(joined, x.part) {
			return x.what
		}
	}
	// Words that are written together: DBPASSWORD, mysecret.
	for _, w := range words {
		switch {
		case strings.HasSuffix(w, "password"), strings.HasSuffix(w, "passwd"), strings.HasSuffix(w, "passwrd"):
			return "password"
		case strings.HasSuffix(w, "secret"), strings.HasSuffix(w, "secretkey"), strings.HasSuffix(w, "accesskey"):
			return "secret"
		case strings.HasSuffix(w, "apikey"), strings.HasSuffix(w, "privatekey"):
			return "key"
		case strings.HasSuffix(w, "token") && len(w) > len("token"):
			return "token"
		}
	}
	return ""
}

// split takes a name apart: DB_PASSWORD, dbPassword, db-password.
func split(name string) []string {
	var words []string
	var w strings.Builder
	flush := func() {
		if w.Len() > 0 {
			words = append(words, strings.ToLower(w.String()))
			w.Reset()
		}
	}
	lower := false
	for _, r := range name {
		switch {
		case r == '_' || r == '-' || r == '.' || r == ' ':
			flush()
			lower = false
			continue
		case r >= 'A' && r <= 'Z' && lower:
			flush()
		}
		lower = r >= 'a' && r <= 'z' || r >= '0' && r <= '9'
		w.WriteRune(r)
	}
	flush()
	return words
}

// plausible says whether a literal could be a secret at all: some length, no
// sentence.
func plausible(v string) bool {
	return len(v) >= 4 && !strings.ContainsAny(v, " \n\t,") || len(v) >= 8 && !strings.Contains(v, ". ")
}

// tokenShape names the kind of secret that a text is by its form alone.
func tokenShape(v string) string {
	for _, x := range []struct {
		prefix string
		least  int // of what follows
		what   string
	}{
		{"ghp_", 30, "a GitHub token"}, {"gho_", 30, "a GitHub token"}, {"ghs_", 30, "a GitHub token"}, {"github_pat_", 30, "a GitHub token"},
		{"glpat-", 16, "a GitLab token"}, {"xoxb-", 16, "a Slack token"}, {"xoxp-", 16, "a Slack token"}, {"xoxa-", 16, "a Slack token"}, {"xapp-", 16, "a Slack token"},
		{"sk_live_", 16, "a Stripe key"}, {"rk_live_", 16, "a Stripe key"}, {"sk-ant-", 20, "an API key"}, {"sk-proj-", 20, "an API key"}, {"sk-", 32, "an API key"},
		{"AIza", 30, "a Google API key"}, {"ya29.", 20, "a Google token"}, {"hf_", 30, "a Hugging Face token"}, {"SG.", 40, "a SendGrid key"}, {"npm_", 30, "an npm token"}, {"dop_v1_", 40, "a DigitalOcean token"}, {"shpat_", 24, "a Shopify token"},
	} {
		if rest, ok := strings.CutPrefix(v, x.prefix); ok && len(rest) >= x.least && !strings.ContainsAny(rest, " ${") {
			return x.what
		}
	}
	switch {
	case strings.Contains(v, "PRIVATE KEY-----"):
		return "a private key"
	case strings.HasPrefix(v, "eyJ") && strings.Count(v, ".") == 2 && len(v) > 40 && !strings.ContainsAny(v, " ${"):
		return "a signed token (JWT)"
	case accessKey(v):
		return "an AWS access key"
	case secretKey(v):
		return "what looks like an AWS secret key"
	}
	if inURL(v) {
		return "a URL with a password"
	}
	return ""
}

// accessKey finds the id of an AWS access key: four letters of its kind, sixteen more.
func accessKey(v string) bool {
	for _, prefix := range []string{"AKIA", "ASIA", "AGPA", "AIDA", "AROA", "ANPA", "ANVA"} {
		for at := 0; ; {
			i := strings.Index(v[at:], prefix)
			if i < 0 {
				break
			}
			i += at
			at = i + 1
			if i > 0 && upperOrDigit(v[i-1]) || len(v) < i+20 {
				continue
			}
			n := 0
			for i+4+n < len(v) && upperOrDigit(v[i+4+n]) {
				n++
			}
			if n == 16 {
				return true
			}
		}
	}
	return false
}

func upperOrDigit(c byte) bool { return c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' }

// secretKey says whether a text has the form of an AWS secret key: forty
// characters of base64 that are neither a digest nor words.
func secretKey(v string) bool {
	if len(v) != 40 {
		return false
	}
	var upper, lower, digit bool
	for i := 0; i < len(v); i++ {
		switch c := v[i]; {
		case c >= 'A' && c <= 'Z':
			upper = true
		case c >= 'a' && c <= 'z':
			lower = true
		case c >= '0' && c <= '9':
			digit = true
		case c != '/' && c != '+' && c != '=':
			return false
		}
	}
	const least = 4.0 // bits a character: forty random ones have 4.8, words below 3.9
	return upper && lower && digit && entropy(v) >= least
}

func entropy(s string) float64 {
	var count [256]int
	for i := 0; i < len(s); i++ {
		count[s[i]]++
	}
	bits := 0.0
	for _, n := range count {
		if n > 0 {
			p := float64(n) / float64(len(s))
			bits -= p * math.Log2(p)
		}
	}
	return bits
}

// inURL finds "scheme://user:password@host", where the password is a literal.
func inURL(v string) bool {
	_, rest, ok := strings.Cut(v, "://")
	if !ok {
		return false
	}
	if i := strings.IndexAny(rest, "/?# "); i >= 0 {
		rest = rest[:i]
	}
	at := strings.LastIndexByte(rest, '@')
	if at < 0 {
		return false
	}
	_, password, ok := strings.Cut(rest[:at], ":")
	return ok && password != "" && !strings.Contains(password, "${") && !strings.HasPrefix(password, "<") && !strings.HasPrefix(password, "{") && !strings.HasPrefix(password, "$") && !placeholder(password)
}
