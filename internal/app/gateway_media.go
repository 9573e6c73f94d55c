package app

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"net/netip"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/gateway"
	"github.com/apexlogic/apex/internal/gateway/fetch"
	"github.com/apexlogic/apex/internal/gateway/fetch/address"
	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/media/body"
	"github.com/apexlogic/apex/internal/media/inspect"
)

// redirects that are followed to content: stores of objects redirect once, from
// a link to where it is signed for.
const redirects = 3

// kindNames are the kinds of content as a route spells them.
var kindNames = map[string]media.Kind{
	"Image": media.Image, "Audio": media.Audio, "Video": media.Video, "Document": media.Document, "Tensor": media.Tensor, "Unknown": media.Unknown,
}

// referenceNames are the kinds of references as a route spells them.
var referenceNames = map[string]body.Reference{"Files": body.Files, "Conversations": body.Conversations, "Prompts": body.Prompts}

// content says what a message may hold.
func (c *gatewayCompiler) content(r *gateway.Route, m *v1alpha1.RouteMedia) error {
	names := m.Kinds
	if names == nil {
		names = []string{"Image", "Audio", "Tensor"}
	}
	for i, name := range names {
		kind, known := kindNames[name]
		if !known {
			return wrongField(fmt.Sprintf("spec.media.kinds[%d]", i), "%q is no kind of content", name)
		}
		r.Kinds[kind] = true
	}
	for i, name := range m.References {
		of, known := referenceNames[name]
		if !known {
			return wrongField(fmt.Sprintf("spec.media.references[%d]", i), "%q is no kind of reference", name)
		}
		r.References[of] = true
	}
	r.Types, r.Active, r.Strip = m.Types, m.Active, m.StripMetadata
	l := &r.Media
	l.PartBytes = cmp.Or(m.PartBytes, l.PartBytes)
	l.Pixels = cmp.Or(m.Pixels, l.Pixels)
	l.Frames, l.FilmFrames = cmp.Or(int(m.Frames), l.Frames), cmp.Or(int(m.Frames), l.FilmFrames)
	l.AllPixels, l.FilmPixels = cmp.Or(m.AllPixels, l.AllPixels), cmp.Or(m.AllPixels, l.FilmPixels)
	l.Duration = durationOr(m.Duration, l.Duration)
	return c.addresses(r, m)
}

// addresses says what becomes of content that is named by its address.
func (c *gatewayCompiler) addresses(r *gateway.Route, m *v1alpha1.RouteMedia) error {
	if len(m.Hosts) == 0 {
		return nil
	}
	hosts, err := address.ParseHosts(m.Hosts)
	if err != nil {
		return &fieldError{"spec.media.hosts", err}
	}
	dialer := &address.Dialer{}
	if c.offline {
		dialer.Resolver, dialer.Connect = nothing{}, nothing{}.connect
	}
	for i, text := range m.Networks {
		network, err := netip.ParsePrefix(text)
		if err != nil || network != network.Masked() {
			return wrongField(fmt.Sprintf("spec.media.networks[%d]", i), "%q is not a network such as 10.0.0.0/8", text)
		}
		dialer.Private = append(dialer.Private, network)
	}
	f, err := fetch.New(fetch.Options{
		Hosts: hosts, Dialer: dialer, TLS: &tls.Config{RootCAs: c.servers, MinVersion: tls.VersionTLS12},
		Inspect: inspect.Inspect, Bytes: r.Media.PartBytes, Redirects: redirects,
	})
	if err != nil {
		return &fieldError{"spec.media.hosts", err}
	}
	r.Addresses = &gateway.Addresses{Fetcher: f, Pass: m.Addresses == "Pass"}
	return nil
}
