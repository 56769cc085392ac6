//go:build keywatchfault

package watch

import "keywatch/kv"

func faultSaid(w *Watcher, out []Message) []Message {
	m := &out[len(out)-1]
	switch {
	case m.Kind == Progress:
		if strikes(EarlyProgress) {
			m.At.Rev++
		}
	case m.Kind == Synced:
		if m.At.Rev > 2 && strikes(LateSynced) {
			m.At.Rev -= 2
		}
	case m.Kind == Reset:
		if strikes(MarkedReset) {
			m.At.Rev = 1
		}
		if strikes(QuietReset) {
			return out[:len(out)-1]
		}
	case m.Kind == Resync:
	case w.phase == reading:
		return faultRead(w, out)
	default:
		faultLive(m, w.epoch)
	}
	return out
}

// faultRead spoils the last change of a state or resync.
func faultRead(w *Watcher, out []Message) []Message {
	m, less := &out[len(out)-1], out[:len(out)-1]
	if w.progress.reread.fresh {
		if strikes(ForgetKey) {
			return less
		}
		if first := firstOf(m.Key, m.Entry); strikes(StaleState) {
			m.Entry = first
		}
		return out
	}
	if m.Kind == Delete && strikes(ForgetDeletion) || m.Kind == Put && strikes(ForgetChange) {
		return less
	}
	return out
}

// faultLive spoils a change that is live.
func faultLive(m *Message, epoch kv.Epoch) {
	if m.Kind == Put {
		firstOf(m.Key, m.Entry)
	}
	switch {
	case !m.HasAt && strikes(SplitRevision):
		m.At, m.HasAt = kv.Position{Epoch: epoch, Rev: m.Entry.Mod}, true
	case m.HasAt && strikes(LosePosition):
		m.HasAt = false
	case m.HasAt && strikes(OldPosition):
		m.At.Rev--
	case m.HasAt && strikes(EarlyPosition):
		m.At.Rev++
	case m.Kind == Put && strikes(WrongVersion):
		var wrong struct{ kv.Entry }
		wrong.Mod, wrong.Create, wrong.Version = m.Entry.Mod, m.Entry.Create, m.Entry.Version+1
		m.Entry, m.rec = &wrong.Entry, nil
	}
}
