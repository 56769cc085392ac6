package object

import (
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Options bound how long a store may take. The zero value of each field is its
// default.
type Options struct {
	// Timeout bounds one attempt at reading, deleting or listing a page; 10
	// seconds. PutTimeout bounds one attempt at writing, which is given a second more
	// than Timeout for each 128 KiB; 60 seconds, or
	// Timeout if that is longer.
	Timeout, PutTimeout time.Duration
	// Attempts is how often a request is tried while the store says that it may
	// work later; 3.
	Attempts int
	// Backoff is the pause before the second attempt, which doubles with each
	// further one and of which up to half is left out at random; 200 ms.
	Backoff time.Duration
}

func (o Options) withDefaults() Options {
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	if o.PutTimeout == 0 {
		o.PutTimeout = max(60*time.Second, o.Timeout)
	}
	if o.Attempts == 0 {
		o.Attempts = 3
	}
	if o.Backoff == 0 {
		o.Backoff = 200 * time.Millisecond
	}
	return o
}

// Open returns the store that rawURL names: dir:///path, see Make, or
// s3://bucket/prefix?endpoint=https://host:port&region=name, both parameters
// optional. Credentials of s3 come from the usual AWS environment and files; a
// URL that carries any is refused. Open sends nothing. It fails with an error
// that matches ErrBadURL, which never repeats a password, or with the file
// system's error.
func Open(rawURL string, o Options) (Store, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("%w: it cannot be parsed", ErrBadURL)
	}
	if u.User != nil {
		return nil, fmt.Errorf("%w: credentials belong into the environment or ~/.aws/credentials", ErrBadURL)
	}
	if u.Fragment != "" || u.Opaque != "" {
		return nil, fmt.Errorf("%w: %s", ErrBadURL, u.Redacted())
	}
	switch u.Scheme {
	case "dir":
		if u.Host != "" || !strings.HasPrefix(u.Path, "/") || u.RawQuery != "" {
			return nil, fmt.Errorf("%w: want dir:///path, without parameters", ErrBadURL)
		}
		return OpenDir(u.Path)
	case "s3":
		return openS3(u, o.withDefaults())
	}
	return nil, fmt.Errorf("%w: the scheme is %q, want dir or s3", ErrBadURL, u.Scheme)
}
