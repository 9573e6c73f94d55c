package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"github.com/apexlogic/apex/internal/model/artifact"
)

// inBucket is what lies below a prefix of an S3 bucket. Credentials, region and
// endpoint come from where the AWS command line has them.
type inBucket struct {
	client         *s3.Client
	bucket, prefix string
}

func openBucket(ctx context.Context, uri string, o *Options) (Source, error) {
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
	client := s3.NewFromConfig(conf, func(s *s3.Options) {
		// Servers other than Amazon's seldom have a host name for each bucket.
		s.UsePathStyle = conf.BaseEndpoint != nil || o.Getenv("AWS_ENDPOINT_URL_S3") != ""
	})
	return &inBucket{client, bucket, prefix}, nil
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
			name := strings.TrimPrefix(strings.TrimPrefix(key, s.prefix), "/")
			switch {
			case strings.HasSuffix(key, "/"):
				continue // a folder's marker
			case name == "": // the prefix is one object
				name = key[strings.LastIndexByte(key, '/')+1:]
			case s.prefix != "" && !strings.HasSuffix(s.prefix, "/") && !strings.HasPrefix(key, s.prefix+"/"):
				continue // "model-2" is not below "model"
			}
			if err := artifact.CheckPath(name); err != nil {
				return nil, err
			}
			out = append(out, Entry{Path: name, Size: aws.ToInt64(object.Size), where: key, etag: aws.ToString(object.ETag)})
		}
		if len(out) > maxFiles {
			return nil, fmt.Errorf("more than %d files", maxFiles)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("nothing lies below %s", s.Pinned())
	}
	return out, nil
}

func (s *inBucket) Open(ctx context.Context, e *Entry) *Ranges {
	return newRanges(ctx, e.Size, func(ctx context.Context, off, n int64) ([]byte, error) {
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
			return nil, fmt.Errorf("the bucket's server does not answer the range that was asked for")
		}
		data := make([]byte, n)
		_, err = io.ReadFull(got.Body, data)
		return data, err
	})
}

// plain says what S3 said, without requests' ids and URLs.
func plain(err error) error {
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		if e.ErrorCode() == "PreconditionFailed" {
			return errChanged
		}
		return fmt.Errorf("the bucket's server answers %s: %s", e.ErrorCode(), e.ErrorMessage())
	}
	return err
}
