package k8s_test

import (
	"fmt"
	"net/http"
	"strings"

	policyv1 "k8s.io/api/policy/v1"

	"keywatch/deploy/try"
)

// checkBudget waits until the budget counts healthy pods, and fails the test if it allows another
// number of disruptions than one less for each that is not healthy.
func (s *space) checkBudget(healthy int32) {
	s.t.Helper()
	replicas := *s.set().Spec.Replicas
	var status policyv1.PodDisruptionBudgetStatus
	try.Until(s.t, func() bool {
		status = get[policyv1.PodDisruptionBudget](s.controlPlane, s.path("policy/v1/poddisruptionbudgets", "keywatch")).Status
		return status.ExpectedPods == replicas && status.CurrentHealthy == healthy
	}, "the budget counts %d healthy of %d", healthy, replicas)
	if allowed := max(0, healthy-(replicas-1)); status.DesiredHealthy != replicas-1 || status.DisruptionsAllowed != allowed {
		s.t.Errorf("of %d pods %d must be healthy, %d may be disrupted, want %d and %d", replicas, status.DesiredHealthy, status.DisruptionsAllowed, replicas-1, allowed)
	}
}

// says has a pod be as a kubelet would say: running at an address, and ready or not. It has been so
// for long.
func (s *space) says(name string, ready bool) {
	s.t.Helper()
	n := strings.TrimPrefix(name, "keywatch-")
	condition := map[bool]string{true: "True", false: "False"}[ready]
	s.must(http.MethodPatch, s.path("v1/pods", name)+"/status", asMerge, fmt.Sprintf(
		`{"status": {"phase": "Running", "podIP": "10.1.0.%s", "podIPs": [{"ip": "10.1.0.%[1]s"}], "conditions": [{"type": "Ready", "status": %q, "lastTransitionTime": "2020-01-01T00:00:00Z"}]}}`,
		n, condition))
}

// allReady has all pods be ready.
func (s *space) allReady() {
	for name := range s.pods() {
		s.says(name, true)
	}
}

// evicts fails the test unless one pod of three may be evicted, and no other while it is away.
func (s *space) evicts() {
	s.t.Helper()
	s.apply()
	s.awaitPods(3)
	s.checkBudget(0)
	s.allReady()
	s.checkBudget(3)
	before := s.pods()[podName(0)].UID
	if r := s.evict(podName(0)); r.status != http.StatusCreated {
		s.t.Errorf("the first: %d %s", r.status, r.body)
	}
	if r := s.evict(podName(1)); r.status != http.StatusTooManyRequests {
		s.t.Errorf("the second: %d %s", r.status, r.body)
	}
	s.awaitOther(before)
	s.checkBudget(2)
	// Two are healthy, and the third may be catching up.
	s.says(podName(1), false)
	s.checkBudget(1)
	s.says(podName(0), false)
	if r := s.evict(podName(0)); r.status != http.StatusTooManyRequests {
		s.t.Errorf("one that is not ready while another is not: %d %s", r.status, r.body)
	}
}

func (s *space) evict(name string) reply {
	return s.ask(http.MethodPost, s.path("v1/pods", name)+"/eviction", asJSON,
		fmt.Sprintf(`{"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": %q}}`, name))
}

// scales fails the test unless three pods become five and three again, all at once, and claims
// outlive pods and StatefulSet.
func (s *space) scales() {
	s.t.Helper()
	s.apply()
	s.awaitPods(3)
	scale := func(replicas int) {
		s.must(http.MethodPatch, s.path("apps/v1/statefulsets", "keywatch")+"/scale", asMerge, fmt.Sprintf(`{"spec": {"replicas": %d}}`, replicas))
		s.awaitPods(replicas)
	}
	scale(5)
	s.checkPods()
	s.checkClaims(5)
	s.checkBudget(0)
	scale(3)
	s.checkClaims(5)
	s.must(http.MethodDelete, s.path("apps/v1/statefulsets", "keywatch"), asJSON, "")
	s.awaitPods(0)
	s.checkClaims(5)
}

// updates fails the test unless a new image goes to the last pod first, and to the next only once that is
// ready.
func (s *space) updates() {
	s.t.Helper()
	s.apply()
	s.awaitPods(3)
	s.allReady()
	s.must(http.MethodPatch, s.path("apps/v1/statefulsets", "keywatch"), "application/json-patch+json",
		`[{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "keywatch:0.2.0"}]`)
	for last := 2; last >= 0; last-- {
		s.awaitImage(last)
		for i := range last {
			if image := s.pods()[podName(i)].Spec.Containers[0].Image; image == "keywatch:0.2.0" {
				s.t.Errorf("%s has the new image before %s is ready", podName(i), podName(last))
			}
		}
		s.says(podName(last), true)
	}
	try.Until(s.t, func() bool {
		status := s.set().Status
		return status.UpdatedReplicas == 3 && status.AvailableReplicas == 3 && status.CurrentRevision == status.UpdateRevision
	},
		"the update is complete")
}

// awaitImage waits until a pod has the new image.
func (s *space) awaitImage(pod int) {
	s.t.Helper()
	try.Until(s.t, func() bool {
		p, ok := s.pods()[podName(pod)]
		return ok && p.Spec.Containers[0].Image == "keywatch:0.2.0"
	}, "%s has the new image", podName(pod))
}
