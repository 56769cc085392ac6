package k8s_test

import (
	"os"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"keywatch/deploy/k8s"
)

// overlays returns the names of all overlays.
func overlays(t *testing.T) (names []string) {
	list, err := os.ReadDir("overlays")
	if err != nil || len(list) == 0 {
		t.Fatalf("%d overlays, %v", len(list), err)
	}
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

// An app is what an overlay makes.
type app struct {
	set      *appsv1.StatefulSet
	services []*corev1.Service
	network  *networkingv1.NetworkPolicy
	budget   *policyv1.PodDisruptionBudget
}

// render renders an overlay.
func render(t *testing.T, overlay string) (a app) {
	t.Helper()
	list, err := k8s.Render("overlays/" + overlay)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range list {
		switch o := o.(type) {
		case *appsv1.StatefulSet:
			a.set = o
		case *corev1.Service:
			a.services = append(a.services, o)
		case *networkingv1.NetworkPolicy:
			a.network = o
		case *policyv1.PodDisruptionBudget:
			a.budget = o
		case *corev1.ServiceAccount:
		default:
			t.Errorf("%s: %T is an object that no test looks at", overlay, o)
		}
	}
	if a.set == nil || len(a.services) != 2 || a.network == nil || a.budget == nil {
		t.Fatalf("%s lacks an object", overlay)
	}
	return a
}

// container returns the only container of a pod.
func (a *app) container() *corev1.Container { return &a.set.Spec.Template.Spec.Containers[0] }

// If a field were misspelt, an API server would drop it or refuse the object.
func TestMisspeltFieldIsRefused(t *testing.T) {
	text, err := os.ReadFile("base/poddisruptionbudget.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k8s.Decode(text); err != nil {
		t.Fatal(err)
	}
	_, err = k8s.Decode([]byte(strings.Replace(string(text), "maxUnavailable", "maxUnavailible", 1)))
	if err == nil || !strings.Contains(err.Error(), "maxUnavailible") {
		t.Errorf("got %v", err)
	}
}

// If a pod asked for more than the level restricted gives, a namespace that enforces it
// would have no pod.
func TestPodsAreRestricted(t *testing.T) {
	judge, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	level := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	for _, name := range overlays(t) {
		pod := render(t, name).set.Spec.Template
		for _, r := range judge.EvaluatePod(level, &pod.ObjectMeta, &pod.Spec) {
			if !r.Allowed {
				t.Errorf("%s: %s: %s", name, r.ForbiddenReason, r.ForbiddenDetail)
			}
		}
		pod.Spec.Containers[0].SecurityContext.Capabilities = nil
		refused := false
		for _, r := range judge.EvaluatePod(level, &pod.ObjectMeta, &pod.Spec) {
			refused = refused || !r.Allowed
		}
		if !refused {
			t.Errorf("%s: a pod with capabilities is allowed", name)
		}
	}
}

// If what selects pods did not match them, or a port had no name, the server would be there
// and could not be reached, or would be evicted at once.
func TestSelectorsAndPortsFit(t *testing.T) {
	for _, name := range overlays(t) {
		a := render(t, name)
		pod := labels.Set(a.set.Spec.Template.Labels)
		if len(pod) == 0 {
			t.Errorf("%s: pods have no labels", name)
		}
		for what, selector := range map[string]*metav1.LabelSelector{
			"StatefulSet": a.set.Spec.Selector, "PodDisruptionBudget": a.budget.Spec.Selector, "NetworkPolicy": &a.network.Spec.PodSelector,
		} {
			s, err := metav1.LabelSelectorAsSelector(selector)
			if err != nil || s.Empty() || !s.Matches(pod) {
				t.Errorf("%s: the selector of the %s is %v, %v; pods have %v", name, what, s, err, pod)
			}
		}
		ports := make(map[string]bool)
		for _, p := range a.container().Ports {
			ports[p.Name] = true
		}
		for _, s := range a.services {
			if !labels.SelectorFromSet(s.Spec.Selector).Matches(pod) || len(s.Spec.Selector) == 0 {
				t.Errorf("%s: the service %s selects %v, pods have %v", name, s.Name, s.Spec.Selector, pod)
			}
			for _, p := range s.Spec.Ports {
				if !ports[p.TargetPort.StrVal] {
					t.Errorf("%s: the service %s names the port %v", name, s.Name, p.TargetPort)
				}
			}
		}
		for _, rule := range a.network.Spec.Ingress {
			for _, p := range rule.Ports {
				if !ports[p.Port.StrVal] {
					t.Errorf("%s: the network policy names the port %v", name, p.Port)
				}
			}
		}
		if !hasHeadless(a) {
			t.Errorf("%s: no headless service %s", name, a.set.Spec.ServiceName)
		}
	}
}

// hasHeadless reports whether the service that names pods is there and tells of pods that
// are not ready.
func hasHeadless(a app) bool {
	for _, s := range a.services {
		if s.Name == a.set.Spec.ServiceName {
			return s.Spec.ClusterIP == corev1.ClusterIPNone && s.Spec.PublishNotReadyAddresses
		}
	}
	return false
}

// If a pod had less time than it was told to take, it would be killed in its checkpoint.
func TestTimeToStopSuffices(t *testing.T) {
	for _, name := range overlays(t) {
		a := render(t, name)
		var need time.Duration
		for _, key := range []string{"KEYWATCH_DRAIN", "KEYWATCH_GRACE"} {
			d, err := time.ParseDuration(value(a.container(), key))
			if err != nil {
				t.Errorf("%s: %s: %v", name, key, err)
			}
			need += d
		}
		have := time.Duration(*a.set.Spec.Template.Spec.TerminationGracePeriodSeconds) * time.Second
		if have < need+5*time.Second {
			t.Errorf("%s: %v to stop, %v needed and 5s", name, have, need)
		}
	}
}

// If a variable referred to one that comes after it, a kubelet would leave the reference as
// it is.
func TestVariablesAreKnown(t *testing.T) {
	for _, name := range overlays(t) {
		a := render(t, name)
		c := a.container()
		var env []string
		for _, e := range c.Env {
			if left := expand(e.Value, env); reference.MatchString(left) {
				t.Errorf("%s: %s=%s refers to what is not known there", name, e.Name, left)
			}
			env = append(env, e.Name+"=x")
		}
	}
}

// value returns a variable of the environment, empty if it is not set.
func value(c *corev1.Container, name string) string {
	for _, e := range c.Env {
		if e.Name == name {
			return e.Value
		}
	}
	return ""
}

// If data were kept where dev has none, or lost where single has some, an overlay would not
// be what its name says.
func TestVolumes(t *testing.T) {
	for _, want := range []struct {
		name           string
		claims, mounts int
		memoryOnly     string
	}{{"dev", 0, 0, "true"}, {"single", 1, 1, ""}, {"three", 1, 2, ""}, {"team", 1, 3, ""}} {
		a := render(t, want.name)
		if n := len(a.set.Spec.VolumeClaimTemplates); n != want.claims || len(a.container().VolumeMounts) != want.mounts {
			t.Errorf("%s: %d claims, %d mounts, want %d and %d", want.name, n, len(a.container().VolumeMounts), want.claims, want.mounts)
		}
		if got := value(a.container(), "KEYWATCH_MEMORY_ONLY"); got != want.memoryOnly {
			t.Errorf("%s: KEYWATCH_MEMORY_ONLY=%q", want.name, got)
		}
	}
}
