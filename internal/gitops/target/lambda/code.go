package lambda

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/apexlogic/apex/internal/gitops"
)

// readCode names what runs: as Git wrote it, where that is proven to be it.
func (t *Target) readCode(ctx context.Context, h *held, out *lambda.GetFunctionOutput) error {
	f, at := h.function, out.Code
	if at == nil {
		at = &types.FunctionCodeLocation{}
	}
	if out.Configuration.PackageType == types.PackageTypeImage {
		given, resolved := aws.ToString(at.ImageUri), aws.ToString(at.ResolvedImageUri)
		if f.Image = resolved; resolved == "" || digestOf(given) != "" && digestOf(given) == digestOf(resolved) && repository(given) == repository(resolved) {
			f.Image = given
		}
		if f.Image == "" {
			return fmt.Errorf("describe the function: AWS does not say which image it runs: %w", errOdd)
		}
		return nil
	}
	sum := aws.ToString(out.Configuration.CodeSha256)
	f.Code = &archive{SHA256: sum}
	if o := at.ResolvedS3Object; o != nil && aws.ToString(o.S3ObjectVersion) != "" {
		f.Code = &archive{LambdaCode: gitops.LambdaCode{Bucket: aws.ToString(o.S3Bucket), Key: aws.ToString(o.S3Key), Version: aws.ToString(o.S3ObjectVersion)}}
		return nil
	}
	if claim, ok := readCodeTag(h.tags[tagCode]); ok && sum != "" && t.holds(ctx, claim, sum, out.Configuration.CodeSize) {
		f.Code = &archive{LambdaCode: claim}
	}
	return nil
}

const (
	// maxArchive bounds an archive that is read for its digest. AWS takes none
	// whose content is larger than 250 MB.
	maxArchive = 256 << 20
	// maxReading bounds the time of that.
	maxReading = 2 * time.Minute
)

// bucketName leaves out the ARNs that S3 takes in place of names.
var bucketName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]$`) })

// holds says whether the archive is what runs, which has that digest and size. An
// archive of which that cannot be found out is not: it is deployed anew, by which
// its digest is learned.
func (t *Target) holds(ctx context.Context, code gitops.LambdaCode, sum string, size int64) bool {
	t.mu.Lock()
	known := t.codes[code]
	t.mu.Unlock()
	if known == "" {
		var err error
		if known, err = t.archiveDigest(ctx, code, size); err != nil {
			return false
		}
		t.learn(code, known)
	}
	return known == sum
}

// otherSize is no digest: that of an archive which cannot be what runs.
const otherSize = "of another size"

// archiveDigest returns the base64 SHA-256 of an archive, as Lambda writes its
// CodeSha256: S3's own, where the archive was uploaded with one, else that of its
// bytes. The place comes from a tag, which others can write: what has not the
// size of what runs is not read.
func (t *Target) archiveDigest(ctx context.Context, code gitops.LambdaCode, size int64) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, maxReading)
	defer cancel()
	bucket, key, version := aws.String(code.Bucket), aws.String(code.Key), aws.String(code.Version)
	head, err := t.s3.HeadObject(ctx, &s3.HeadObjectInput{Bucket: bucket, Key: key, VersionId: version, ChecksumMode: s3types.ChecksumModeEnabled})
	if err != nil {
		return "", failure("look at the archive", err, true)
	}
	if n := aws.ToInt64(head.ContentLength); n != size || n > maxArchive {
		return otherSize, nil
	}
	// That of an upload in parts is the digest of the parts' digests.
	if sum := aws.ToString(head.ChecksumSHA256); sum != "" && head.ChecksumType != s3types.ChecksumTypeComposite && !strings.Contains(sum, "-") {
		return sum, nil
	}
	out, err := t.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: key, VersionId: version})
	if err != nil {
		return "", failure("read the archive", err, true)
	}
	defer out.Body.Close()
	hash := sha256.New()
	n, err := io.Copy(hash, io.LimitReader(out.Body, maxArchive+1))
	if err != nil {
		return "", fmt.Errorf("read the archive: %w", err)
	}
	if n != size {
		return "", fmt.Errorf("read the archive: it has %d bytes and not the %d that S3 says", n, size)
	}
	return base64.StdEncoding.EncodeToString(hash.Sum(nil)), nil
}

// bucketsOf is S3 in the same region, where Lambda wants the archives to be.
func bucketsOf(c aws.Config) *s3.Client {
	return s3.NewFromConfig(c, func(o *s3.Options) {
		o.UsePathStyle = c.BaseEndpoint != nil             // servers that stand in have no host name for each bucket
		o.DisableLogOutputChecksumValidationSkipped = true // the digest is compared here
	})
}

func digestOf(image string) string { _, d, _ := strings.Cut(image, "@"); return d }

// repository is the image's name without tag and digest.
func repository(image string) string {
	image, _, _ = strings.Cut(image, "@")
	if i := strings.LastIndexByte(image, ':'); i > strings.LastIndexByte(image, '/') {
		image = image[:i]
	}
	return image
}

// codeTag writes an archive's place as a tag's value, which takes few characters.
func codeTag(c gitops.LambdaCode) (string, error) {
	s := c.Bucket + "/" + c.Key + "@" + c.Version
	bad := strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(" +-=._:/@", r))
	})
	if c.Version == "null" {
		return "", fmt.Errorf("the archive %.80q has no version, its bucket keeps none: switch versioning on, upload it again and write its version: %w", c.Bucket+"/"+c.Key, gitops.ErrInvalid)
	}
	if got, ok := readCodeTag(s); bad || !ok || got != c {
		return "", fmt.Errorf("the archive %.80q cannot be kept in a tag: use a bucket, key and version of together %d letters, digits and +-=._:/ : %w", s, maxTag-2, gitops.ErrInvalid)
	}
	return s, nil
}

func readCodeTag(s string) (c gitops.LambdaCode, ok bool) {
	i, j := strings.IndexByte(s, '/'), strings.LastIndexByte(s, '@')
	if len(s) > maxTag || i <= 0 || j <= i+1 || j == len(s)-1 || !bucketName().MatchString(s[:i]) {
		return c, false
	}
	return gitops.LambdaCode{Bucket: s[:i], Key: s[i+1 : j], Version: s[j+1:]}, true
}
