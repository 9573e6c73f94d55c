package identitytest

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"strings"
	"time"
)

// Forgery is a token that must be refused, beside its twin: the same with the
// one thing mended, which must be accepted.
type Forgery struct{ Name, Token, Twin string }

// Forgeries returns tokens that must be refused by whoever trusts the issuer's
// keys and accepts these claims at that time. The claims are of a token that is
// accepted; its audience is aud.
func Forgeries(i *Issuer, claims Object, now time.Time) (all []Forgery) {
	stranger := NewIssuer(i.T)
	head := Object{"alg": "ES256", "kid": "p256"}
	good := i.Token("ES256", head.String(), claims.String())
	h, c, _ := strings.Cut(good, ".")
	c, s, _ := strings.Cut(c, ".")
	sig := must(base64.RawURLEncoding.DecodeString(s))
	add := func(name, token, twin string) { all = append(all, Forgery{name, token, twin}) }
	of := func(alg, kid string) string {
		return i.Token(alg, Object{"alg": alg, "kid": kid}.String(), claims.String())
	}
	header := func(name, text string) { add(name, i.Token("ES256", text, claims.String()), good) }
	body := func(name, text string) { add(name, i.Token("ES256", head.String(), text), good) }

	// No signature, and who is believed to have made one.
	for _, none := range []string{"none", "None", "NONE", "nOnE", ""} {
		input := Encode(head.With("alg", none).String()) + "." + c
		add("alg "+none+" without a signature", input+".", good)
		add("alg "+none+" with a signature", input+"."+s, good)
	}
	publicDER := must(x509.MarshalPKIXPublicKey(&i.RSA.PublicKey))
	ecDER := must(x509.MarshalPKIXPublicKey(&i.P256.PublicKey))
	for name, secret := range map[string][]byte{
		"RSA key in PEM": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: publicDER}), "RSA key in DER": publicDER,
		"RSA modulus": i.RSA.N.Bytes(), "key set": i.Keys(), "empty secret": {},
	} {
		input := Encode(Object{"alg": "HS256", "kid": "rsa"}.String()) + "." + c
		add("HS256 with the "+name+" as its secret", input+"."+keyed(sha256.New, secret, input), of("RS256", "rsa"))
	}
	input := Encode(Object{"alg": "HS512", "kid": "p256"}.String()) + "." + c
	add("HS512 with the elliptic key as its secret", input+"."+keyed(sha512.New, ecDER, input), good)
	add("a key of a stranger under a known id", stranger.Token("ES256", head.String(), claims.String()), good)
	add("RS256 that names an elliptic key", of("RS256", "p256"), of("RS256", "rsa"))
	add("ES256 that names an RSA key", of("ES256", "rsa"), of("ES256", "p256"))
	add("EdDSA that names an elliptic key", of("EdDSA", "p256"), good)
	add("ES384 that names a key of P-256", of("ES384", "p256"), of("ES384", "p384"))
	add("ES256 signed, ES384 said", i.Token("ES256", head.With("alg", "ES384").String(), claims.String()), good)
	add("PS256 signed, RS256 said", i.Token("PS256", Object{"alg": "RS256", "kid": "rsa"}.String(), claims.String()), of("PS256", "rsa"))
	for name, alg := range map[string]any{"in lower case": "es256", "of Bitcoin": "ES256K", "as a number": 256, "as a list": []string{"ES256"}, "null": json.RawMessage("null"), "missing": nil, "with a space": "ES256 ", "for encryption": "RSA-OAEP", "direct": "dir", "of passwords": "PBES2-HS256+A128KW"} {
		header("an algorithm "+name, head.With("alg", alg).String())
	}

	// Keys that the token brings or points to; and what changes its reading.
	jwk := json.RawMessage(must(json.Marshal(stranger.jwk())))
	for name, v := range map[string]any{"jku": "https://attacker.example/keys", "x5u": "https://attacker.example/chain", "jwk": jwk, "x5c": []string{base64.StdEncoding.EncodeToString(ecDER)}} {
		text := head.With(name, v).String()
		add("the header "+name+", signed by its stranger", stranger.Token("ES256", text, claims.String()), good)
		header("the header "+name+", signed by the issuer", text)
	}
	for name, v := range map[string]any{"crit of exp": []string{"exp"}, "an empty crit": []string{}, "crit as a string": "b64"} {
		header(name, head.With("crit", v).With("exp", 1).String())
	}
	header("crit of b64", head.With("crit", []string{"b64"}).With("b64", true).String())
	header("b64 false without crit", head.With("b64", false).String())
	unencoded := Encode(head.With("crit", []string{"b64"}).With("b64", false).String()) + "." + claims.String()
	add("claims that are not encoded", unencoded+"."+Encode(i.Sign("ES256", []byte(unencoded))), good)
	header("zip", head.With("zip", "DEF").String())
	header("enc", head.With("enc", "A256GCM").String())
	header("epk", head.With("epk", Object{}).String())
	header("p2c", head.With("p2c", 1<<30).String())
	header("cty of a nested token", head.With("cty", "JWT").String())
	header("cty of a nested token, spelled out", head.With("cty", "application/jwt").String())
	add("a token inside a token", i.Token("ES256", head.With("cty", "jwt").String(), good), good)
	add("a token as the claims", i.Token("ES256", head.String(), good), good)

	// Key ids.
	for name, kid := range map[string]any{"missing": nil, "empty": "", "a number": 256, "a path": "../../../../dev/null", "a query": "p256' OR '1'='1", "an address": "https://attacker.example/p256", "in upper case": "P256", "with a zero byte": "p256\x00", "with a space": "p256 ", "very long": strings.Repeat("p256", 200), "a list": []string{"p256"}, "null": json.RawMessage("null")} {
		header("a key id "+name, head.With("kid", kid).String())
	}

	// Signatures.
	zero := func(n int) string { return Encode(make([]byte, n)) }
	order := i.P256.Params().N.FillBytes(make([]byte, 32))
	var r, q big.Int
	r.SetBytes(sig[:32])
	q.SetBytes(sig[32:])
	flipped := append([]byte(nil), sig...)
	flipped[40] ^= 1
	for name, sig := range map[string]string{
		"missing": "", "of zeros": zero(64), "one byte long": zero(1), "of the order of the curve": Encode(append(order[:32:32], order...)),
		"in ASN.1": Encode(must(asn1.Marshal([]*big.Int{&r, &q}))), "with a byte more": Encode(append(sig[:64:64], 0)), "with a byte less": Encode(sig[:63]),
		"with its halves swapped": Encode(append(sig[32:64:64], sig[:32]...)), "with one bit changed": Encode(flipped),
		"with padding": s + "==", "with a line break": s[:40] + "\n" + s[40:], "with a space": s + " ", "with bits after its end": tail(s), "huge": zero(8 << 10),
		"of other claims": strings.Split(i.Token("ES256", head.String(), claims.With("extra", 1).String()), ".")[2],
	} {
		add("a signature "+name, h+"."+c+"."+sig, good)
	}
	add("claims that were changed", h+"."+Encode(claims.With("admin", true).String())+"."+s, good)
	add("a header that was changed", Encode(head.With("typ", "JWT").String())+"."+c+"."+s, good)

	// Form.
	for name, token := range map[string]string{
		"of two parts": h + "." + c, "of four parts": good + "." + s, "of five parts": h + "..." + c + "." + s, "with a dot at the end": good + ".",
		"with a space before it": " " + good, "with a line break after it": good + "\n", "in JSON": Object{"protected": h, "payload": c, "signature": s}.String(),
		"only of dots": "..", "too long": i.Token("ES256", head.String(), claims.With("pad", strings.Repeat("x", 20<<10)).String()),
		"with an empty header": "." + c + "." + s, "without claims": h + ".." + s,
	} {
		add("a token "+name, token, good)
	}
	text, claim := head.String(), claims.String()
	for name, t := range map[string]string{
		"with alg twice": `{"alg":"none",` + text[1:], "with alg in two cases": `{"ALG":"none",` + text[1:], "with kid escaped and twice": `{"\u006bid":"x",` + text[1:],
		"that is a list": "[" + text + "]", "with a byte order mark": "\ufeff" + text, "with something behind it": text + "{}", "that is null": "null",
		"with a comment": text[:len(text)-1] + "/**/}", "not in UTF-8": text[:len(text)-1] + ",\"x\":\"\xff\"}", "too long": head.With("pad", strings.Repeat("x", 2<<10)).String(),
		"nested too deeply": head.With("x", json.RawMessage(strings.Repeat("[", 40)+strings.Repeat("]", 40))).String(),
	} {
		header("a header "+name, t)
	}
	for name, t := range map[string]string{
		"with sub twice": `{"sub":"admin",` + claim[1:], "with sub in two cases": `{"Sub":"admin",` + claim[1:], "that are a list": "[" + claim + "]", "that are a string": `"x"`, "that are null": "null",
		"with something behind them": claim + "x", "not in UTF-8": claim[:len(claim)-1] + ",\"x\":\"\xff\"}", "nested too deeply": claims.With("x", json.RawMessage(strings.Repeat("[", 900)+strings.Repeat("]", 900))).String(),
		"with more values than are read": claims.With("x", json.RawMessage("["+strings.Repeat("1,", 4500)+"1]")).String(),
	} {
		body("claims "+name, t)
	}

	// Types, dates, audiences.
	for _, typ := range []any{"dpop+jwt", "secevent+jwt", "logout+jwt", "JWE", 1, json.RawMessage("null")} {
		header("a type of another use", head.With("typ", typ).String())
	}
	for name, v := range map[string]any{"missing": nil, "past": now.Unix() - 1, "of this second": now.Unix(), "as a string": "9999999999", "beyond all bounds": json.RawMessage("1e300"), "too large for 64 bits": json.RawMessage("18446744073709551615"), "negative": -1, "zero": 0, "null": json.RawMessage("null"), "true": true, "a list": []int64{now.Unix() + 60}, "after the year 9999": 253402300800} {
		body("an expiry "+name, claims.With("exp", v).String())
	}
	for _, name := range []string{"nbf", "iat"} {
		for what, v := range map[string]any{"in the future": now.Unix() + 61, "as a string": "1", "null": json.RawMessage("null"), "beyond all bounds": json.RawMessage("1e99")} {
			add(name+" "+what, i.Token("ES256", head.String(), claims.With(name, v).String()), i.Token("ES256", head.String(), claims.With(name, now.Unix()+59).String()))
		}
	}
	aud := claims["aud"].(string)
	for name, v := range map[string]any{"missing": nil, "of someone else": "https://other.example", "empty": "", "an empty list": []string{}, "a list of others": []string{"a", "b"}, "a part of ours": aud[:len(aud)-1], "longer than ours": aud + "/", "in another case": strings.ToUpper(aud), "with a space": aud + " ", "with a comma": "x," + aud, "an object": Object{aud: true}, "nested": [][]string{{aud}}, "a list with a number": []any{aud, 1}, "a list of very many": strings.Split(strings.Repeat("x ", 100)+aud, " "), "null": json.RawMessage("null"), "true": true} {
		add("an audience "+name, i.Token("ES256", head.String(), claims.With("aud", v).String()), i.Token("ES256", head.String(), claims.With("aud", []string{"x", aud}).String()))
	}
	for name, v := range map[string]any{"missing": nil, "empty": "", "a number": 1, "null": json.RawMessage("null"), "a list": []any{claims["sub"]}, "with a line break": "x\ny", "very long": strings.Repeat("x", 4<<10)} {
		body("a subject "+name, claims.With("sub", v).String())
	}
	return all
}

// jwk is the public key as an attacker embeds it.
func (i *Issuer) jwk() Object {
	return Object{"kty": "EC", "crv": "P-256", "kid": "p256", "x": Encode(i.P256.X.FillBytes(make([]byte, 32))), "y": Encode(i.P256.Y.FillBytes(make([]byte, 32)))}
}

// tail sets a bit of the last character that stands for no byte: 64 bytes are 85
// characters and two bits of the 86th, whose other four must be zero.
func tail(s string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, s[len(s)-1])
	return s[:len(s)-1] + string(alphabet[last|1])
}
