package jwt_test

import (
	"crypto"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/internal/identity/identitytest"
	"github.com/apexlogic/apex/internal/identity/jwt"
	"github.com/apexlogic/apex/verdict"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func TestAllAlgorithmsAgreeWithAnotherLibrary(t *testing.T) {
	i := identitytest.NewIssuer(t)
	keys, err := jwt.ParseKeys(i.Keys())
	if err != nil || keys.Len() != 5 {
		t.Fatalf("%d keys, %v", keys.Len(), err)
	}
	for _, tt := range []struct {
		algorithm jose.SignatureAlgorithm
		kid       string
		key       crypto.Signer
		also      string // another id that it must not be accepted under
	}{
		{jose.ES256, "p256", i.P256, "p384"}, {jose.ES384, "p384", i.P384, "p256"}, {jose.EdDSA, "ed25519", i.Ed, "rsa"},
		{jose.RS256, "rsa", i.RSA, "p256"}, {jose.RS384, "rsa", i.RSA, "rsa-only"}, {jose.RS512, "rsa", i.RSA, "rsa-only"},
		{jose.PS256, "rsa", i.RSA, "rsa-only"}, {jose.PS384, "rsa", i.RSA, "rsa-only"}, {jose.PS512, "rsa", i.RSA, "rsa-only"},
	} {
		for _, kid := range []string{tt.kid, tt.also, "unknown"} {
			s, err := jose.NewSigner(jose.SigningKey{Algorithm: tt.algorithm, Key: tt.key}, (&jose.SignerOptions{}).WithHeader("kid", kid).WithType("JWT"))
			if err != nil {
				t.Fatal(err)
			}
			signed, err := s.Sign([]byte(`{"sub":"ada"}`))
			if err != nil {
				t.Fatal(err)
			}
			text, err := signed.CompactSerialize()
			if err != nil {
				t.Fatal(err)
			}
			token, err := jwt.Parse(text)
			if err != nil {
				t.Fatalf("%s: %v", tt.algorithm, err)
			}
			if err := keys.Verify(token); (err == nil) != (kid == tt.kid) || (kid == "unknown") != errors.Is(err, jwt.ErrNoKey) {
				t.Errorf("%s under %s: %v", tt.algorithm, kid, err)
			}
		}
	}
}

func TestATokenIsNamedByWhatWasSigned(t *testing.T) {
	i := identitytest.NewIssuer(t)
	sign := func(claims string) *jwt.Token {
		token, err := jwt.Parse(i.Token("ES256", `{"alg":"ES256","kid":"p256"}`, claims))
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	// ECDSA signatures are random: the two tokens differ, their names do not.
	if a, b := sign(`{"sub":"ada"}`), sign(`{"sub":"ada"}`); a.Digest != b.Digest {
		t.Error("the name varies with the signature")
	}
	if a, b := sign(`{"sub":"ada"}`), sign(`{"sub":"bob"}`); a.Digest == b.Digest {
		t.Error("two tokens have one name")
	}
}

func TestDatesAreChecked(t *testing.T) {
	at := func(seconds int64) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }
	for _, tt := range []struct {
		name   string
		claims jwt.Claims
		want   verdict.Code
	}{
		{"in a second", jwt.Claims{Expiry: at(1)}, ""},
		{"now", jwt.Claims{Expiry: at(0)}, verdict.IdentityExpired},
		{"never", jwt.Claims{}, verdict.IdentityMalformed},
		{"begins within the skew", jwt.Claims{Expiry: at(100), NotBefore: at(60)}, ""},
		{"begins after the skew", jwt.Claims{Expiry: at(100), NotBefore: at(61)}, verdict.IdentityExpired},
		{"issued within the skew", jwt.Claims{Expiry: at(100), IssuedAt: at(60)}, ""},
		{"issued after the skew", jwt.Claims{Expiry: at(100), IssuedAt: at(61)}, verdict.IdentityExpired},
	} {
		err := tt.claims.CheckTime(noon)
		if r, ok := errors.AsType[*identity.Refusal](err); (tt.want == "") != (err == nil) || ok && r.Code != tt.want {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	i := identitytest.NewIssuer(f)
	claims := identitytest.Object{"iss": "https://id.example", "sub": "ada", "aud": "gateway", "exp": noon.Unix() + 60}
	f.Add(i.Token("ES256", `{"alg":"ES256","kid":"p256"}`, claims.String()))
	f.Add(i.Token("RS256", `{"alg":"RS256","kid":"rsa","typ":"JWT"}`, claims.With("aud", []string{"a", "b"}).String()))
	f.Add("..")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	for n, forged := range identitytest.Forgeries(i, claims, noon) {
		if n%8 == 0 && len(forged.Token) < 1000 {
			f.Add(forged.Token)
		}
	}
	keys, err := jwt.ParseKeys(i.Keys())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		token, err := jwt.Parse(text)
		if err != nil {
			if _, ok := errors.AsType[*identity.Refusal](err); !ok {
				t.Fatalf("%T", err)
			}
			return
		}
		if token.KeyID == "" || !slices.Contains(jwt.Algorithms(), token.Algorithm) || strings.Count(text, ".") != 2 {
			t.Fatalf("%+v", token)
		}
		if keys.Verify(token) != nil {
			return
		}
		// What we believe, an independent library believes too, and reads alike.
		other, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(token.Algorithm)})
		if err != nil {
			t.Fatal(err)
		}
		payload, err := other.Verify(i.Public()[token.KeyID])
		if err != nil {
			t.Fatal(err)
		}
		var claims map[string]any
		if err := json.Unmarshal(payload, &claims); err != nil || token.Claims.Subject != "" && claims["sub"] != token.Claims.Subject {
			t.Fatalf("%v, %v", claims, err)
		}
	})
}

func FuzzParseKeys(f *testing.F) {
	f.Add(identitytest.NewIssuer(f).Keys())
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AA","kid":"a"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB","kid":"a"},{"kty":"OKP","crv":"Ed25519","x":"AA","kid":"b"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, err := jwt.ParseKeys(data)
		if err == nil && keys.Len() > jwt.MaxKeys {
			t.Fatalf("%d keys", keys.Len())
		}
	})
}
