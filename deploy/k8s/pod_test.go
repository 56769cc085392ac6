package k8s_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"keywatch/deploy/image"
	"keywatch/deploy/try"
)

// namespace is the one that overlays are applied to.
const namespace = "prod"

// A node runs the pods of one StatefulSet as a kubelet does.
type node struct {
	t       *testing.T
	app     app
	runc    string
	bundle  string // the unpacked image
	work    string // of runc, of bundles and of volumes
	network *network
	pods    []*pod
}

// A pod is one container in a network namespace, with a volume that outlives it.
type pod struct {
	node      *node
	name      string
	at        atomic.Pointer[string]
	container *try.Process
	runs      int
}

// address is where p is, empty before it has been placed.
func (p *pod) address() string {
	if at := p.at.Load(); at != nil {
		return *at
	}
	return ""
}

// newNode unpacks the image for the StatefulSet of an overlay. Nothing runs yet.
func newNode(t *testing.T, overlay string) *node {
	n := &node{t: t, app: render(t, overlay), runc: try.Program(t, "runc"), work: t.TempDir()}
	umoci := try.Program(t, "umoci")
	if os.Getuid() != 0 {
		try.Missing(t, "containers are run by root")
	}
	n.network = newNetwork(t)
	notice := filepath.Join(n.work, "NOTICE")
	if err := os.WriteFile(notice, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	o := image.Options{
		Version: "0.1.0", Time: time.Unix(0, 0),
		Binary: map[string]string{runtime.GOARCH: binary(t)}, Notice: map[string]string{runtime.GOARCH: notice},
	}
	layout := filepath.Join(n.work, "layout")
	if err := image.Write(layout, o); err != nil {
		t.Fatal(err)
	}
	n.bundle = filepath.Join(n.work, "image")
	try.Run(t, umoci, "unpack", "--image", layout+":keywatch:0.1.0", n.bundle)
	for i := range *n.app.set.Spec.Replicas {
		n.pods = append(n.pods, &pod{node: n, name: fmt.Sprintf("%s-%d", n.app.set.Name, i)})
	}
	return n
}

var built struct {
	sync.Once
	data []byte
}

// binary returns the path of the command, which is built once.
func binary(t *testing.T) string {
	built.Do(func() { built.data, _ = os.ReadFile(try.Build(t, runtime.GOARCH)) })
	path := filepath.Join(t.TempDir(), "keywatch")
	if err := os.WriteFile(path, built.data, 0o755); err != nil || len(built.data) == 0 {
		t.Fatalf("%d bytes, %v", len(built.data), err)
	}
	return path
}

// start gives every pod an address and starts it: all at once, as podManagementPolicy
// Parallel does.
func (n *node) start() {
	n.t.Helper()
	n.place(n.pods...)
	for _, p := range n.pods {
		p.run()
	}
}

// place gives pods addresses, which none had before, and tells all pods of them.
func (n *node) place(pods ...*pod) {
	n.t.Helper()
	for _, p := range pods {
		if p.address() != "" {
			n.network.remove(p.name)
		}
		address := n.network.addPod(p.name)
		p.at.Store(&address)
	}
	n.writeHosts()
}

// scale adds pods up to a number, as kubectl scale does.
func (n *node) scale(replicas int) {
	n.t.Helper()
	var added []*pod
	for i := len(n.pods); i < replicas; i++ {
		added = append(added, &pod{node: n, name: fmt.Sprintf("%s-%d", n.app.set.Name, i)})
	}
	n.pods = append(n.pods, added...)
	n.place(added...)
	for _, p := range added {
		p.run()
	}
}

// writeHosts tells all pods the names of all, as the headless service does.
func (n *node) writeHosts() {
	var b strings.Builder
	b.WriteString("127.0.0.1 localhost\n")
	for _, p := range n.pods {
		if p.address() == "" {
			continue
		}
		short := p.name + "." + n.app.set.Spec.ServiceName
		fmt.Fprintf(&b, "%s %s %[2]s.%s %[2]s.%[3]s.svc %[2]s.%[3]s.svc.cluster.local %s\n", p.address(), short, namespace, p.name)
	}
	// In place: the file is mounted.
	f, err := os.OpenFile(filepath.Join(n.work, "hosts"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		n.t.Fatal(err)
	}
	if _, err := f.WriteString(b.String()); err != nil {
		n.t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		n.t.Fatal(err)
	}
}

// id names the container of this run of p.
func (p *pod) id() string { return fmt.Sprintf("%s-%d", p.node.network.name(p.name), p.runs) }

func (p *pod) state() string { return filepath.Join(p.node.work, "runc") }

// run starts the container.
func (p *pod) run() {
	t := p.node.t
	t.Helper()
	p.runs++
	bundle := filepath.Join(p.node.work, p.id())
	if err := os.Mkdir(bundle, 0o755); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(p.spec())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bundle, "config.json"), text, 0o644); err != nil {
		t.Fatal(err)
	}
	id := p.id()
	p.container = try.Start(t, exec.Command(p.node.runc, "--root", p.state(), "run", "--bundle", bundle, id))
	t.Cleanup(func() { _ = exec.Command(p.node.runc, "--root", p.state(), "delete", "--force", id).Run() })
}

// spec returns what the pod's template says, as the configuration of a container.
func (p *pod) spec() map[string]any {
	t, c := p.node.t, p.node.app.container()
	text, err := os.ReadFile(filepath.Join(p.node.bundle, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	var config map[string]any
	if err := json.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	security := p.node.app.set.Spec.Template.Spec.SecurityContext
	process := config["process"].(map[string]any)
	env := p.environment(process["env"].([]any))
	args := append(image.Config(image.Options{}).Entrypoint, c.Args...)
	for i, a := range args {
		args[i] = expand(a, env)
	}
	process["terminal"], process["args"], process["env"] = false, args, env
	process["user"] = map[string]any{"uid": *security.RunAsUser, "gid": *security.RunAsGroup, "additionalGids": []int64{*security.FSGroup}}
	process["noNewPrivileges"] = !*c.SecurityContext.AllowPrivilegeEscalation
	if fmt.Sprint(c.SecurityContext.Capabilities.Drop) != "[ALL]" {
		t.Fatalf("capabilities: %v", c.SecurityContext.Capabilities)
	}
	process["capabilities"] = map[string]any{}
	config["hostname"] = p.name
	config["root"] = map[string]any{"path": filepath.Join(p.node.bundle, "rootfs"), "readonly": *c.SecurityContext.ReadOnlyRootFilesystem}
	config["mounts"] = append(config["mounts"].([]any), p.mounts()...)
	linux := config["linux"].(map[string]any)
	for _, n := range linux["namespaces"].([]any) {
		if n := n.(map[string]any); n["type"] == "network" {
			n["path"] = p.node.network.path(p.name)
		}
	}
	linux["cgroupsPath"] = "/" + p.id()
	linux["resources"] = map[string]any{"memory": map[string]any{"limit": c.Resources.Limits.Memory().Value()}}
	return config
}

// mounts returns the file of names and the volumes of p, which belong to the group of the
// pod, as fsGroup asks.
func (p *pod) mounts() (list []any) {
	bind := func(from, to string, options ...string) {
		list = append(list, map[string]any{"destination": to, "type": "bind", "source": from, "options": append(options, "bind")})
	}
	bind(filepath.Join(p.node.work, "hosts"), "/etc/hosts", "ro")
	for _, m := range p.node.app.container().VolumeMounts {
		if m.ReadOnly {
			bind(p.node.secret(m.Name), m.MountPath, "ro")
			continue
		}
		dir := filepath.Join(p.node.work, m.Name+"-"+p.name)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			p.node.t.Fatal(err)
		}
		p.node.give(dir, 0o770|os.ModeSetgid)
		bind(dir, m.MountPath, "rw", "nosuid", "nodev")
	}
	return list
}

// environment returns the variables of the image and those of the container.
func (p *pod) environment(ofImage []any) (env []string) {
	for _, e := range ofImage {
		env = append(env, e.(string))
	}
	for _, e := range p.node.app.container().Env {
		value := expand(e.Value, env)
		if e.ValueFrom != nil {
			value = p.field(e.ValueFrom)
		}
		env = append(env, e.Name+"="+value)
	}
	return env
}

// field returns what a variable gets of its pod.
func (p *pod) field(from *corev1.EnvVarSource) string {
	switch {
	case from.FieldRef == nil:
	case from.FieldRef.FieldPath == "metadata.namespace":
		return namespace
	case from.FieldRef.FieldPath == "metadata.name":
		return p.name
	}
	p.node.t.Fatalf("%v: a source that is not known here", from)
	return ""
}

var reference = regexp.MustCompile(`\$\(([A-Za-z_][A-Za-z0-9_]*)\)`)

// expand replaces $(NAME) by variables that came before it; what is not known stays.
func expand(text string, env []string) string {
	return reference.ReplaceAllStringFunc(text, func(match string) string {
		name := match[2 : len(match)-1]
		for i := len(env) - 1; i >= 0; i-- {
			if value, ok := strings.CutPrefix(env[i], name+"="); ok {
				return value
			}
		}
		return match
	})
}

// probe does what a probe says, from outside the pod by its address, and returns the status;
// 0 if nothing answers.
func (p *pod) probe(probe *corev1.Probe) int {
	for _, port := range p.node.app.container().Ports {
		if port.Name == probe.HTTPGet.Port.StrVal {
			status, _ := p.do(http.MethodGet, fmt.Sprintf("http://%s:%d%s", p.address(), port.ContainerPort, probe.HTTPGet.Path), "", "")
			return status
		}
	}
	p.node.t.Fatalf("no port %v", probe.HTTPGet.Port)
	return 0
}

// awaitStarted waits until the startup probe succeeds.
func (p *pod) awaitStarted() {
	p.node.t.Helper()
	try.Until(p.node.t, func() bool {
		if p.container.Ended() {
			p.node.t.Fatalf("%s ended before it had started", p.name)
		}
		return p.probe(p.node.app.container().StartupProbe) == http.StatusOK
	}, "%s starts", p.name)
}

// do sends a request from inside the pod, with another host name if there is one.
func (p *pod) do(method, url, host, body string) (status int, answer string) {
	p.node.t.Helper()
	return p.send(method, url, host, body, "")
}

// send is do with a value of Authorization; empty for none.
func (p *pod) send(method, url, host, body, authorization string) (status int, answer string) {
	p.node.t.Helper()
	request, err := http.NewRequestWithContext(p.node.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		p.node.t.Fatal(err)
	}
	request.Host = host
	if authorization != "" {
		request.Header.Set("Authorization", authorization)
	}
	response, err := p.node.network.client(p.name).Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err.Error()
	}
	return response.StatusCode, string(data)
}

// exec runs the command in the container.
func (p *pod) exec(args ...string) string {
	p.node.t.Helper()
	return try.Run(p.node.t, p.node.runc, append([]string{"--root", p.state(), "exec", p.id(), image.Binary}, args...)...)
}

// kill sends a signal to the container.
func (p *pod) kill(signal string) {
	p.node.t.Helper()
	try.Run(p.node.t, p.node.runc, "--root", p.state(), "kill", p.id(), signal)
}
