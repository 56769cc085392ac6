package auth

import (
	"errors"
	"fmt"
	"strconv"

	"keywatch/kv"
)

// takeLocked takes one record, or its deletion. kept are callers that may have been there before a
// reset, by credential.
func (t *Table) takeLocked(r kv.PrivateRecord, kept map[CredID]*Caller) {
	kind, id := cutRecord(r.Name)
	delete(t.mu.damaged, r.Name)
	if r.Value == nil {
		t.dropLocked(kind, id, r.Name)
		return
	}
	var err error
	if kind == kindDataK {
		err = t.takeDataKeyLocked(id, r)
	} else {
		var plain []byte
		if plain, err = t.sealer.Open(r.Name, r.Value); err == nil {
			err = t.parseLocked(kind, id, r, plain, kept)
		}
	}
	if err != nil {
		t.mu.damaged[r.Name] = err
		t.opts.Logger.Error("private record cannot be read", "err", err)
	}
}

var errRecord = errors.New("malformed private record")

func (t *Table) takeDataKeyLocked(id string, r kv.PrivateRecord) error {
	n, err := strconv.ParseUint(id, 10, 64)
	if err != nil || n == 0 {
		return fmt.Errorf("%w %s", errRecord, r.Name)
	}
	key, err := t.opts.Wrapper.Unwrap(r.Name, r.Value)
	if err != nil {
		return err
	}
	t.mu.deks[n] = r.Rev
	return t.sealer.Add(n, key)
}

// parseLocked takes an opened record.
func (t *Table) parseLocked(kind, id string, r kv.PrivateRecord, plain []byte, kept map[CredID]*Caller) error {
	switch kind {
	case kindUser:
		return t.takeUserLocked(id, r, plain)
	case kindRole:
		rec, err := parseRecord[roleRecord](r.Name, plain)
		if err != nil {
			return err
		}
		t.saw(rec.Made)
		s := &roleState{id: id, record: rec, rev: r.Rev}
		t.mu.roles[rec.Name], t.mu.roleIDs[id] = s, s
	case kindCred:
		return t.takeCredLocked(id, r, plain, kept)
	case kindTicket:
		rec, err := parseRecord[ticketRecord](r.Name, plain)
		n, bad := strconv.ParseUint(id, 10, 64)
		if err != nil || bad != nil {
			return errors.Join(err, bad)
		}
		t.saw(rec.Made)
		t.mu.tickets[n] = TicketKey{Number: n, Secret: rec.Secret, Made: rec.Made}
	case kindCert, kindName, "meta":
		rec, err := parseRecord[textRecord](r.Name, plain)
		if err != nil {
			return err
		}
		t.mu.revs[r.Name] = r.Rev
		if kind == kindCert {
			t.mu.certs[id] = string(rec.Text)
		}
		if r.Name == namesName {
			t.mu.hmac = rec.Text
		}
	default:
		return fmt.Errorf("%w %s: unknown kind", errRecord, r.Name)
	}
	return nil
}

func (t *Table) takeUserLocked(id string, r kv.PrivateRecord, plain []byte) error {
	rec, err := parseRecord[userRecord](r.Name, plain)
	if err != nil {
		return err
	}
	t.saw(rec.Made)
	if old := t.mu.users[id]; old != nil {
		delete(t.mu.names, old.record.Name)
	}
	u := &userState{id: id, record: rec, rev: r.Rev}
	t.mu.users[id], t.mu.names[rec.Name] = u, u
	return nil
}

func (t *Table) takeCredLocked(text string, r kv.PrivateRecord, plain []byte, kept map[CredID]*Caller) error {
	rec, err := parseRecord[credRecord](r.Name, plain)
	if err != nil {
		return err
	}
	id, ok := ParseCredID(text)
	if !ok || len(rec.Hash) != len(Hash{}) || Hash(rec.Hash).ID() != id || rec.Kind != Key && rec.Kind != Session {
		return fmt.Errorf("%w %s", errRecord, r.Name)
	}
	t.saw(rec.Made)
	c := t.mu.creds[id]
	if c == nil {
		c = kept[id]
	}
	if c == nil || c.user != rec.User || c.epoch != kv.Epoch(rec.Epoch) {
		if c != nil {
			c.cred.Store(nil) // the other one ends
		}
		c = &Caller{table: t, id: id, kind: rec.Kind, user: rec.User, epoch: kv.Epoch(rec.Epoch)}
	}
	if c.expires.Swap(rec.Expires) != rec.Expires {
		t.sooner(rec.Expires)
	}
	c.cred.Store(rec)
	c.day.Store(max(c.day.Load(), rec.Used))
	t.mu.creds[id], t.mu.credRev[id] = c, r.Rev
	t.byHash.Store(Hash(rec.Hash), c)
	return nil
}

// dropLocked forgets a record.
func (t *Table) dropLocked(kind, id, name string) {
	switch kind {
	case kindUser:
		if u := t.mu.users[id]; u != nil {
			delete(t.mu.users, id)
			if t.mu.names[u.record.Name] == u {
				delete(t.mu.names, u.record.Name)
			}
		}
	case kindRole:
		if r := t.mu.roleIDs[id]; r != nil {
			delete(t.mu.roleIDs, id)
			if t.mu.roles[r.record.Name] == r {
				delete(t.mu.roles, r.record.Name)
			}
		}
	case kindCred:
		if cred, ok := ParseCredID(id); ok && t.mu.creds[cred] != nil {
			c := t.mu.creds[cred]
			t.byHash.Delete(Hash(c.cred.Load().Hash))
			c.cred.Store(nil)
			delete(t.mu.creds, cred)
			delete(t.mu.credRev, cred)
		}
	case kindDataK, kindTicket:
		n, _ := strconv.ParseUint(id, 10, 64)
		if kind == kindTicket {
			delete(t.mu.tickets, n)
			return
		}
		delete(t.mu.deks, n)
		t.sealer.Remove(n)
	default:
		delete(t.mu.revs, name)
		delete(t.mu.certs, id)
	}
}
