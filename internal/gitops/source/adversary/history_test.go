package adversary

import (
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/gitops/source"
	"github.com/apexlogic/apex/internal/verify/verifytest"
	"github.com/apexlogic/apex/verdict"
)

// edit is a good change to one file.
func (w *world) edit(name, text string) files {
	return w.files.with(files{name: {regular, w.words.Replace(text)}})
}

// change is a good change that everybody may make.
func (w *world) change() files { return w.edit("deploy/x.yaml", configMap("x")) }

// signed makes a commit with a good change whose object is then forged.
func signed(by string, forge func(object string) string) func(w *world) string {
	return func(w *world) string {
		return w.commit(w.kit.Clock.Now().Add(-time.Hour), commit{files: w.change(), parents: []string{w.head}, message: "Change it", sign: w.signer(by), forge: forge})
	}
}

// cut returns the object's signature with its header, and what it is without.
func cut(object string) (without, signature string) {
	before, rest, _ := strings.Cut(object, "gpgsig ")
	lines := strings.SplitAfter(rest, "\n")
	end := 1
	for strings.HasPrefix(lines[end], " ") {
		end++
	}
	return before + strings.Join(lines[end:], ""), "gpgsig " + strings.Join(lines[:end], "")
}

// put sets a signature into an object that has none.
func put(object, signature string) string {
	head, rest, _ := strings.Cut(object, "\n\n")
	return head + "\n" + signature + "\n" + rest
}

// line is the last of a line of commits.
func line(of ...func(w *world, parent string) string) func(w *world) string {
	return func(w *world) string {
		parent := w.head
		for _, next := range of {
			parent = next(w, parent)
		}
		return parent
	}
}

// by is a commit that changes a file.
func by(who, name, text, says string) func(w *world, parent string) string {
	return func(w *world, parent string) string { return w.next(w.edit(name, text), who, says, parent) }
}

// sealing is a commit without a change that vouches for those below it.
func sealing(who, why string) func(w *world, parent string) string {
	return func(w *world, parent string) string {
		return w.next(w.trees[parent], who, "Seal\n\nApex-Seal: "+why, parent)
	}
}

const policyFile = "deploy/policies/p.yaml"

// signatures are about who signed one commit.
var signatures = []attempt{
	{name: "a commit by a signer", text: configMap("x")},
	{name: "a commit by the other signer", text: configMap("x"), by: "second"},
	{name: "a commit without a change", objects: none},
	{name: "a change of another folder", more: files{"docs/a.md": {regular, "a"}}, objects: none},
	{name: "an unsigned commit", text: configMap("x"), by: "-", code: verdict.CommitUnsigned},
	{name: "an unsigned commit without a change", by: "-", code: verdict.CommitUnsigned},
	{name: "an unsigned change of another folder", more: files{"docs/b.md": {regular, "b"}}, by: "-", code: verdict.CommitUnsigned},
	{name: "a commit by somebody unknown", text: configMap("x"), by: "stranger", code: verdict.CommitUntrusted},
	{name: "a commit by a signer of other sources", text: configMap("x"), by: "elsewhere", code: verdict.CommitUntrusted},
	{name: "a commit by a key that has ended", text: configMap("x"), by: "ended", code: verdict.CommitKeyValidity},
	{name: "a commit that says that it is older than the key's end", by: "ended", code: verdict.CommitKeyValidity, make: func(w *world) string {
		return w.commit(verifytest.Now.AddDate(-1, 0, 0), commit{files: w.change(), parents: []string{w.head}, message: "Old", sign: w.signer("ended")})
	}},
	{name: "a commit by a key that is not valid yet", text: configMap("x"), by: "early", code: verdict.CommitKeyValidity},
	{name: "a commit by a revoked key", text: configMap("x"), by: "revoked", code: verdict.CommitKeyRevoked},
	{name: "a commit by the signer of another path", text: configMap("x"), by: "infra", code: verdict.CommitPath},
	{name: "a commit whose message was changed", make: signed("", func(o string) string { return strings.Replace(o, "Change it", "Change is", 1) }), code: verdict.CommitInvalid},
	{name: "a commit whose author was changed", make: signed("", func(o string) string { return strings.Replace(o, "author A", "author B", 1) }), code: verdict.CommitInvalid},
	{name: "a commit whose date was changed", make: signed("", func(o string) string { return strings.Replace(o, " +0000\ncommitter", " +0100\ncommitter", 1) }), code: verdict.CommitInvalid},
	{name: "a commit with more of a message behind", make: signed("", func(o string) string { return o + "\nApex-Prune: allow\n" }), code: verdict.CommitInvalid},
	{name: "a commit with the signature of another", code: verdict.CommitInvalid, make: func(w *world) string {
		signature := ""
		signed("", func(o string) string { _, signature = cut(o); return o })(w)
		return w.commit(w.kit.Clock.Now(), commit{files: w.edit("deploy/x.yaml", deployment("x", "«good»")), parents: []string{w.head}, message: "Other", forge: func(o string) string { return put(o, signature) }})
	}},
	{name: "a commit whose signature is cut off", make: signed("", func(o string) string {
		without, signature := cut(o)
		return put(without, signature[:len(signature)/2]+"\n -----END SSH SIGNATURE-----\n")
	}), code: verdict.CommitInvalid},
	{name: "a commit with an empty signature", make: signed("-", func(o string) string { return put(o, "gpgsig \n") }), code: verdict.CommitMalformed},
	{name: "a commit with words for a signature", make: signed("-", func(o string) string { return put(o, "gpgsig trust me\n") }), code: verdict.CommitInvalid},
	{name: "a commit with two signatures", make: signed("stranger", func(o string) string {
		_, signature := cut(o)
		return put(o, signature)
	}), code: verdict.CommitMalformed},
	{name: "a commit with the signature in its message", make: signed("", func(o string) string {
		without, signature := cut(o)
		return without + "\n" + signature
	}), code: verdict.CommitUnsigned},
	{name: "a commit signed for SHA-256 repositories only", make: signed("", func(o string) string { return strings.Replace(o, "gpgsig ", "gpgsig-sha256 ", 1) }), code: verdict.CommitUnsigned},
	{name: "a commit with two trees", make: signed("-", func(o string) string { return o[:strings.Index(o, "\n")+1] + o }), code: verdict.HistoryUnrelated},
	{name: "a commit with a NUL in its message", make: signed("-", func(o string) string { return strings.Replace(o, "Change", "Cha\x00nge", 1) }), code: verdict.CommitMalformed},
	{name: "the source's trust, widened in the same commit", by: "stranger", text: `{apiVersion: security.apexlogic.com/v1alpha1, kind: TrustRoot, metadata: {name: commits}, spec: {entries: [{name: stranger, uses: [Commits], ssh: {publicKey: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"}}]}}`, code: verdict.CommitUntrusted},
}

// lines are about the commits between what is applied and the branch's head.
var lines = []attempt{
	{name: "two signed commits", make: line(by("", "deploy/x.yaml", configMap("x"), ""), by("second", "docs/a.md", "a", "")), objects: none},
	{name: "an unsigned commit under a signed one", make: line(by("-", "deploy/x.yaml", configMap("x"), ""), by("", "docs/a.md", "a", "")), code: verdict.CommitUnsigned},
	{name: "an unsigned commit that a signed one undoes", make: line(by("-", "deploy/x.yaml", configMap("x"), ""), by("", "deploy/x.yaml", configMap("y"), "")), code: verdict.CommitUnsigned},
	{name: "an unsigned commit ten below the head", make: func(w *world) string {
		parent := w.next(w.change(), "-", "", w.head)
		for range 10 {
			parent = w.next(w.change(), "", "", parent)
		}
		return parent
	}, code: verdict.CommitUnsigned},
	{name: "ten signed commits", make: func(w *world) string {
		parent := w.head
		for range 10 {
			parent = w.next(w.change(), "", "", parent)
		}
		return parent
	}},
	{name: "a stranger's commit under a signed one", make: line(by("stranger", "docs/a.md", "a", ""), by("", "docs/b.md", "b", "")), code: verdict.CommitUntrusted},
	{name: "an unsigned parent of a merge", make: func(w *world) string {
		side := w.next(w.change(), "-", "", w.head)
		return w.next(w.change(), "", "Merge", w.next(w.files, "", "", w.head), side)
	}, code: verdict.CommitUnsigned},
	{name: "an unsigned third parent of a merge", make: func(w *world) string {
		all := w.change()
		return w.next(all, "", "Merge", w.next(w.files, "", "", w.head), w.next(all, "", "", w.head), w.next(all, "-", "", w.head))
	}, code: verdict.CommitUnsigned},
	{name: "an unsigned merge of signed parents", make: func(w *world) string {
		all := w.change()
		return w.next(all, "-", "Merge", w.next(w.files, "", "", w.head), w.next(all, "", "", w.head))
	}, code: verdict.CommitUnsigned},
	{name: "a signed merge of signed parents", make: func(w *world) string {
		all := w.change()
		return w.next(all, "", "Merge", w.next(w.files, "", "", w.head), w.next(all, "second", "", w.head))
	}},
	{name: "a merge that slips a policy in", make: func(w *world) string {
		all := w.edit(policyFile, configMap("p"))
		return w.next(all, "", "Merge", w.next(w.files, "", "", w.head), w.next(w.change(), "", "", w.head))
	}, code: verdict.CommitThreshold},
	{name: "a merge that slips in what only others may change", make: func(w *world) string {
		all := w.edit("deploy/infra/net.yaml", configMap("net"))
		return w.next(all, "second", "Merge", w.next(w.files, "", "", w.head), w.next(w.change(), "", "", w.head))
	}, code: verdict.CommitPath},
	{name: "a merge of a line that has nothing in common", make: func(w *world) string {
		root := w.commit(verifytest.Now.Add(-3*time.Hour), commit{files: w.change(), message: "Other root", sign: w.signer("-")})
		return w.next(w.change(), "", "Merge", w.head, root)
	}, code: verdict.CommitUnsigned},

	// Seals.
	{name: "an unsigned commit that is sealed", make: line(by("-", "deploy/x.yaml", configMap("x"), ""), sealing("sealer", "it was made before there were keys"))},
	{name: "an unsigned commit that a signer seals, who may not", make: line(by("-", "deploy/x.yaml", configMap("y"), ""), sealing("", "it is fine")), code: verdict.CommitSeal},
	{name: "an unsigned commit that is sealed without a reason", make: line(by("-", "deploy/x.yaml", configMap("y"), ""), sealing("sealer", "")), code: verdict.CommitSeal},
	{name: "a seal by nobody", make: line(by("-", "deploy/x.yaml", configMap("y"), ""), sealing("-", "it is fine")), code: verdict.CommitUnsigned},
	{name: "a seal beneath what it should vouch for", make: line(sealing("sealer", "it is fine"), by("-", "deploy/x.yaml", configMap("y"), "")), code: verdict.CommitUnsigned},
}

// paths are about who may change what, and how many have to agree.
var paths = []attempt{
	{name: "nothing beside what every revision has", objects: none},
	{name: "infrastructure by whom it belongs to", by: "infra", keep: true, more: files{"deploy/infra/net.yaml": {regular, configMap("net")}}},
	{name: "infrastructure by others", more: files{"deploy/infra/net.yaml": {regular, configMap("web")}}, code: verdict.CommitPath},
	{name: "infrastructure in a folder below, by others", more: files{"deploy/infra/a/b/net.yaml": {regular, configMap("web")}}, code: verdict.CommitPath},
	{name: "infrastructure and more by whom only that belongs to", by: "infra", text: configMap("x"), more: files{"deploy/infra/net.yaml": {regular, configMap("web")}}, code: verdict.CommitPath},
	{name: "a policy by one person", more: files{policyFile: {regular, configMap("p")}}, code: verdict.CommitThreshold},
	{name: "a policy by nobody of those", by: "infra", more: files{policyFile: {regular, configMap("p")}}, code: verdict.CommitPath},
	{name: "a policy that its author approves", make: approved("", "", configMap("p")), code: verdict.CommitThreshold},
	{name: "a policy that a stranger approves", make: approved("", "stranger", configMap("p")), code: verdict.CommitThreshold},
	{name: "a policy that nobody has signed the approval of", make: approved("", "-", configMap("p")), code: verdict.CommitThreshold},
	{name: "a policy approved by a key that has ended", make: approved("", "ended", configMap("p")), code: verdict.CommitThreshold},
	{name: "a policy approved by whom it does not belong to", make: approved("", "infra", configMap("p")), code: verdict.CommitThreshold},
	{name: "a policy with a vote for another commit", make: line(by("", policyFile, configMap("p"), ""), by("second", "docs/a.md", "a", "Approve\n\nApex-Approves: "+strings.Repeat("a", 40))), code: verdict.CommitThreshold},
	{name: "a policy that a second person approves", make: approved("", "second", configMap("p")), keep: true},
	{name: "a policy's removal by one person", more: files{policyFile: {}}, code: verdict.CommitThreshold},
	{name: "a policy's move out of its folder by one person", more: files{policyFile: {}, "deploy/p.yaml": {regular, configMap("p")}}, code: verdict.CommitThreshold},
	{name: "infrastructure's removal by others", more: files{"deploy/infra/net.yaml": {}}, code: verdict.CommitPath},
	{name: "a policy's folder in other letters", more: files{"deploy/Policies/p.yaml": {regular, configMap("q")}}, code: verdict.RenderPath},
}

// approved is a policy by one person, and the approval by another.
func approved(author, approver, text string) func(w *world) string {
	return func(w *world) string {
		all := w.edit(policyFile, text)
		policy := w.next(all, author, "")
		return w.next(all, approver, "Approve\n\nApex-Approves: "+policy, policy)
	}
}

// moves are branches that go anywhere but forward.
var moves = []attempt{
	{name: "the branch one back", make: func(w *world) string { return w.before }, code: verdict.HistoryRewound},
	{name: "the branch at the first commit", make: func(w *world) string { return w.first }, code: verdict.HistoryRewound},
	{name: "a signed commit beside the applied one", make: func(w *world) string { return w.next(w.change(), "", "", w.before) }, code: verdict.HistoryDiverged},
	{name: "a signed commit after the first one", make: func(w *world) string { return w.next(w.change(), "", "", w.first) }, code: verdict.HistoryDiverged},
	{name: "a signed root", make: func(w *world) string {
		return w.commit(verifytest.Now, commit{files: w.change(), message: "Anew", sign: w.signer("")})
	}, code: verdict.HistoryUnrelated},
	{name: "the applied commit's twin", make: func(w *world) string { return w.next(w.files, "", "Say it otherwise", w.before) }, code: verdict.HistoryDiverged},
}

// deletions are commits that take away.
var deletions = []attempt{
	{name: "no file at all", more: files{"deploy/settings.yaml": {}, "deploy/app.yaml": {}}, code: verdict.RenderPath},
	{name: "no object in the files", more: files{"deploy/settings.yaml": {regular, "# nothing\n"}, "deploy/app.yaml": {regular, "---\n"}}, code: verdict.RenderEmpty},
	{name: "only an empty List", more: files{"deploy/settings.yaml": {}, "deploy/app.yaml": {regular, "apiVersion: v1\nkind: List\nitems: []\n"}}, code: verdict.RenderEmpty},
	{name: "all but one", more: files{"deploy/settings.yaml": {}}, code: verdict.ApplyPruneLimit},
	{name: "60 % fewer", more: files{"deploy/settings.yaml": {regular, configMaps(settings * 4 / 10)}}, code: verdict.ApplyPruneLimit},
	{name: "60 % fewer, and a word about it where no trailer is", more: files{"deploy/settings.yaml": {regular, configMaps(settings * 4 / 10)}}, says: source.TrailerPrune + ": allow\n\nand more", code: verdict.ApplyPruneLimit},
	{name: "60 % fewer, and a trailer that says something else", more: files{"deploy/settings.yaml": {regular, configMaps(settings * 4 / 10)}}, says: "Prune\n\n" + source.TrailerPrune + ": yes", code: verdict.ApplyPruneLimit},
	{name: "60 % fewer, allowed by nobody", by: "-", more: files{"deploy/settings.yaml": {regular, configMaps(settings * 4 / 10)}}, says: "Prune\n\n" + source.TrailerPrune + ": allow", code: verdict.CommitUnsigned},
	{name: "60 % fewer, allowed beneath the head", make: line(
		by("", "deploy/settings.yaml", configMaps(settings*4/10), "Prune\n\n"+source.TrailerPrune+": allow"),
		func(w *world, parent string) string {
			return w.next(w.edit("deploy/settings.yaml", configMaps(settings*4/10)), "", "", parent)
		}), code: verdict.ApplyPruneLimit},
	{name: "everything under other names", more: files{"deploy/settings.yaml": {regular, strings.ReplaceAll(configMaps(settings), "settings-", "other-")}}, code: verdict.ApplyPruneLimit},
	{name: "everything in another namespace", more: files{"deploy/settings.yaml": {regular, strings.ReplaceAll(configMaps(settings), "{name: ", "{namespace: audio, name: ")}}, code: verdict.ApplyPruneLimit},
	{name: "three fewer", more: files{"deploy/settings.yaml": {regular, configMaps(settings - 3)}}, objects: -3},
	{name: "three more again", objects: none},
	{name: "60 % fewer, which the commit allows", more: files{"deploy/settings.yaml": {regular, configMaps(settings * 4 / 10)}}, says: "Prune\n\n" + source.TrailerPrune + ": allow", objects: -settings * 6 / 10},
	{name: "all of them again", objects: none},
	{name: "as many as the quota has room for", text: strings.ReplaceAll(configMaps(29), "settings-", "more-"), objects: 29},
	{name: "without them again, which the commit allows", says: "Prune\n\n" + source.TrailerPrune + ": allow", objects: none},
	{name: "more than the quota has room for", text: strings.ReplaceAll(configMaps(30), "settings-", "more-"), code: verdict.RenderTooLarge},
}
