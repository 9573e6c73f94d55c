package verdict

import "sort"

//go:generate go run ./gen -to ../docs/codes.md

// Code is the stable machine-readable reason of a check or a decision. A code
// is never renamed or reused; docs/codes.md is generated from the table below.
type Code string

// CodeInfo explains a code.
type CodeInfo struct {
	Code    Code
	Meaning string // what is the case, in one sentence
	Mend    string // what a person does about it; "" for codes of passing checks
}

// Info returns the code's entry; an unknown code explains itself as such.
func (c Code) Info() CodeInfo {
	if info, ok := byCode[c]; ok {
		return info
	}
	return CodeInfo{Code: c, Meaning: "unknown code"}
}

// Codes returns all codes, sorted.
func Codes() []CodeInfo {
	all := make([]CodeInfo, len(table))
	copy(all, table)
	sort.Slice(all, func(i, j int) bool { return all[i].Code < all[j].Code })
	return all
}

// The codes, by area. Each one is tested together with its allowing twin.
const (
	OK Code = "ok"

	// Deciding.
	Unselected       Code = "policy.unselected"
	PolicyNotReady   Code = "policy.not-ready"
	PolicyInvalid    Code = "policy.invalid"
	RuleNotGathered  Code = "policy.fact.missing"
	RuleFailed       Code = "policy.rule.panic"
	ExpressionFalse  Code = "policy.expression.false"
	ExpressionFailed Code = "policy.expression.failed"
	Revoked          Code = "subject.revoked"
	DeadlineExceeded Code = "verify.deadline"
	Internal         Code = "verify.internal"
	LedgerClosed     Code = "ledger.unavailable"
	EvidenceDeferred Code = "evidence.deferred"

	// Drift: what runs differs from what Git says.
	DriftHealed  Code = "drift.healed"
	DriftFound   Code = "drift.found"
	DriftFight   Code = "drift.fight"
	DriftAltered Code = "drift.altered"
	DriftStuck   Code = "drift.stuck"

	// References.
	ReferenceInvalid    Code = "reference.invalid"
	ReferenceUnresolved Code = "reference.unresolved"
	ReferenceUnknown    Code = "reference.unclassified"
	ManifestInvalid     Code = "manifest.invalid"
	ReferenceRemote     Code = "reference.remote"

	// Rendering a revision.
	RenderEmpty      Code = "render.empty"
	RenderRemote     Code = "render.remote"
	RenderPath       Code = "render.path"
	RenderFeature    Code = "render.feature"
	RenderChart      Code = "render.chart"
	RenderEncrypted  Code = "render.encrypted"
	RenderTooLarge   Code = "render.too-large"
	RenderFailed     Code = "render.failed"
	RenderDeprecated Code = "render.deprecated"
	ObjectInvalid    Code = "render.object.invalid"
	ObjectName       Code = "render.object.name"
	ObjectNamespace  Code = "render.object.namespace"

	// Applying a revision to a target.
	ApplyEmpty      Code = "apply.empty"
	ApplyPruneLimit Code = "apply.prune.limit"
	ApplyKind       Code = "apply.kind.denied"
	ApplyNamespace  Code = "apply.namespace.denied"
	ApplyQuota      Code = "apply.quota"
	ApplyOwned      Code = "apply.object.owned"
	ApplyPinned     Code = "apply.pinned"
	ApplyStale      Code = "apply.revision.stale"
	ApplyUnfinished Code = "apply.unfinished"
	ApplyState      Code = "apply.state.invalid"
	ApplyUnserved   Code = "apply.kind.unserved"
	ApplyInvalid    Code = "apply.object.invalid"
	ApplyForbidden  Code = "apply.object.forbidden"
	ApplyMissing    Code = "apply.object.missing"
	ApplyReturned   Code = "apply.returned"
	RollbackNone    Code = "apply.rollback.none"
	RollbackRecord  Code = "apply.rollback.record"

	// Stages, promotions and canaries.
	PromotionMissing Code = "release.promotion.missing"
	PromotionInvalid Code = "release.promotion.invalid"
	PromotionUsed    Code = "release.promotion.used"
	PromotionExpired Code = "release.promotion.expired"
	PromotionAuthor  Code = "release.promotion.author"
	GateVerdicts     Code = "release.gate.verdicts"
	GateStage        Code = "release.gate.stage"
	GateHealth       Code = "release.gate.health"
	GateSoak         Code = "release.gate.soak"
	GateMetric       Code = "release.gate.metric"
	GateFreeze       Code = "release.gate.freeze"
	GateUnknown      Code = "release.gate.unknown"
	CanaryUnready    Code = "release.canary.unready"
	CanaryFailed     Code = "release.canary.failed"
	ReleaseState     Code = "release.state.invalid"

	// Fetching.
	RegistryUnreachable  Code = "registry.unreachable"
	RegistryUnauthorized Code = "registry.unauthorized"
	RegistryNotFound     Code = "registry.not-found"
	RegistryLimited      Code = "registry.rate-limited"
	RegistryAddress      Code = "registry.address.refused"
	RegistryAnswer       Code = "registry.answer.invalid"
	RegistryDigest       Code = "registry.digest.mismatch"
	RegistryTooLarge     Code = "registry.answer.too-large"
	RegistryTooMany      Code = "registry.answer.too-many"

	// The image itself.
	ImageMediaType       Code = "image.media-type.refused"
	ImageForeignLayer    Code = "image.layer.foreign"
	ImageIndexNested     Code = "image.index.nested"
	ImageIndexEmpty      Code = "image.index.empty"
	ImagePlatformMissing Code = "image.platform.missing"
	ImageConfigInvalid   Code = "image.config.invalid"

	// Signatures.
	SignatureMissing      Code = "image.signature.missing"
	SignatureUntrusted    Code = "image.signature.untrusted"
	SignatureInvalid      Code = "image.signature.invalid"
	SignatureRepository   Code = "image.signature.repository"
	SignatureSubject      Code = "image.signature.subject"
	SignatureThreshold    Code = "image.signature.threshold"
	SignatureLogMissing   Code = "image.signature.log.missing"
	SignatureTimeMissing  Code = "image.signature.time.missing"
	SignatureKeyValidity  Code = "image.signature.key.validity"
	SignatureIdentity     Code = "image.signature.identity"
	SignatureTooOld       Code = "image.signature.too-old"
	SignatureAnnotations  Code = "image.signature.annotations"
	SignatureRevokedKey   Code = "image.signature.key.revoked"
	SignatureFormatDenied Code = "image.signature.format"

	// Attestations.
	AttestationMissing   Code = "image.attestation.missing"
	AttestationUntrusted Code = "image.attestation.untrusted"
	AttestationInvalid   Code = "image.attestation.invalid"
	AttestationPredicate Code = "image.attestation.predicate"

	// Provenance.
	ProvenanceMissing      Code = "image.provenance.missing"
	ProvenanceBuilder      Code = "image.provenance.builder"
	ProvenanceSource       Code = "image.provenance.source"
	ProvenanceEntryPoint   Code = "image.provenance.entry-point"
	ProvenanceInvalid      Code = "image.provenance.invalid"
	ProvenanceTooOld       Code = "image.provenance.too-old"
	ProvenanceBuildUnknown Code = "image.provenance.build-type"

	// SBOM.
	SBOMMissing Code = "image.sbom.missing"
	SBOMFormat  Code = "image.sbom.format"
	SBOMInvalid Code = "image.sbom.invalid"

	// Models.
	ModelReference           Code = "model.reference.unbound"
	ModelMediaType           Code = "model.media-type.refused"
	ModelManifest            Code = "model.manifest.invalid"
	ModelSignatureMissing    Code = "model.signature.missing"
	ModelSignatureUntrusted  Code = "model.signature.untrusted"
	ModelSignatureInvalid    Code = "model.signature.invalid"
	ModelSignatureFiles      Code = "model.signature.files"
	ModelSignatureThreshold  Code = "model.signature.threshold"
	ModelScanMissing         Code = "model.scan.missing"
	ModelScanUntrusted       Code = "model.scan.untrusted"
	ModelScanInvalid         Code = "model.scan.invalid"
	ModelScanSubject         Code = "model.scan.subject"
	ModelScanStale           Code = "model.scan.stale"
	ModelScanLists           Code = "model.scan.lists"
	ModelScanPartial         Code = "model.scan.partial"
	ModelScanBlocked         Code = "model.scan.blocked"
	ModelScanUnknown         Code = "model.scan.unknown"
	ModelFormatDenied        Code = "model.format.denied"
	ModelRemoteCode          Code = "model.code.remote"
	ModelProvenanceMissing   Code = "model.provenance.missing"
	ModelProvenanceUntrusted Code = "model.provenance.untrusted"
	ModelProvenanceInvalid   Code = "model.provenance.invalid"
	ModelProvenanceRefused   Code = "model.provenance.refused"
	ModelProvenanceBase      Code = "model.provenance.base"
	ModelLicenseDenied       Code = "model.license.denied"
	ModelLicenseUnknown      Code = "model.license.unknown"
	ModelDatasetMissing      Code = "model.dataset.missing"
	ModelDatasetUntrusted    Code = "model.dataset.untrusted"
	ModelDatasetInvalid      Code = "model.dataset.invalid"
	ModelDatasetDenied       Code = "model.dataset.denied"

	// Vulnerability reports.
	ReportMissing     Code = "image.vulnerability.report.missing"
	ReportUnsigned    Code = "image.vulnerability.report.unsigned"
	ReportStale       Code = "image.vulnerability.report.stale"
	ReportFuture      Code = "image.vulnerability.report.future"
	ReportScanner     Code = "image.vulnerability.report.scanner"
	ReportSubject     Code = "image.vulnerability.report.subject"
	ReportFailed      Code = "image.vulnerability.report.failed"
	ReportInvalid     Code = "image.vulnerability.report.invalid"
	ScannerMissing    Code = "image.vulnerability.scanner.missing"
	ScannerVersion    Code = "image.vulnerability.scanner.version"
	ScannerDatabase   Code = "image.vulnerability.scanner.database"
	VulnerabilityOver Code = "image.vulnerability.threshold"
	SeverityUnknown   Code = "image.vulnerability.severity.unknown"

	// Advisories.
	AdvisoriesMissing  Code = "advisories.missing"
	AdvisoriesInvalid  Code = "advisories.invalid"
	InventoryMissing   Code = "inventory.missing"
	InventoryGaps      Code = "inventory.gaps"
	InventoryIntegrity Code = "inventory.integrity"
	InventoryLookalike Code = "inventory.lookalike"
	InventoryAttested  Code = "inventory.attestation"

	// Functions.
	FunctionRights      Code = "function.rights.excessive"
	FunctionPublic      Code = "function.exposure.public"
	FunctionSecret      Code = "function.secret.environment"
	FunctionEgress      Code = "function.egress.open"
	FunctionTimeout     Code = "function.timeout"
	FunctionSharedRole  Code = "function.role.shared"
	FunctionUnencrypted Code = "function.data.unencrypted"
	FunctionMutable     Code = "function.reference.mutable"
	FunctionUnsigned    Code = "function.source.unsigned"
	FunctionUnresolved  Code = "function.unresolved"
	FunctionUnreadable  Code = "function.unreadable"

	// The network.
	NetworkRoute       Code = "network.route.around-gateway"
	NetworkUnsegmented Code = "network.unsegmented"

	// Admission.
	AdmissionTag     Code = "admission.tag"
	AdmissionGuarded Code = "admission.guarded"

	// Commits.
	CommitMalformed   Code = "git.commit.malformed"
	CommitUnsigned    Code = "git.commit.unsigned"
	CommitInvalid     Code = "git.commit.invalid"
	CommitUntrusted   Code = "git.commit.untrusted"
	CommitWeak        Code = "git.commit.weak"
	CommitKeyValidity Code = "git.commit.key.validity"
	CommitKeyRevoked  Code = "git.commit.key.revoked"
	CommitEvidence    Code = "git.commit.evidence"
	CommitPath        Code = "git.commit.path"
	CommitThreshold   Code = "git.commit.threshold"
	CommitSeal        Code = "git.commit.seal"

	// Histories.
	HistoryRewound    Code = "git.history.rewound"
	HistoryDiverged   Code = "git.history.diverged"
	HistoryUnrelated  Code = "git.history.unrelated"
	HistoryRolledBack Code = "git.history.rolled-back"
	HistoryIncomplete Code = "git.history.incomplete"
	HistoryReplaced   Code = "git.history.replaced"
	HistoryCollision  Code = "git.history.collision"
	HistoryTooLong    Code = "git.history.too-long"
	HistoryUnreadable Code = "git.history.unreadable"
	HistoryStale      Code = "git.history.stale"
	RollbackRefused   Code = "git.rollback.refused"

	// Revisions as artifacts of a registry.
	ArtifactUnsigned  Code = "git.artifact.unsigned"
	ArtifactUntrusted Code = "git.artifact.untrusted"
	ArtifactInvalid   Code = "git.artifact.invalid"

	// Requests.
	GatewayNotReady Code = "request.gateway.not-ready"
	GatewayFailed   Code = "request.gateway.failed"
	GatewayRecord   Code = "request.gateway.record"
	GatewayOverdue  Code = "request.gateway.overdue"
	RequestProtocol Code = "request.protocol"
	RequestHeader   Code = "request.header"
	RequestPath     Code = "request.path"
	RequestRoute    Code = "request.route"
	RequestMethod   Code = "request.method"
	RequestIdentity Code = "request.identity"

	IdentityMalformed   Code = "request.identity.malformed"
	IdentityUntrusted   Code = "request.identity.untrusted"
	IdentitySignature   Code = "request.identity.signature"
	IdentityAudience    Code = "request.identity.audience"
	IdentityExpired     Code = "request.identity.expired"
	IdentityAmbiguous   Code = "request.identity.ambiguous"
	IdentityUnavailable Code = "request.identity.unavailable"
	IdentityRevoked     Code = "request.identity.revoked"
	IdentityAttestation Code = "request.identity.attestation"

	RequestOrigin     Code = "request.origin"
	RequestModel      Code = "request.model"
	AccessDenied      Code = "request.access.denied"
	AccessForbidden   Code = "request.access.forbidden"
	AccessFailed      Code = "request.access.failed"
	AccessStale       Code = "request.access.stale"
	AccessInvalid     Code = "request.access.invalid"
	LimitRate         Code = "request.limit.rate"
	LimitBytes        Code = "request.limit.bytes"
	LimitTokens       Code = "request.limit.tokens"
	LimitCost         Code = "request.limit.cost"
	LimitConcurrency  Code = "request.limit.concurrency"
	UpstreamDown      Code = "request.upstream.down"
	UpstreamIdentity  Code = "request.upstream.identity"
	UpstreamTimeout   Code = "request.upstream.timeout"
	UpstreamRedirect  Code = "request.upstream.redirect"
	UpstreamOpen      Code = "request.upstream.open"
	WAFBlocked        Code = "request.waf.blocked"
	WAFLimit          Code = "request.waf.limit"
	WAFFailed         Code = "request.waf.failed"
	AnswerBlocked     Code = "request.answer.blocked"
	AnswerUnchecked   Code = "request.answer.unchecked"
	StreamInvalid     Code = "request.stream.invalid"
	StreamLimit       Code = "request.stream.limit"
	StreamIdle        Code = "request.stream.idle"
	StreamExpired     Code = "request.stream.expired"
	StreamDrained     Code = "request.stream.drained"
	StreamCredential  Code = "request.stream.credential"
	MediaKind         Code = "request.media.kind"
	MediaActive       Code = "request.media.active"
	MediaAddress      Code = "request.media.address"
	AddressSpecial    Code = "request.address.special"
	AddressUnresolved Code = "request.address.unresolved"
	FetchFailed       Code = "request.fetch.failed"
	FetchLimit        Code = "request.fetch.limit"
	EgressDestination Code = "request.egress.destination"
	EgressHello       Code = "request.egress.hello"
	EgressLimit       Code = "request.egress.limit"
	AskedBy           Code = "request.asked-by"
	MessageMalformed  Code = "request.message.malformed"
	MessageSignature  Code = "request.message.signature"
	MessageStale      Code = "request.message.stale"
	MessageReplay     Code = "request.message.replay"
	MessageBusy       Code = "request.message.busy"
	MessageRefused    Code = "request.message.refused"
	MessageSealed     Code = "request.message.sealed"
	MediaMalformed    Code = "request.media.malformed"
	MediaMismatch     Code = "request.media.mismatch"
	MediaPolyglot     Code = "request.media.polyglot"
	MediaOpaque       Code = "request.media.opaque"
	MediaLimit        Code = "request.media.limit"
	MediaMetadata     Code = "request.media.metadata"
	BodyIncomplete    Code = "request.body.incomplete"
	BodyType          Code = "request.body.type"
	BodyMalformed     Code = "request.body.malformed"
	BodyAmbiguous     Code = "request.body.ambiguous"
	BodyOutside       Code = "request.body.outside"
	BodyReference     Code = "request.body.reference"
	BodyLimit         Code = "request.body.limit"
	BodyEncoding      Code = "request.body.encoding"
	BodyMemory        Code = "request.body.memory"
	MediaEncoding     Code = "request.media.encoding"
	TensorShape       Code = "request.tensor.shape"

	// Base images.
	BaseUnapproved Code = "image.base.unapproved"
	BasePattern    Code = "image.base.pattern"
	BaseNotLocked  Code = "image.base.not-locked"
	BaseForged     Code = "image.base.forged"

	// Exceptions.
	ExceptionExpired      Code = "exception.expired"
	ExceptionUnsigned     Code = "exception.unsigned"
	ExceptionSelfApproved Code = "exception.self-approved"
	ExceptionSubject      Code = "exception.subject"
	ExceptionNoExpiry     Code = "exception.no-expiry"
	ExceptionConflict     Code = "exception.conflict"
)

var byCode = func() map[Code]CodeInfo {
	m := make(map[Code]CodeInfo, len(table))
	for _, info := range table {
		m[info.Code] = info
	}
	return m
}()

var table = []CodeInfo{
	{OK, "The check passed.", ""},

	{Unselected, "No policy selects this subject, so nothing allows it.", "Add a policy whose selector matches the workload's labels, or pass the labels with --label k=v."},
	{PolicyNotReady, "A policy that selects the subject names something that nothing defines, so it denies all that it selects.", "Define the missing name (a TrustRoot entry, a scanner, a base lock) or correct its spelling; apex policy lint shows where."},
	{PolicyInvalid, "A policy or trust document does not pass validation.", "Run apex policy lint and correct the field that it names."},
	{RuleNotGathered, "A fact that the rule needs could not be established.", "Look at the reason beside it; retry once the source answers."},
	{RuleFailed, "The rule itself failed while it was judging.", "This is a defect of Apex: please report the record's id."},
	{ExpressionFalse, "The policy's CEL expression is false for this subject.", "Change the subject so that the expression holds; the expression is shown as expected."},
	{ExpressionFailed, "The policy's CEL expression could not be evaluated.", "Guard absent fields with has(), and test the policy with apex policy test."},
	{Revoked, "A Revocation stops this subject everywhere.", "Use another digest, key or identity; the Revocation's reason says why this one is stopped."},
	{DeadlineExceeded, "The verdict was not reached before the deadline.", "Ask again: what was fetched is kept, so the next answer is faster; otherwise raise --timeout."},
	{Internal, "Apex failed while it was verifying.", "This is a defect of Apex: please report the record's id."},
	{EvidenceDeferred, "Not all places where evidence can be had been looked at when the time was over.", "Ask again: what was fetched is kept, so the next answer is faster; otherwise raise --timeout."},
	{LedgerClosed, "The verdict could not be recorded, so it is not given.", "Run apex doctor; the ledger's disk is full, read-only or too slow."},

	{ReferenceInvalid, "The text is not an acceptable image reference.", "Write host/path:tag or host/path@sha256:digest in lower case ASCII."},
	{ReferenceUnresolved, "The reference depends on values that are not known here.", "Render the manifest first, or give the parameter's value."},
	{ReferenceUnknown, "A field of an unknown kind looks like an image or model reference.", "Add the field to the extraction table, or move the image to a known field."},
	{ManifestInvalid, "The manifest cannot be read safely.", "Correct the YAML at the line that is named."},
	{ReferenceRemote, "Something else would fetch what is deployed or run from an address, where nobody has verified it.", "Commit the manifests themselves, pack the code into a signed image, or name a signed OCI artifact by its digest."},

	{RenderEmpty, "The path holds nothing that could be applied.", "Correct the path, or commit the manifests that belong there."},
	{RenderRemote, "The revision names something outside of the repository, which the commit's signature does not cover.", "Copy it into the repository and name the copy."},
	{RenderPath, "A path leaves the repository, leads over a link or a submodule, or cannot be told from a remote address.", "Keep the file itself in the repository and name it by a plain relative path."},
	{RenderFeature, "The kustomization uses something that runs programs, depends on where it is built, or changes how others are built.", "Use the field that the message names, or commit the output of kustomize build."},
	{RenderChart, "A Helm chart is not rendered here: its templates are programs.", "Commit the output of helm template, and review it."},
	{RenderEncrypted, "The file is encrypted or a pointer to content elsewhere; applying it would apply the ciphertext.", "Commit the content itself, or an object that a controller in the target decrypts (SealedSecret, ExternalSecret)."},
	{RenderTooLarge, "The revision is larger than one source may be.", "Split it, or raise the source's quota; the limit is in the message."},
	{RenderFailed, "The kustomization cannot be built.", "Run kustomize build on the path and correct what it names."},
	{RenderDeprecated, "The kustomization uses a field that kustomize is about to drop.", "Run kustomize edit fix in the folder and commit what it writes."},
	{ObjectInvalid, "What stands there is no object that could be applied as it is written.", "Correct the field that is named."},
	{ObjectName, "The object's name, kind or labels are not ones that a target takes.", "Write a fixed name as Kubernetes allows it."},
	{ObjectNamespace, "The object belongs to a namespace that the source may not write to, or to none.", "Correct its namespace, or allow it in the GitSource."},

	{ApplyEmpty, "The revision renders to no object at all, which would delete everything.", "Look at the path of the source; to take a source out of a target, remove the source."},
	{ApplyPruneLimit, "The revision deletes more objects than a mistake may.", "If it is meant, commit it with the signed trailer Apex-Prune: allow."},
	{ApplyKind, "The source holds an object of a kind that it may not have.", "Take the object out, or allow the kind for this source."},
	{ApplyNamespace, "The source holds an object for a namespace that is not its own.", "Take the object out, or allow the namespace for this source."},
	{ApplyQuota, "The revision holds more than the source may have.", "Split the source, or raise its quota."},
	{ApplyOwned, "The object belongs to another source.", "Remove it from one of the two; what the other source prunes can be applied afterwards."},
	{ApplyPinned, "The source was rolled back, and stays so until a commit arrives that descends from the one that was left.", "Commit the mend on top of the branch."},
	{ApplyStale, "The revision does not follow the one that was accepted last.", "Fetch again; history that was rewritten needs a signed rollback record."},
	{ApplyUnfinished, "A revision was being applied when the last run ended, and is not finished.", "Resume it; Apex does so by itself when it starts."},
	{ApplyState, "What the target remembers about the source is not what Apex wrote.", "Find out who changed it; restore it from a backup, or remove it and apply the source anew."},
	{ApplyUnserved, "The target does not serve the kind in the version that the object is written in.", "Write it in a version that is served, put a CustomResourceDefinition that serves it into the revision, or install one; then the revision is taken up by itself."},
	{ApplyInvalid, "The target refuses the object as it is written: it breaks its schema or a rule of its kind, or changes a field that cannot be changed.", "Correct what the message names and commit; a field that cannot be changed needs another name, or the old object deleted first."},
	{ApplyForbidden, "The target does not let the source write the object: a right is missing, an admission check says no, or a quota is used up.", "Grant the right to the source's ServiceAccount, satisfy the check, or raise the quota; then the revision is taken up by itself."},
	{ApplyMissing, "The object needs something that neither the target nor the revision holds: a namespace, or a role that it binds.", "Put it into the revision before the object, or make it in the target; then the revision is taken up by itself."},
	{ApplyReturned, "The target refused a part of the revision while it was applied; it is brought back to the revision before.", "Correct what the message names and commit. What cannot be taken back safely (namespaces and definitions that are new) stays, and is listed as kept."},
	{RollbackNone, "There is no revision to go back to that was applied and healthy.", "Name one of the revisions in the journal, or commit the mend."},
	{RollbackRecord, "The rollback has no record that is signed by somebody who may roll back.", "Sign it: apex gitops rollback asks for the key."},

	{PromotionMissing, "The revision waits for a signed promotion into the stage, or for more people to sign one.", "Sign it: apex gitops promote asks for the key."},
	{PromotionInvalid, "The promotion is not signed by somebody who may promote, or is for another source, stage or revision.", "Make a new one with apex gitops promote, signed with a key of a TrustRoot entry whose uses name Promotions."},
	{PromotionUsed, "The promotion was made for an earlier state of the stage.", "Make a new one with apex gitops promote; a promotion counts once."},
	{PromotionExpired, "The promotion was not used in its time.", "Make a new one with apex gitops promote."},
	{PromotionAuthor, "The promotion is signed by somebody who made the revision, and the stage asks for somebody else.", "Let another person promote it."},
	{GateVerdicts, "Something that the revision would deploy is not allowed now.", "Look at the verdicts: apex gitops plan names them with their mends."},
	{GateStage, "The stage before does not hold the commit.", "Wait until it is applied there, or promote the commit that is."},
	{GateHealth, "Something in the stage before does not do what it is there for.", "Look at the object that is named; commit the mend, or wait until it is ready."},
	{GateSoak, "The stage before was not healthy for long enough without interruption.", "Wait until the time that is named."},
	{GateMetric, "A measured value is outside of what the stage allows.", "Find out what raised it; the gate opens when the value is back."},
	{GateFreeze, "The stage is frozen.", "Wait until the end that is named, or take the window out of the GitSource."},
	{GateUnknown, "A gate could not be asked, so it stays closed.", "Mend what the message names; it is asked again."},
	{CanaryUnready, "The new revision did not become ready in time, so traffic stays with the old one.", "Look at the object's status; commit the mend on top of the branch."},
	{CanaryFailed, "The new revision failed while it had a part of the traffic, which went back to the old one.", "Look at what the journal names; commit the mend on top of the branch."},
	{ReleaseState, "What the target remembers about the release is not what Apex wrote.", "Find out who changed it; restore it from a backup, or remove it and promote anew."},

	{RegistryUnreachable, "The registry did not answer.", "Check the host name, the network and the registry's health; then ask again."},
	{RegistryUnauthorized, "The registry refused the credentials, or there are none.", "Log in with docker login HOST, or give the workload's pull secret."},
	{RegistryNotFound, "The registry has no such image.", "Push it, or correct the reference."},
	{RegistryLimited, "The registry limits the rate of requests.", "Wait for the time that it names, or use a mirror."},
	{RegistryAddress, "The registry, or something that it redirects to, has an address that Apex refuses to call.", "Use a registry with a public address, or allow this host with --allow-private-registry HOST."},
	{RegistryAnswer, "The registry's answer is not what the distribution specification says.", "Check that HOST is a registry and not a proxy's login page."},
	{RegistryDigest, "The bytes that came do not have the digest that was asked for.", "Treat the registry as compromised or broken: push the image again and find out what changed it."},
	{RegistryTooLarge, "The registry's answer is larger than anything of its kind may be.", "Make the document smaller; the limit is in the message."},
	{RegistryTooMany, "The registry lists more items than Apex reads.", "Remove old signatures and attestations from the repository; the limit is in the message."},

	{ImageMediaType, "The manifest has a media type that cannot be verified.", "Push the image as an OCI image manifest or a Docker schema 2 manifest."},
	{ImageForeignLayer, "A layer's bytes are fetched from a URL instead of the registry.", "Push the image with all of its layers."},
	{ImageIndexNested, "The index holds another index.", "Push an index whose entries are image manifests."},
	{ImageIndexEmpty, "The index holds no image for any platform.", "Push an index that lists at least one image."},
	{ImagePlatformMissing, "The index has no image for a platform that the policy names.", "Build and push that platform, or take it off the policy's platforms."},
	{ImageConfigInvalid, "The image's configuration cannot be read or does not match its layers.", "Build and push the image again."},

	{SignatureMissing, "The image has no signature.", "Sign it: apex sign --key KEY IMAGE@DIGEST."},
	{SignatureUntrusted, "The image is signed, but by nobody whom the policy trusts.", "Sign it with an approved key, or add the signer to the TrustRoot and to requireSignatureFrom."},
	{SignatureInvalid, "A signature is there and does not verify.", "Sign the image again."},
	{SignatureRepository, "The signature was made for another repository.", "Sign the image under the repository that it is pulled from, or list the origin in the policy's signedRepositories."},
	{SignatureSubject, "The signature is about another digest.", "Sign this digest."},
	{SignatureThreshold, "Fewer trusted signers have signed than the policy asks for.", "Have the missing signers sign; they are listed under expected."},
	{SignatureLogMissing, "The policy asks for a transparency log entry and the signature has none that verifies.", "Sign again with the transparency log on."},
	{SignatureTimeMissing, "The certificate has expired and nothing trusted says that the signature was made before that.", "Sign again with a timestamp authority or the transparency log on."},
	{SignatureKeyValidity, "The signature's time is outside of the key's validity.", "Sign again with a key that is valid."},
	{SignatureIdentity, "The certificate's identity or issuer is not one that the trust root names.", "Sign with the identity that the trust root names, or change the trust root."},
	{SignatureTooOld, "The image was built or signed before the time that the policy sets.", "Build and sign a newer image."},
	{SignatureAnnotations, "The signature lacks an annotation that the policy asks for.", "Sign again with -a KEY=VALUE."},
	{SignatureRevokedKey, "The key or identity that made the signature is revoked.", "Sign again with a key that is not revoked."},
	{SignatureFormatDenied, "The signature has a format that the policy does not accept.", "Sign again in an accepted format."},

	{AttestationMissing, "The image has no attestation of the type that the policy asks for.", "Attest it: apex attest --type TYPE --predicate FILE --key KEY IMAGE@DIGEST."},
	{AttestationUntrusted, "An attestation of this type is there, but not signed by anyone whom the policy trusts.", "Attest again with an approved key."},
	{AttestationInvalid, "An attestation is there and cannot be read or does not verify.", "Attest again."},
	{AttestationPredicate, "The attestation's predicate does not satisfy the policy.", "Look at expected and found; produce a predicate that satisfies the policy."},

	{ProvenanceMissing, "The image has no signed SLSA provenance.", "Attest it: apex attest --type slsaprovenance1 --predicate FILE --key KEY IMAGE@DIGEST."},
	{ProvenanceBuilder, "The image was built by a builder that the policy does not name.", "Build it with an approved builder, or add the builder to the policy."},
	{ProvenanceSource, "The image was built from a source repository that the policy does not name.", "Build it from an approved repository, or add the repository to the policy."},
	{ProvenanceEntryPoint, "The image was built by another workflow than the policy names.", "Build it with the approved workflow."},
	{ProvenanceInvalid, "The provenance cannot be read.", "Produce SLSA provenance v0.2 or v1 again."},
	{ProvenanceTooOld, "The build is older than the policy allows.", "Build the image again."},
	{ProvenanceBuildUnknown, "The provenance has a build type that the policy does not name.", "Use an approved build type."},

	{SBOMMissing, "The image has no signed SBOM.", "Attest one: apex attest --type cyclonedx --predicate SBOM --key KEY IMAGE@DIGEST."},
	{SBOMFormat, "The SBOM's format is not one that the policy accepts.", "Attest an SBOM in an accepted format."},
	{SBOMInvalid, "The SBOM cannot be read or lists nothing.", "Produce the SBOM again."},

	{ModelReference, "The model is named by something that can change, or that no evidence can be attached to.", "Pack it into a registry and name its digest: apex model pack PATH oci://REPOSITORY:TAG."},
	{ModelMediaType, "The artifact is no model that can be verified.", "Pack the model again: apex model pack."},
	{ModelManifest, "The model's manifest or configuration cannot be read, or lists files that no folder could hold.", "Pack the model again: apex model pack."},
	{ModelSignatureMissing, "The model has no signature.", "Sign it: apex model sign --key KEY PATH, or apex sign --key KEY oci://REPOSITORY@DIGEST."},
	{ModelSignatureUntrusted, "The model is signed, but by nobody whom the policy trusts.", "Sign it with an approved key, or add the signer to the TrustRoot (uses: Models) and to requireSignatureFrom."},
	{ModelSignatureInvalid, "A signature of the model is there and does not verify, or cannot be read.", "Sign the model again."},
	{ModelSignatureFiles, "The signature covers other files than the artifact holds.", "Pack exactly what was signed, or sign what is packed."},
	{ModelSignatureThreshold, "Fewer trusted signers have signed the model than the policy asks for.", "Have the missing signers sign; they are listed under expected."},
	{ModelScanMissing, "Nobody has attested a scan of the model.", "Pack it with a scan: apex model pack --key KEY PATH oci://REPOSITORY:TAG."},
	{ModelScanUntrusted, "A scan is attested, but by nobody whom the policy trusts for scans.", "Scan and attest again with an approved key, or add the signer to scanFrom."},
	{ModelScanInvalid, "The scan attestation cannot be read.", "Scan and attest the model again."},
	{ModelScanSubject, "The scan is about other files.", "Scan and attest exactly the model that is packed."},
	{ModelScanStale, "The scan is older than the policy allows.", "Scan and attest the model again."},
	{ModelScanLists, "The scan was made with older lists than the policy asks for.", "Scan again with a newer Apex."},
	{ModelScanPartial, "The scan did not read all bytes, and nothing binds the rest.", "Scan a local copy, or pack the model with apex model pack."},
	{ModelScanBlocked, "The scan found what the policy blocks.", "Look at what was found; convert the model to safetensors, or have its author remove it."},
	{ModelScanUnknown, "The model holds files of no format that the scanner knows.", "Remove the files that are named, or set unknownFiles: Allow."},
	{ModelFormatDenied, "The model holds a format that the policy does not list.", "Convert the file to an allowed format, or add the format to allowedFormats."},
	{ModelRemoteCode, "The model asks its loader to run code that comes with it or from elsewhere.", "Use a model whose architecture the library knows, or remove auto_map and the code beside it."},
	{ModelProvenanceMissing, "The model has no signed provenance.", "Write it with apex model provenance and attest it: apex attest --type slsaprovenance1 --predicate FILE --key KEY MODEL@DIGEST."},
	{ModelProvenanceUntrusted, "The model's provenance is not signed by anyone whom the policy trusts.", "Attest it again with an approved key."},
	{ModelProvenanceInvalid, "The model's provenance cannot be read.", "Produce SLSA provenance v1 again."},
	{ModelProvenanceRefused, "The model was made by a builder, from a source or at a time that the policy does not accept.", "Look at expected and found; train or convert it in an approved way."},
	{ModelProvenanceBase, "The model was made from a base model that the policy does not list.", "Start from an approved base model, or add its digest to baseModels."},
	{ModelLicenseDenied, "The model's licence is not one that the policy allows.", "Use a model with an allowed licence, or add the licence to the policy."},
	{ModelLicenseUnknown, "The model states no licence.", "Pack it with --license SPDX-ID, or set unknownLicense: Allow."},
	{ModelDatasetMissing, "Nobody has attested which data the model was trained on.", "Write it with apex data manifest and attest it: apex attest --type datasetmanifest --predicate FILE --key KEY MODEL@DIGEST."},
	{ModelDatasetUntrusted, "A dataset manifest is there, but signed by nobody whom the policy trusts for it.", "Attest it again with an approved key."},
	{ModelDatasetInvalid, "The dataset manifest cannot be read or names no dataset.", "Produce the dataset manifest again."},
	{ModelDatasetDenied, "The model was trained on a dataset that the policy does not list.", "Train it on approved data, or add the dataset's root to the policy."},

	{ReportMissing, "There is no vulnerability report about this digest.", "Scan and attest: apex attest --type vuln --predicate REPORT --key KEY IMAGE@DIGEST, or hand it in with --report FILE."},
	{ReportUnsigned, "A vulnerability report is there, but nobody trusted signed it.", "Attest the report with the scanner's key."},
	{ReportStale, "The newest vulnerability report is older than the policy allows.", "Scan the digest again and attest the new report."},
	{ReportFuture, "The vulnerability report claims to be from the future.", "Correct the scanner's clock and scan again."},
	{ReportScanner, "The vulnerability report is from another scanner than the policy names.", "Scan with the scanner that the policy names."},
	{ReportSubject, "The vulnerability report is about another digest.", "Scan this digest."},
	{ReportFailed, "The scan behind the report failed or did not finish, so it proves nothing.", "Scan again and look at the scanner's errors."},
	{ReportInvalid, "The vulnerability report cannot be read.", "Produce it again in a supported format."},
	{ScannerMissing, "The scanner that the policy names is not on this machine.", "Install it, or hand in its report or a signed attestation of it."},
	{ScannerVersion, "The scanner is of a version whose report cannot be relied on, or does not say of which.", "Install the version that is named, or a later one."},
	{ScannerDatabase, "The scanner's database is too old, or of unknown age.", "Update the database that the scanner was told to use, and scan again."},
	{VulnerabilityOver, "The image has vulnerabilities at or above the severity that the policy blocks.", "Update the packages that are listed under found, and build again; or ask for a PolicyException."},
	{SeverityUnknown, "The image has vulnerabilities without a severity, and the policy blocks those.", "Find out their severity, or set unknownSeverity: Allow in the policy."},

	{AdvisoriesMissing, "There are no advisories to match packages against.", "Run apex advisories sync, or apex advisories import with a file."},
	{AdvisoriesInvalid, "The advisories cannot be read.", "Run apex advisories sync again; apex advisories status says what is wrong."},
	{InventoryMissing, "Nothing is known about what is inside the image.", "Run apex sbom on it, or attach a signed SBOM."},
	{InventoryGaps, "Not all that is inside the image could be read.", "Look at the places that are named; apex sbom shows them all."},
	{InventoryIntegrity, "What is installed is not what its package says.", "Build the image again from its packages, and find out who changed the file."},
	{InventoryLookalike, "The name of a package looks like that of one that many projects depend on.", "Find out who publishes it and why it was asked for; where a slip of the finger asked for it, name the right one, and take it that what it installed has run."},
	{InventoryAttested, "An attestation of a package's publisher is there and does not hold.", "Fetch the package and its attestation again from the index; where they still disagree, do not install it."},

	{FunctionRights, "The function, or what it uses, has more rights than the policy allows.", "Narrow the statement that is named; apex function rightsize proposes the smallest policy from observed use."},
	{FunctionPublic, "Anybody may call the function without saying who they are.", "Ask for an identity at the way in that is named, or route it through the gateway."},
	{FunctionSecret, "A secret stands in the function's environment.", "Move it to a secret store, refer to it from there, and replace the secret: it is known now."},
	{FunctionEgress, "The function may connect to anywhere, or the files do not say where.", "Put it into a network whose rules say where it may connect to."},
	{FunctionTimeout, "The function sets no timeout, or a longer one than the policy allows.", "Set the timeout to what a call needs."},
	{FunctionSharedRole, "Several functions run as the same role, so each has the rights of all.", "Give each function a role of its own."},
	{FunctionUnencrypted, "Data of the function is not encrypted with a key of its own.", "Name a key for the environment or the store."},
	{FunctionMutable, "What runs in the function is named by something that can change.", "Name the digest, revision or version."},
	{FunctionUnsigned, "A file that declares the function is not signed by anyone whom the policy names.", "Sign it: apex sign FILE --key KEY, and commit the bundle beside it."},
	{FunctionUnresolved, "What the function may do, or what runs in it, depends on something outside of the files.", "Write it down, give its value as a parameter, or set unresolved: Allow in the policy."},
	{FunctionUnreadable, "A file that declares functions could not be read to its end.", "Mend the file at the place that is named."},

	{NetworkRoute, "A way leads to the workload that does not pass the gateway.", "Close the way that is named, or declare it in the source's segmentation."},
	{NetworkUnsegmented, "No network policy selects the workload's pods.", "Declare segmentation for the source, or add a network policy."},

	{AdmissionTag, "The Pod names an image by a tag, so another could be pulled than the one that was verified.", "Name the digest; the mutating webhook of Apex pins tags where it is asked before the validating one."},
	{AdmissionGuarded, "The object is applied from Git, and its source lets nobody else write it.", "Change it in Git."},

	{CommitMalformed, "The commit is not written as Git writes commits, so that it could be read in two ways.", "Make the commit again with the git command."},
	{CommitUnsigned, "The commit carries no signature.", "Sign it: git commit --amend -S, and for older ones git rebase --exec 'git commit --amend --no-edit -S'; or have a sealer seal the history."},
	{CommitInvalid, "The commit's signature does not verify, or was made for something else.", "Sign the commit again; when nobody changed it on purpose, find out who did."},
	{CommitUntrusted, "The commit is signed, but by nobody whom the source trusts.", "Sign it with a key that the source's trust names, or add the signer to the TrustRoot (uses: Commits) and to the source's signers."},
	{CommitWeak, "The commit's signature uses an algorithm that can be forged.", "Sign with Ed25519, ECDSA, or RSA of 2048 bits or more, and with SHA-256 or SHA-512."},
	{CommitKeyValidity, "The key that signed the commit was not valid when Apex first saw the commit.", "Sign with a key that is valid; when the key was rotated, have a sealer seal the history with a commit that has the trailer Apex-Seal."},
	{CommitKeyRevoked, "The key or identity that signed the commit is revoked.", "Review the commit and sign it again with a key that is not revoked, or have a sealer seal the history."},
	{CommitEvidence, "The commit is signed keyless, and the log entry or the certificate behind it does not verify.", "Sign with gitsign in its offline mode (gitsign.rekorMode=offline), so that the log entry is in the commit."},
	{CommitPath, "The commit changes a path that its signer may not change.", "Have somebody who may change the path approve it: a signed commit with the trailer Apex-Approves: COMMIT."},
	{CommitThreshold, "Fewer different owners have signed the change of a path than the source asks for.", "Have another owner approve it: git commit --allow-empty -S --trailer 'Apex-Approves: COMMIT'."},
	{CommitSeal, "The commit seals the history, and its signer may not.", "Have a sealer of the source seal it, or take the trailer Apex-Seal out of the commit."},

	{HistoryRewound, "The branch was set back to a commit that is older than the one that was accepted.", "Push the newer commits again; to go back on purpose, run apex gitops rollback, which writes a signed record."},
	{HistoryDiverged, "The branch no longer holds the commit that was accepted: its history was written anew.", "Put the accepted commit back under the branch (git merge or git rebase onto it), or go back with apex gitops rollback first."},
	{HistoryUnrelated, "The branch does not descend from the first trusted commit.", "Check the source's URL, branch and firstCommit; a repository that was made anew needs a new firstCommit."},
	{HistoryRolledBack, "The commit was accepted once and was rolled back since.", "Commit the mend on top of it; to apply it as it was, roll forward to it with apex gitops rollback --to COMMIT."},
	{HistoryIncomplete, "Commits or trees that have to be verified are missing from the repository.", "Fetch the whole history: git fetch --unshallow, and run git fsck."},
	{HistoryReplaced, "The repository has replace references or grafts, which show another history than the one that is stored.", "Remove them: git replace -d NAME, and delete .git/info/grafts."},
	{HistoryCollision, "An object's bytes were made to collide under SHA-1.", "Treat the repository as attacked: find out who pushed the object."},
	{HistoryTooLong, "More commits or changes have to be verified than Apex does at once.", "Accept the history in steps, or set the source's firstCommit to a newer commit."},
	{HistoryUnreadable, "The repository cannot be read.", "Run git fsck and mend what it names."},
	{HistoryStale, "The newest commit is older than the source's maxAge, or claims to be from the future.", "Check that nobody holds newer commits back; push a signed commit, which may be empty."},
	{RollbackRefused, "The rollback record does not fit the source's state, or nobody who may roll back signed it.", "Make a new one with apex gitops rollback; a record counts once, for the state that it names."},

	{ArtifactUnsigned, "The artifact has no signed statement that says what it was made from and what came before it.", "Let a GitSource with publish make it; an artifact that was copied needs its attestations too."},
	{ArtifactUntrusted, "The artifact's statement is signed, but by nobody whom the source trusts, or the signature does not count.", "Add the publisher's key to a TrustRoot (uses: Commits) and to the source's signers, or publish it again with a key that is there."},
	{ArtifactInvalid, "The artifact is not what its signed statement says, or the statement cannot be read.", "Publish it again; when nobody changed it on purpose, find out who did."},

	{GatewayNotReady, "The gateway has no rules yet.", "Wait until the configuration is read; its problems are in the log and under /readyz."},
	{GatewayFailed, "A check of the request could not be made.", "Look for the request's id in the gateway's log."},
	{GatewayRecord, "The decision could not be recorded, so nothing is passed on.", "Free space for the ledger, and look at its state: apex ledger fsck."},
	{GatewayOverdue, "A check of the request took longer than it may.", "Ask again in a moment. If it stays so, the record names the stage: give the gateway more CPU, or the stage more time with limits.stages of the route."},
	{RequestProtocol, "The request does not speak HTTP/1.1 or HTTP/2, or asks for another protocol.", "Speak HTTP/1.1 or HTTP/2."},
	{RequestHeader, "The request's headers can be read in two ways, or are too many.", "Send each header once."},
	{RequestPath, "The request's path can be read in two ways.", "Send the path as the API documents it, without encoded or empty segments."},
	{RequestRoute, "No route is for this host, path and method.", "Correct the address, or add a ProtectedRoute."},
	{RequestMethod, "The operation is not called like that.", "Use the method that the API documents, with a body only where it has one."},
	{RequestIdentity, "The request shows no identity that the route recognises.", "Present a client certificate or a bearer token of an identity that the route names."},
	{IdentityMalformed, "The credential is not what its specification says, to the letter, or holds what is never accepted.", "Let the issuer's library write it: a certificate with one SPIFFE ID, or a compact JWS with kid and one of the algorithms that are accepted."},
	{IdentityUntrusted, "The credential comes from a trust domain, an issuer or a key that is not trusted here.", "Name the issuer in the configuration, or get the credential from one that is named."},
	{IdentitySignature, "The credential was not signed by the key that it names.", "Get a new credential; when the issuer has just changed its keys, try again after a minute."},
	{IdentityAudience, "The credential was made for someone else.", "Ask the issuer for one with the audience of this gateway."},
	{IdentityExpired, "The credential has expired, or is not valid yet.", "Get a new one, and compare the clocks."},
	{IdentityAmbiguous, "The request shows more than one credential.", "Show a client certificate or a token, not both."},
	{IdentityUnavailable, "The keys of the issuer could not be fetched, and those that are known are too old.", "Look why the issuer cannot be reached from the gateway."},
	{IdentityRevoked, "The identity or the credential was revoked.", "Ask who revoked it; a new credential helps only when the identity itself was not."},
	{IdentityAttestation, "What was shown does not prove who may have an identity.", "Show evidence of a kind that is configured, fresh, and of a workload that an entry names."},
	{RequestOrigin, "A page of another site asks for a WebSocket.", "Ask from the site itself, or let the route name that site."},
	{RequestModel, "The route has no such model, or the request asks for two.", "Ask for a model of the route."},
	{AccessDenied, "No access policy permits it.", "Ask for a policy or a grant of the route that permits it; apex access explain shows which ones were looked at."},
	{AccessForbidden, "An access policy forbids it.", "Ask for what the policy leaves free, or change the policy; apex access explain shows why it holds."},
	{AccessFailed, "An access policy could not be evaluated.", "Correct the policy that is named: ask whether an attribute is there before using it, and bound what is calculated."},
	{AccessStale, "What is known about who asks, or about what is asked for, is too old to decide by.", "Let the source of identities and models answer again."},
	{AccessInvalid, "The question does not fit the schema of access policies.", "Ask for an action, a type and attributes that the schema holds."},
	{LimitRate, "There were more requests in a minute than the route allows.", "Wait as long as Retry-After says, or raise limits.requests."},
	{LimitBytes, "There were more bytes in a minute than the route allows.", "Wait as long as Retry-After says, send less, or raise limits.bytes."},
	{LimitCost, "The request would cost more than the route allows in an hour.", "Wait as long as Retry-After says, ask for a shorter answer or a cheaper model, or raise limits.cost."},
	{LimitTokens, "The request would cost more tokens than the route allows.", "Send less, ask for a shorter answer, or raise limits.tokens."},
	{LimitConcurrency, "There are more requests at once than the route allows.", "Wait for one to end, or raise limits.concurrent."},
	{UpstreamDown, "The server behind the route does not answer.", "Start it, or correct the route's upstream."},
	{UpstreamIdentity, "The server behind the route is not who it has to be: its identity is another one, has expired or is revoked, or it does not take the gateway's.", "Give the server an identity that the route's upstream.spiffeIDs name, from a trust domain whose bundle the gateway has."},
	{UpstreamTimeout, "The server behind the route did not answer in time.", "Ask for less, or raise upstream.timeout."},
	{UpstreamRedirect, "The server behind the route leads callers to another server, around the gateway.", "Have it redirect to paths or to its own address only, or give the other server a route."},
	{UpstreamOpen, "The server behind the route failed several times in a row, so it is left alone for a moment.", "Ask again after the time in Retry-After; if it goes on, look at that server."},
	{WAFBlocked, "The request's line, headers or fields look like an attack by the rules in force.", "Look at the rules that the record names; where they are wrong about this request, exclude one of them for that field, with a reason and a date."},
	{WAFLimit, "The request has more fields, or longer ones, than the rules look at.", "Send fewer or shorter headers, query arguments and fields; long text belongs where the API expects text."},
	{WAFFailed, "The request could not be held against the rules.", "Send it again; if it goes on, look at the gateway's log by the request's id."},
	{AnswerBlocked, "The answer of the server behind the route looks like a leak by the rules in force: an error of its own, source text, or a web shell.", "Look at the outcome's record, which names the rules, and at what the server does; where they are wrong about its answers, exclude one of them with a reason and a date, or set waf.answers."},
	{AnswerUnchecked, "The answer of the server behind the route could not be held against the rules.", "Ask for less at once; if that does not help, look at the gateway's log by the request's id."},
	{StreamInvalid, "An answer or a message in a stream is not what it says it is, or can be read in two ways.", "Look at what its sender sends: the server behind the route, or the client."},
	{StreamLimit, "An answer or a message in a stream holds more, or the stream takes longer, than the route allows.", "Ask for less, or raise upstream.stream."},
	{StreamIdle, "A side of a stream was silent for too long.", "Look at the server behind the route, or raise upstream.stream."},
	{StreamExpired, "The identity expired, or it or the model was revoked, while the stream was running.", "Renew the credential and ask again; what was revoked stays so."},
	{StreamDrained, "The gateway ends, and the stream did not end in time by itself.", "Ask again: another gateway answers, or this one once it is back."},
	{StreamCredential, "A credential or a private key is in the answer.", "Find out where the model has it from and take it out there, then replace it; where answers are meant to hold some, set answers.credentials."},
	{MediaKind, "The route takes no content of this kind or type.", "Send another type, or add the kind to media.kinds."},
	{MediaActive, "The content holds something that a viewer would run or unpack.", "Take out scripts, macros and attachments."},
	{MediaAddress, "The message names content by an address that the route does not take.", "Send the content itself, or add its host to media.hosts."},
	{AddressSpecial, "The name stands for an address that is not public: of this machine, of a private network, of a cloud's metadata, or reserved.", "Use a host with public addresses, or list the private network where it is meant."},
	{AddressUnresolved, "The name of the host has no address.", "Correct the name, or look at the name server."},
	{FetchFailed, "The content that the message names could not be fetched.", "Send the content itself, or look why its server does not answer."},
	{FetchLimit, "The content that the message names is larger, takes longer, or is redirected more often than is allowed.", "Send the content itself, or name where it stands without redirects."},
	{EgressDestination, "The identity may not connect to this host and port.", "Add the host to what the identity may reach, or use one that is listed."},
	{EgressHello, "What was sent through the tunnel does not begin with a TLS greeting for the host that the tunnel is for.", "Use TLS with the host's name as server name, without encrypted client hello."},
	{EgressLimit, "The connection carried more bytes, lasted longer, or there were more of them than is allowed.", "Send less at once, or raise the limit of egress."},
	{AskedBy, "The one who asks for a decision is not a proxy that may ask.", "Let the proxy show its own certificate, and list its identity; or let it ask over the unix socket."},
	{MessageMalformed, "The message is not a CloudEvent, or can be read in two ways.", "Send a CloudEvent 1.0 in binary or structured mode, with every attribute once."},
	{MessageSignature, "The message is not signed by the identity that it shows, or was changed since.", "Sign the message as it is sent, with the key of the identity that it shows."},
	{MessageStale, "The message is too old, or claims to be from the future.", "Send it again with the time and a signature of now, and compare the clocks."},
	{MessageReplay, "Another message had the same source and id.", "Give every message an id of its own."},
	{MessageRefused, "The receiver of the message refused it.", "Look at the receiver's answer in its own log; send what it takes."},
	{MessageSealed, "Something of the message is not sealed as the route wants it.", "Seal it with apex message seal for the keys that the route names, before the message is signed; what is wrong stands in the detail."},
	{MessageBusy, "The same message is being processed, or too many are remembered.", "Deliver it again later."},
	{MediaMalformed, "The content is not what its format says: cut off, with sizes that do not fit, or with a wrong checksum.", "Write the file again with another program, and send all of it."},
	{MediaMismatch, "The content is of another type than the message says.", "Declare the type that the content has."},
	{MediaPolyglot, "The content is of two formats at once, or something stands before or after it.", "Send each content by itself, without anything around it."},
	{MediaOpaque, "The content is encrypted, or packed in a way that cannot be looked into.", "Send it without a password, packed in the ordinary way."},
	{MediaLimit, "The content has more pixels, frames, samples, pages, entries, bytes or seconds than are allowed.", "Send a smaller one, or raise the limit of the route."},
	{MediaMetadata, "The route passes on content without metadata only, and they cannot be taken out of this one.", "Send it as PNG, JPEG or WebP, or take out who, where and with what by yourself."},
	{BodyIncomplete, "The body ended before its length.", "Send the whole body."},
	{BodyType, "The body's media type is missing, said twice, not understood, or not what the body is.", "Send one Content-Type that the route's API has, in UTF-8."},
	{BodyMalformed, "The body is not what its media type says it is, to the letter.", "Write it with a library for that format; what is wrong stands in the detail."},
	{BodyOutside, "The message names what it does not hold, such as a region of the server's memory, an adapter, a template, or the host of a cache: nobody has looked at it.", "Send the data in the message, and set options of the server where it is started."},
	{BodyReference, "The message names by an id what the server keeps, such as a file or an earlier answer. It may be another caller's, and was not looked at.", "Send the content in the message, or list the kind in media.references of the ProtectedRoute."},
	{BodyAmbiguous, "Two readers could see two different messages in the body.", "Send each key or field once, spelled as the API spells it."},
	{BodyLimit, "The body holds more than the route allows.", "Send less, or raise the limit of the ProtectedRoute."},
	{BodyMemory, "The messages under way hold as much memory as they may, together or of one caller.", "Wait as long as Retry-After says, send smaller messages, or raise --body-memory of apex gateway."},
	{BodyEncoding, "The body's Content-Encoding is not understood, unfolds into too much, or is wrong.", "Send the body as it is, or with one of gzip, deflate, br, zstd."},
	{MediaEncoding, "A place for media does not hold base64 from its first to its last character, a data: URL, or an address.", "Encode the content with standard base64, padding included."},
	{TensorShape, "A tensor's data does not match its shape and datatype.", "Send as many elements as the shape says, of the declared datatype."},
	{BaseUnapproved, "The image's layers do not begin with those of any approved base image.", "Build FROM an approved base image."},
	{BasePattern, "The base image that is named is not matched by any approved pattern.", "Use an approved base, or the pattern that is offered under expected."},
	{BaseNotLocked, "No approved base image has a digest in the lock file, so no base can be proved.", "Run apex base update and commit the lock file."},
	{BaseForged, "The image names an approved base in its annotations, but its layers are others.", "Build FROM the base that is named."},

	{DriftHealed, "An object was changed behind Git's back, and was put back.", "Find out who changed it; commit the change if it is wanted."},
	{DriftFound, "An object was changed behind Git's back, and its mode is Warn: it was left as it is.", "Commit the change if it is wanted; else set the mode to Heal, or undo it."},
	{DriftFight, "Somebody changes an object again and again, and it is healed each time.", "Stop the writer that is named under by; if it writes by right, take the field out of Git or list the writer."},
	{DriftAltered, "What the target holds right after an apply is not what was applied.", "Look for an admission webhook that changes the field that is named; write into Git what it makes of it, or take the webhook away."},
	{DriftStuck, "An object differs from what Git says and could not be put back.", "Look at the error: a missing right, an object that holds data and would have to be deleted, a target that cannot be reached, or somebody who changes it again while it is put back."},

	{ExceptionExpired, "The exception has expired.", "Mend the cause, or have a new exception approved."},
	{ExceptionUnsigned, "The exception is not signed by an approver whom the trust root names.", "Have an approver sign it: apex exception approve FILE --key KEY."},
	{ExceptionSelfApproved, "The exception's author approved it.", "Have another person approve it."},
	{ExceptionSubject, "The exception names no digest.", "Name the digest, not a tag."},
	{ExceptionNoExpiry, "The exception has no expiry.", "Give it an expiry."},
	{ExceptionConflict, "Two exceptions cover the same check.", "Delete one of the two."},
}
