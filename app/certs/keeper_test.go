package certs_test

import (
	"bytes"
	"crypto/tls"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"keywatch/app/certs"
	"keywatch/app/certs/certstest"
)

// If this failed, a certificate that was renewed would be served after the next restart only.
func TestNewFiles(t *testing.T) {
	ca := certstest.Authority(t)
	one, two := sign(t, ca, "kv.example"), certstest.Sign(t, ca, "kv.example", time.Now().Add(2*day))
	f := newFolder(t, one)
	k := f.open()
	if _, err := meet(t, k.Config(), trusting(t, ca, "kv.example")); err != nil {
		t.Errorf("a client that trusts the authority: %v", err)
	}
	if _, err := meet(t, k.Config(), trusting(t, ca, "other.example")); err == nil {
		t.Error("a client that expects another name was not told of it")
	}
	f.write(f.cert, two.Cert)
	f.write(f.key, two.Key)
	if !serves(t, k, one) {
		t.Error("new files were served before they were read")
	}
	config := k.Config() // of before is good for what comes after
	if err := k.Reload(); err != nil {
		t.Fatal(err)
	}
	state, err := meet(t, config, trusting(t, ca, "kv.example"))
	if err != nil || !bytes.Equal(state.PeerCertificates[0].Raw, two.Leaf.Raw) {
		t.Errorf("the new certificate is not served: %v", err)
	}
	if left := gauge(t, k, "keywatch_tls_certificate_expiry_seconds"); left < (2*day-time.Hour).Seconds() || left > (2*day).Seconds() {
		t.Errorf("got %v s until the end, want about two days", left)
	}
}

// If this failed, a server would stop to serve because a file was changed badly.
func TestBrokenFilesKeepTheOld(t *testing.T) {
	one, two := sign(t, nil, "kv.example"), sign(t, nil, "kv.example")
	for name, damage := range map[string]func(*folder){
		"empty certificate":       func(f *folder) { f.write(f.cert, nil) },
		"half a certificate":      func(f *folder) { f.write(f.cert, two.Cert[:len(two.Cert)/2]) },
		"certificate without key": func(f *folder) { f.write(f.cert, two.Cert) },
		"key of another":          func(f *folder) { f.write(f.key, two.Key) },
		"words":                   func(f *folder) { f.write(f.key, []byte("no key")) },
		"no certificate":          func(f *folder) { _ = os.Remove(f.cert) },
		"no key":                  func(f *folder) { _ = os.Remove(f.key) },
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			f := newFolder(t, one)
			k := f.open(func(o *certs.Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
			damage(f)
			for range 2 {
				if err := k.Reload(); err == nil || !strings.Contains(err.Error(), f.cert) && !strings.Contains(err.Error(), f.key) {
					t.Errorf("got %v, want an error with the name of the file", err)
				}
			}
			if lines := strings.Count(log.String(), "level=ERROR"); lines != 1 {
				t.Errorf("it was logged %d times, want once:\n%s", lines, &log)
			}
			if !serves(t, k, one) || gauge(t, k, "keywatch_tls_reload_failed") != 1 {
				t.Error("the earlier certificate is not served, or no metric says so")
			}
			f.write(f.cert, two.Cert)
			f.write(f.key, two.Key)
			if err := k.Reload(); err != nil || !serves(t, k, two) || gauge(t, k, "keywatch_tls_reload_failed") != 0 {
				t.Errorf("good files after bad ones are not served: %v", err)
			}
		})
	}
}

// If this failed, a server would begin without a certificate that it can serve, or say nothing of use.
func TestCheck(t *testing.T) {
	one, two := sign(t, nil, "kv.example"), sign(t, nil, "kv.example")
	f := newFolder(t, one)
	opts := certs.Options{CertFile: f.cert, KeyFile: f.key}
	if err := certs.Check(opts); err != nil {
		t.Errorf("good files: %v", err)
	}
	f.write(f.key, two.Key)
	if err := certs.Check(opts); err == nil || !strings.Contains(err.Error(), f.key) || !strings.Contains(err.Error(), "does not match") {
		t.Errorf("got %v, want the file and that its key does not match", err)
	}
	if _, err := certs.Open(opts); err == nil {
		t.Error("a keeper was opened with a key that does not match")
	}
	opts.CertFile += ".no"
	if err := certs.Check(opts); err == nil || !strings.Contains(err.Error(), opts.CertFile) {
		t.Errorf("got %v, want the name of the file that does not exist", err)
	}
}

// If this failed, an operator would not learn why clients refuse the server.
func TestExpiredIsAWarning(t *testing.T) {
	for until, want := range map[time.Duration]bool{-time.Minute: true, day: false} {
		var log bytes.Buffer
		f := newFolder(t, certstest.Sign(t, nil, "kv.example", time.Now().Add(until)))
		k := f.open(func(o *certs.Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		if said := strings.Contains(log.String(), "has expired"); said != want {
			t.Errorf("ends in %v: warned %v, want %v", until, said, want)
		}
		if left := gauge(t, k, "keywatch_tls_certificate_expiry_seconds"); (left < 0) != want {
			t.Errorf("ends in %v: %v s are left", until, left)
		}
	}
}

// If this failed, a renewal would wait for a signal that no one sends.
func TestFilesAreLookedAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := sign(t, nil, "kv.example"), sign(t, nil, "kv.example")
		f := newFolder(t, one)
		k, err := certs.Open(certs.Options{CertFile: f.cert, KeyFile: f.key})
		if err != nil {
			t.Fatal(err)
		}
		defer k.Close()
		f.write(f.key, two.Key)
		f.write(f.cert, two.Cert)
		time.Sleep(9 * time.Second)
		synctest.Wait()
		if !k.Certificate().Equal(one.Leaf) {
			t.Error("the files were looked at before ten seconds had passed")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if !k.Certificate().Equal(two.Leaf) {
			t.Error("the files were not looked at within ten seconds")
		}
	})
}

// If this failed, a renewal would cost connections.
func TestReloadUnderLoad(t *testing.T) {
	ca := certstest.Authority(t)
	all := []*certstest.Pair{sign(t, ca, "kv.example"), sign(t, ca, "kv.example")}
	f := newFolder(t, all[0])
	k := f.open()
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for range 25 {
				if _, err := meet(t, k.Config(), trusting(t, ca, "kv.example")); err != nil {
					t.Errorf("a handshake failed beside a change of the files: %v", err)
				}
			}
		})
	}
	for i := range 100 {
		f.write(f.cert, all[i%2].Cert)
		_ = k.Reload() // the key is that of the other: nothing changes
		f.write(f.key, all[i%2].Key)
		if err := k.Reload(); err != nil {
			t.Errorf("reload: %v", err)
		}
	}
	clients.Wait()
}

// If this failed, a client would connect with a version that is broken, or a session would outlive the
// authority that its certificate is of.
func TestVersionsAndSessions(t *testing.T) {
	ca := certstest.Authority(t)
	f := newFolder(t, sign(t, ca, "kv.example"))
	k := f.open()
	for version, want := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		client := trusting(t, ca, "kv.example")
		client.MinVersion, client.MaxVersion = tls.VersionTLS10, version
		if _, err := meet(t, k.Config(), client); (err == nil) != want {
			t.Errorf("%s: got %v, want accepted %v", tls.VersionName(version), err, want)
		}
	}
	resuming := &tls.Config{Certificates: []tls.Certificate{sign(t, ca, "kv.example").TLS(t)}}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		if resumes(t, resuming, trusting(t, ca, "kv.example"), version) != true {
			t.Errorf("%s: the control does not resume: this test sees nothing", tls.VersionName(version))
		}
		if resumes(t, k.Config(), trusting(t, ca, "kv.example"), version) {
			t.Errorf("%s: a session was resumed", tls.VersionName(version))
		}
	}
}

// resumes reports whether the second connection of a client resumes the session of its first.
func resumes(t *testing.T, server, client *tls.Config, version uint16) bool {
	client.ClientSessionCache, client.MaxVersion = tls.NewLRUClientSessionCache(8), version
	for range 2 {
		state, err := meet(t, server, client)
		if err != nil {
			t.Fatal(err)
		}
		if state.DidResume {
			return true
		}
	}
	return false
}
