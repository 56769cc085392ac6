package object

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/s3utils"
)

// An S3 is a Store in a bucket of Amazon S3 or of anything that speaks like it,
// conditional writes (If-None-Match) included.
type S3 struct {
	opts           Options
	core           minio.Core
	bucket, prefix string
}

var _ Store = (*S3)(nil)

// leastRate is how many bytes a second an upload is given time for.
const leastRate = 128 << 10

// openS3 makes the client for u; o has its defaults.
func openS3(u *url.URL, o Options) (*S3, error) {
	endpoint, secure, err := s3Endpoint(u)
	if err != nil {
		return nil, err
	}
	if err := s3utils.CheckValidBucketName(u.Host); err != nil {
		return nil, fmt.Errorf("%w: %q is not the name of a bucket: %w", ErrBadURL, u.Host, err)
	}
	region := u.Query().Get("region")
	if region == "" {
		region = firstOf(os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION"), "us-east-1")
	}
	client, err := minio.New(endpoint, &minio.Options{
		Creds:      s3Credentials(),
		Secure:     secure,
		Region:     region,
		Transport:  s3Transport(o),
		MaxRetries: 1, // retries are ours: they are bounded and know what a lost answer means
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadURL, err)
	}
	prefix := strings.Trim(u.Path, "/")
	if prefix != "" {
		prefix += "/"
	}
	return &S3{opts: o, core: minio.Core{Client: client}, bucket: u.Host, prefix: prefix}, nil
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// s3Endpoint returns host and port of the server and whether it speaks TLS.
func s3Endpoint(u *url.URL) (endpoint string, secure bool, err error) {
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil || u.Host == "" || strings.Contains(u.Host, ":") {
		return "", false, fmt.Errorf("%w: want s3://bucket/prefix?endpoint=URL&region=NAME", ErrBadURL)
	}
	for name, values := range query {
		if name != "endpoint" && name != "region" || len(values) != 1 {
			return "", false, fmt.Errorf("%w: parameter %q: want endpoint and region, each once", ErrBadURL, name)
		}
	}
	text := query.Get("endpoint")
	if text == "" {
		return "s3.amazonaws.com", true, nil
	}
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	e, err := url.Parse(text)
	if err != nil || e.Host == "" || e.User != nil || strings.Trim(e.Path, "/") != "" || e.RawQuery != "" {
		return "", false, fmt.Errorf("%w: the endpoint must be https://host:port or http://host:port", ErrBadURL)
	}
	if e.Scheme != "https" && e.Scheme != "http" {
		return "", false, fmt.Errorf("%w: the endpoint's scheme is %q", ErrBadURL, e.Scheme)
	}
	return e.Host, e.Scheme == "https", nil
}

// s3Credentials looks where the AWS tools look: environment, files, then the
// role of the container or machine.
func s3Credentials() *credentials.Credentials {
	return credentials.NewChainCredentials([]credentials.Provider{
		&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}, &credentials.IAM{},
	})
}

func s3Transport(o Options) http.RoundTripper {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: o.Timeout}).DialContext,
		TLSHandshakeTimeout:   o.Timeout,
		ResponseHeaderTimeout: o.PutTimeout,
		MaxIdleConnsPerHost:   64,
		IdleConnTimeout:       o.PutTimeout,
		DisableCompression:    true,
	}
}

// Put implements Store. Of several attempts the first may have succeeded and
// only its answer been lost: then Put fails with ErrExists (see Upload).
func (s *S3) Put(ctx context.Context, name string, b []byte) error {
	opts := minio.PutObjectOptions{ContentType: "application/octet-stream", DisableMultipart: true, SendContentMd5: true}
	opts.SetMatchETagExcept("*")
	// What is small need not be waited for that long.
	timeout := min(s.opts.PutTimeout, s.opts.Timeout+time.Duration(len(b)/leastRate)*time.Second)
	return s.try(ctx, timeout, func(ctx context.Context) error {
		_, err := s.core.Client.PutObject(ctx, s.bucket, s.prefix+name, bytes.NewReader(b), int64(len(b)), opts)
		return err
	})
}

// GetRange implements Store.
func (s *S3) GetRange(ctx context.Context, name string, off, n int64) (b []byte, err error) {
	if off < 0 || n < 0 {
		return nil, fmt.Errorf("%w: asked for %d bytes at %d", ErrDamaged, n, off)
	}
	if n == 0 {
		return nil, nil
	}
	err = s.try(ctx, s.opts.Timeout, func(ctx context.Context) error {
		b, err = s.getRange(ctx, name, off, n)
		return err
	})
	return b, err
}

func (s *S3) getRange(ctx context.Context, name string, off, n int64) ([]byte, error) {
	var opts minio.GetObjectOptions
	if err := opts.SetRange(off, off+n-1); err != nil {
		return nil, err
	}
	body, info, _, err := s.core.GetObject(ctx, s.bucket, s.prefix+name, opts)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	if info.Size < n {
		return nil, fmt.Errorf("%w: it ends %d bytes early", ErrDamaged, n-info.Size)
	}
	if info.Size > n {
		return nil, errIgnoresRange
	}
	b := make([]byte, n)
	_, err = io.ReadFull(body, b)
	return b, err
}

// errIgnoresRange is a server that sends more than was asked for.
var errIgnoresRange = fmt.Errorf("%w: it ignores Range", ErrUnavailable)

// Delete implements Store.
func (s *S3) Delete(ctx context.Context, name string) error {
	err := s.try(ctx, s.opts.Timeout, func(ctx context.Context) error {
		return s.core.RemoveObject(ctx, s.bucket, s.prefix+name, minio.RemoveObjectOptions{})
	})
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// List implements Store. Of a page that fails nothing is tried again.
func (s *S3) List(ctx context.Context, prefix string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		opts := minio.ListObjectsOptions{Prefix: s.prefix + prefix, Recursive: true}
		for o := range s.core.ListObjectsIter(ctx, s.bucket, opts) {
			if o.Err != nil {
				err, _ := s3Error(ctx, o.Err)
				yield(Info{}, err)
				return
			}
			if !yield(Info{strings.TrimPrefix(o.Key, s.prefix), o.Size, o.LastModified}, nil) {
				return
			}
		}
	}
}
