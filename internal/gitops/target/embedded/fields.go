package embedded

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/merge"
	"sigs.k8s.io/structured-merge-diff/v6/typed"

	"github.com/apexlogic/apex/internal/gitops"
)

// The operations of metadata.managedFields.
const (
	opApply  = "Apply"
	opUpdate = "Update"
)

// maxUpdaters bounds how many managers that write without applying are
// remembered by name, as an API server does: names are the writers' to choose.
const maxUpdaters = 10

// maxManager bounds a manager's name (Kubernetes: 128).
const maxManager = 128

// manager is who writes, and how.
type manager struct{ name, operation, subresource string }

func (m manager) key() string { return m.name + "\x00" + m.operation + "\x00" + m.subresource }

func managerOf(key string) manager {
	parts := strings.SplitN(key, "\x00", 3)
	return manager{parts[0], parts[1], parts[2]}
}

// owners is metadata.managedFields, read.
type owners struct {
	fields fieldpath.ManagedFields
	times  map[string]string
}

func readOwners(body map[string]any) (owners, error) {
	o := owners{fieldpath.ManagedFields{}, map[string]string{}}
	meta, _ := body["metadata"].(map[string]any)
	list, _ := meta["managedFields"].([]any)
	for _, e := range list {
		entry, _ := e.(map[string]any)
		text := func(key string) string { s, _ := entry[key].(string); return s }
		data, err := json.Marshal(entry["fieldsV1"])
		if err != nil {
			return o, err
		}
		set := fieldpath.NewSet()
		if err := set.FromJSON(bytes.NewReader(data)); err != nil {
			return o, fmt.Errorf("managed fields of %q: %w", text("manager"), err)
		}
		m := manager{text("manager"), text("operation"), text("subresource")}
		o.fields[m.key()] = fieldpath.NewVersionedSet(set, fieldpath.APIVersion(text("apiVersion")), m.operation == opApply)
		o.times[m.key()] = text("time")
	}
	return o, nil
}

// write puts the owners into the body; who is new or changed since old gets the time.
func (o owners) write(body map[string]any, old owners, now time.Time) error {
	keys := slices.Sorted(maps.Keys(o.fields))
	stamp := now.UTC().Format(time.RFC3339)
	var list []any
	for _, key := range keys {
		v := o.fields[key]
		at := old.times[key]
		if before, ok := old.fields[key]; !ok || at == "" || !before.Set().Equals(v.Set()) {
			at = stamp
		}
		data, err := v.Set().ToJSON()
		if err != nil {
			return err
		}
		var fields any
		if err := json.Unmarshal(data, &fields); err != nil {
			return err
		}
		m := managerOf(key)
		entry := map[string]any{
			"manager": m.name, "operation": m.operation, "apiVersion": string(v.APIVersion()),
			"time": at, "fieldsType": "FieldsV1", "fieldsV1": fields,
		}
		if m.subresource != "" {
			entry["subresource"] = m.subresource
		}
		list = append(list, entry)
	}
	meta := body["metadata"].(map[string]any)
	if list == nil {
		delete(meta, "managedFields")
		return nil
	}
	meta["managedFields"] = list
	return nil
}

// cap forgets the updaters that wrote longest ago, of which there are too many.
func (o owners) cap() {
	var updaters []string
	for key := range o.fields {
		if managerOf(key).operation == opUpdate {
			updaters = append(updaters, key)
		}
	}
	if len(updaters) <= maxUpdaters {
		return
	}
	slices.SortFunc(updaters, func(a, b string) int {
		if c := strings.Compare(o.times[a], o.times[b]); c != 0 {
			return c
		}
		return strings.Compare(a, b)
	})
	for _, key := range updaters[:len(updaters)-maxUpdaters] {
		delete(o.fields, key)
	}
}

// sameVersion is the converter of a store that keeps objects as they are written.
type sameVersion struct{}

func (sameVersion) Convert(v *typed.TypedValue, _ fieldpath.APIVersion) (*typed.TypedValue, error) {
	return v, nil
}
func (sameVersion) IsMissingVersionError(error) bool { return false }

// unowned are the fields that belong to nobody: those that name the object, those
// that the store writes, and metadata itself, though not what else is in it.
type unowned struct{ fields, itself *fieldpath.Set }

func newUnowned() unowned {
	fields := fieldpath.NewSet(fieldpath.MakePathOrDie("apiVersion"), fieldpath.MakePathOrDie("kind"))
	for _, name := range append(slices.Clone(ours), "name", "namespace") {
		fields.Insert(fieldpath.MakePathOrDie("metadata", name))
	}
	return unowned{fields, fieldpath.NewSet(fieldpath.MakePathOrDie("metadata"))}
}

// Filter implements [fieldpath.Filter].
func (u unowned) Filter(set *fieldpath.Set) *fieldpath.Set {
	return set.RecursiveDifference(u.fields).Difference(u.itself)
}

// merger applies and updates as an API server does.
type merger struct {
	schema func() (*typed.Parser, error)
	ignore fieldpath.Filter
}

func (m *merger) updater(version fieldpath.APIVersion) *merge.Updater {
	b := merge.UpdaterBuilder{
		Converter:         sameVersion{},
		IgnoreFilter:      map[fieldpath.APIVersion]fieldpath.Filter{version: m.ignore},
		ReturnInputOnNoop: true,
	}
	return b.BuildUpdater()
}

func (m *merger) typed(id gitops.ID, body map[string]any) (*typed.TypedValue, error) {
	parser, err := m.schema()
	if err != nil {
		return nil, err
	}
	v, err := parser.Type(typeOf(id)).FromUnstructured(body, typed.AllowDuplicates)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", id, err)
	}
	return v, nil
}

var errShape = errors.New("the merged object is no map")

// apply merges what is desired into live. With what nobody wrote before, live is
// the object's name alone.
func (m *merger) apply(o *gitops.Object, live, desired map[string]any, now time.Time) (map[string]any, error) {
	return m.merge(o.ID, apiVersion(o), live, now, func(u *merge.Updater, old *typed.TypedValue, f fieldpath.ManagedFields, v fieldpath.APIVersion) (*typed.TypedValue, fieldpath.ManagedFields, error) {
		config, err := m.typed(o.ID, desired)
		if err != nil {
			return nil, nil, err
		}
		return u.Apply(old, config, v, f, manager{gitops.FieldManager, opApply, ""}.key(), true)
	})
}

// update takes the whole new object from a writer.
func (m *merger) update(id gitops.ID, version string, live, next map[string]any, by manager, now time.Time) (map[string]any, error) {
	return m.merge(id, version, live, now, func(u *merge.Updater, old *typed.TypedValue, f fieldpath.ManagedFields, v fieldpath.APIVersion) (*typed.TypedValue, fieldpath.ManagedFields, error) {
		value, err := m.typed(id, next)
		if err != nil {
			return nil, nil, err
		}
		return u.Update(old, value, v, f, by.key())
	})
}

type merging func(*merge.Updater, *typed.TypedValue, fieldpath.ManagedFields, fieldpath.APIVersion) (*typed.TypedValue, fieldpath.ManagedFields, error)

func (m *merger) merge(id gitops.ID, version string, live map[string]any, now time.Time, do merging) (map[string]any, error) {
	before, err := readOwners(live)
	if err != nil {
		return nil, err
	}
	old, err := m.typed(id, live)
	if err != nil {
		return nil, err
	}
	v := fieldpath.APIVersion(version)
	merged, fields, err := do(m.updater(v), old, before.fields.Copy(), v)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", id, err)
	}
	body, ok := merged.AsValue().Unstructured().(map[string]any)
	if !ok {
		return nil, errShape
	}
	// What is merged shares parts with what was given.
	body = clone(body).(map[string]any)
	after := owners{fields, maps.Clone(before.times)}
	for key := range fields {
		if after.times[key] == "" {
			after.times[key] = now.UTC().Format(time.RFC3339)
		}
	}
	after.cap()
	return body, after.write(body, before, now)
}

// clone copies maps and lists; the values in them do not change.
func clone(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = clone(e)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = clone(e)
		}
		return out
	}
	return v
}
