package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	jsonpatch "github.com/evanphx/json-patch/v5"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/verdict"
)

// Defaults of [Options], and bounds on what one call does.
const (
	// DefaultInterval is the time between two listings of a watch.
	DefaultInterval = 30 * time.Second
	// DefaultBudget is how many objects that look unchanged in the listing are
	// described at each turn of a watch. A description costs six calls, and an
	// account may make 15 a second of most of them.
	DefaultBudget = 25
	// DefaultSettle bounds the wait for a change to arrive everywhere. A new role
	// can be assumed after about ten seconds; a function in a VPC takes longer.
	DefaultSettle = time.Minute
	// DefaultPause is the first wait of those; it doubles up to maxPause.
	DefaultPause = 200 * time.Millisecond
	maxPause     = 5 * time.Second
	// maxRounds of describing and writing, for one Apply.
	maxRounds = 6
	// maxPages of one listing: 50 functions or 100 roles each.
	maxPages = 2000
	// maxParts of one object: aliases, versions, policies. AWS's own limits on
	// those that count are lower.
	maxParts = 1000
)

// Options say which account and region, and how it is reached. Account and
// Region have to be given; credentials come from the environment, a profile or
// the instance, as for every tool of AWS.
type Options struct {
	Account string // 12 digits; credentials for another account are refused
	Region  string // "eu-central-1"
	Profile string // of the shared configuration; "" for the default one
	// Endpoint replaces those of AWS, for servers that stand in for it.
	Endpoint string
	// Source, when not empty, is the only one whose objects may be written.
	Source string
	// Owned says whether the inventory of a source has the object: one that has
	// lost its tag is then tagged again, and not taken for somebody else's. May
	// be nil.
	Owned func(id gitops.ID) bool
	// Revisions returns the object as the revisions have it that are kept for a
	// rollback: versions that run one of them are history and stay. Without it
	// those are known that this process applied. May be nil.
	Revisions func(ctx context.Context, id gitops.ID) ([]gitops.Object, error)

	Interval time.Duration // between two listings; 0: DefaultInterval
	Budget   int           // 0: DefaultBudget
	Settle   time.Duration // 0: DefaultSettle
	Pause    time.Duration // 0: DefaultPause
}

// Target is the target. It is safe for concurrent use.
type Target struct {
	opt Options
	clients
	*memory
	// calm is the target for looks that nobody waits for.
	calm *Target
}

// accountID and regionID are also parts of ARNs that are compared as text.
var (
	accountID    = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[0-9]{12}$`) })
	regionID     = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-z]{2,4}(-[a-z]+){1,3}-[0-9]{1,2}$`) })
	functionName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`) })
	roleName     = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_+=,.@-]{1,64}$`) })
)

// Open returns the target. It makes no call: the account is checked before the
// first one of every other kind.
func Open(ctx context.Context, opt Options) (*Target, error) {
	if !accountID().MatchString(opt.Account) {
		return nil, fmt.Errorf("open the target: %.20q is no account of AWS: write its 12 digits", opt.Account)
	}
	if !regionID().MatchString(opt.Region) {
		return nil, fmt.Errorf("open the target: %.30q is no region of AWS: write one such as eu-central-1", opt.Region)
	}
	opt.Interval, opt.Settle, opt.Pause = or(opt.Interval, DefaultInterval), or(opt.Settle, DefaultSettle), or(opt.Pause, DefaultPause)
	opt.Budget = or(opt.Budget, DefaultBudget)
	load := []func(*config.LoadOptions) error{config.WithRegion(opt.Region)}
	if opt.Profile != "" {
		load = append(load, config.WithSharedConfigProfile(opt.Profile))
	}
	c, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, fmt.Errorf("open the target: %w", err)
	}
	if opt.Endpoint != "" {
		c.BaseEndpoint = aws.String(opt.Endpoint)
	}
	t := &Target{opt: opt, clients: clientsOf(c, urgent), memory: newMemory()}
	t.calm = &Target{opt: opt, clients: clientsOf(c, patient), memory: t.memory}
	t.calm.calm = t.calm
	return t, nil
}

// or returns the value, or what is used when it is not positive.
func or[T int | time.Duration](value, otherwise T) T {
	if value > 0 {
		return value
	}
	return otherwise
}

// ready checks, once, that the credentials are those of the account.
func (t *Target) ready(ctx context.Context) error {
	t.identity.Lock()
	defer t.identity.Unlock()
	if t.checked {
		return nil
	}
	who, err := t.sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return failure("find out whose credentials these are", err, true)
	}
	if got := aws.ToString(who.Account); got != t.opt.Account {
		return fmt.Errorf("the credentials are of account %.20q, the target is account %s: use others: %w", got, t.opt.Account, gitops.ErrForbidden)
	}
	t.checked = true
	return nil
}

// check refuses IDs that this target does not hold, and names that would reach
// out of it: the API takes ARNs and other accounts where it takes names.
func check(id gitops.ID, version string) error {
	if id.Group != gitops.LambdaGroup || version != gitops.LambdaVersion || id.Kind != gitops.LambdaFunctionKind && id.Kind != gitops.LambdaRoleKind {
		return fmt.Errorf("%s in version %s: %w", id, version, gitops.ErrUnknownKind)
	}
	if id.Namespace != "" {
		return fmt.Errorf("%s: an account has no namespaces: %w", id, gitops.ErrInvalid)
	}
	names := functionName
	if id.Kind == gitops.LambdaRoleKind {
		names = roleName
	}
	if !names().MatchString(id.Name) {
		return fmt.Errorf("%s %.80q: this is no name of one in this account: use 1 to 64 letters, digits, '-' and '_': %w", id.Kind, id.Name, gitops.ErrInvalid)
	}
	return nil
}

// held is an object as AWS holds it.
type held struct {
	id       gitops.ID
	uid, arn string
	source   string
	tags     map[string]string // as they are
	revision string            // of the function, for writes that must not be blind
	git      bool              // it is what Git says
	function *function
	role     *role
}

func (h *held) spec() any {
	if h.function != nil {
		return h.function
	}
	return h.role
}

// describe reads the object. ErrNotFound: it is not there.
func (t *Target) describe(ctx context.Context, id gitops.ID) (*held, error) {
	if err := t.ready(ctx); err != nil {
		return nil, err
	}
	return t.describeOf(ctx, id, "")
}

// describeOf describes the object; when a source is given, of one that neither
// is nor was the source's no more than whose it is.
func (t *Target) describeOf(ctx context.Context, id gitops.ID, source string) (*held, error) {
	read := t.readFunction
	if id.Kind == gitops.LambdaRoleKind {
		read = t.readRole
	}
	h, err := read(ctx, id, source)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", id, err)
	}
	if h.source != "" && t.sourceSeen(id) == "" {
		t.remember(id, h.source)
	}
	return h, nil
}

// mayWrite refuses what is not the source's.
func (t *Target) mayWrite(h *held, id gitops.ID, source string) error {
	if err := gitops.CheckSource(source); err != nil {
		return fmt.Errorf("%s carries no source: %w: %w", id, err, gitops.ErrForbidden)
	}
	if t.opt.Source != "" && source != t.opt.Source {
		return fmt.Errorf("%s belongs to the source %s, the target to %s: %w", id, source, t.opt.Source, gitops.ErrForbidden)
	}
	switch {
	case h == nil, h.source == source, t.sourceSeen(id) == source:
		return nil
	case t.opt.Owned != nil && t.opt.Owned(id):
		return nil
	case h.source != "":
		return fmt.Errorf("%s belongs to the source %.63q: %w", id, h.source, gitops.ErrForbidden)
	}
	return fmt.Errorf("%s is there and is not tagged %s: to hand it over, tag it with %s: %w", id, gitops.LabelSource, source, gitops.ErrForbidden)
}

// Get implements [gitops.Target].
func (t *Target) Get(ctx context.Context, id gitops.ID, version string) (*gitops.Live, error) {
	if err := check(id, version); err != nil {
		return nil, err
	}
	h, err := t.describe(ctx, id)
	if err != nil {
		return nil, err
	}
	return h.live()
}

// Apply implements [gitops.Target]. The object is made to be exactly what it
// says: whatever else was added to it goes. A function waits for its role, and
// both until AWS shows what was written, for [Options.Settle] at most.
func (t *Target) Apply(ctx context.Context, o *gitops.Object, opt gitops.ApplyOptions) (*gitops.Live, error) {
	want, err := wanted(o)
	if err != nil {
		return nil, err
	}
	defer t.hold(o.ID).Unlock()
	now, err := t.describe(ctx, o.ID)
	if errors.Is(err, gitops.ErrNotFound) {
		now, err = nil, nil
	}
	if err != nil {
		return nil, err
	}
	if opt.ResourceVersion != "" {
		version := ""
		if now != nil {
			if version, err = now.version(); err != nil {
				return nil, err
			}
		}
		if version != opt.ResourceVersion {
			return nil, fmt.Errorf("%s: %w", o.ID, gitops.ErrConflict)
		}
	}
	return t.settle(ctx, now, want, opt.DryRun, opt.ResourceVersion != "")
}

// Patch implements [gitops.Target].
func (t *Target) Patch(ctx context.Context, id gitops.ID, version string, patch []byte) (*gitops.Live, error) {
	if err := check(id, version); err != nil {
		return nil, err
	}
	if len(patch) > gitops.MaxObjectBytes {
		return nil, fmt.Errorf("%s: a patch may have %d bytes: %w", id, gitops.MaxObjectBytes, gitops.ErrInvalid)
	}
	operations, err := jsonpatch.DecodePatch(patch)
	if err != nil {
		return nil, fmt.Errorf("%s: this is no patch: %w: %w", id, err, gitops.ErrInvalid)
	}
	defer t.hold(id).Unlock()
	now, err := t.describe(ctx, id)
	if err != nil {
		return nil, err
	}
	live, err := now.live()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(live.Body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", id, err)
	}
	limits := jsonpatch.NewApplyOptions()
	limits.AccumulatedCopySizeLimit = gitops.MaxObjectBytes
	text, err = operations.ApplyWithOptions(text, limits)
	if errors.Is(err, jsonpatch.ErrTestFailed) {
		return nil, fmt.Errorf("%s: %w", id, gitops.ErrConflict)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: the patch does not fit: %w", id, gitops.ErrInvalid) // its text may hold values
	}
	var body map[string]any
	if err := utiljson.Unmarshal(text, &body); err != nil {
		return nil, fmt.Errorf("%s: %w", id, gitops.ErrInvalid)
	}
	o, err := gitops.NewObject(body, verdict.Origin{File: id.String()})
	if err != nil || o.ID != id {
		return nil, fmt.Errorf("%s: the patch makes it another object: %w", id, errors.Join(err, gitops.ErrForbidden))
	}
	want, err := patchedTo(&o)
	if err != nil {
		return nil, err
	}
	return t.settle(ctx, now, want, false, true)
}

// Delete implements [gitops.Target].
func (t *Target) Delete(ctx context.Context, id gitops.ID, version string, only gitops.Precondition) error {
	if err := check(id, version); err != nil {
		return err
	}
	defer t.hold(id).Unlock()
	now, err := t.describe(ctx, id)
	if errors.Is(err, gitops.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if only.UID != "" && only.UID != now.uid {
		return fmt.Errorf("%s: %w", id, gitops.ErrConflict)
	}
	if only.ResourceVersion != "" {
		if is, err := now.version(); err != nil || is != only.ResourceVersion {
			return fmt.Errorf("%s: %w", id, errors.Join(err, gitops.ErrConflict))
		}
	}
	source := now.source
	if seen := t.sourceSeen(id); seen != "" {
		source = seen
	}
	if source == "" {
		source = t.opt.Source
	}
	if err := t.mayWrite(now, id, source); err != nil {
		return err
	}
	if now.role != nil {
		err = t.deleteRole(ctx, now)
	} else {
		err = t.deleteFunction(ctx, now)
	}
	if err != nil && !errors.Is(err, gitops.ErrNotFound) {
		return fmt.Errorf("%s: %w", id, err)
	}
	t.forget(id)
	// Reads may lag behind.
	pause := pauses{next: t.opt.Pause}
	ctx, cancel := context.WithTimeout(ctx, t.opt.Settle)
	defer cancel()
	for {
		_, err := t.describe(ctx, id)
		if errors.Is(err, gitops.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := pause.wait(ctx); err != nil {
			return fmt.Errorf("%s: it is still there after its deletion: %w", id, err)
		}
	}
}

var (
	_ gitops.Target = (*Target)(nil)
	_ gitops.Lister = (*Target)(nil)
)
