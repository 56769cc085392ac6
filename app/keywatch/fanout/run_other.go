//go:build !linux

package fanout

import (
	"context"
	"errors"
)

// Run needs Linux, whose epoll makes the load cheap enough.
func Run(context.Context, Options) (*Result, error) { return nil, errors.ErrUnsupported }
