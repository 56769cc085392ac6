package k8s_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"

	"keywatch/deploy/k8s"
	"keywatch/deploy/try"
)

// If an API server refused a manifest, dropped a field of it, or its controllers made something
// else of it than is meant, all other tests here would test what no cluster runs.
func TestManifestsOnAnAPIServer(t *testing.T) {
	c := startControlPlane(t)
	for _, overlay := range overlays(t) {
		t.Run(overlay, func(t *testing.T) {
			s := c.newSpace(t, overlay)
			s.apply()
			s.awaitPods(int(*s.app.set.Spec.Replicas))
			s.checkPods()
			s.checkClaims(len(s.pods()) * len(s.app.set.Spec.VolumeClaimTemplates))
			s.checkBudget(0)
			s.checkNames()
			s.recreates()
		})
	}
	t.Run("refusals", func(t *testing.T) { c.newSpace(t, "single").refuses() })
	t.Run("evictions", func(t *testing.T) { c.newSpace(t, "three").evicts() })
	t.Run("scaling", func(t *testing.T) { c.newSpace(t, "three").scales() })
	t.Run("updates", func(t *testing.T) { c.newSpace(t, "three").updates() })
}

// A space is a namespace that enforces the Pod Security level restricted, for one overlay.
type space struct {
	*controlPlane
	name    string
	overlay string
	app     app
}

// newSpace makes a namespace.
func (c *controlPlane) newSpace(t *testing.T, overlay string) *space {
	t.Helper()
	_, name, _ := strings.Cut(t.Name(), "/")
	s := &space{controlPlane: &controlPlane{t: t, client: c.client}, name: name, overlay: overlay, app: render(t, overlay)}
	s.must(http.MethodPost, "/api/v1/namespaces", asJSON, fmt.Sprintf(
		`{"metadata": {"name": %q, "labels": {"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted"}}}`, name))
	return s
}

// path returns that of an object of a resource, such as v1/pods, in the namespace.
func (s *space) path(resource, object string) string {
	version, plural := resource[:strings.LastIndex(resource, "/")], resource[strings.LastIndex(resource, "/")+1:]
	prefix := "/apis/"
	if version == "v1" {
		prefix = "/api/"
	}
	return strings.TrimSuffix(prefix+version+"/namespaces/"+s.name+"/"+plural+"/"+object, "/")
}

func (s *space) set() *appsv1.StatefulSet {
	return get[appsv1.StatefulSet](s.controlPlane, s.path("apps/v1/statefulsets", "keywatch"))
}

// pods returns all pods by name.
func (s *space) pods() map[string]corev1.Pod {
	list := make(map[string]corev1.Pod)
	for _, p := range get[corev1.PodList](s.controlPlane, s.path("v1/pods", "")).Items {
		list[p.Name] = p
	}
	return list
}

// apply applies the overlay as kubectl apply --server-side does, twice: the second time nothing
// changes. Nothing may be warned of.
func (s *space) apply() {
	s.t.Helper()
	texts, err := k8s.Build("overlays/" + s.overlay)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, text := range texts {
		path := s.pathOf(text) + "?fieldManager=test&fieldValidation=Strict"
		r := s.must(http.MethodPatch, path, asApply, string(text))
		if r.status != http.StatusCreated || len(r.warnings) > 0 {
			s.t.Errorf("%s: %d, warnings %q", path, r.status, r.warnings)
		}
		before := get[versioned](s.controlPlane, s.pathOf(text))
		s.must(http.MethodPatch, path, asApply, string(text))
		if after := get[versioned](s.controlPlane, s.pathOf(text)); after.Metadata.Generation != before.Metadata.Generation {
			s.t.Errorf("%s: applying it again changes it", path)
		}
	}
}

// A versioned is any object: its generation changes with what is asked of it.
type versioned struct {
	Metadata struct{ Generation int64 }
}

// pathOf returns the path of an object that an overlay makes.
func (s *space) pathOf(text []byte) string {
	s.t.Helper()
	object, err := k8s.Decode(text)
	if err != nil {
		s.t.Fatal(err)
	}
	of, err := meta.Accessor(object)
	if err != nil {
		s.t.Fatal(err)
	}
	resource, _ := meta.UnsafeGuessKindToResource(object.GetObjectKind().GroupVersionKind())
	return s.path(resource.GroupVersion().String()+"/"+resource.Resource, of.GetName())
}

// awaitPods waits until the StatefulSet has made n pods, and no others are there.
func (s *space) awaitPods(n int) {
	s.t.Helper()
	try.Until(s.t, func() bool {
		pods := s.pods()
		for i := range n {
			if _, ok := pods[podName(i)]; !ok {
				return false
			}
		}
		return len(pods) == n
	}, "%d pods", n)
}

func podName(i int) string { return fmt.Sprintf("keywatch-%d", i) }

// checkPods fails the test if a pod is not what the overlay says, once defaults and admission have
// had their turn: it has no token, and the volumes and probes that are meant.
func (s *space) checkPods() {
	s.t.Helper()
	want := s.app.container()
	for name, p := range s.pods() {
		got := p.Spec.Containers[0]
		var volumes []string
		for _, v := range p.Spec.Volumes {
			volumes = append(volumes, v.Name)
			if v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName != "data-"+name {
				s.t.Errorf("%s has the claim %s", name, v.PersistentVolumeClaim.ClaimName)
			}
		}
		// One for each mount that the overlay has: a token would be one more.
		var mounts []string
		for _, m := range want.VolumeMounts {
			mounts = append(mounts, m.Name)
		}
		slices.Sort(volumes)
		slices.Sort(mounts)
		if !slices.Equal(volumes, mounts) || len(got.VolumeMounts) != len(mounts) {
			s.t.Errorf("%s has the volumes %v and %d mounts, want %v", name, volumes, len(got.VolumeMounts), mounts)
		}
		if p.Spec.ServiceAccountName != "keywatch" || *p.Spec.AutomountServiceAccountToken || *p.Spec.EnableServiceLinks || p.Status.Phase != corev1.PodPending {
			s.t.Errorf("%s: account %s, phase %s", name, p.Spec.ServiceAccountName, p.Status.Phase)
		}
		checkProbes(s.t, name, &got, want)
		if got.SecurityContext == nil || !*got.SecurityContext.ReadOnlyRootFilesystem || *p.Spec.SecurityContext.RunAsUser != 65532 {
			s.t.Errorf("%s: %v, %v", name, got.SecurityContext, p.Spec.SecurityContext)
		}
	}
}

// checkProbes fails t if the API server has made something else of probes.
func checkProbes(t *testing.T, name string, got, want *corev1.Container) {
	for what, probes := range map[string][2]*corev1.Probe{
		"startup": {got.StartupProbe, want.StartupProbe}, "readiness": {got.ReadinessProbe, want.ReadinessProbe}, "liveness": {got.LivenessProbe, want.LivenessProbe},
	} {
		g, w := probes[0], probes[1]
		if g == nil || g.HTTPGet.Path != w.HTTPGet.Path || g.HTTPGet.Port != w.HTTPGet.Port || g.HTTPGet.Scheme != corev1.URISchemeHTTP ||
			g.FailureThreshold != w.FailureThreshold || g.PeriodSeconds != w.PeriodSeconds || g.TimeoutSeconds != w.TimeoutSeconds {
			t.Errorf("%s: the %s probe is %v, want %v", name, what, g, w)
		}
	}
}

// checkClaims fails the test unless there are n claims, each of what the overlay asks for.
func (s *space) checkClaims(n int) {
	s.t.Helper()
	claims := get[corev1.PersistentVolumeClaimList](s.controlPlane, s.path("v1/persistentvolumeclaims", "")).Items
	if len(claims) != n {
		s.t.Errorf("%d claims, want %d", len(claims), n)
	}
	for _, claim := range claims {
		if size := claim.Spec.Resources.Requests.Storage().String(); size != "10Gi" || !slices.Equal(claim.Spec.AccessModes, []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}) {
			s.t.Errorf("%s: %s, %v", claim.Name, size, claim.Spec.AccessModes)
		}
	}
}

// checkNames fails the test unless the names of pods are published before they are ready: they find each
// other by them. Who is sent requests needs nodes, of which there are none.
func (s *space) checkNames() {
	s.t.Helper()
	s.says(podName(0), false)
	try.Until(s.t, s.publishes, "keywatch-peers names a pod that is not ready")
}

// publishes reports whether the service of peers has the first pod, under its name.
func (s *space) publishes() bool {
	for _, slice := range get[discoveryv1.EndpointSliceList](s.controlPlane, s.path("discovery.k8s.io/v1/endpointslices", "")+"?labelSelector=kubernetes.io/service-name=keywatch-peers").Items {
		for _, e := range slice.Endpoints {
			if e.TargetRef != nil && e.TargetRef.Name == podName(0) {
				return *e.Conditions.Ready && e.Hostname != nil && *e.Hostname == podName(0)
			}
		}
	}
	return false
}

// recreates fails the test if a pod that was deleted does not come again, with the claim that it had.
func (s *space) recreates() {
	s.t.Helper()
	before := s.pods()[podName(0)]
	s.must(http.MethodDelete, s.path("v1/pods", podName(0)), asJSON, "")
	s.awaitOther(before.UID)
	s.checkPods()
}

// awaitOther waits until the first pod is another than the one that was.
func (s *space) awaitOther(was types.UID) {
	s.t.Helper()
	try.Until(s.t, func() bool { p, ok := s.pods()[podName(0)]; return ok && p.UID != was }, "another %s", podName(0))
}

// refuses shows that what the test applies could be refused: a pod that asks for more than
// restricted allows, and a field that is misspelt.
func (s *space) refuses() {
	s.t.Helper()
	r := s.ask(http.MethodPost, s.path("v1/pods", ""), asJSON, `{"metadata": {"name": "plain"}, "spec": {"automountServiceAccountToken": false, "containers": [{"name": "a", "image": "a"}]}}`)
	if r.status != http.StatusForbidden || !strings.Contains(string(r.body), "violates PodSecurity") {
		s.t.Errorf("a plain pod: %d %s", r.status, r.body)
	}
	texts, err := k8s.Build("overlays/" + s.overlay)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, text := range texts {
		path := s.pathOf(text) + "?fieldManager=test&fieldValidation=Strict"
		if !strings.Contains(path, "statefulsets") {
			continue
		}
		if r := s.ask(http.MethodPatch, path, asApply, strings.Replace(string(text), "minReadySeconds", "minReadySecond", 1)); r.status < 400 || !strings.Contains(string(r.body), "minReadySecond: field not declared") {
			s.t.Errorf("a misspelt field: %d %s", r.status, r.body)
		}
	}
}
