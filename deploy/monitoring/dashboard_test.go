package monitoring_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keywatch/deploy/monitoring"
	"keywatch/deploy/try"
)

var update = flag.Bool("update", false, "write keywatch.json")

// If the file were not what the program makes, a change to one would be lost with the
// next of the other. -update writes it.
func TestDashboardIsWhatIsMade(t *testing.T) {
	made, err := monitoring.Dashboard()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("keywatch.json", made, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile("keywatch.json")
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != string(made) {
		t.Error("keywatch.json is not what Dashboard makes; run go test ./monitoring -update")
	}
}

// A panel is a panel of the file.
type panel struct {
	Title, Type string
	Description string
	FieldConfig struct {
		Defaults struct{ Unit string }
	}
	Targets []struct{ Expr, LegendFormat string }
	Panels  []panel
}

// panels returns all panels of the file but rows.
func panels(t *testing.T) (list []panel) {
	text, err := os.ReadFile("keywatch.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Panels []panel }
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	for _, p := range file.Panels {
		list = append(list, p.Panels...)
		if p.Type != "row" {
			list = append(list, p)
		}
	}
	if len(list) < 20 {
		t.Fatalf("%d panels", len(list))
	}
	return list
}

// If a panel had no unit or title, who looks at it at night would not know what is drawn.
func TestPanelsAreTold(t *testing.T) {
	seen := make(map[string]bool)
	for _, p := range panels(t) {
		if p.Title == "" || seen[p.Title] || p.FieldConfig.Defaults.Unit == "" || len(p.Targets) == 0 {
			t.Errorf("panel %q: unit %q, %d lines", p.Title, p.FieldConfig.Defaults.Unit, len(p.Targets))
		}
		seen[p.Title] = true
		for _, target := range p.Targets {
			if !strings.Contains(target.LegendFormat, "{{instance}}") {
				t.Errorf("panel %q: the line %q does not tell servers apart", p.Title, target.LegendFormat)
			}
		}
	}
}

// expressions returns the expressions of all panels, by the title of their panel, with what
// Grafana puts for variables.
func expressions(t *testing.T) map[string][]string {
	variables := strings.NewReplacer("$instance", ".*", "$__rate_interval", "10s")
	all := make(map[string][]string)
	for _, p := range panels(t) {
		for _, target := range p.Targets {
			all[p.Title] = append(all[p.Title], variables.Replace(target.Expr))
		}
	}
	return all
}

// If promtool refused an expression, so would Grafana's data source.
func TestExpressionsAreValid(t *testing.T) {
	promtool := try.Program(t, "promtool")
	var b strings.Builder
	b.WriteString("groups:\n  - name: panels\n    rules:\n")
	for title, list := range expressions(t) {
		for _, expr := range list {
			text, err := json.Marshal(expr)
			if err != nil {
				t.Fatal(err)
			}
			name, err := json.Marshal(title)
			if err != nil {
				t.Fatal(err)
			}
			b.WriteString("      - record: panel\n        labels: {title: " + string(name) + "}\n        expr: " + string(text) + "\n")
		}
	}
	path := filepath.Join(t.TempDir(), "panels.yml")
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	try.Run(t, promtool, "check", "rules", "--lint=none", path)
}
