package trace

import "context"

type spanKey struct{}

// With returns a context that carries s to what is done for it; ctx itself if s is nil.
func With(ctx context.Context, s *Span) context.Context {
	if s == nil {
		return ctx
	}
	return context.WithValue(ctx, spanKey{}, s)
}

// From returns the span that ctx carries, nil if there is none.
func From(ctx context.Context) *Span {
	s, _ := ctx.Value(spanKey{}).(*Span)
	return s
}

// Begin begins a part of the span that ctx carries, and returns a context that carries the part. It
// returns ctx and nil if there is no span, or if that has [MaxParts] already. The part belongs to the
// caller until End.
func Begin(ctx context.Context, name string) (context.Context, *Span) {
	s := From(ctx)
	if s == nil || s.begun.Add(1) > MaxParts {
		return ctx, nil
	}
	part := s.part(name)
	return With(ctx, part), part
}
