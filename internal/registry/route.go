package registry

import (
	"net/http"
	"strings"

	"github.com/apexlogic/apex/verdict"
)

// endpoint is one of the specification's resources.
type endpoint uint8

const (
	endBase endpoint = iota + 1
	endCatalog
	endTags
	endManifest
	endBlob
	endUploads // the collection: a POST begins an upload
	endUpload  // one upload
	endReferrers
)

// route is a parsed path. Every field that is not empty has passed its grammar
// check, so handlers may build paths from them.
type route struct {
	end    endpoint
	repo   string
	tag    string         // of endManifest; empty when it names a digest
	digest verdict.Digest // of endManifest, endBlob, endReferrers
	upload string         // of endUpload
}

// parseRoute reads a path below /v2/. Repository names may contain the words
// of the endpoints (a/blobs/uploads is one), so a path is read from its end.
//
// The path is taken as it came, decoded once: nothing cleans it, so ".." and
// "//" fail the grammar. A slash that was sent encoded is refused, because a
// proxy in front may have authorised another path than the one meant.
func parseRoute(path, rawPath string) (route, *problem) {
	if strings.Contains(strings.ToLower(rawPath), "%2f") {
		return route{}, refuse(http.StatusBadRequest, codeNameInvalid, "the path holds an encoded slash")
	}
	rest, ok := strings.CutPrefix(path, "/v2")
	if !ok || rest != "" && rest[0] != '/' {
		return route{}, refuse(http.StatusNotFound, codeUnsupported, "there is nothing at this path; the API is below /v2/")
	}
	rest = strings.TrimPrefix(rest, "/")
	switch rest {
	case "":
		return route{end: endBase}, nil
	case "_catalog":
		return route{end: endCatalog}, nil
	}
	parts := strings.Split(rest, "/")
	at := func(fromEnd int) string {
		if fromEnd > len(parts) {
			return ""
		}
		return parts[len(parts)-fromEnd]
	}
	var (
		rt   route
		tail = 2 // how many parts come after the name
		last = at(1)
	)
	switch {
	case at(3) == "blobs" && at(2) == "uploads" && last == "":
		rt.end, tail = endUploads, 3
	case at(2) == "blobs" && last == "uploads":
		rt.end = endUploads
	case at(3) == "blobs" && at(2) == "uploads":
		rt.end, tail, rt.upload = endUpload, 3, last
	case at(2) == "tags" && last == "list":
		rt.end = endTags
	case at(2) == "manifests":
		rt.end = endManifest
	case at(2) == "blobs":
		rt.end = endBlob
	case at(2) == "referrers":
		rt.end = endReferrers
	default:
		return route{}, refuse(http.StatusNotFound, codeUnsupported, "there is nothing at this path")
	}
	rt.repo = strings.Join(parts[:len(parts)-tail], "/")
	if !ValidRepository(rt.repo) {
		return route{}, refuse(http.StatusBadRequest, codeNameInvalid,
			"a repository name is at most %d characters of a-z 0-9 with single . _ - and / between them", maxRepository)
	}
	return rt, rt.reference(last)
}

// reference checks the last part of the path.
func (rt *route) reference(last string) *problem {
	switch rt.end {
	case endManifest:
		if !strings.Contains(last, ":") {
			if !ValidTag(last) {
				return refuse(http.StatusBadRequest, codeManifestInvalid, "a tag is at most %d characters of A-Z a-z 0-9 _ . - and begins with neither . nor -", maxTag)
			}
			rt.tag = last
			return nil
		}
		fallthrough
	case endBlob, endReferrers:
		d, err := verdict.ParseDigest(last)
		if err != nil {
			return refuse(http.StatusBadRequest, codeDigestInvalid, "%v", verdict.ErrDigest)
		}
		rt.digest = d
	case endUpload:
		if !validUploadID(rt.upload) {
			return uploadUnknown()
		}
	}
	return nil
}
