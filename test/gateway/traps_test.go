package gateway

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// traps are the known ways around gateways and the known ways for them to fail, and
// the tests that hold each closed, here or where the check is made. Each test has
// the same request without the trick, which passes. (Benchmarks have a trap of their
// own, that what is refused looks fast: those here end at the first refusal.)
var traps = []struct {
	name  string
	tests []string
}{
	// Bounds.
	{"an attack stands behind what a firewall inspects of a body", []string{"TestLimitsRefuseAndNeverCutShort", "internal/gateway/waf.TestAnAttackBehindTheLimitDoesNotPass"}},
	{"values nested without end exhaust the stack", []string{"TestLimitsRefuseAndNeverCutShort", "internal/media/body.FuzzJSON"}},
	{"arguments without end exhaust memory, or are dropped silently", []string{"TestLimitsRefuseAndNeverCutShort", "internal/gateway/waf.TestAnAttackBehindTheLimitDoesNotPass"}},
	{"a bound on a number is passed by another spelling of it", []string{"TestABoundCountsHoweverItsNumberIsSpelled"}},
	// Lifting.
	{"what only looks like media is lifted out of the text", []string{"internal/media/body.TestOnlyWhatIsWhollyMediaIsLifted"}},
	{"base64 of markup or of an attack hides where text is expected", []string{"TestWhatIsEncodedInATextStaysText", "internal/media/body.TestOnlyWhatIsWhollyMediaIsLifted"}},
	{"a server fetches what stands where no table expects an address", []string{"internal/media/body.TestWhatServersFetchIsContentWhereverItStands", "internal/media/body.TestAFieldOfAFormNamesNoContentByItsAddress"}},
	{"one of two contents in an object hides the other", []string{"internal/media/body.TestNoContentHidesBesideAnother"}},
	{"a tensor is in the server's memory, or of another version of the model", []string{"internal/media/body.TestTensorsHoldWhatTheySay", "internal/gateway/stream.TestEveryMessageOfACallIsLookedAt", "internal/gateway.TestAVersionOfAModelIsNotTheArtifactThatTheRouteKnows"}},
	{"an answer costs more than was predicted: another name of a bound, below nought, several prompts", []string{"internal/media/body.TestABoundOfAnAnswerCountsByWhateverNameAndIsNeverNegative", "internal/media/body.TestEachPromptOfAListCounts", "internal/media/body.TestAllThatAModelReadsIsCounted"}},
	{"SVG is taken for an image", []string{"internal/media/inspect.TestActiveContentIsRefusedByWhateverNameItComes"}},
	{"the declared type is believed", []string{"TestContentThatIsNotWhatItSaysIsRefused", "internal/media/inspect.TestTheDeclaredTypeHasToBeTheFoundOne"}},
	// Two readers.
	{"a key twice, in escapes, in another case", []string{"TestAServerReadsWhatTheGatewayRead", "internal/media/body.TestAKeyThatReadersConfuseIsRefused"}},
	{"a byte order mark, UTF-16, UTF-7", []string{"TestAServerReadsWhatTheGatewayRead", "internal/media/body.TestTheMediaTypeDecidesAndIsNeverGuessed"}},
	{"something behind the end, NaN, numbers that nobody holds", []string{"TestWhatIsNoJSONIsRefusedAndItsTwinPasses", "TestAServerReadsWhatTheGatewayRead"}},
	{"two types, no type, JSON that is said to be a form", []string{"TestAServerReadsWhatTheGatewayRead", "internal/media/body.TestTheMediaTypeDecidesAndIsNeverGuessed", "internal/media/body.TestAMultipartBodyIsReadToTheLetter"}},
	{"a binary body is read as a form", []string{"internal/gateway/waf.TestBinaryBodiesAreNotReadAsForms", "internal/media/body.TestTensorsHoldWhatTheySay"}},
	{"text stands where no table expects it, or in another schema", []string{"TestWhatNoTableKnowsIsLookedAt", "internal/media/body.TestAChatIsTakenApart", "internal/media/body.TestWhatIsWithinAToolsArgumentsIsSeen"}},
	{"a route or an operation that nobody knows", []string{"internal/gateway.TestOperationsAreThoseOfTheAPI", "internal/app.TestTheGatewayInFrontOfTheCaptioner"}},
	// Headers.
	{"a header claims an identity, by its name or by one that servers map to it", []string{"TestNoHeaderOfTheCallerSaysWhoItIs", "internal/gateway.TestHeadersThatClaimAnIdentityDoNotPass"}},
	{"Connection takes away a header that the gateway sets", []string{"TestNoHeaderOfTheCallerSaysWhoItIs"}},
	{"a proxy that asks is believed about headers of the caller", []string{"internal/gateway/extauthz.TestHeadersThatAreNotTheClientsAreNeitherBelievedNorPassedOn"}},
	// Tokens.
	{"alg none, HS with a public key, jku, x5u, jwk, kid as a path, crit, b64, JWE, an audience that is a list", []string{"internal/identity/chain.TestNoForgedTokenIsAcceptedAndEachTwinIs", "internal/identity/jwt.TestNoInvalidSignatureOfWycheproofIsAccepted"}},
	{"an issuer that begins like the pinned one", []string{"internal/identity/chain.TestAnIssuerIsTheOneThatIsPinnedToTheLetter"}},
	{"a trust domain in another case", []string{"internal/identity/chain.TestASubjectIsASPIFFEIDToTheLetter"}},
	{"clocks that differ", []string{"internal/identity/jwt.TestDatesAreChecked"}},
	{"an issuer leads to an address inside, redirects, answers without end", []string{"internal/identity/oidc.TestAnIssuerInsideIsAskedOnlyWhenThatIsAllowed", "internal/identity/oidc.TestAnIssuerThatBehavesBadlyIsNotBelieved"}},
	{"tokens with unknown keys make the gateway a hammer", []string{"internal/identity/oidc.TestUnknownKeysDoNotMakeAHammer", "internal/identity/oidc.TestManyWhoWaitCauseOneFetch"}},
	// Certificates and connections.
	{"a certificate of an authority, by a workload, for the other side, with two names, an odd path, a condition that nobody knows", []string{"internal/identity/svid.TestACertificateIsAnIdentityOnlyOfItsOwnTrustDomain"}},
	{"a connection speaks for who opened it: on another route, beside a token, in a resumed session", []string{"internal/app.TestAConnectionProvesNoMoreThanEachRequestOnIt"}},
	{"an issuer takes the question and never answers", []string{"internal/identity/oidc.TestAnIssuerThatDoesNotAnswerHoldsNobodyForLongerThanTheyWait"}},
	{"what was let in goes on when its trust or its right is taken back", []string{"internal/app.TestWhatWouldNotBeAllowedAnyMoreIsCut", "internal/gateway/egress.TestWhoMayNotReachAHostAnyMoreIsCutFromIt"}},
	{"an identity that was revoked is renewed", []string{"internal/app.TestAnIdentityLivesIsRenewedAndRevoked"}},
	{"evidence for an identity is forged, shown twice, or made for somebody else", []string{"internal/app.TestEvidenceBecomesAnIdentityThatTheGatewayLetsInAndForgedEvidenceDoesNot", "internal/app.TestAPodsTokenBecomesAnIdentityUntilThePodIsGone"}},
	// Policies.
	{"a policy that fails is skipped, a forbid too", []string{"TestAForbidThatFailsDenies", "internal/access.TestDenialsHaveTheirAllowingTwins"}},
	{"a policy that names what does not exist", []string{"TestAPolicyThatDoesNotCompileChangesNothing", "internal/access.TestPoliciesAreHeldToTheSchema"}},
	{"the index leaves out a policy that counts", []string{"internal/access.TestTheIndexDecidesAsCedarDoesWithoutIt", "internal/access.FuzzSlice"}},
	// Framing.
	{"a request is smuggled by its length, its chunks, a bare LF, an extension", []string{"TestNoRequestIsSmuggled"}},
	{"an answer leads callers around the gateway", []string{"internal/gateway.TestAnAnswerLeadsNobodyAroundTheGateway"}},
	{"HTTP/2 becomes lines of HTTP/1", []string{"TestNothingOfHTTP2BecomesALine"}},
	{"something follows a CONNECT or an Upgrade before it is answered", []string{"TestNoRequestIsSmuggled"}},
	{"Expect: 100-continue, which common clients send with large bodies", []string{"TestNoRequestIsSmuggled"}},
	// Unfolding.
	{"a compressed body, stacked, without end, or with a second one behind", []string{"TestABodyThatUnfoldsTooFarIsRefused", "internal/media/encoding.TestEachEncodingIsTakenOffWithinItsBounds", "internal/media/encoding.TestASecondMemberOfAnArchiveIsRefused"}},
	{"a picture of many pixels or frames, a sound that says it is long", []string{"internal/media/inspect.TestBombsAreRefusedByWhatTheyDeclare", "internal/media/inspect.TestEachLimitHoldsAndItsTwinPasses"}},
	{"an archive within a document", []string{"internal/media/inspect.TestArchivesThatTwoReadersSeeDifferentlyAreRefused", "internal/media/inspect.TestAnotherFormatWithinAFormatIsRefused"}},
	// Addresses.
	{"a name that resolves to another address the second time", []string{"internal/gateway/fetch.TestANameThatIsAnsweredDifferentlyASecondTimeIsNotAskedASecondTime"}},
	{"a redirect to an address inside", []string{"internal/gateway/fetch.TestEveryRedirectIsJudgedFromTheStart"}},
	{"addresses in decimal, in IPv6, of metadata; user information; other schemes", []string{"internal/gateway/fetch/address.TestHostsAreReadInOneWayOrRefused", "internal/gateway/fetch/address.TestOnlyOrdinaryPublicAddressesArePublic", "internal/gateway/fetch/address.TestPrivateNetworksOpenOnlyWhatTheyListAndNeverMetadata", "internal/gateway/fetch.TestAddressesThatAreReadInTwoWaysOrNotListedAreRefused"}},
	// Streams.
	{"events are held back, merged or lost", []string{"TestNoEventIsMergedOrLost", "internal/gateway/stream.TestEventsAreNeitherMergedNorLostHoweverTheyAreCut", "internal/gateway/stream.TestAnEventIsSentAsSoonAsItIsWhole"}},
	{"events are compressed and cannot be looked at", []string{"internal/gateway/stream.TestAnswersAreLookedAtByWhatTheyAre"}},
	{"a secret is split between events, escapes or bytes of a character", []string{"internal/gateway/stream.TestASecretIsCutHoweverItIsSplit", "internal/gateway/stream.TestACharacterThatIsSplitBetweenReadsIsOneCharacter"}},
	{"stream: true, and the answer is not looked at", []string{"TestAStreamThatCannotBeLookedAtIsCutWithAnEvent", "internal/gateway/stream.TestAnswersAreLookedAtByWhatTheyAre"}},
	{"only the first message of a socket or a call is looked at", []string{"internal/gateway/stream.TestEveryMessageOfASocketIsLookedAt", "internal/gateway/stream.TestEveryMessageOfACallIsLookedAt"}},
	// Content.
	{"another file follows the end of a picture", []string{"TestASoakWithFaultsAllowsNothingWrongAndLosesNothing", "internal/media/inspect.TestContentThatGoesOnAfterItsEndIsRefused"}},
	{"only the first bytes say the type", []string{"internal/media/inspect.TestEachFormatIsRecognisedAndMeasured", "internal/media/inspect.TestAnythingBeforeContentMakesItAnother"}},
	// What outlives a request.
	{"compiled rules stay in memory after each reload", []string{"internal/gateway/waf.TestReloadingKeepsMemoryFlat", "TestReloadsUnderLoadFailNothingAndMixNothing"}},
	{"an answer is remembered beyond its generation or for somebody else", []string{"internal/gateway/waf.TestResultsAreKeptForTheSameRequestOnly", "internal/identity/chain.TestWhatIsRememberedEndsWithTheTrustThatItRestsOn", "TestReloadsUnderLoadFailNothingAndMixNothing"}},
}

func TestEveryTrapNamesTestsThatAreThere(t *testing.T) {
	all := tests{}
	for _, trap := range traps {
		if len(trap.tests) == 0 {
			t.Errorf("%s: no test", trap.name)
		}
		for _, name := range trap.tests {
			if !all.exists(t, name) {
				t.Errorf("%s: there is no test %s", trap.name, name)
			}
		}
	}
}

// The server is told who asks by the gateway alone.
func TestNoHeaderOfTheCallerSaysWhoItIs(t *testing.T) {
	h := open(t)
	var got http.Header
	h.server.behave(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Clone()
		got.Set("Host", r.Host)
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, sentence)
	})
	const who = "spiffe://claims.example/intake"
	for _, name := range []string{
		"X-Apex-Principal", "x_apex_principal", "X.Apex.Principal", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Prefix", "X-Forwarded-Client-Cert", "X_Forwarded_User", "X.Forwarded.User",
		"Forwarded", "X-Real-Ip", "X-Envoy-Original-Path", "X-Original-Url", "X-Rewrite-Url", "X-Spiffe-Id", "X-Auth-Request-User", "X-User", "Remote-User", "X-Remote-User", "X-Http-Method-Override",
		"Client-Cert", "Client-Cert-Chain", "X-Client-Cert", "X-Amzn-Mtls-Clientcert-Subject", "Cf-Access-Authenticated-User-Email", "X-Goog-Authenticated-User-Email", "Kubeflow-Userid",
		"Remote-Groups", "Impersonate-User", "Tailscale-User-Login", "Proxy", "Proxy-User", "X-Cluster-Client-Ip", "X-Host",
		"X-Request-Id", "Authorization2",
	} {
		a := h.ask(h.as, http.MethodPost, chat, saying("hello"), func(r *http.Request) {
			r.Header[name] = []string{"boss"}
			r.Header.Set("X-Purpose", "claims")
		})
		if name == "Authorization2" { // a name like any other
			if must(t, name, a, 200, ""); got.Get("Authorization2") != "boss" {
				t.Errorf("%s did not pass", name)
			}
			continue
		}
		must(t, name, a, 200, "")
		for key, values := range got {
			if slices.Contains(values, "boss") {
				t.Errorf("%s arrived at the server as %s", name, key)
			}
		}
		if got.Get("X-Apex-Principal") != who || got.Get("X-Purpose") != "claims" {
			t.Errorf("with %s the server got %v", name, got)
		}
	}
	// A header that Connection names is taken out on the way, ours too: it names none.
	connecting := func(value string) answer {
		return h.ask(h.as, http.MethodPost, chat, saying("hello"), func(r *http.Request) { r.Header.Set("Connection", value) })
	}
	for _, value := range []string{"X-Apex-Principal", "close, x-apex-principal", "X-Request-Id"} {
		must(t, "Connection: "+value, connecting(value), 400, "request.header")
	}
	must(t, "Connection: close", connecting("close"), 200, "")
	if got.Get("X-Apex-Principal") != who || got.Get("X-Request-Id") == "" {
		t.Errorf("the server got %v", got)
	}
	k := h.records()
	k.holds(t, h.server.seen())
}

// Text that is base64 is text: it is passed on and counted as such, and what steers
// is held against the rules also when it calls itself media.
func TestWhatIsEncodedInATextStaysText(t *testing.T) {
	h := open(t)
	const encoded = "PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==" // <script>alert(1)</script>
	must(t, "base64 in a text", h.say("What is "+encoded+"?"), 200, "")
	must(t, "base64 alone in a text", h.say(encoded), 200, "")
	must(t, "markup as an image", h.ask(h.as, http.MethodPost, chat, strings.Replace(showing("image/svg+xml", nil), ";base64,", ";base64,"+encoded, 1), nil), 403, "request.media.active")
	must(t, "a picture", h.ask(h.as, http.MethodPost, chat, showing("image/png", drawing(t)), nil), 200, "")
	k := h.records()
	parts := 0
	for _, d := range k.decisions {
		if d.Allowed {
			parts += len(d.Parts)
		}
	}
	if parts != 1 {
		t.Errorf("%d pieces of media in what was allowed, want the picture alone", parts)
	}
}

// A place that no table knows is looked at like what steers.
func TestWhatNoTableKnowsIsLookedAt(t *testing.T) {
	h := open(t)
	const attack = "1' UNION SELECT password FROM users--"
	for _, field := range []string{
		`"metadata":{"note":"%s"}`, `"x":[[{"y":{"z":"%s"}}]]`, `"%s":1`, `"tools":[{"type":"function","function":{"name":"f","parameters":{"default":"%s"}}}]`, `"user":"%s"`,
		`"task":{"artifacts":[{"parts":[{"kind":"text","text":"%s"}]}]}`,
	} {
		body := func(text string) string {
			return `{"model":"captioner","messages":[{"role":"user","content":"hello"}],` + strings.Replace(field, "%s", text, 1) + `}`
		}
		must(t, field, h.ask(h.as, http.MethodPost, chat, body("a dent"), nil), 200, "")
		must(t, field+" with an attack", h.ask(h.as, http.MethodPost, chat, body(attack), nil), 403, "request.waf.blocked")
	}
	h.records().holds(t, h.server.seen())
}
