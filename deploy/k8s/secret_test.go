package k8s_test

import (
	"crypto/rand"
	"encoding/base64"
	"os"
	"path/filepath"

	"keywatch/deploy/image"
	"keywatch/deploy/try"
)

// secret returns the folder of a volume that shows a Secret.
func (n *node) secret(volume string) string {
	dir := filepath.Join(n.work, "secret-"+volume)
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	for _, v := range n.app.set.Spec.Template.Spec.Volumes {
		if v.Name != volume || v.Secret == nil {
			continue
		}
		if err := os.Mkdir(dir, 0o755); err != nil {
			n.t.Fatal(err)
		}
		for name, text := range n.texts(v.Secret.SecretName) {
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				n.t.Fatal(err)
			}
			n.give(path, os.FileMode(*v.Secret.DefaultMode))
		}
		return dir
	}
	n.t.Fatalf("no volume %s that shows a Secret", volume)
	return ""
}

// texts returns what is in a Secret, made as the manifests say.
func (n *node) texts(secret string) map[string]string {
	draw := func(args ...string) string {
		return try.Run(n.t, filepath.Join(n.bundle, "rootfs", image.Binary), args...)
	}
	switch secret {
	case "keywatch-peers":
		return map[string]string{"token": draw("cluster", "token")}
	case "keywatch-auth":
		key := make([]byte, 32)
		_, _ = rand.Read(key) // it never fails
		return map[string]string{"auth.key": base64.StdEncoding.EncodeToString(key), "admin.key": draw("auth", "key", "new")}
	}
	n.t.Fatalf("no manifest says what is in the Secret %s", secret)
	return nil
}

// give has a file belong to root and to the group of the pod.
func (n *node) give(path string, mode os.FileMode) {
	if err := os.Chown(path, 0, int(*n.app.set.Spec.Template.Spec.SecurityContext.FSGroup)); err != nil {
		n.t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		n.t.Fatal(err)
	}
}
