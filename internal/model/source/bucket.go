package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// inBucket is what lies below a prefix of an S3 bucket. Credentials, region and
// endpoint come from where the AWS command line has them.
type inBucket struct {
	client         *s3.Client
	bucket, prefix string
}

func openBucket(ctx context.Context, uri string, client *http.Client, _ *Options) (Source, error) {
	bucket, prefix, _ := strings.Cut(strings.TrimPrefix(uri, "s3://"), "/")
	if bucket == "" {
		return nil, errors.New("it is no s3://BUCKET/PREFIX")
	}
	conf, err := awsconfig.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, err
	}
	if conf.Region == "" {
		conf.Region = "us-east-1" // S3 answers with the right one, and others have none
	}
	conf.HTTPClient = client
	return &inBucket{s3.NewFromConfig(conf, func(s *s3.Options) {
		// Servers other than Amazon's seldom have a host name for each bucket.
		s.UsePathStyle = s.BaseEndpoint != nil
		// Checksums are of whole objects; parts cannot be compared with them.
		s.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
	}), bucket, prefix}, nil
}

func (s *inBucket) Pinned() string { return "s3://" + s.bucket + "/" + s.prefix }

func (s *inBucket) Files(ctx context.Context) ([]Entry, error) {
	var out []Entry
	pages := s3.NewListObjectsV2Paginator(s.client, &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: &s.prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, plain(err)
		}
		for _, object := range page.Contents {
			key := aws.ToString(object.Key)
			name, below := s.below(key)
			if !below || strings.HasSuffix(key, "/") && aws.ToInt64(object.Size) == 0 { // a folder's marker
				continue
			}
			out = append(out, Entry{Path: name, Size: aws.ToInt64(object.Size), where: key, etag: aws.ToString(object.ETag)})
		}
		if len(out) > maxFiles {
			return nil, tooMany()
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("nothing lies below %s", s.Pinned())
	}
	return listed(out)
}

// below returns the name of an object below the prefix: "model-2" is not below
// "model", and a prefix may be one object.
func (s *inBucket) below(key string) (name string, ok bool) {
	if key == s.prefix {
		return key[strings.LastIndexByte(key, '/')+1:], true
	}
	folder := s.prefix
	if folder != "" && !strings.HasSuffix(folder, "/") {
		folder += "/"
	}
	return strings.CutPrefix(key, folder)
}

func (s *inBucket) Open(ctx context.Context, e *Entry) *Ranges {
	return newRanges(ctx, e.Size, func(ctx context.Context, off, n int64) ([]byte, int, error) {
		data, err := s.part(ctx, e, off, n)
		return data, 1, err
	})
}

func (s *inBucket) part(ctx context.Context, e *Entry, off, n int64) ([]byte, error) {
	if n == 0 {
		head, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.bucket, Key: &e.where})
		if err != nil {
			return nil, plain(err)
		}
		if size := aws.ToInt64(head.ContentLength); size != 0 {
			return nil, otherSize("the bucket's server", strconv.FormatInt(size, 10), 0)
		}
		return nil, nil
	}
	in := &s3.GetObjectInput{Bucket: &s.bucket, Key: &e.where, Range: aws.String(fmt.Sprintf("bytes=%d-%d", off, off+n-1))}
	if e.etag != "" {
		in.IfMatch = &e.etag
	}
	got, err := s.client.GetObject(ctx, in)
	if err != nil {
		return nil, plain(err)
	}
	defer got.Body.Close()
	if tag := aws.ToString(got.ETag); e.etag != "" && tag != e.etag {
		return nil, errChanged
	}
	if want := fmt.Sprintf("bytes %d-%d/%d", off, off+n-1, e.Size); aws.ToString(got.ContentRange) != want {
		return nil, errors.New("the bucket's server does not answer the range that was asked for")
	}
	data := make([]byte, n)
	if _, err = io.ReadFull(got.Body, data); err != nil {
		return nil, fmt.Errorf("the answer of the bucket's server ends early: %w", bare(err))
	}
	return data, nil
}

// plain says what S3 said, without requests' ids and URLs.
func plain(err error) error {
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		switch e.ErrorCode() {
		case "PreconditionFailed":
			return errChanged
		case "InvalidRange":
			return errors.New("the bucket's server says that the object is shorter than it was listed")
		case "AccessDenied", "Forbidden", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken":
			return fmt.Errorf("the bucket's server refuses (%s): use credentials that may list and read it, as the AWS command line takes them", e.ErrorCode())
		}
		return fmt.Errorf("the bucket's server answers %.100s: %.300s", e.ErrorCode(), e.ErrorMessage())
	}
	if e, ok := errors.AsType[*smithyhttp.RequestSendError](err); ok {
		return bare(e.Err)
	}
	if e, ok := errors.AsType[*smithyhttp.ResponseError](err); ok && e.HTTPStatusCode() > 0 {
		return fmt.Errorf("the bucket's server answers %d", e.HTTPStatusCode())
	}
	if text := err.Error(); strings.Contains(text, "credentials") {
		return errors.New("there are no credentials for the bucket: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE")
	}
	return bare(err)
}
