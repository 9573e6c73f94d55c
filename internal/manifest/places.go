package manifest

import (
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"unicode/utf8"
)

// Places returns what the object of an admission request names, as
// [ParseAdmissionReview] does, at a third of its cost: it builds no tree of what
// can name nothing (probes, ports, resources, tolerations, owners, …), which is
// most of a Pod. kind and namespace are the request's, the operation is CREATE
// or UPDATE.
//
// ok is false for everything out of the ordinary (a key that comes twice, another
// kind than the request's, what is rejected, or is large); then nothing is known,
// and ParseAdmissionReview has to be asked. Lines and columns count within the
// object, everything else of the result is the same. The memory of object is not
// kept.
func Places(kind GroupVersionKind, namespace string, object []byte) (res Result, ok bool) {
	if len(object) > maxPlaces || len(namespace) > 253 || len(kind.Group) > 253 || kind.Version == "" || len(kind.Version) > 253 || kind.Kind == "" || len(kind.Kind) > 253 {
		return Result{}, false
	}
	if !utf8.Valid(object) || !plainKind(kind) {
		return Result{}, false
	}
	r := placesPool.Get().(*placesReader)
	defer r.release()
	r.data, r.words = object, placesWords()
	root, err := r.document()
	if err != nil || !root.isMapping() {
		return Result{}, false
	}
	res = reviewObject(root, &AdmissionReview{Kind: kind, Namespace: namespace, Operation: "CREATE"})
	return res, !res.Rejected
}

const (
	// maxPlaces is what takes a millisecond. Each value is two bytes at least, so
	// that it also keeps to MaxNodes.
	maxPlaces = 512 << 10
	// maxPlacesDepth leaves room for the review around the object in MaxDepth;
	// API servers have no object of a workload that is deeper than 30.
	maxPlacesDepth = 60
	// maxPlacesFields bounds the comparing of each key with each.
	maxPlacesFields = 100
	// maxPlacesKept bounds the memory that is used again: some 400 KiB.
	maxPlacesKept = 4096
	// maxPlain is the longest text that is judged by its characters alone.
	maxPlain = 253
)

// errUnusual stands for all that the other reader has to judge.
var errUnusual = errors.New("unusual")

// placesHeads are the fields that a tree is not built of when nothing is below
// them but [placesInner] and plain text. No reader of a role, no row of the table
// and nothing else in this package asks for a field of these names, and none is
// another's in another case: a test holds both.
const placesHeads = `
	livenessProbe readinessProbe startupProbe lifecycle resources ports volumeMounts volumeDevices securityContext
	terminationMessagePath terminationMessagePolicy imagePullPolicy workingDir stdin stdinOnce tty resizePolicy
	restartPolicy terminationGracePeriodSeconds activeDeadlineSeconds dnsPolicy dnsConfig serviceAccountName serviceAccount
	automountServiceAccountToken schedulerName tolerations affinity topologySpreadConstraints nodeName nodeSelector
	hostNetwork hostPID hostIPC hostUsers hostname subdomain shareProcessNamespace imagePullSecrets priority priorityClassName
	enableServiceLinks preemptionPolicy readinessGates runtimeClassName overhead setHostnameAsFQDN
	projected emptyDir hostPath configMap secret downwardAPI persistentVolumeClaim
	creationTimestamp deletionTimestamp deletionGracePeriodSeconds finalizers generation ownerReferences resourceVersion uid
	replicas selector strategy updateStrategy minReadySeconds revisionHistoryLimit progressDeadlineSeconds
	podManagementPolicy serviceName persistentVolumeClaimRetentionPolicy
	backoffLimit completions parallelism completionMode suspend ttlSecondsAfterFinished podReplacementPolicy manualSelector
	schedule timeZone concurrencyPolicy startingDeadlineSeconds successfulJobsHistoryLimit failedJobsHistoryLimit
	containerConcurrency timeoutSeconds responseStartTimeoutSeconds idleTimeoutSeconds traffic`

// placesInner are fields that mean nothing below one of [placesHeads].
const placesInner = `
	name key kind apiVersion path port host scheme type mode items optional defaultMode
	httpGet exec tcpSocket grpc httpHeaders service initialDelaySeconds periodSeconds successThreshold failureThreshold
	postStart preStop sleep seconds limits requests claims cpu memory ephemeral-storage nvidia.com/gpu amd.com/gpu hugepages-2Mi
	containerPort hostPort hostIP protocol mountPath subPath subPathExpr readOnly mountPropagation recursiveReadOnly devicePath
	allowPrivilegeEscalation capabilities add drop privileged procMount readOnlyRootFilesystem runAsNonRoot runAsUser runAsGroup
	seccompProfile localhostProfile seLinuxOptions level user role appArmorProfile fsGroup fsGroupChangePolicy supplementalGroups sysctls
	sources serviceAccountToken expirationSeconds audience fieldRef fieldPath resourceFieldRef divisor medium sizeLimit
	secretName claimName controller blockOwnerDeletion operator effect tolerationSeconds
	nodeAffinity podAffinity podAntiAffinity requiredDuringSchedulingIgnoredDuringExecution preferredDuringSchedulingIgnoredDuringExecution
	nodeSelectorTerms matchExpressions matchFields matchLabels values weight preference podAffinityTerm labelSelector topologyKey
	namespaces namespaceSelector maxSkew whenUnsatisfiable minDomains matchLabelKeys nodeAffinityPolicy nodeTaintsPolicy
	kubernetes.io/os kubernetes.io/arch kubernetes.io/hostname app app.kubernetes.io/name app.kubernetes.io/instance pod-template-hash
	rollingUpdate maxSurge maxUnavailable partition whenDeleted whenScaled nameservers searches options conditionType
	latestRevision percent revisionName configurationName`

// placesKept are fields that a tree is built of, named here so that their names
// are not copied out of each object.
const placesKept = `
	metadata spec status template jobTemplate namespace generateName labels annotations managedFields
	containers initContainers ephemeralContainers volumes image env envFrom command args value valueFrom reference`

// placesWord is what is known about a field by its name.
type placesWord struct {
	name  string
	head  bool
	inner bool
	bit   uint8 // its own, to see that it comes twice
}

var placesWords = sync.OnceValue(func() map[string]placesWord {
	all := map[string]placesWord{}
	add := func(names string, head, inner bool) {
		for name := range strings.FieldsSeq(names) {
			if len(all) > 255 {
				panic("manifest: more names than bits")
			}
			all[name] = placesWord{name, head, inner, uint8(len(all))}
		}
	}
	add(placesHeads, true, true)
	add(placesInner, false, true)
	add(placesKept, false, false)
	return all
})

// plainKind says whether no row of the table has something to say about a place
// below [placesHeads] in the kind.
func plainKind(kind GroupVersionKind) bool {
	p := kinds()[kind.Group+"/"+kind.Kind]
	return p == nil || plainPattern(p, placesWords())
}

func plainPattern(p *pattern, words map[string]placesWord) bool {
	if p == nil {
		return true
	}
	for name, below := range p.fields {
		if words[name].head || !plainPattern(below, words) {
			return false
		}
	}
	return p.anyField == nil && plainPattern(p.element, words)
}

// placesReader steps through the text of one object. Its memory is used again.
type placesReader struct {
	data   []byte
	i      int
	words  map[string]placesWord
	depth  int
	failed int // up to here, something is not plain: so is everything around it

	nodes slab[node]
	lists slab[item]
	items []item // of the mappings that are being read
}

// slab hands out zero values of one stretch of memory, which is used again when
// all of them are given back. More than it holds is allocated.
type slab[T any] struct {
	all  []T
	used int
}

func (s *slab[T]) take(n int) []T {
	if s.used+n > len(s.all) {
		// Whoever has parts of the smaller stretch keeps it.
		s.all, s.used = make([]T, max(2*len(s.all), n, 64)), 0
	}
	s.used += n
	return s.all[s.used-n : s.used : s.used]
}

func (s *slab[T]) giveBack() {
	clear(s.all[:s.used])
	s.used = 0
}

var placesPool = sync.Pool{New: func() any { return new(placesReader) }}

// release gives the reader back, with the memory of its tree: what was found has
// only the texts of it.
func (r *placesReader) release() {
	r.nodes.giveBack()
	r.lists.giveBack()
	clear(r.items[:cap(r.items)])
	*r = placesReader{nodes: r.nodes, lists: r.lists, items: r.items[:0]}
	if len(r.nodes.all) <= maxPlacesKept && len(r.lists.all) <= maxPlacesKept && cap(r.items) <= maxPlacesKept {
		placesPool.Put(r)
	}
}

func (r *placesReader) document() (*node, error) {
	root, err := r.value(anything)
	if err == nil && r.next() != 0 {
		err = errUnusual
	}
	return root, err
}

// next returns the next byte that is not white space, 0 at the end.
func (r *placesReader) next() byte {
	for r.i < len(r.data) {
		switch c := r.data[r.i]; c {
		case ' ', '\t', '\r', '\n':
			r.i++
		default:
			return c
		}
	}
	return 0
}

func (r *placesReader) newNode() *node {
	n := &r.nodes.take(1)[0]
	n.line, n.col = 1, int32(r.i+1)
	return n
}

// take moves the items from the mark on into a list of their own.
func (r *placesReader) take(mark int) []item {
	list := r.lists.take(len(r.items) - mark)
	copy(list, r.items[mark:])
	r.items = r.items[:mark]
	return list
}

// within says which of the fields of a mapping count.
type within uint8

const (
	anything      within = iota // all but placesHeads
	theLabels                   // all: their names are people's own
	theirMetadata               // of the object itself; without managedFields
)

// value reads a value as a tree.
func (r *placesReader) value(where within) (*node, error) {
	c := r.next()
	n := r.newNode()
	switch c {
	case '"':
		text, err := r.text()
		n.text = text
		return n, err
	case '{':
		n.kind = mapping
		return n, r.fields(n, where)
	case '[':
		n.kind = sequence
		return n, r.elements(n)
	}
	word, err := r.word()
	if err != nil {
		return nil, err
	}
	n.typ, n.text = typeOther, word
	if word == "null" {
		n.typ = typeNull
	}
	return n, nil
}

func (r *placesReader) elements(n *node) error {
	if r.depth++; r.depth > maxPlacesDepth {
		return errUnusual
	}
	r.i++
	mark := len(r.items)
	for r.next() != ']' || len(r.items) > mark {
		val, err := r.value(anything)
		if err != nil {
			return err
		}
		r.items = append(r.items, item{val: val})
		switch r.next() {
		case ',':
			r.i++
			continue
		case ']':
		default:
			return errUnusual
		}
		break
	}
	r.i++
	r.depth--
	n.items = r.take(mark)
	return nil
}

func (r *placesReader) fields(n *node, where within) error {
	if r.depth++; r.depth > maxPlacesDepth {
		return errUnusual
	}
	r.i++
	mark, count := len(r.items), 0
	var seen [4]uint64
	object, variable, less := false, false, false
	for r.next() != '}' || count > 0 {
		if count++; count > maxPlacesFields {
			return errUnusual
		}
		at := r.i
		raw, err := r.key()
		if err != nil {
			return err
		}
		w, known := r.words[string(raw)]
		name := w.name
		if known {
			if seen[w.bit>>6]&(1<<(w.bit&63)) != 0 {
				return errUnusual
			}
			seen[w.bit>>6] |= 1 << (w.bit & 63)
		} else {
			name = string(raw)
			for i := mark; i < len(r.items); i++ {
				if r.items[i].key == name {
					return errUnusual
				}
			}
		}
		dropped := false
		switch {
		case where != theLabels && w.head && r.i > r.failed:
			from, depth := r.i, r.depth
			if dropped = r.plain(); !dropped {
				r.failed, r.i, r.depth = r.i, from, depth
			}
		case where == theirMetadata && name == "managedFields" && r.next() == '[':
			// The API server keeps these itself, and others take them off too.
			if err := r.skip(); err != nil {
				return err
			}
			dropped = true
		}
		if !dropped {
			below := anything
			switch {
			case name == "labels":
				below = theLabels
			case name == "metadata" && r.depth == 1:
				below = theirMetadata
			}
			val, err := r.value(below)
			if err != nil {
				return err
			}
			r.items = append(r.items, item{key: name, line: 1, col: int32(at + 1), val: val})
			object = object || name == "apiVersion"
			variable = variable || name == "value"
		}
		less = less || dropped
		switch r.next() {
		case ',':
			r.i++
			continue
		case '}':
		default:
			return errUnusual
		}
		break
	}
	r.i++
	r.depth--
	n.items = r.take(mark)
	if object && r.depth > 0 && isObject(n) {
		return errUnusual // an object of its own, with a row of its own
	}
	if variable && less {
		return errUnusual // whether it is a variable is said by how many fields it has
	}
	return nil
}

// key reads the name of a field and the colon behind it.
func (r *placesReader) key() ([]byte, error) {
	if r.next() != '"' {
		return nil, errUnusual
	}
	start := r.i + 1
	for i := start; i < len(r.data); i++ {
		switch c := r.data[i]; {
		case c == '"':
			key := r.data[start:i]
			r.i = i + 1
			if len(key) > maxKey || string(key) == "<<" || r.next() != ':' {
				return nil, errUnusual
			}
			r.i++
			return key, nil
		case c == '\\' || c < ' ':
			return nil, errUnusual
		}
	}
	return nil, errUnusual
}

// text reads a string.
func (r *placesReader) text() (string, error) {
	start := r.i
	escaped := false
	for i := start + 1; i < len(r.data); i++ {
		switch c := r.data[i]; {
		case c == '"':
			r.i = i + 1
			if !escaped {
				return string(r.data[start+1 : i]), nil
			}
			var text string
			if err := json.Unmarshal(r.data[start:r.i], &text); err != nil {
				return "", errUnusual
			}
			return text, nil
		case c == '\\':
			escaped = true
			i++
		case c < ' ':
			return "", errUnusual
		}
	}
	return "", errUnusual
}

// word reads a number, true, false or null.
func (r *placesReader) word() (string, error) {
	start := r.i
	for r.i < len(r.data) {
		switch c := r.data[r.i]; {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c == '-', c == '+', c == '.', c == 'E':
			r.i++
			continue
		}
		break
	}
	switch word := r.data[start:r.i]; string(word) {
	case "true":
		return "true", nil
	case "false":
		return "false", nil
	case "null":
		return "null", nil
	default:
		if !isNumber(word) {
			return "", errUnusual
		}
		return string(word), nil
	}
}

// isNumber knows the numbers of RFC 8259 section 6.
func isNumber(word []byte) bool {
	i := 0
	digits := func() bool {
		from := i
		for i < len(word) && word[i] >= '0' && word[i] <= '9' {
			i++
		}
		return i > from
	}
	if i < len(word) && word[i] == '-' {
		i++
	}
	if i < len(word) && word[i] == '0' {
		i++
	} else if !digits() {
		return false
	}
	if i < len(word) && word[i] == '.' {
		if i++; !digits() {
			return false
		}
	}
	if i < len(word) && (word[i] == 'e' || word[i] == 'E') {
		i++
		if i < len(word) && (word[i] == '+' || word[i] == '-') {
			i++
		}
		if !digits() {
			return false
		}
	}
	return i == len(word)
}

// plain steps over a value that can name nothing: nothing is in it but fields of
// [placesInner], numbers, and text that no reader would take for a reference or
// for something that holds one. Where it finds something else it stops and
// returns false.
func (r *placesReader) plain() bool {
	switch r.next() {
	case '"':
		return r.plainText()
	case '[':
		if r.depth++; r.depth > maxPlacesDepth {
			return false
		}
		r.i++
		for first := true; ; first = false {
			if first && r.next() == ']' {
				break
			}
			if !r.plain() {
				return false
			}
			if c := r.next(); c == ',' {
				r.i++
				continue
			} else if c != ']' {
				return false
			}
			break
		}
	case '{':
		if r.depth++; r.depth > maxPlacesDepth {
			return false
		}
		r.i++
		var seen [4]uint64
		for first := true; ; first = false {
			if first && r.next() == '}' {
				break
			}
			raw, err := r.key()
			if err != nil {
				return false
			}
			w := r.words[string(raw)]
			if !w.inner || seen[w.bit>>6]&(1<<(w.bit&63)) != 0 {
				return false
			}
			seen[w.bit>>6] |= 1 << (w.bit & 63)
			if !r.plain() {
				return false
			}
			if c := r.next(); c == ',' {
				r.i++
				continue
			} else if c != '}' {
				return false
			}
			break
		}
	default:
		return r.plainWord()
	}
	r.i++
	r.depth--
	return true
}

func (r *placesReader) plainText() bool {
	start := r.i + 1
	slash, tag := false, false
	for i := start; i < len(r.data) && i-start <= maxPlain; i++ {
		switch c := r.data[i]; {
		case c == '"':
			r.i = i + 1
			return !slash || !tag
		case c <= ' ' || c >= 0x7f || isBreak(c) || c == '\\' || c == '$' || c == '{' || c == '=' || c == '@':
			return false
		case c == '/':
			slash = true
		case c == ':':
			tag = true
		}
	}
	return false
}

func (r *placesReader) plainWord() bool {
	start := r.i
	for r.i < len(r.data) {
		switch c := r.data[r.i]; {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c == '-', c == '+', c == '.', c == 'E':
			r.i++
			continue
		}
		break
	}
	word := r.data[start:r.i]
	switch string(word) {
	case "true", "false", "null":
		return true
	}
	return isNumber(word)
}

// skip steps over a value. What is between its brackets is not looked at.
func (r *placesReader) skip() error {
	for depth := 0; r.i < len(r.data); {
		switch r.data[r.i] {
		case '"':
			i := r.i + 1
			for ; i < len(r.data) && r.data[i] != '"'; i++ {
				if r.data[i] == '\\' {
					i++
				} else if r.data[i] < ' ' {
					return errUnusual
				}
			}
			r.i = i + 1
			continue
		case '{', '[':
			if depth++; depth > maxPlacesDepth {
				return errUnusual
			}
		case '}', ']':
			if depth--; depth == 0 {
				r.i++
				return nil
			}
		}
		r.i++
	}
	return errUnusual
}
