package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"keywatch/auth"
	"keywatch/cluster"
	"keywatch/cluster/peer"
	"keywatch/kv"
	"keywatch/watch"
)

// An accessDocument is what one server of a cluster tells another about authentication.
type accessDocument struct {
	// On says that callers have to prove who they are.
	On bool `json:"on"`
	// Probe was wrapped with the sealing key: a server that unwraps it has the same. Source says where the
	// key is.
	Probe  []byte `json:"probe,omitempty"`
	Source string `json:"source,omitempty"`
	// Key is the sealing key itself, where it is in the data folder and TLS protects the connection.
	Key string `json:"key,omitempty"`
}

// obtainWait is how long a server that runs, or starts, waits for others to give it the sealing key, each time.
const obtainWait = 3 * time.Second

// probeName is the name under which a probe is wrapped. No record has it.
const probeName = "probe"

// tell returns what another server of the cluster needs to know. The key is in it only if it may be shown.
func (a *access) tell(show bool) (*accessDocument, error) {
	if !a.on && a.table.Empty() {
		return &accessDocument{}, nil
	}
	probe, err := a.wrapper.Wrap(probeName, auth.NewDataKey())
	if err != nil {
		return nil, fmt.Errorf("%w: the server that was asked lacks the sealing key itself: %w", kv.ErrStarting, err)
	}
	d := &accessDocument{On: true, Probe: probe, Source: a.keySource()}
	if show && a.keepsKey() {
		b, err := os.ReadFile(a.keyFile())
		if err != nil {
			return nil, err
		}
		d.Key = string(b)
	}
	return d, nil
}

// keepsKey reports whether the sealing key is where it is by default: in the data folder. One that the
// operator keeps elsewhere is given to no one.
func (a *access) keepsKey() bool {
	return a.data != "" && a.config.AuthKey == "" && a.config.AuthKeyFile == "" && a.config.AuthKeyCommand == ""
}

// lacksKey reports whether the sealing key is to be in the data folder of a member, and is not there.
func (a *access) lacksKey() bool {
	if a.engine.members == nil || !a.keepsKey() {
		return false
	}
	_, err := os.Stat(a.keyFile())
	return errors.Is(err, fs.ErrNotExist)
}

// keySource says where this server has its sealing key from.
func (a *access) keySource() string {
	switch {
	case a.config.AuthKey != "":
		return "KEYWATCH_AUTH_KEY"
	case a.config.AuthKeyCommand != "":
		return "--auth-key-command " + a.config.AuthKeyCommand
	}
	return a.keyFile()
}

// adopt prepares a server that joins for what the member name says: it must be able to read the records of
// users before it gets them. An error is final: the operator has to do something.
func (a *access) adopt(d *accessDocument, name string) error {
	switch {
	case !d.On && a.config.Auth == "on":
		a.logger.Warn("the cluster has no authentication, and this server has: start all servers with --auth=on", "asked", name)
	case !d.On:
	case a.config.Auth == "off" || a.config.AuthForget:
		return errors.New("auth: the cluster has authentication, and this server would show its keys to everyone: start it with --auth=on")
	default:
		a.config.Auth = "on"
		return a.share(d, name)
	}
	return nil
}

// share makes sure that this server has the sealing key of another one.
func (a *access) share(d *accessDocument, name string) error {
	_, err := a.wrapper.Unwrap(probeName, d.Probe)
	switch {
	case err == nil:
		return nil
	case !errors.Is(err, auth.ErrNoSealKey):
		return fmt.Errorf("auth-key-file: the sealing key of this server (%s) is not the one of the cluster, which server %s has in %s: give all servers the same: %w",
			a.keySource(), name, d.Source, err)
	case d.Key == "" || !a.keepsKey():
		return fmt.Errorf("auth-key-file: this server lacks the sealing key of the cluster, which server %s has in %s: copy it to %s, readable by its owner only, or name it with --auth-key-file, KEYWATCH_AUTH_KEY or --auth-key-command",
			name, d.Source, a.keyFile())
	}
	return a.keep(d)
}

// keep writes the sealing key of the cluster to the data folder, durably, if it opens what it should.
func (a *access) keep(d *accessDocument) error {
	w, err := auth.WrapperOf(d.Key)
	if err == nil {
		_, err = w.Unwrap(probeName, d.Probe)
	}
	if err == nil {
		err = auth.Opens(w, a.engine.state().PrivateRecords())
	}
	if err == nil {
		err = auth.WriteSecret(a.keyFile(), d.Key)
	}
	if err != nil {
		return fmt.Errorf("keep the sealing key of the cluster: %w", err)
	}
	a.logger.Info("the sealing key of the cluster was received", "file", a.keyFile())
	return nil
}

// obtain gets the sealing key, where this server lacks it: from another member, or it makes one where no
// record was ever sealed and this server is to say what the key is.
func (a *access) obtain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, obtainWait)
	defer cancel()
	m := a.engine.members
	self, others := m.me().ID, 0
	for _, x := range m.roster().Members {
		if x.ID == self {
			continue
		}
		others++
		d, err := m.askAccess(ctx, x.Peer)
		if err == nil && d.Key != "" && a.keep(d) == nil {
			a.engine.replacing.Lock()
			a.engine.state().TellPrivate()
			a.engine.replacing.Unlock()
			return
		}
	}
	first := m.me().Founder && others == 0 || a.engine.leads()
	if !first || !a.on || a.table.Err() != nil || !a.table.Empty() {
		return
	}
	if err := auth.MakeSealKey(a.keyFile()); err != nil && !errors.Is(err, fs.ErrExist) {
		a.logger.Error("the sealing key cannot be made", "err", err)
	}
}

// agreed returns nil once most voters have authentication and the sealing key of this server. What is sealed
// with a key that only one server has would be lost with that server.
func (a *access) agreed(ctx context.Context) error {
	m := a.engine.members
	if m == nil {
		return nil
	}
	self := m.me().ID
	voters, have := 1, 1 // this one leads, though its roster may not have it yet
	for _, x := range m.roster().Members {
		if x.ID == self || x.Role != cluster.Voter || x.Leaving {
			continue
		}
		voters++
		if a.same(ctx, x.Peer) {
			have++
		}
	}
	if have > voters/2 {
		return nil
	}
	return fmt.Errorf("no administrator is made: %d of %d servers have authentication and the sealing key of this one (%s), and most must: start all with --auth=on", have, voters, a.keySource())
}

// same reports whether the server at an address has authentication and the same sealing key.
func (a *access) same(ctx context.Context, addr string) bool {
	d, err := a.engine.members.askAccess(ctx, addr)
	if err != nil || !d.On {
		return false
	}
	_, err = a.wrapper.Unwrap(probeName, d.Probe)
	return err == nil
}

// tellAccess answers a server that asks about authentication.
func (m *membership) tellAccess(from peer.Hello) (answer, error) {
	if !m.access.begun.Load() {
		return answer{}, kv.ErrStarting
	}
	d, err := m.access.tell(!m.config.Peers.PeerInsecure)
	if err != nil {
		return answer{}, err
	}
	if d.Key != "" {
		var about cluster.About
		_ = json.Unmarshal(from.Info, &about) // it was accepted with it
		m.access.logger.Info("the sealing key is given to a server of the cluster", "name", about.Name, "id", from.ID, "address", from.Remote)
	}
	return answer{Access: d}, nil
}

// askAccess asks the server at an address about authentication.
func (m *membership) askAccess(ctx context.Context, addr string) (*accessDocument, error) {
	a, err := m.ask(ctx, addr, question{Op: opAccess})
	if err == nil && a.Access == nil {
		err = fmt.Errorf("%s does not say whether it has authentication", addr)
	}
	return a.Access, err
}

// learnAccess has a server that joins learn about authentication before it is a member. ok is false if it is to
// ask again; an error is final.
func (m *membership) learnAccess(ctx context.Context, addr, name string) (ok bool, err error) {
	d, err := m.askAccess(ctx, addr)
	if err != nil {
		m.setWait(err.Error())
		return false, nil
	}
	if err := m.access.adopt(d, name); err != nil {
		return false, fmt.Errorf("join %s: %w", addr, err)
	}
	return true, nil
}

// behind returns why this server may lack a revocation that the others have acknowledged, nil if it cannot.
func (a *access) behind() error {
	if a.engine.members == nil || a.engine.node == nil {
		return nil
	}
	if lag := a.engine.node.Lag(); lag > a.config.AuthLag {
		return fmt.Errorf("%w: this server was last up to date more than %v ago (--auth-lag), and permissions may have changed since", kv.ErrNoLeader, a.config.AuthLag)
	}
	return nil
}

// endBehind ends all streams while this server is behind, until ctx ends: others know more.
func (a *access) endBehind(ctx context.Context) {
	tick := time.NewTicker(accessSoon)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		behind := a.behind() != nil
		a.table.SetBehind(behind)
		if behind {
			a.engine.hub.EndAll(watch.CodeNoLeader)
		}
	}
}
