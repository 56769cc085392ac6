package web

import "time"

// stallGuard returns what a body that is produced while it is sent calls before
// each part: it gives the client another WriteTimeout to take it, so that a
// long answer may last, but a client that has stopped reading is cut off.
func (r *request) stallGuard() func() error {
	conn, wait := r.f.Conn(), r.s.opts.WriteTimeout
	var set time.Time
	return func() error {
		now := time.Now()
		if now.Sub(set) < wait/8 {
			return nil
		}
		set = now
		return conn.SetWriteDeadline(now.Add(wait))
	}
}
