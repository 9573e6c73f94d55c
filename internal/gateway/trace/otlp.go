package trace

import (
	"slices"

	common "go.opentelemetry.io/proto/otlp/common/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
)

// scope names who made the spans.
const scope = "github.com/apexlogic/apex/internal/gateway"

// resourceOf says which process the spans are of.
func resourceOf(o *Options) *resource.Resource {
	all := []Attribute{{Key: "service.name", Text: o.Service}, {Key: "service.version", Text: o.Version}, {Key: "service.instance.id", Text: o.Instance}}
	return &resource.Resource{Attributes: attributes(slices.DeleteFunc(all, func(a Attribute) bool { return a.Text == "" }))}
}

// encode makes one message of the spans of many requests.
func (t *Tracer) encode(batch []*Request) []*otlp.ResourceSpans {
	var all []*otlp.Span
	for _, r := range batch {
		for i := range r.Spans {
			all = append(all, r.encode(&r.Spans[i]))
		}
	}
	return []*otlp.ResourceSpans{{
		Resource:   t.resource,
		ScopeSpans: []*otlp.ScopeSpans{{Scope: &common.InstrumentationScope{Name: scope, Version: t.options.Version}, Spans: all}},
	}}
}

func (r *Request) encode(s *Span) *otlp.Span {
	id, whole := r.id(s.Number), r.id(0)
	e := &otlp.Span{
		TraceId: slices.Clone(r.trace[:]), SpanId: id[:], ParentSpanId: whole[:], Name: s.Name, Kind: otlp.Span_SPAN_KIND_INTERNAL,
		StartTimeUnixNano: uint64(max(0, s.Began.UnixNano())), EndTimeUnixNano: uint64(max(0, s.Ended.UnixNano())),
		Attributes: attributes(s.Attributes), Flags: 1,
	}
	switch {
	case s.Number == 0:
		e.Kind, e.ParentSpanId = otlp.Span_SPAN_KIND_SERVER, nil
		if r.parent != [8]byte{} {
			e.ParentSpanId = slices.Clone(r.parent[:])
		}
	case s.Client:
		e.Kind = otlp.Span_SPAN_KIND_CLIENT
	}
	if s.Failed {
		e.Status = &otlp.Status{Code: otlp.Status_STATUS_CODE_ERROR}
	}
	return e
}

func attributes(all []Attribute) []*common.KeyValue {
	out := make([]*common.KeyValue, 0, len(all))
	for _, a := range all {
		v := &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: a.Number}}
		if a.Text != "" {
			v.Value = &common.AnyValue_StringValue{StringValue: a.Text}
		}
		out = append(out, &common.KeyValue{Key: a.Key, Value: v})
	}
	return out
}
