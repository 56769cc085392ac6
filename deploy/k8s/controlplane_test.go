package k8s_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"keywatch/deploy/try"
)

const (
	// apiURL is where the API server listens, in a network namespace of its own.
	apiURL = "https://127.0.0.1:6443"
	// apiToken is the credential of an administrator of it.
	apiToken = "of-a-test"
	// etcdURL is where its store listens.
	etcdURL = "http://127.0.0.1:2379"
)

// A controlPlane is a kube-apiserver over an etcd, with a kube-controller-manager. There is no
// kubelet: pods stay as they are made, until a test says of them what a kubelet would.
type controlPlane struct {
	t      *testing.T
	client *http.Client
}

// startControlPlane starts one from the program that KEYWATCH_K8S names. Without it t is skipped:
// the program takes long to build, so that .ci/k8s does that once.
func startControlPlane(t *testing.T) *controlPlane {
	t.Helper()
	program := os.Getenv("KEYWATCH_K8S")
	if program == "" {
		t.Skip("SKIPPED, NOT TESTED: KEYWATCH_K8S names no API server; task k8s builds one and runs this test")
	}
	etcd, work := try.Program(t, "etcd"), t.TempDir()
	n := newNetwork(t)
	address := n.addPod("control")
	start := func(name string, args ...string) {
		try.Start(t, exec.Command(n.ip, append([]string{"netns", "exec", n.name("control"), name}, args...)...))
	}
	start(etcd, "--data-dir="+filepath.Join(work, "etcd"), "--listen-client-urls="+etcdURL, "--advertise-client-urls="+etcdURL)

	file := func(name string) string { return filepath.Join(work, name) }
	writeFile(t, file("key.pem"), newKey(t))
	writeFile(t, file("tokens.csv"), apiToken+",test,test,system:masters\n")
	writeFile(t, file("kubeconfig"), fmt.Sprintf(kubeconfig, apiURL, file("apiserver.crt"), apiToken))
	start(program, "kube-apiserver", "--etcd-servers="+etcdURL, "--cert-dir="+work,
		"--bind-address=127.0.0.1", "--secure-port=6443", "--advertise-address="+address,
		"--service-cluster-ip-range=10.96.0.0/16", "--authorization-mode=RBAC", "--token-auth-file="+file("tokens.csv"),
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-signing-key-file="+file("key.pem"), "--service-account-key-file="+file("key.pem"))
	c := &controlPlane{t: t, client: n.client("control")}
	c.trust(file("apiserver.crt"))
	start(program, "kube-controller-manager", "--kubeconfig="+file("kubeconfig"), "--secure-port=0", "--leader-elect=false",
		"--service-account-private-key-file="+file("key.pem"), "--root-ca-file="+file("apiserver.crt"),
		"--controllers=statefulset-controller,disruption-controller,endpointslice-controller,persistentvolumeclaim-protection-controller,serviceaccount-controller,root-ca-certificate-publisher-controller,garbage-collector-controller,namespace-controller")
	return c
}

// kubeconfig has the URL of an API server, the file of its certificate and a token.
const kubeconfig = `apiVersion: v1
kind: Config
clusters: [{name: test, cluster: {server: %q, certificate-authority: %q}}]
users: [{name: test, user: {token: %q}}]
contexts: [{name: test, context: {cluster: test, user: test}}]
current-context: test
`

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// newKey returns a private key, as PEM.
func newKey(t *testing.T) string {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))
}

// trust waits until the API server serves, with the certificate that it has made.
func (c *controlPlane) trust(certificate string) {
	c.t.Helper()
	roots := x509.NewCertPool()
	try.Until(c.t, func() bool {
		text, err := os.ReadFile(certificate)
		return err == nil && roots.AppendCertsFromPEM(text)
	}, "the API server has a certificate")
	c.client.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: roots}
	try.Until(c.t, func() bool { return c.ask(http.MethodGet, "/readyz", "", "").status == http.StatusOK }, "the API server is ready")
}

// A reply is what the API server answers; its status is 0 if it does not.
type reply struct {
	status   int
	body     []byte
	warnings []string
}

// ask sends a request. kind is the type of its body.
func (c *controlPlane) ask(method, path, kind, body string) reply {
	c.t.Helper()
	request, err := http.NewRequestWithContext(c.t.Context(), method, apiURL+path, bytes.NewReader([]byte(body)))
	if err != nil {
		c.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+apiToken)
	request.Header.Set("Content-Type", kind)
	response, err := c.client.Do(request)
	if err != nil {
		return reply{body: []byte(err.Error())}
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		return reply{body: []byte(err.Error())}
	}
	return reply{response.StatusCode, data, response.Header.Values("Warning")}
}

// must sends a request that is to succeed.
func (c *controlPlane) must(method, path, kind, body string) reply {
	c.t.Helper()
	r := c.ask(method, path, kind, body)
	if r.status/100 != 2 {
		c.t.Fatalf("%s %s: %d %s", method, path, r.status, r.body)
	}
	return r
}

// get reads an object or a list into one of its type.
func get[T any](c *controlPlane, path string) *T {
	c.t.Helper()
	object := new(T)
	if err := json.Unmarshal(c.must(http.MethodGet, path, "", "").body, object); err != nil {
		c.t.Fatal(err)
	}
	return object
}

const (
	asJSON  = "application/json"
	asMerge = "application/merge-patch+json"
	asApply = "application/apply-patch+yaml"
)
