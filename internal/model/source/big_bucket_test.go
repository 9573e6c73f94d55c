package source_test

import (
	"crypto/md5"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"

	"github.com/apexlogic/apex/internal/model/source"
)

// sparseBucket is what an S3 server keeps when its objects take no room: every
// range of them is made up when it is asked for.
type sparseBucket struct {
	gofakes3.Backend // nil: nobody writes
	objects          map[string]*sparse
	ignoresRanges    bool
}

func (b *sparseBucket) BucketExists(name string) (bool, error) { return name == "models", nil }

func (b *sparseBucket) ListBucket(_ string, prefix *gofakes3.Prefix, _ gofakes3.ListBucketPage) (*gofakes3.ObjectList, error) {
	list := gofakes3.NewObjectList()
	for _, key := range slices.Sorted(maps.Keys(b.objects)) {
		if strings.HasPrefix(key, prefix.Prefix) {
			list.Add(&gofakes3.Content{Key: key, Size: b.objects[key].size, ETag: gofakes3.FormatETag(etagOf(key)), LastModified: gofakes3.NewContentTime(time.Unix(0, 0))})
		}
	}
	return list, nil
}

func (b *sparseBucket) GetObject(_, key string, asked *gofakes3.ObjectRangeRequest) (*gofakes3.Object, error) {
	object, err := b.HeadObject("", key)
	if err != nil || b.ignoresRanges {
		return object, err
	}
	if object.Range, err = asked.Range(object.Size); err == nil && object.Range != nil {
		object.Contents = io.NopCloser(io.NewSectionReader(b.objects[key], object.Range.Start, object.Range.Length))
	}
	return object, err
}

func (b *sparseBucket) HeadObject(_, key string) (*gofakes3.Object, error) {
	file := b.objects[key]
	if file == nil {
		return nil, gofakes3.KeyNotFound(key)
	}
	return &gofakes3.Object{Name: key, Size: file.size, Hash: etagOf(key), Contents: io.NopCloser(file.seeker()),
		Metadata: map[string]string{"Last-Modified": "Thu, 01 Jan 1970 00:00:00 GMT"}}, nil
}

// etagOf stands for the digest of an object that nobody hashes.
func etagOf(key string) []byte {
	sum := md5.Sum([]byte(key))
	return sum[:]
}

func TestTenGigabytesInABucket(t *testing.T) {
	for name, file := range bigFiles() {
		t.Run(name, func(t *testing.T) {
			var c counter
			backend := &sparseBucket{objects: map[string]*sparse{"captioner/" + name: file}}
			h := gofakes3.New(backend).Server()
			object := c.around(h)
			bucketAt(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, name) {
					object.ServeHTTP(w, r)
					return
				}
				h.ServeHTTP(w, r) // the listing
			}).URL)
			files, err := scanned(t, "s3://models/captioner", source.Options{})
			if err != nil {
				t.Fatal(err)
			}
			f := files[name]
			if got := f.Verdict.String(); got != bigVerdicts[name] {
				t.Errorf("verdict %s, want %s: %+v", got, bigVerdicts[name], f.Findings)
			}
			requests, sent := c.cost()
			if requests > source.MaxRequests || sent > source.MaxBytes || f.Requests != requests || requests == 0 {
				t.Errorf("the server sent %d bytes in %d requests; the report says %d", sent, requests, f.Requests)
			}
			if f.Unhashed < 8<<30 || f.Unhashed+sent != f.Size || f.Digest != "" {
				t.Errorf("unhashed %d of %d, %d were sent", f.Unhashed, f.Size, sent)
			}
			t.Logf("%s %s: %d requests, %d KiB", name, f.Verdict, requests, sent>>10)
		})
	}
}

// A server that sends the whole object for a range is hung up on.
func TestTenGigabytesAreNotDownloadedFromABucketThatIgnoresRanges(t *testing.T) {
	var c counter
	backend := &sparseBucket{objects: map[string]*sparse{"m/model.safetensors": bigSafetensors()}, ignoresRanges: true}
	bucketAt(t, serve(t, c.around(gofakes3.New(backend).Server()).ServeHTTP).URL)
	if err := refuses(t, "s3://models/m", source.Options{}); err == nil || !strings.Contains(err.Error(), "does not answer the range") {
		t.Errorf("got %v", err)
	}
	if _, sent := c.cost(); sent > source.MaxBytes {
		t.Errorf("the server could send %d bytes", sent)
	}
}
