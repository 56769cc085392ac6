package object

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/minio/minio-go/v7"
)

// try runs f until it succeeds, fails for good, or has been tried often enough.
// Each attempt has its own timeout.
func (s *S3) try(ctx context.Context, timeout time.Duration, f func(context.Context) error) error {
	for attempt := 1; ; attempt++ {
		err, again := s.attempt(ctx, timeout, f)
		if !again || attempt >= s.opts.Attempts {
			return err
		}
		pause := s.opts.Backoff << min(attempt-1, 16)
		timer := time.NewTimer(pause - rand.N(pause/2+1))
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
	}
}

func (s *S3) attempt(ctx context.Context, timeout time.Duration, f func(context.Context) error) (err error, again bool) {
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := f(limited); err != nil {
		return s3Error(ctx, err)
	}
	return nil, false
}

// s3Error gives the client's error the meaning of the package, and says whether
// another attempt may help. ctx is the caller's.
func s3Error(ctx context.Context, err error) (meaning error, again bool) {
	if ctx.Err() != nil {
		return ctx.Err(), false
	}
	if errors.Is(err, ErrDamaged) || errors.Is(err, ErrUnavailable) {
		return err, false
	}
	var answer minio.ErrorResponse
	if !errors.As(err, &answer) {
		return fmt.Errorf("%w: %w", ErrUnavailable, err), true // connection, timeout, cut body
	}
	switch answer.Code {
	case "NoSuchKey":
		return ErrNotFound, false
	case "NoSuchBucket":
		return fmt.Errorf("%w: no such bucket", ErrUnavailable), false
	case "PreconditionFailed":
		return ErrExists, false
	case "InvalidRange":
		return fmt.Errorf("%w: it ends before the bytes asked for", ErrDamaged), false
	}
	return s3Status(answer)
}

func s3Status(answer minio.ErrorResponse) (meaning error, again bool) {
	switch code := answer.StatusCode; {
	case code == http.StatusPreconditionFailed:
		return ErrExists, false
	case code == http.StatusRequestedRangeNotSatisfiable:
		return fmt.Errorf("%w: it ends before the bytes asked for", ErrDamaged), false
	case code == http.StatusNotFound && answer.Code == "":
		return ErrNotFound, false
	case code == http.StatusConflict: // another conditional write of the name is under way
		return fmt.Errorf("%w: %s", ErrUnavailable, answer.Code), true
	case code == 0: // the client cannot make sense of the answer
		return fmt.Errorf("%w: %s: %s", ErrUnavailable, answer.Code, answer.Message), true
	case code >= 500 || code == http.StatusTooManyRequests || code == http.StatusRequestTimeout:
		return fmt.Errorf("%w: status %d %s", ErrUnavailable, code, answer.Code), true
	default:
		return fmt.Errorf("%w: refused with status %d %s", ErrUnavailable, code, answer.Code), false
	}
}
