// Package k8s has the manifests of keywatch for Kubernetes: a base and overlays, for
// kubectl apply -k. Its tests render and decode each overlay as an API server does, judge
// its pods by the Pod Security Standards, and run what its StatefulSet says: the image, with
// its arguments, environment, probes and time to stop, in network namespaces that stand for
// pods.
package k8s

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// Build builds an overlay as kubectl kustomize does, and returns its objects as YAML.
func Build(overlay string) ([][]byte, error) {
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), overlay)
	if err != nil {
		return nil, err
	}
	var list [][]byte
	for _, resource := range built.Resources() {
		text, err := resource.AsYAML()
		if err != nil {
			return nil, err
		}
		list = append(list, text)
	}
	return list, nil
}

// Render builds an overlay and decodes each object strictly: a field that the API does not know is an
// error.
func Render(overlay string) ([]runtime.Object, error) {
	texts, err := Build(overlay)
	if err != nil {
		return nil, err
	}
	list := make([]runtime.Object, len(texts))
	for i, text := range texts {
		if list[i], err = Decode(text); err != nil {
			return nil, fmt.Errorf("%w:\n%s", err, text)
		}
	}
	return list, nil
}

// Decode decodes one object strictly.
func Decode(text []byte) (runtime.Object, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, appsv1.AddToScheme, networkingv1.AddToScheme, policyv1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	codecs := serializer.NewCodecFactory(scheme, serializer.EnableStrict)
	object, _, err := codecs.UniversalDeserializer().Decode(text, nil, nil)
	return object, err
}
