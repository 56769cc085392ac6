package monitoring_test

import (
	"os"
	"testing"

	"go.yaml.in/yaml/v3"

	"keywatch/deploy/try"
)

// If a rule could not be read, or did not fire when it must, a fault would be found by users.
func TestRules(t *testing.T) {
	promtool := try.Program(t, "promtool")
	try.Run(t, promtool, "check", "rules", "--lint=all", "--lint-fatal", "rules.yml")
	try.Run(t, promtool, "test", "rules", "rules_test.yml")
}

// A rule is an alert.
type rule struct {
	Alert       string
	Expr        string
	Labels      map[string]string
	Annotations map[string]string
}

// rules returns all alerts.
func rules(t *testing.T) (list []rule) {
	var file struct{ Groups []struct{ Rules []rule } }
	read(t, "rules.yml", &file)
	for _, g := range file.Groups {
		list = append(list, g.Rules...)
	}
	if len(list) < 10 {
		t.Fatalf("%d alerts", len(list))
	}
	return list
}

func read(t *testing.T, path string, into any) {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}

// If an alert were tested only where it fires, it could always fire, and the other way
// round.
func TestEachAlertIsTestedBothWays(t *testing.T) {
	var file struct {
		Tests []struct {
			Cases []struct {
				Alert string `yaml:"alertname"`
				Fires []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	read(t, "rules_test.yml", &file)
	fires, quiet := make(map[string]bool), make(map[string]bool)
	for _, test := range file.Tests {
		for _, c := range test.Cases {
			if len(c.Fires) > 0 {
				fires[c.Alert] = true
			} else {
				quiet[c.Alert] = true
			}
		}
	}
	for _, r := range rules(t) {
		if !fires[r.Alert] || !quiet[r.Alert] {
			t.Errorf("%s: tested where it fires %v, where it does not %v", r.Alert, fires[r.Alert], quiet[r.Alert])
		}
		if s := r.Labels["severity"]; s != "critical" && s != "warning" {
			t.Errorf("%s: severity %q", r.Alert, s)
		}
		if r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s does not say what is wrong, or what to do", r.Alert)
		}
	}
}
